"""Text detectors of PP-OCR: a backbone of four stages, RSEFPN or LKPAN, the head of differentiable binarization (Liao et al., 2020)."""
import paddle
from paddle import nn
from paddle.nn import functional as F

from parts import ConvNorm, SqueezeExcite


class ResidualExcite(nn.Layer):
    def __init__(self, inputs, outputs, kernel):
        super().__init__()
        self.conv = nn.Conv2D(inputs, outputs, kernel, padding=kernel // 2, bias_attr=False)
        self.excite = SqueezeExcite(outputs)

    def forward(self, x):
        x = self.conv(x)
        return x + self.excite(x)


def twice(x, factor=2):
    return F.upsample(x, scale_factor=factor, mode='nearest', align_mode=1)


def top_down(laterals):
    """From the coarsest stage to the finest, each added to the next."""
    outs = [laterals[-1]]
    for lateral in reversed(laterals[:-1]):
        outs.append(lateral + twice(outs[-1]))
    return outs[::-1]


def gather(stages):
    """All stages at the size of the finest, the coarsest first."""
    return paddle.concat([twice(y, 2**i) if i else y for i, y in reversed(list(enumerate(stages)))], axis=1)


class RSEFPN(nn.Layer):
    def __init__(self, widths, channels):
        super().__init__()
        self.lateral = nn.LayerList([ResidualExcite(w, channels, 1) for w in widths])
        self.smooth = nn.LayerList([ResidualExcite(channels, channels // 4, 3) for _ in widths])

    def forward(self, stages):
        merged = top_down([f(x) for f, x in zip(self.lateral, stages)])
        return gather([f(x) for f, x in zip(self.smooth, merged)])


class Asymmetric(nn.Layer):
    """IntraCL: rows, columns and squares of 7, 5 and 3 in turn, around a residual."""

    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.enter = nn.Conv2D(channels, half, 1)
        self.leave = nn.Conv2D(half, channels, 1)
        self.norm = nn.BatchNorm2D(channels)
        shapes = [[(k, k), (k, 1), (1, k)] for k in (7, 5, 3)]
        self.rounds = nn.LayerList(
            [nn.LayerList([nn.Conv2D(half, half, s, padding=[d // 2 for d in s]) for s in row]) for row in shapes]
        )

    def forward(self, x):
        y = self.enter(x)
        for row in self.rounds:
            y = row[0](y) + row[1](y) + row[2](y)
        return x + F.relu(self.norm(self.leave(y)))


class LKPAN(nn.Layer):
    """Path aggregation with 9 x 9 kernels; `lite` makes them depthwise."""

    def __init__(self, widths, channels, lite, intra):
        super().__init__()
        quarter = channels // 4

        def large(inputs):
            if not lite:
                return nn.Conv2D(inputs, quarter, 9, padding=4, bias_attr=False)
            wide = int(inputs * 4)
            return nn.Sequential(
                ConvNorm(inputs, inputs, 9, groups=inputs, act='hardswish'),
                ConvNorm(inputs, wide, 1, act='hardswish'),
                nn.Conv2D(wide, quarter, 1, bias_attr=False),
            )

        self.lateral = nn.LayerList([nn.Conv2D(w, channels, 1, bias_attr=False) for w in widths])
        self.smooth = nn.LayerList([large(channels) for _ in widths])
        self.down = nn.LayerList([nn.Conv2D(quarter, quarter, 3, 2, 1, bias_attr=False) for _ in widths[1:]])
        self.pan = nn.LayerList([large(quarter) for _ in widths])
        self.intra = nn.LayerList([Asymmetric(quarter) for _ in widths]) if intra else None

    def forward(self, stages):
        fine = [f(x) for f, x in zip(self.smooth, top_down([f(x) for f, x in zip(self.lateral, stages)]))]
        outs = [fine[0]]
        for f, x in zip(self.down, fine[1:]):
            outs.append(x + f(outs[-1]))
        outs = [f(x) for f, x in zip(self.pan, outs)]
        if self.intra is not None:
            outs = [f(x) for f, x in zip(self.intra, outs)]
        return gather(outs)


class DBHead(nn.Layer):
    """The probability map; `local` refines it beside the features, as the head of PP-OCRv4's server model."""

    def __init__(self, channels, local):
        super().__init__()
        quarter = channels // 4
        self.conv = ConvNorm(channels, quarter, 3)
        self.up = nn.Conv2DTranspose(quarter, quarter, 2, 2)
        self.norm = nn.BatchNorm2D(quarter)
        self.last = nn.Conv2DTranspose(quarter, 1, 2, 2)
        self.refine = ConvNorm(quarter + 1, quarter, 3) if local else None
        self.refined = nn.Conv2D(quarter, 1, 1) if local else None

    def forward(self, x):
        x = F.relu(self.norm(self.up(self.conv(x))))
        shrink = F.sigmoid(self.last(x))
        if self.refine is None:
            return shrink
        y = paddle.concat([shrink, twice(x)], axis=1)
        return 0.5 * (shrink + F.sigmoid(self.refined(self.refine(y))))


class Detector(nn.Layer):
    def __init__(self, backbone, neck, channels, local=False):
        super().__init__()
        self.backbone, self.neck = backbone, neck
        self.head = DBHead(channels, local)

    def forward(self, x):
        return self.head(self.neck(self.backbone(x)))
