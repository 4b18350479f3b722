"""Models that were written elsewhere are loaded by paddle.jit.load and trained on.

    train.py JOBS       JOBS: a file with [{path: without ending, inputs: .npz with x and y, steps}]; prints for each: losses, and how often two
                        passes in training mode, and two in evaluation mode, give the same
"""
import json
import sys

import numpy as np
import paddle
from paddle.nn import functional as F

jobs = json.load(open(sys.argv[1]))
results = []
for job in jobs:
    layer = paddle.jit.load(job['path'])
    arrays = np.load(job['inputs'])
    x, y = paddle.to_tensor(arrays['x']), paddle.to_tensor(arrays['y'])
    layer.eval()
    before = layer(x).numpy()
    layer.train()
    same = bool((layer(x).numpy() == layer(x).numpy()).all())
    optimizer = paddle.optimizer.Momentum(0.05, parameters=layer.parameters())
    losses = []
    for _ in range(job['steps']):
        loss = F.nll_loss(paddle.log(layer(x) + 1e-6), y)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    layer.eval()
    results.append({
        'losses': losses,
        'parameters': len(layer.parameters()),
        'evaluation': before.tolist(),
        'sameInTraining': same,
    })
print(json.dumps(results))
