#!/usr/bin/env bash
# The PaddlePaddle that the recorded fixtures come from, so that tests can ask the original. The tests look for the interpreter at
# $LONGZHOU_PADDLE_PYTHON, by default .cache/venv-paddle/bin/python.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/paddle-venv.sh" .cache/venv-paddle paddlepaddle==3.3.1 numpy==1.26.4
