"""Times of ONNX Runtime's CPU provider: python ort_infer.py MODEL.onnx --input x=x.npy [--threads N] [--repeat N] prints one JSON line."""

import argparse
import json
import resource
import time

import numpy
import onnxruntime

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--input", action="append", required=True)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--repeat", type=int, default=20)
options = parser.parse_args()

settings = onnxruntime.SessionOptions()
settings.intra_op_num_threads = options.threads
started = time.perf_counter()
session = onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])
load = time.perf_counter() - started
feed = {name: numpy.load(path) for name, path in (text.split("=", 1) for text in options.input)}

times = []
for _ in range(options.repeat + 1):
    started = time.perf_counter()
    session.run(None, feed)
    times.append((time.perf_counter() - started) * 1e3)
first, rest = times[0], sorted(times[1:])
print(
    json.dumps(
        {
            "peer": f"onnxruntime{onnxruntime.__version__}",
            "load_ms": round(load * 1e3, 2),
            "first_ms": round(first, 2),
            "ms_min": round(rest[0], 3),
            "ms_median": round(rest[len(rest) // 2], 3),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        }
    )
)
