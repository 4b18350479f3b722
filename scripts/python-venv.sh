#!/usr/bin/env bash
# Makes a virtual environment with what tests ask: python-venv.sh NAME OLDEST NEWEST IMPORT REQUIREMENT... makes .cache/venv-NAME with the
# newest Python 3.OLDEST to 3.NEWEST that is on PATH or in pyenv, and imports the module IMPORT in it. Safe to run again: an environment that
# already holds these versions is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=$1 oldest=$2 newest=$3 module=$4
shift 4
requirements=("$@")
venv=.cache/venv-$name
stamp=$venv/requirements.stamp

if [[ -x $venv/bin/python && -f $stamp && $(<"$stamp") == "${requirements[*]}" ]]; then
  echo "setup-$name: $venv is up to date (${requirements[*]})"
  exit 0
fi

# A machine's default python3 comes first; it may be newer than the wheels.
candidates=(python3)
for ((minor = newest; minor >= oldest; minor--)); do
  candidates+=("python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor".*/bin/python)
done
fits="import sys, venv, ensurepip; sys.exit(not (3, $oldest) <= sys.version_info[:2] <= (3, $newest))"
python=
for candidate in "${candidates[@]}"; do
  if "$candidate" -c "$fits" 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [[ -z $python ]]; then
  echo "setup-$name: no Python 3.$oldest to 3.$newest with the venv module on PATH or in pyenv; install one (Debian: python3-venv) and run this again" >&2
  exit 1
fi

rm -rf "$venv"
mkdir -p .cache
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --only-binary=:all: "${requirements[@]}"
"$venv/bin/python" -c "import $module"
echo "${requirements[*]}" >"$stamp"
echo "setup-$name: ${requirements[*]}"
