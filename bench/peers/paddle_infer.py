"""Times of Paddle Inference with oneDNN: python paddle_infer.py MODEL.json --input x=x.npy [--threads N] [--repeat N]."""

import os
import warnings

from infer_harness import measure, parse_arguments

warnings.filterwarnings("ignore")
options = parse_arguments(__doc__)
# OpenMP and MKL read these when they are loaded.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)

import paddle  # noqa: E402
from paddle import inference  # noqa: E402


def load():
    config = inference.Config(options.model, os.path.splitext(options.model)[0] + ".pdiparams")
    config.disable_gpu()
    config.enable_mkldnn()
    config.set_cpu_math_library_num_threads(options.threads)
    config.disable_glog_info()
    predictor = inference.create_predictor(config)

    def run(feed):
        for name in predictor.get_input_names():
            predictor.get_input_handle(name).copy_from_cpu(feed[name])
        predictor.run()
        return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]

    return run


measure(f"paddle{paddle.__version__}", options, load)
