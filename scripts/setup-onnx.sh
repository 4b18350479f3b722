#!/usr/bin/env bash
# ONNX's own checker and ONNX Runtime, so that tests can ask them. The tests look for the interpreter at $LONGZHOU_ONNX_PYTHON, by default
# .cache/venv-onnx/bin/python. numpy 2.4 has wheels for Python 3.11 and newer.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/python-venv.sh" onnx 11 14 onnx,onnxruntime onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
