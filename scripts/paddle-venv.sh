#!/usr/bin/env bash
# Makes a virtual environment with one PaddlePaddle: paddle-venv.sh DIRECTORY REQUIREMENT... (the first one names PaddlePaddle's version).
# Safe to run again: an environment that already holds these versions is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=$1
shift
requirements=("$@")
stamp=$venv/requirements.stamp

if [[ -x $venv/bin/python && -f $stamp && $(<"$stamp") == "${requirements[*]}" ]]; then
  echo "setup-paddle: $venv is up to date (${requirements[*]})"
  exit 0
fi

# numpy 1.26 has wheels for Python 3.9 to 3.12 only, and a machine's default python3 may be newer.
python=
for candidate in python3 python3.12 python3.11 python3.10 python3.9; do
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [[ -z $python ]]; then
  echo "setup-paddle: no Python 3.9 to 3.12 with the venv module on PATH; install one (Debian: python3-venv) and run this again" >&2
  exit 1
fi

rm -rf "$venv"
mkdir -p "$(dirname "$venv")"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --only-binary=:all: "${requirements[@]}"
"$venv/bin/python" -c 'import paddle, numpy; print("setup-paddle: PaddlePaddle", paddle.__version__, "numpy", numpy.__version__)'
echo "${requirements[*]}" >"$stamp"
