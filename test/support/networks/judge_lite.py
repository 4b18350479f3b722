"""Paddle Lite's light predictor on files, many in one process. Runs under Python 3.7.

    judge_lite.py JOBS      JOBS: a file with [{program, inputs: [.npz], outputs: [.npz]}]; writes out<k> into each of `outputs`
"""
import json
import sys

import numpy as np
from paddlelite.lite import MobileConfig, create_paddle_predictor

jobs = json.load(open(sys.argv[1]))
for job in jobs:
    config = MobileConfig()
    config.set_model_from_file(job['program'])
    for source, target in zip(job['inputs'], job['outputs']):
        # A predictor of its own for each sample: some kernels of the x86 target keep the sizes of their first run.
        predictor = create_paddle_predictor(config)
        sample = np.load(source)
        for i, name in enumerate(predictor.get_input_names()):
            predictor.get_input(i).from_numpy(np.ascontiguousarray(sample[name]))
        predictor.run()
        outputs = [predictor.get_output(i).numpy() for i, _ in enumerate(predictor.get_output_names())]
        np.savez(target, **{'out%d' % k: o for k, o in enumerate(outputs)})
print(json.dumps(len(jobs)))
