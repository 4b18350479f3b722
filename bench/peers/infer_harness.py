"""What the inference scripts of this folder share: their arguments, the timing of runs, and one JSON line."""

import argparse
import json
import time

import numpy
from peak_memory import peak_mib


def parse_arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model")
    parser.add_argument("--input", action="append", required=True, help="NAME=FILE.npy, once for each input")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=20, help="timed runs after the first")
    return parser.parse_args()


def measure(peer, options, load):
    """load() gives a function that runs the model on a dictionary of arrays; prints the line that `longzhou bench` reads."""
    feed = {name: numpy.load(path) for name, path in (text.split("=", 1) for text in options.input)}
    started = time.perf_counter()
    run = load()
    loaded = time.perf_counter() - started
    times = []
    for _ in range(options.repeat + 1):
        started = time.perf_counter()
        run(feed)
        times.append((time.perf_counter() - started) * 1e3)
    first, rest = times[0], sorted(times[1:])
    line = {
        "peer": peer,
        "load_ms": round(loaded * 1e3, 2),
        "first_ms": round(first, 2),
        "ms_min": round(rest[0], 3),
        "ms_median": round(rest[len(rest) // 2], 3),
        "peak_mb": round(peak_mib(), 1),
    }
    print(json.dumps(line), flush=True)
