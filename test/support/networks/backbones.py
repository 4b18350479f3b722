"""Backbones of PP-OCR: MobileNetV3, PPLCNet, PPLCNetV3, PPHGNet and PPHGNetV2, MobileNetV1Enhance. Widths are small, structures whole."""
import paddle
from paddle import nn
from paddle.nn import functional as F

from parts import ACTIVATIONS, Affine, ConvNorm, SqueezeExcite, Sum


def wide(channels, scale):
    """Channels times a scale, rounded to multiples of 8."""
    return max(8, int(channels * scale + 4) // 8 * 8)


def stages_of(x, stem, groups):
    """What each group of blocks gives, one after another, behind the stem."""
    x = stem(x)
    outs = []
    for group in groups:
        x = group(x)
        outs.append(x)
    return outs


class InvertedResidual(nn.Layer):
    def __init__(self, inputs, middle, outputs, kernel, stride, act, excite):
        super().__init__()
        self.shortcut = stride == 1 and inputs == outputs
        self.expand = ConvNorm(inputs, middle, 1, act=act)
        self.depthwise = ConvNorm(middle, middle, kernel, stride, groups=middle, act=act)
        self.excite = SqueezeExcite(middle) if excite else None
        self.project = ConvNorm(middle, outputs, 1, act=None)

    def forward(self, x):
        y = self.depthwise(self.expand(x))
        if self.excite is not None:
            y = self.excite(y)
        y = self.project(y)
        return x + y if self.shortcut else y


# Howard et al., 2019, tables 1 and 2: kernel, expansion, channels, squeeze and excitation, activation, stride.
LARGE = [
    (3, 16, 16, False, 'relu', 1),
    (3, 64, 24, False, 'relu', 2),
    (3, 72, 24, False, 'relu', 1),
    (5, 72, 40, True, 'relu', 2),
    (5, 120, 40, True, 'relu', 1),
    (5, 120, 40, True, 'relu', 1),
    (3, 240, 80, False, 'hardswish', 2),
    (3, 200, 80, False, 'hardswish', 1),
    (3, 184, 80, False, 'hardswish', 1),
    (3, 184, 80, False, 'hardswish', 1),
    (3, 480, 112, True, 'hardswish', 1),
    (3, 672, 112, True, 'hardswish', 1),
    (5, 672, 160, True, 'hardswish', 2),
    (5, 960, 160, True, 'hardswish', 1),
    (5, 960, 160, True, 'hardswish', 1),
]
SMALL = [
    (3, 16, 16, True, 'relu', 2),
    (3, 72, 24, False, 'relu', 2),
    (3, 88, 24, False, 'relu', 1),
    (5, 96, 40, True, 'hardswish', 2),
    (5, 240, 40, True, 'hardswish', 1),
    (5, 240, 40, True, 'hardswish', 1),
    (5, 120, 48, True, 'hardswish', 1),
    (5, 144, 48, True, 'hardswish', 1),
    (5, 288, 96, True, 'hardswish', 2),
    (5, 576, 96, True, 'hardswish', 1),
    (5, 576, 96, True, 'hardswish', 1),
]


class MobileNetV3(nn.Layer):
    """`strides`: those of blocks that halve, in order; a text reader keeps the width (2, 1). Detectors take all stages."""

    def __init__(self, rows, scale, stages=False, strides=None, excite=True, pool=False):
        super().__init__()
        self.stages = stages
        channels = wide(16, scale)
        self.stem = ConvNorm(3, channels, 3, 2, act='hardswish')
        groups, blocks, self.widths, halvings = [], [], [], iter(strides or [])
        for i, (kernel, middle, outputs, se, act, stride) in enumerate(rows):
            if stride == 2 and stages and i > 2:
                groups.append(nn.Sequential(*blocks))
                self.widths.append(channels)
                blocks = []
            step = next(halvings) if stride == 2 and strides else stride
            blocks.append(
                InvertedResidual(channels, wide(middle, scale), wide(outputs, scale), kernel, step, act, se and excite)
            )
            channels = wide(outputs, scale)
        last = wide(rows[-1][1], scale)
        blocks.append(ConvNorm(channels, last, 1, act='hardswish'))
        groups.append(nn.Sequential(*blocks))
        self.widths.append(last)
        self.groups = nn.LayerList(groups)
        self.pool = nn.MaxPool2D(2, 2) if pool else None

    def forward(self, x):
        outs = stages_of(x, self.stem, self.groups)
        if self.stages:
            return outs
        return self.pool(outs[-1]) if self.pool is not None else outs[-1]


class RepConv(nn.Layer):
    """PPLCNetV3's learnable convolution before its branches are merged: k x k twice, 1 x 1, identity; scale and shift; activation."""

    def __init__(self, inputs, outputs, kernel, stride=1, groups=1):
        super().__init__()
        branches = [ConvNorm(inputs, outputs, kernel, stride, groups, act=None) for _ in range(2)]
        if kernel > 1:
            branches.append(ConvNorm(inputs, outputs, 1, stride, groups, act=None))
        if inputs == outputs and stride == 1:
            branches.append(nn.BatchNorm2D(inputs))
        self.sum = Sum(*branches)
        self.affine = Affine()
        self.last = Affine() if stride != 2 else None

    def forward(self, x):
        y = self.affine(self.sum(x))
        return self.last(F.hardswish(y)) if self.last is not None else y


class MergedConv(nn.Layer):
    """The same after merging: one convolution with a bias."""

    def __init__(self, inputs, outputs, kernel, stride=1, groups=1):
        super().__init__()
        self.conv = nn.Conv2D(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
        self.affine = Affine()
        self.last = Affine() if stride != 2 else None

    def forward(self, x):
        y = self.affine(self.conv(x))
        return self.last(F.hardswish(y)) if self.last is not None else y


# Kernel, channels, stride for a detector, stride for a reader, squeeze and excitation; a line a stage.
LCNET_V3 = [
    [(3, 32, 1, 1, False)],
    [(3, 64, 2, 1, False), (3, 64, 1, 1, False)],
    [(3, 128, 2, (2, 1), False), (3, 128, 1, 1, False)],
    [(3, 256, 2, (1, 2), False)] + [(5, 256, 1, 1, False)] * 4,
    [(5, 512, 2, (2, 1), True), (5, 512, 1, 1, True), (5, 512, 1, (2, 1), False), (5, 512, 1, 1, False)],
]


class PPLCNetV3(nn.Layer):
    def __init__(self, scale, stages, merged):
        super().__init__()
        self.stages = stages
        conv = MergedConv if merged else RepConv
        channels = wide(16, scale)
        self.stem = ConvNorm(3, channels, 3, 2, act=None)
        groups, self.widths = [], []
        for rows in LCNET_V3:
            blocks = []
            for kernel, outputs, det, rec, excite in rows:
                outputs, stride = wide(outputs, scale), det if stages else rec
                blocks.append(conv(channels, channels, kernel, stride, groups=channels))
                if excite:
                    blocks.append(SqueezeExcite(channels, slope=1 / 6))
                blocks.append(conv(channels, outputs, 1))
                channels = outputs
            groups.append(nn.Sequential(*blocks))
            self.widths.append(channels)
        self.groups = nn.LayerList(groups)
        self.widths = self.widths[1:]
        # As in PP-OCRv4, stages are brought to few channels.
        thin = [8, 8, 16, 32]
        self.out = nn.LayerList([nn.Conv2D(w, t, 1) for w, t in zip(self.widths, thin)]) if stages else None
        if stages:
            self.widths = thin

    def forward(self, x):
        outs = stages_of(x, self.stem, self.groups)
        if self.stages:
            return [conv(y) for conv, y in zip(self.out, outs[1:])]
        return F.avg_pool2d(outs[-1], [3, 2])


class PPLCNet(nn.Layer):
    """The classifier of text lines' directions in PP-OCRv5 and of documents' orientations."""

    def __init__(self, scale, classes):
        super().__init__()
        rows = [(3, 32, 1), (3, 64, 2), (3, 64, 1), (3, 128, 2), (3, 128, 1), (3, 256, 2)]
        rows += [(5, 256, 1)] * 5 + [(5, 512, 2), (5, 512, 1)]
        channels = wide(16, scale)
        blocks = [ConvNorm(3, channels, 3, 2, act='hardswish')]
        for i, (kernel, outputs, stride) in enumerate(rows):
            outputs = wide(outputs, scale)
            blocks.append(ConvNorm(channels, channels, kernel, stride, groups=channels, act='hardswish'))
            if i >= len(rows) - 2:
                blocks.append(SqueezeExcite(channels, slope=1 / 6))
            blocks.append(ConvNorm(channels, outputs, 1, act='hardswish'))
            channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Conv2D(channels, 64, 1, bias_attr=False)
        self.drop = nn.Dropout(0.2, mode='downscale_in_infer')
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        y = F.adaptive_avg_pool2d(self.blocks(x), 1)
        y = self.drop(F.hardswish(self.last(y)))
        return F.softmax(self.fc(paddle.flatten(y, 1)), axis=-1)


class LightConv(nn.Layer):
    def __init__(self, inputs, outputs, kernel):
        super().__init__()
        self.point = ConvNorm(inputs, outputs, 1, act=None)
        self.depth = ConvNorm(outputs, outputs, kernel, groups=outputs)

    def forward(self, x):
        return self.depth(self.point(x))


class HGBlock(nn.Layer):
    """Every convolution's result is kept; all are concatenated and squeezed. v1 ends with a gate, v2 with two convolutions."""

    def __init__(self, inputs, middle, outputs, kernel, layers, identity, light, gate):
        super().__init__()
        make = LightConv if light else ConvNorm
        self.layers = nn.LayerList([make(inputs if i == 0 else middle, middle, kernel) for i in range(layers)])
        total = inputs + layers * middle
        if gate:
            self.squeeze = ConvNorm(total, outputs, 1)
            self.gate = nn.Conv2D(outputs, outputs, 1)
        else:
            self.squeeze = nn.Sequential(ConvNorm(total, outputs // 2, 1), ConvNorm(outputs // 2, outputs, 1))
            self.gate = None
        self.identity = identity

    def forward(self, x):
        outs = [x]
        for layer in self.layers:
            outs.append(layer(outs[-1]))
        y = self.squeeze(paddle.concat(outs, axis=1))
        if self.gate is not None:
            y = y * F.sigmoid(self.gate(y.mean([2, 3], keepdim=True)))
        return y + x if self.identity else y


class StemV2(nn.Layer):
    """PPHGNetV2's stem: 2 x 2 windows with padding on the far side, beside a pool of the same."""

    def __init__(self, outputs, stride):
        super().__init__()
        half = outputs // 2
        self.first = ConvNorm(3, outputs, 3, 2)
        self.left = ConvNorm(outputs, half, 2, padding='SAME')
        self.right = ConvNorm(half, outputs, 2, padding='SAME')
        self.pool = nn.MaxPool2D(2, 1, padding='SAME', ceil_mode=True)
        self.join = ConvNorm(2 * outputs, outputs, 3, stride)
        self.last = ConvNorm(outputs, outputs, 1)

    def forward(self, x):
        x = self.first(x)
        return self.last(self.join(paddle.concat([self.pool(x), self.right(self.left(x))], axis=1)))


class PPHGNet(nn.Layer):
    """`version` 1 (PP-OCRv4 server) or 2 (PP-OCRv5 server). A reader keeps the width."""

    def __init__(self, version, stages):
        super().__init__()
        self.stages = stages
        down = [None, 2, 2, 2] if stages else [(2, 1), (1, 2), (2, 1), (2, 1)]
        if version == 1:
            stem = [ConvNorm(3, 8, 3, 2), ConvNorm(8, 8, 3), ConvNorm(8, 16, 3)]
            self.stem = nn.Sequential(*stem, *([nn.MaxPool2D(3, 2, 1)] if stages else []))
        else:
            self.stem = StemV2(16, 2 if stages else 1)
        groups, channels, self.widths = [], 16, []
        for i, (middle, outputs) in enumerate([(8, 16), (12, 32), (16, 48), (20, 64)]):
            blocks = [] if down[i] is None else [ConvNorm(channels, channels, 3, down[i], groups=channels, act=None)]
            light, kernel = version == 2 and i >= 2, 5 if version == 2 and i >= 2 else 3
            for j in range(2 if i == 2 else 1):
                blocks.append(HGBlock(channels, middle, outputs, kernel, 4, j > 0, light, gate=version == 1))
                channels = outputs
            groups.append(nn.Sequential(*blocks))
            self.widths.append(channels)
        self.groups = nn.LayerList(groups)

    def forward(self, x):
        outs = stages_of(x, self.stem, self.groups)
        return outs if self.stages else F.avg_pool2d(outs[-1], [3, 2])


class MobileNetV1Enhance(nn.Layer):
    """The backbone of SVTR_LCNet in PP-OCRv3."""

    def __init__(self, scale):
        super().__init__()
        rows = [(3, 64, 1, False), (3, 128, 1, False), (3, 128, 1, False), (3, 256, (2, 1), False)]
        rows += [(3, 256, 1, False), (3, 512, (2, 1), False)] + [(5, 512, 1, False)] * 3
        rows += [(5, 1024, (2, 1), True), (5, 1024, (1, 2), True)]
        channels = wide(32, scale)
        blocks = [ConvNorm(3, channels, 3, 2, act='hardswish')]
        for kernel, outputs, stride, excite in rows:
            outputs = wide(outputs, scale)
            blocks.append(ConvNorm(channels, channels, kernel, stride, groups=channels, act='hardswish'))
            if excite:
                blocks.append(SqueezeExcite(channels))
            blocks.append(ConvNorm(channels, outputs, 1, act='hardswish'))
            channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.widths = [channels]
        self.pool = nn.AvgPool2D(2, 2)

    def forward(self, x):
        return self.pool(self.blocks(x))
