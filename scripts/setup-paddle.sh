#!/usr/bin/env bash
# The PaddlePaddle that the recorded fixtures come from, so that tests can ask the original. The tests look for the interpreter at
# $LONGZHOU_PADDLE_PYTHON, by default .cache/venv-paddle/bin/python. numpy 1.26 has wheels for Python 3.9 to 3.12 only.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/python-venv.sh" paddle 9 12 paddle paddlepaddle==3.3.1 numpy==1.26.4
