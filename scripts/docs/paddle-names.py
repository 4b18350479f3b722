"""Writes paddle-names.json: the public names of PaddlePaddle, by area, as the installed package lists them.

Run it again when the reference version of PaddlePaddle changes:

    bash scripts/setup-paddle.sh && .cache/venv-paddle/bin/python scripts/docs/paddle-names.py
"""

import importlib
import json
import pathlib

import paddle

MODULES = (
    "", "nn", "nn.functional", "nn.initializer", "nn.utils", "optimizer", "optimizer.lr", "regularizer", "amp", "jit", "io",
    "metric", "autograd", "linalg", "callbacks", "audio", "device", "distributed", "distribution", "fft", "geometric",
    "incubate", "inference", "onnx", "profiler", "quantization", "signal", "sparse", "static", "text", "vision",
)
CLASSES = ("Tensor", "nn.Layer", "optimizer.Optimizer", "optimizer.lr.LRScheduler", "amp.GradScaler", "Model")


def public(names):
    return sorted({name for name in names if not name.startswith("_")})


def resolve(path):
    found = paddle
    for part in path.split("."):
        found = getattr(found, part)
    return found


areas = {}
for module in MODULES:
    name = "paddle" + ("." + module if module else "")
    areas[name] = public(importlib.import_module(name).__all__)
for path in CLASSES:
    areas["paddle." + path] = public(dir(resolve(path)))

target = pathlib.Path(__file__).with_name("paddle-names.json")
target.write_text(json.dumps({"version": paddle.__version__, "areas": areas}, indent=2) + "\n")
