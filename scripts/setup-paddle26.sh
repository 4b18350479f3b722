#!/usr/bin/env bash
# The last PaddlePaddle of the legacy formats (`.pdmodel`), so that tests can load what is written into it. The tests look for the interpreter
# at $LONGZHOU_PADDLE26_PYTHON, by default .cache/venv-paddle26/bin/python.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/python-venv.sh" paddle26 9 12 paddle paddlepaddle==2.6.2 numpy==1.26.4 setuptools==75.8.0
