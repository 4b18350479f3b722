"""Training steps of PaddlePaddle on the reference workloads: the networks of src/cli/commands/bench/networks.ts.

Usage: python paddle_train.py [--static] [--bf16] [--threads 2] [--steps 7] [--only NAME]
"""

import os
import warnings

from harness import measure, parse_arguments

warnings.filterwarnings("ignore")
options = parse_arguments(__doc__.splitlines()[0], "--static")
# OpenMP and MKL read these when they are loaded.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)

import paddle  # noqa: E402
import paddle.nn.functional as F  # noqa: E402
from paddle import nn  # noqa: E402


class SeedCNN(nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 32, 3)
        self.fc = nn.Linear(32 * 15 * 15, 10)

    def forward(self, x):
        return self.fc(paddle.flatten(F.max_pool2d(F.relu(self.conv(x)), 2, 2), 1))


class BasicBlock(nn.Layer):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2D(in_channels, out_channels, 3, stride, 1, bias_attr=False)
        self.norm1 = nn.BatchNorm2D(out_channels)
        self.conv2 = nn.Conv2D(out_channels, out_channels, 3, 1, 1, bias_attr=False)
        self.norm2 = nn.BatchNorm2D(out_channels)
        self.down = None
        if stride != 1 or in_channels != out_channels:
            conv = nn.Conv2D(in_channels, out_channels, 1, stride, bias_attr=False)
            self.down = nn.Sequential(conv, nn.BatchNorm2D(out_channels))

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + (x if self.down is None else self.down(x)))


class ResNet18(nn.Layer):
    def __init__(self, classes=10):
        super().__init__()
        conv = nn.Conv2D(3, 64, 3, 1, 1, bias_attr=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2D(64), nn.ReLU())
        blocks, channels = [], 64
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [BasicBlock(channels, width, stride), BasicBlock(width, width, 1)]
            channels = width
        self.body = nn.Sequential(*blocks)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        return self.fc(self.body(self.stem(x)).mean([2, 3]))


def convolve(in_channels, out_channels, kernel=3, padding=1, norm=False):
    norms = [nn.BatchNorm2D(out_channels)] if norm else []
    return [nn.Conv2D(in_channels, out_channels, kernel, 1, padding), *norms, nn.ReLU()]


class CRNN(nn.Layer):
    def __init__(self, classes=6625):
        super().__init__()
        square, tall = (2, 2), (2, 1)
        self.cnn = nn.Sequential(
            *convolve(1, 64),
            nn.MaxPool2D(square, square),
            *convolve(64, 128),
            nn.MaxPool2D(square, square),
            *convolve(128, 256),
            *convolve(256, 256),
            nn.MaxPool2D(tall, tall),
            *convolve(256, 512, norm=True),
            *convolve(512, 512, norm=True),
            nn.MaxPool2D(tall, tall),
            *convolve(512, 512, 2, 0),
        )
        self.rnn = nn.LSTM(512, 256, num_layers=2, direction="bidirect", time_major=True)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        columns = self.cnn(x).squeeze(2).transpose([2, 0, 1])
        return self.fc(self.rnn(columns)[0])


class EncoderClassifier(nn.Layer):
    def __init__(self, layers, hidden, heads, feed_forward, vocabulary=40000, positions=512, classes=2):
        super().__init__()
        self.word = nn.Embedding(vocabulary, hidden)
        self.position = nn.Embedding(positions, hidden)
        self.segment = nn.Embedding(4, hidden)
        self.norm = nn.LayerNorm(hidden)
        layer = nn.TransformerEncoderLayer(hidden, heads, feed_forward, 0.1, "gelu")
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.pool = nn.Linear(hidden, hidden)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, ids):
        places = self.position(paddle.arange(ids.shape[1]))
        embedded = self.norm(self.word(ids) + places + self.segment(paddle.zeros_like(ids)))
        states = self.encoder(F.dropout(embedded, 0.1, training=self.training))
        return self.fc(paddle.tanh(self.pool(states[:, 0])))


def line_loss(logits, labels):
    steps, batch, _ = logits.shape
    lengths = paddle.full([batch], steps, "int64"), paddle.full([batch], labels.shape[1], "int64")
    return F.ctc_loss(logits, labels.astype("int32"), *lengths)


def adam(parameters):
    return paddle.optimizer.Adam(1e-3, parameters=parameters)


def momentum(parameters):
    return paddle.optimizer.Momentum(0.1, 0.9, parameters=parameters, weight_decay=5e-4)


def adamw(parameters):
    return paddle.optimizer.AdamW(5e-5, parameters=parameters, weight_decay=0.01)


# name: model, input, target, loss, optimizer; made only when asked for.
WORKLOADS = {
    "seed_cnn_b64": lambda: (
        SeedCNN(), paddle.randn([64, 3, 32, 32]), paddle.randint(0, 10, [64]), F.cross_entropy, adam,
    ),
    "resnet18_cifar_b32": lambda: (
        ResNet18(), paddle.randn([32, 3, 32, 32]), paddle.randint(0, 10, [32]), F.cross_entropy, momentum,
    ),
    "crnn_b16": lambda: (
        CRNN(), paddle.randn([16, 1, 32, 320]), paddle.randint(1, 6625, [16, 10]), line_loss, adam,
    ),
    "ernie_nano_b16_s128": lambda: (
        EncoderClassifier(4, 312, 12, 1248), paddle.randint(0, 40000, [16, 128]), paddle.randint(0, 2, [16]),
        F.cross_entropy, adamw,
    ),
}


def main():
    paddle.set_device("cpu")
    suffix = ("+static" if options.graph else "") + ("+bf16" if options.bf16 else "")
    for name in [options.only] if options.only else WORKLOADS:
        paddle.seed(0)
        model, x, target, criterion, make_optimizer = WORKLOADS[name]()
        model.train()
        optimizer = make_optimizer(model.parameters())
        forward = paddle.jit.to_static(model) if options.graph else model

        def step():
            with paddle.amp.auto_cast(enable=options.bf16, dtype="bfloat16"):
                loss = criterion(forward(x).astype("float32"), target)
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            return float(loss)

        measure("paddle" + paddle.__version__ + suffix, name, step, options.steps)


main()
