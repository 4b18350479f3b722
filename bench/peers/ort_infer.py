"""Times of ONNX Runtime's CPU provider: python ort_infer.py MODEL.onnx --input x=x.npy [--threads N] [--repeat N]."""

import onnxruntime
from infer_harness import measure, parse_arguments

options = parse_arguments(__doc__)


def load():
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed)


measure(f"onnxruntime{onnxruntime.__version__}", options, load)
