#!/usr/bin/env bash
# Makes a virtual environment with Paddle Lite, so that tests can run .nb files in the real runtime. Its wheels exist for Python 3.7
# only; without such an interpreter this says so and fails, and the tests are skipped. Safe to run again: an environment that already
# holds this version is left alone. The tests look for the interpreter at $LONGZHOU_PADDLELITE_PYTHON, by default
# .cache/venv-paddlelite/bin/python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

requirements=(paddlelite==2.12 numpy==1.21.6)
venv=.cache/venv-paddlelite
stamp=$venv/requirements.stamp

if [[ -x $venv/bin/python && -f $stamp && $(<"$stamp") == "${requirements[*]}" ]]; then
  echo "setup-paddlelite: $venv is up to date (${requirements[*]})"
  exit 0
fi

# On PATH, or where pyenv keeps its versions.
python=
for candidate in python3.7 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.7.*/bin/python; do
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 7))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [[ -z $python ]]; then
  echo "setup-paddlelite: no Python 3.7 on PATH or in pyenv; install one (pyenv install 3.7) and run this again" >&2
  exit 1
fi

rm -rf "$venv"
mkdir -p .cache
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --only-binary=:all: "${requirements[@]}"
"$venv/bin/python" -c 'import paddlelite.lite, numpy; print("setup-paddlelite: numpy", numpy.__version__)'
echo "${requirements[*]}" >"$stamp"
