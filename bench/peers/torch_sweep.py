"""Matrix products and convolutions of PyTorch (MKL, oneDNN), for the cases that `longzhou bench` hands over.

Usage: python torch_sweep.py [--threads 2] [--budget-ms 200] < cases.json
The cases are those of src/cli/commands/bench/sweep-cases.ts; prints one JSON line each.
"""

import argparse
import json
import sys
import time

import torch


def prepare(case):
    """What computes the case once."""
    if case["kind"] == "matmul":
        batch = [] if case["batch"] == 1 else [case["batch"]]
        a, b = torch.randn(*batch, case["m"], case["k"]), torch.randn(*batch, case["k"], case["n"])
        return lambda: a @ b
    x, weight = torch.randn(case["input"]), torch.randn(case["weight"])
    stride, padding, groups = case["stride"], case["padding"], case["groups"]
    transposed = case["transposed"]
    convolution = lambda: torch.convolution(x, weight, None, stride, padding, [1, 1], transposed, [0, 0], groups)
    if case["part"] == "output":
        return convolution
    gradient = torch.randn(convolution().shape)
    mask = [case["part"] == "input", case["part"] == "weight", False]
    return lambda: torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, [1, 1], transposed, [0, 0], groups, mask
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget-ms", type=float, default=200)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    for case in json.load(sys.stdin):
        with torch.no_grad():
            run = prepare(case)
            run()
            best, runs, end = float("inf"), 0, time.perf_counter() + options.budget_ms / 1e3
            while runs < 3 or time.perf_counter() < end:
                started = time.perf_counter()
                run()
                best = min(best, time.perf_counter() - started)
                runs += 1
        line = {
            "peer": "torch" + torch.__version__,
            "case": case["name"],
            "ms_min": round(best * 1e3, 4),
            "gflops": round(case["flops"] / best / 1e9, 1),
        }
        print(json.dumps(line), flush=True)


main()
