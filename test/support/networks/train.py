"""Models that were written elsewhere are trained on in PaddlePaddle.

    train.py JOBS       JOBS: a file with [{path: without ending, inputs: .npz with x and y, steps, way}]. `way`: `layer` for paddle.jit.load in dynamic
                        mode; `program` for paddle.static.load_inference_model, with an optimizer appended to the program. Prints for each: losses,
                        how many parameters there are, outputs in evaluation mode before and after, and (of a layer) whether two passes in training
                        mode give the same
"""
import json
import sys

import numpy as np
import paddle
from paddle.nn import functional as F


def loss_of(probabilities, y):
    return F.nll_loss(paddle.log(probabilities + 1e-6), y)


def evaluated(layer, x):
    layer.eval()
    return layer(x).numpy().tolist()


def train_layer(job, arrays):
    layer = paddle.jit.load(job['path'])
    x, y = paddle.to_tensor(arrays['x']), paddle.to_tensor(arrays['y'])
    before = evaluated(layer, x)
    layer.train()
    same = bool((layer(x).numpy() == layer(x).numpy()).all())
    optimizer = paddle.optimizer.Momentum(0.05, parameters=layer.parameters())
    losses = []
    for _ in range(job['steps']):
        out = layer(x)
        # TranslatedLayer of 2.6.2 makes its outputs with stop_gradient set, and backward() ends there; they do know where they come from.
        out.stop_gradient = False
        loss = loss_of(out, y)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    return {
        'losses': losses,
        'parameters': len(layer.parameters()),
        'evaluation': before,
        'after': evaluated(layer, x),
        'sameInTraining': same,
    }


def train_program(job, arrays):
    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    program, (name,), (out,) = paddle.static.load_inference_model(job['path'], executor)
    test_program = program.clone()
    block = program.global_block()
    for i in reversed(range(len(block.ops))):
        # The executor feeds and fetches by itself.
        if block.ops[i].type in ('feed', 'fetch'):
            block._remove_op(i)
    for i, op in enumerate(block.ops):
        if op.has_attr('is_test'):
            op._set_attr('is_test', False)
        if op.type == 'batch_norm':
            # Training keeps something there, which Paddle's exports leave out, and Paddle Lite's opt refuses.
            kept = block.create_var(name='reserve_%d' % i, dtype='float32', stop_gradient=True)
            op.desc.set_output('ReserveSpace', [kept.name])
    parameters = program.all_parameters()
    start = paddle.static.Program()
    with paddle.static.program_guard(program, start):
        loss = loss_of(block.var(out.name), paddle.static.data('y', [None], 'int64'))
        paddle.optimizer.Momentum(0.05).minimize(loss)
    executor.run(start)
    feed = {name: arrays['x'], 'y': arrays['y']}

    def evaluate():
        return executor.run(test_program, feed={name: arrays['x']}, fetch_list=[out.name])[0].tolist()

    before = evaluate()
    losses = [float(executor.run(program, feed=feed, fetch_list=[loss])[0]) for _ in range(job['steps'])]
    after = evaluate()
    paddle.disable_static()
    return {'losses': losses, 'parameters': len(parameters), 'evaluation': before, 'after': after}


# Dropouts draw alike in every run.
paddle.seed(7)
ways = {'layer': train_layer, 'program': train_program}
jobs = json.load(open(sys.argv[1]))
print(json.dumps([ways[job['way']](job, np.load(job['inputs'])) for job in jobs]))
