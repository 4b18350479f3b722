"""What the scripts of this folder share: their arguments, the timing of steps, and one JSON line for each workload."""

import argparse
import json
import math
import statistics
import time

from peak_memory import peak_mib


def parse_arguments(description, graph_flag):
    """Arguments of a training script; graph_flag names the peer's own compiled mode."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(graph_flag, dest="graph", action="store_true", help="run the network compiled")
    parser.add_argument("--bf16", action="store_true", help="forward and loss in bfloat16 mixed precision")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=7, help="timed steps, after the first and one to warm up")
    parser.add_argument("--only", help="name of the one workload to run, so that the peak of memory is its own")
    return parser.parse_args()


def measure(peer, workload, step, steps):
    """Times step(), which returns the loss as a Python number, and prints the line that `longzhou bench` reads."""
    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    step()
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        loss = step()
        times.append((time.perf_counter() - started) * 1e3)
    line = {
        "peer": peer,
        "workload": workload,
        "ms_median": round(statistics.median(times), 2),
        "ms_min": round(min(times), 2),
        "first_s": round(first, 3),
        "loss": round(loss, 4) if math.isfinite(loss) else None,
        "peak_mb": round(peak_mib(), 1),
    }
    print(json.dumps(line), flush=True)
