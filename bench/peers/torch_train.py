"""Training steps of PyTorch on the reference workloads: the networks of src/cli/commands/bench/networks.ts.

Usage: python torch_train.py [--compile] [--bf16] [--threads 2] [--steps 7] [--only NAME]
"""

import warnings

import torch
import torch.nn.functional as F
from torch import nn

from harness import measure, parse_arguments

warnings.filterwarnings("ignore")


class SeedCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 32, 3)
        self.fc = nn.Linear(32 * 15 * 15, 10)

    def forward(self, x):
        return self.fc(F.max_pool2d(F.relu(self.conv(x)), 2, 2).flatten(1))


class BasicBlock(nn.Module):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.down = None
        if stride != 1 or in_channels != out_channels:
            conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.down = nn.Sequential(conv, nn.BatchNorm2d(out_channels))

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + (x if self.down is None else self.down(x)))


class ResNet18(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        conv = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2d(64), nn.ReLU())
        blocks, channels = [], 64
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [BasicBlock(channels, width, stride), BasicBlock(width, width, 1)]
            channels = width
        self.body = nn.Sequential(*blocks)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        return self.fc(self.body(self.stem(x)).mean((2, 3)))


def convolve(in_channels, out_channels, kernel=3, padding=1, norm=False):
    norms = [nn.BatchNorm2d(out_channels)] if norm else []
    return [nn.Conv2d(in_channels, out_channels, kernel, 1, padding), *norms, nn.ReLU()]


class CRNN(nn.Module):
    def __init__(self, classes=6625):
        super().__init__()
        square, tall = (2, 2), (2, 1)
        self.cnn = nn.Sequential(
            *convolve(1, 64),
            nn.MaxPool2d(square, square),
            *convolve(64, 128),
            nn.MaxPool2d(square, square),
            *convolve(128, 256),
            *convolve(256, 256),
            nn.MaxPool2d(tall, tall),
            *convolve(256, 512, norm=True),
            *convolve(512, 512, norm=True),
            nn.MaxPool2d(tall, tall),
            *convolve(512, 512, 2, 0),
        )
        self.rnn = nn.LSTM(512, 256, num_layers=2, bidirectional=True)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        columns = self.cnn(x).squeeze(2).permute(2, 0, 1)
        return self.fc(self.rnn(columns)[0])


class EncoderClassifier(nn.Module):
    def __init__(self, layers, hidden, heads, feed_forward, vocabulary=40000, positions=512, classes=2):
        super().__init__()
        self.word = nn.Embedding(vocabulary, hidden)
        self.position = nn.Embedding(positions, hidden)
        self.segment = nn.Embedding(4, hidden)
        self.norm = nn.LayerNorm(hidden)
        layer = nn.TransformerEncoderLayer(hidden, heads, feed_forward, 0.1, "gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.pool = nn.Linear(hidden, hidden)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, ids):
        places = self.position(torch.arange(ids.shape[1]))
        embedded = self.norm(self.word(ids) + places + self.segment(torch.zeros_like(ids)))
        states = self.encoder(F.dropout(embedded, 0.1, self.training))
        return self.fc(torch.tanh(self.pool(states[:, 0])))


def line_loss(logits, labels):
    steps, batch, _ = logits.shape
    lengths = torch.full((batch,), steps), torch.full((batch,), labels.shape[1])
    return F.ctc_loss(F.log_softmax(logits, 2), labels, *lengths)


def adam(parameters):
    return torch.optim.Adam(parameters, 1e-3)


def momentum(parameters):
    return torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=5e-4)


def adamw(parameters):
    return torch.optim.AdamW(parameters, 5e-5, weight_decay=0.01)


# name: model, input, target, loss, optimizer; made only when asked for.
WORKLOADS = {
    "seed_cnn_b64": lambda: (
        SeedCNN(), torch.randn(64, 3, 32, 32), torch.randint(0, 10, (64,)), F.cross_entropy, adam,
    ),
    "resnet18_cifar_b32": lambda: (
        ResNet18(), torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,)), F.cross_entropy, momentum,
    ),
    "crnn_b16": lambda: (
        CRNN(), torch.randn(16, 1, 32, 320), torch.randint(1, 6625, (16, 10)), line_loss, adam,
    ),
    "ernie_nano_b16_s128": lambda: (
        EncoderClassifier(4, 312, 12, 1248), torch.randint(0, 40000, (16, 128)), torch.randint(0, 2, (16,)),
        F.cross_entropy, adamw,
    ),
}


def main():
    options = parse_arguments(__doc__.splitlines()[0], "--compile")
    torch.set_num_threads(options.threads)
    suffix = ("+compile" if options.graph else "") + ("+bf16" if options.bf16 else "")
    for name in [options.only] if options.only else WORKLOADS:
        torch.manual_seed(0)
        model, x, target, criterion, make_optimizer = WORKLOADS[name]()
        optimizer = make_optimizer(model.train().parameters())
        forward = torch.compile(model) if options.graph else model

        def step():
            with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
                loss = criterion(forward(x).float(), target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss.item()

        measure("torch" + torch.__version__ + suffix, name, step, options.steps)


main()
