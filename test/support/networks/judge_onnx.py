"""ONNX's own checker and ONNX Runtime on files, many in one process.

    judge_onnx.py JOBS      JOBS: a file with [{program, inputs: [.npz], outputs: [.npz]}]; writes out<k> into each of `outputs`
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime as ort

ort.set_default_logger_severity(4)
jobs = json.load(open(sys.argv[1]))
for job in jobs:
    onnx.checker.check_model(job['program'], full_check=True)
    session = ort.InferenceSession(job['program'], providers=['CPUExecutionProvider'])
    for source, target in zip(job['inputs'], job['outputs']):
        sample = np.load(source)
        outputs = session.run(None, {i.name: sample[i.name] for i in session.get_inputs()})
        np.savez(target, **{'out%d' % k: o for k, o in enumerate(outputs)})
print(json.dumps(len(jobs)))
