#!/usr/bin/env bash
# Makes bench/venv with the peers of `npm run bench`: PyTorch and PaddlePaddle of the versions in requirements.txt, from PyPI.
# Safe to run again: an environment that already holds these versions is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stamp=venv/requirements.stamp
if [[ -x venv/bin/python && -f $stamp ]] && cmp -s requirements.txt "$stamp"; then
  echo "setup: bench/venv is up to date"
  exit 0
fi

# numpy 1.26 has wheels for Python 3.9 to 3.12 only, PyTorch's begin at 3.10, and a machine's default python3 may be newer.
python=
for candidate in python3 python3.12 python3.11 python3.10; do
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [[ -z $python ]]; then
  echo "setup: no Python 3.10 to 3.12 with the venv module on PATH; install one (Debian: python3-venv) and run this again" >&2
  exit 1
fi

rm -rf venv
"$python" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --only-binary=:all: -r requirements.txt
venv/bin/python -c 'import torch, paddle; print("setup: PyTorch", torch.__version__, "PaddlePaddle", paddle.__version__)'
cp requirements.txt "$stamp"
