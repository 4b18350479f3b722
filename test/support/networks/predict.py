"""Paddle's own predictor on files of either format, and a program that runs many jobs in one process.

    predict.py JOBS         JOBS: a file with [{program, parameters, inputs: [.npz], outputs: [.npz]}]; writes out<k> into each of `outputs`
"""
import json
import sys

import numpy as np
import paddle.inference as inference


def predict(program, parameters, samples):
    """Outputs, in order, for each sample: arrays by the names of inputs."""
    config = inference.Config(program, parameters)
    config.disable_gpu()
    config.disable_glog_info()
    # oneDNN of 3.3.1 refuses the attributes of nearest_interp, in its own exports, too.
    getattr(config, 'disable_mkldnn', lambda: None)()
    predictor = inference.create_predictor(config)
    for sample in samples:
        for name in predictor.get_input_names():
            predictor.get_input_handle(name).copy_from_cpu(np.ascontiguousarray(sample[name]))
        predictor.run()
        yield [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]


if __name__ == '__main__':
    jobs = json.load(open(sys.argv[1]))
    for job in jobs:
        samples = [np.load(path) for path in job['inputs']]
        for path, outputs in zip(job['outputs'], predict(job['program'], job['parameters'], samples)):
            np.savez(path, **{'out%d' % k: o for k, o in enumerate(outputs)})
    print(json.dumps(len(jobs)))
