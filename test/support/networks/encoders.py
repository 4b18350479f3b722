"""Encoders of text and images, classifiers of paddle.vision with few channels, and the direction classifier of PP-OCR."""
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.vision.models import resnet


class TextEncoder(nn.Layer):
    """BERT (Devlin et al., 2019) or ERNIE: embeddings of words, positions, segments, and with `tasks` of tasks; padding is masked."""

    def __init__(self, vocabulary=60, width=24, layers=2, heads=4, longest=64, tasks=0, pad=0):
        super().__init__()
        self.pad = pad
        self.word_embed = nn.Embedding(vocabulary, width, padding_idx=pad)
        self.position_embed = nn.Embedding(longest, width)
        self.segment_embed = nn.Embedding(2, width)
        self.task_embed = nn.Embedding(tasks, width) if tasks else None
        self.norm = nn.LayerNorm(width, epsilon=1e-12)
        self.drop = nn.Dropout(0.1)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.1, 'gelu', attn_dropout=0.1, act_dropout=0)
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.pooler = nn.Linear(width, width)
        self.head = nn.Linear(width, 3)

    def forward(self, ids, segments):
        mask = paddle.unsqueeze((ids == self.pad).astype('float32') * -1e4, axis=[1, 2])
        if self.task_embed is not None:
            ones = paddle.ones_like(ids, dtype='int64')
            positions = paddle.cumsum(ones, axis=1) - ones
        else:
            positions = paddle.arange(paddle.shape(ids)[1], dtype='int64').unsqueeze(0).expand(paddle.shape(ids))
        x = self.word_embed(ids) + self.position_embed(positions) + self.segment_embed(segments)
        if self.task_embed is not None:
            x = x + self.task_embed(paddle.zeros_like(ids))
        hidden = self.encoder(self.drop(self.norm(x)), mask)
        pooled = F.tanh(self.pooler(hidden[:, 0]))
        return hidden, self.head(self.drop(pooled))


class ViT(nn.Layer):
    """Dosovitskiy et al., 2021: patches, a class token, blocks that are normalised first."""

    def __init__(self, size=32, patch=8, width=24, layers=2, heads=3, classes=7):
        super().__init__()
        self.patch = nn.Conv2D(3, width, patch, patch)
        self.class_embed = self.create_parameter([1, 1, width])
        self.pos_embed = self.create_parameter([1, (size // patch) ** 2 + 1, width])
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, 'gelu', normalize_before=True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width, epsilon=1e-6))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose((0, 2, 1))
        tokens = self.class_embed.expand((paddle.shape(x)[0], -1, -1)).astype(x.dtype)
        x = paddle.concat((tokens, x), axis=1) + self.pos_embed
        return F.softmax(self.head(self.encoder(x)[:, 0]), axis=-1)


class SlimResNet(resnet.ResNet):
    """paddle.vision's ResNet with an eighth of the channels behind the stem."""

    def __init__(self, block, depth, classes):
        super().__init__(block, depth, num_classes=1)
        self.fc = nn.Linear(64 * block.expansion, classes)

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        return super()._make_layer(block, planes // 8, blocks, stride, dilate)


class DirectionClassifier(nn.Layer):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(backbone.widths[-1], 2)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.backbone(x), 1).reshape([0, -1])
        return F.softmax(self.fc(x))
