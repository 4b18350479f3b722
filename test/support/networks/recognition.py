"""Text readers of PP-OCR: CRNN (Shi et al., 2015), SVTR (Du et al., 2022) and the light SVTR neck over convolutional backbones."""
import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from parts import ConvNorm


def as_sequence(x):
    """[N, C, 1, W] to [N, W, C]."""
    return x.squeeze(axis=2).transpose([0, 2, 1])


class CTCHead(nn.Layer):
    def __init__(self, inputs, classes):
        super().__init__()
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        return F.softmax(self.fc(x), axis=2)


class CRNN(nn.Layer):
    def __init__(self, backbone, hidden, classes):
        super().__init__()
        self.backbone = backbone
        self.lstm = nn.LSTM(backbone.widths[-1], hidden, num_layers=2, direction='bidirectional')
        self.head = CTCHead(2 * hidden, classes)

    def forward(self, x):
        y, _ = self.lstm(as_sequence(self.backbone(x)))
        return self.head(y)


class Attention(nn.Layer):
    """Over all positions, or with a mask over a window of rows and columns."""

    def __init__(self, channels, heads, grid=None, window=(7, 11)):
        super().__init__()
        self.channels, self.heads = channels, heads
        self.scale = (channels // heads) ** -0.5
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.mask = None
        if grid is not None:
            h, w = grid
            rows, columns = np.mgrid[0:h, 0:w].reshape(2, -1)
            near = (abs(rows[:, None] - rows) <= window[0] // 2) & (abs(columns[:, None] - columns) <= window[1] // 2)
            self.mask = paddle.to_tensor(np.where(near, 0.0, -np.inf).astype('float32')).unsqueeze([0, 1])

    def forward(self, x):
        qkv = self.qkv(x).reshape((0, -1, 3, self.heads, self.channels // self.heads)).transpose((2, 0, 3, 1, 4))
        q, k, v = qkv[0] * self.scale, qkv[1], qkv[2]
        scores = q.matmul(k.transpose((0, 1, 3, 2)))
        if self.mask is not None:
            scores += self.mask
        y = F.softmax(scores, axis=-1).matmul(v)
        return self.proj(y.transpose((0, 2, 1, 3)).reshape((0, -1, self.channels)))


class Mixing(nn.Layer):
    """A block of SVTR: attention and a perceptron, each normalised behind its residual or before it."""

    def __init__(self, channels, heads, act, ratio, grid=None, before=False, epsilon=1e-6):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(channels, epsilon=epsilon) for _ in range(2))
        self.mixer = Attention(channels, heads, grid)
        self.fc1 = nn.Linear(channels, int(channels * ratio))
        self.fc2 = nn.Linear(int(channels * ratio), channels)
        self.drop = nn.Dropout(0.1)
        self.act, self.before = {'gelu': nn.GELU, 'swish': nn.Swish}[act](), before

    def mlp(self, x):
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))

    def forward(self, x):
        if self.before:
            x = x + self.mixer(self.norm1(x))
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.mixer(x))
        return self.norm2(x + self.mlp(x))


class SVTRNeck(nn.Layer):
    """EncoderWithSVTR: two blocks of attention over the columns, beside the features that they come from."""

    def __init__(self, inputs, outputs, hidden, kernel=(3, 3)):
        super().__init__()
        few = inputs // 8
        self.conv1 = ConvNorm(inputs, few, kernel, act='swish')
        self.conv2 = ConvNorm(few, hidden, 1, act='swish')
        self.blocks = nn.LayerList([Mixing(hidden, 4, 'swish', 2.0, before=True, epsilon=1e-5) for _ in range(2)])
        self.norm = nn.LayerNorm(hidden, epsilon=1e-6)
        self.conv3 = ConvNorm(hidden, inputs, 1, act='swish')
        self.conv4 = ConvNorm(2 * inputs, few, kernel, act='swish')
        self.conv1x1 = ConvNorm(few, outputs, 1, act='swish')

    def forward(self, x):
        z = self.conv2(self.conv1(x))
        _, c, h, w = z.shape
        z = z.flatten(2).transpose([0, 2, 1])
        for block in self.blocks:
            z = block(z)
        z = self.norm(z).reshape([0, h, w, c]).transpose([0, 3, 1, 2])
        return self.conv1x1(self.conv4(paddle.concat((x, self.conv3(z)), axis=1)))


class LightSVTR(nn.Layer):
    def __init__(self, backbone, classes, kernel=(3, 3)):
        super().__init__()
        self.backbone = backbone
        self.neck = SVTRNeck(backbone.widths[-1], 16, 24, kernel)
        self.head = CTCHead(16, classes)

    def forward(self, x):
        return self.head(as_sequence(self.neck(self.backbone(x))))


class SVTR(nn.Layer):
    """SVTR-Tiny for images of a fixed size: windows first, then all positions; the height is merged between the stages."""

    def __init__(self, size, widths, heads, depths, mixers, outputs, columns, classes):
        super().__init__()
        h, w = size[0] // 4, size[1] // 4
        self.embed1 = ConvNorm(3, widths[0] // 2, 3, 2, act='gelu')
        self.embed2 = ConvNorm(widths[0] // 2, widths[0], 3, 2, act='gelu')
        self.pos_embed = self.create_parameter([1, h * w, widths[0]])
        self.drop = nn.Dropout(0.1)
        stages, merges, self.grids, i = [], [], [], 0
        for s, depth in enumerate(depths):
            blocks = []
            for _ in range(depth):
                blocks.append(Mixing(widths[s], heads[s], 'gelu', 4, (h, w) if mixers[i] == 'Local' else None))
                i += 1
            stages.append(nn.Sequential(*blocks))
            self.grids.append((h, w, widths[s]))
            if s + 1 < len(depths):
                merges.append(
                    nn.LayerList([nn.Conv2D(widths[s], widths[s + 1], 3, (2, 1), 1), nn.LayerNorm(widths[s + 1])])
                )
                h //= 2
        self.stages, self.merges = nn.LayerList(stages), nn.LayerList(merges)
        self.pool = nn.AdaptiveAvgPool2D([1, columns])
        self.last = nn.Conv2D(widths[-1], outputs, 1, bias_attr=False)
        self.last_drop = nn.Dropout(0.1, mode='downscale_in_infer')
        self.head = CTCHead(outputs, classes)

    def forward(self, x):
        x = self.embed2(self.embed1(x)).flatten(2).transpose((0, 2, 1))
        x = self.drop(x + self.pos_embed)
        for i, stage in enumerate(self.stages):
            x = stage(x)
            h, w, c = self.grids[i]
            x = x.transpose((0, 2, 1)).reshape((0, c, h, w))
            if i < len(self.merges):
                conv, norm = self.merges[i]
                x = norm(conv(x).flatten(2).transpose((0, 2, 1)))
        x = self.last_drop(F.hardswish(self.last(self.pool(x))))
        return self.head(as_sequence(x))
