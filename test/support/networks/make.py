"""Exports the networks of the catalogue with the real PaddlePaddle, in the format that its version writes.

    make.py OUT [NAME...]   writes OUT/<name>/inference.{json|pdmodel}, .pdiparams and <i>.npz (x<k>: inputs, out<k>: what the real predictor
                            gives), and prints the list as JSON: name, samples
"""
import json
import os
import sys

import numpy as np
import paddle
from paddle.static import InputSpec
from paddle.vision.models import mobilenet_v1, mobilenet_v2, mobilenet_v3_small
from paddle.vision.models.resnet import BasicBlock, BottleneckBlock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import backbones  # noqa: E402
import parts  # noqa: E402
from backbones import LARGE, SMALL, MobileNetV1Enhance, MobileNetV3, PPHGNet, PPLCNet, PPLCNetV3  # noqa: E402
from detection import LKPAN, RSEFPN, Detector  # noqa: E402
from encoders import DirectionClassifier, SlimResNet, TextEncoder, ViT  # noqa: E402
from parts import settle  # noqa: E402
from predict import predict  # noqa: E402
from recognition import CRNN, SVTR, LightSVTR  # noqa: E402

MAP = [None, 3, None, None]
LINE = [None, 3, 48, None]
MAPS = [[1, 3, 64, 96], [2, 3, 32, 64]]
LINES = [[2, 3, 48, 96], [1, 3, 48, 160]]
CLASSES = 37



def detector(make_backbone, make_neck, **more):
    def make():
        backbone = make_backbone()
        return Detector(backbone, make_neck(backbone.widths), 32, **more)

    return make, [MAP], [[s] for s in MAPS]


def reader(make, spec=LINE, shapes=LINES):
    return make, [spec], [[s] for s in shapes]


def image(make, size=32, batch=None):
    return make, [[batch, 3, size, size]], [[[1, 3, size, size]], [[3, 3, size, size]]]


# The mobile networks of PP-OCRv5 have the structure of v4's.
NETWORKS = {
    'det-v3-mobile': detector(lambda: MobileNetV3(LARGE, 0.35, stages=True, excite=False), lambda w: RSEFPN(w, 32)),
    'det-v3-server': detector(
        lambda: MobileNetV3(LARGE, 0.35, stages=True), lambda w: LKPAN(w, 32, lite=False, intra=False)
    ),
    'det-v4-mobile': detector(lambda: PPLCNetV3(0.25, stages=True, merged=True), lambda w: RSEFPN(w, 32)),
    'det-v4-unmerged': detector(lambda: PPLCNetV3(0.25, stages=True, merged=False), lambda w: RSEFPN(w, 32)),
    'det-v4-server': detector(
        lambda: PPHGNet(1, stages=True), lambda w: LKPAN(w, 32, lite=True, intra=True), local=True
    ),
    'det-v5-server': detector(
        lambda: PPHGNet(2, stages=True), lambda w: LKPAN(w, 32, lite=False, intra=True), local=True
    ),
    'rec-crnn': reader(
        lambda: CRNN(
            MobileNetV3(SMALL, 0.5, strides=[(1, 1), (2, 1), (2, 1), (2, 1)], pool=True), 12, CLASSES
        ),
        [None, 3, 32, None],
        [[2, 3, 32, 100], [1, 3, 32, 64]],
    ),
    'rec-v3-lcnet': reader(lambda: LightSVTR(MobileNetV1Enhance(0.125), CLASSES)),
    'rec-v4-mobile': reader(lambda: LightSVTR(PPLCNetV3(0.25, stages=False, merged=True), CLASSES, (1, 3))),
    'rec-v4-server': reader(lambda: LightSVTR(PPHGNet(1, stages=False), CLASSES, (1, 3))),
    'rec-v5-server': reader(lambda: LightSVTR(PPHGNet(2, stages=False), CLASSES, (1, 3))),
    'rec-svtr': reader(
        lambda: SVTR(
            (32, 64), (16, 24, 32), (2, 3, 4), (2, 3, 2), ['Local'] * 3 + ['Global'] * 4, 24, 16, CLASSES
        ),
        [None, 3, 32, 64],
        [[2, 3, 32, 64], [1, 3, 32, 64]],
    ),
    'cls-v2': reader(
        lambda: DirectionClassifier(MobileNetV3(SMALL, 0.35)), [None, 3, 48, 192], [[1, 3, 48, 192], [2, 3, 48, 192]]
    ),
    'cls-lcnet': reader(lambda: PPLCNet(0.25, 2), [None, 3, 80, 160], [[1, 3, 80, 160]]),
    'resnet18': image(lambda: SlimResNet(BasicBlock, 18, 7)),
    'resnet50': image(lambda: SlimResNet(BottleneckBlock, 50, 7)),
    'mobilenet-v1': image(lambda: mobilenet_v1(scale=0.25, num_classes=7)),
    'mobilenet-v2': image(lambda: mobilenet_v2(scale=0.25, num_classes=7)),
    'mobilenet-v3': image(lambda: mobilenet_v3_small(scale=0.35, num_classes=7)),
    'vit': image(ViT),
    'bert': (TextEncoder, [('int64', [None, None])] * 2, [[[2, 9]] * 2, [[1, 16]] * 2]),
    'ernie': (lambda: TextEncoder(tasks=3), [('int64', [None, None])] * 2, [[[2, 9]] * 2, [[3, 5]] * 2]),
}

# What has no sizes in its control flow is traced as it is: turning its source into static code is most of the time of an export.
for module in (parts, backbones):
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, paddle.nn.Layer) and value.__module__ == module.__name__:
            value.forward = paddle.jit.not_to_static(value.forward)


def draw(rng, dtype, k, shape):
    if dtype == 'float32':
        return rng.uniform(-1, 1, shape).astype(dtype)
    if k > 0:
        return rng.randint(0, 2, shape)
    ids = rng.randint(1, 60, shape)
    ids[-1, -2:] = 0
    return ids


def make(name, out):
    factory, specs, shapes = NETWORKS[name]
    seed = sorted(NETWORKS).index(name) + 1
    rng = np.random.RandomState(seed)
    specs = [s if isinstance(s, tuple) else ('float32', s) for s in specs]
    samples = [{'x%d' % k: draw(rng, specs[k][0], k, s) for k, s in enumerate(sample)} for sample in shapes]
    typical = [draw(rng, specs[k][0], k, [8] + s[1:]) for k, s in enumerate(shapes[0])]
    network = settle(factory(), typical, seed)
    inputs = [InputSpec(shape, dtype, 'x%d' % k) for k, (dtype, shape) in enumerate(specs)]
    path = os.path.join(out, name, 'inference')
    paddle.jit.save(network, path, input_spec=inputs)
    program = next(path + e for e in ('.json', '.pdmodel') if os.path.exists(path + e))
    for i, outputs in enumerate(predict(program, path + '.pdiparams', samples)):
        np.savez(os.path.join(out, name, '%d.npz' % i), **samples[i], **{'out%d' % k: o for k, o in enumerate(outputs)})
    return {'name': name, 'samples': len(samples)}


if __name__ == '__main__':
    print(json.dumps([make(name, sys.argv[1]) for name in sys.argv[2:] or NETWORKS]))
