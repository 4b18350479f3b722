#!/usr/bin/env bash
# Makes a virtual environment with ONNX's own checker and ONNX Runtime, so that tests can ask them. Safe to run again: an environment that
# already holds these versions is left alone. The tests look for the interpreter at $LONGZHOU_ONNX_PYTHON, by default
# .cache/venv-onnx/bin/python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

requirements=(onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6)
venv=.cache/venv-onnx
stamp=$venv/requirements.stamp

if [[ -x $venv/bin/python && -f $stamp && $(<"$stamp") == "${requirements[*]}" ]]; then
  echo "setup-onnx: $venv is up to date (${requirements[*]})"
  exit 0
fi

# numpy 2.4 has wheels for Python 3.11 and newer.
python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [[ -z $python ]]; then
  echo "setup-onnx: no Python 3.11 to 3.14 with the venv module on PATH; install one (Debian: python3-venv) and run this again" >&2
  exit 1
fi

rm -rf "$venv"
mkdir -p .cache
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --only-binary=:all: "${requirements[@]}"
"$venv/bin/python" -c 'import onnx, onnxruntime, numpy; print("setup-onnx: onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__, "numpy", numpy.__version__)'
echo "${requirements[*]}" >"$stamp"
