#!/usr/bin/env bash
# Paddle Lite, so that tests can run .nb files in the real runtime. Its wheels exist for Python 3.7 only; without such an interpreter this
# says so and fails, and the tests are skipped. The tests look for the interpreter at $LONGZHOU_PADDLELITE_PYTHON, by default
# .cache/venv-paddlelite/bin/python.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/python-venv.sh" paddlelite 7 7 paddlelite.lite paddlelite==2.12 numpy==1.21.6
