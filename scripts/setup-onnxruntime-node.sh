#!/usr/bin/env bash
# ONNX Runtime for Node, so that tests can run the engine that uses it: into node_modules, beside what `npm ci` installs, which removes it again.
# It is no development dependency: it holds 290 MB of binaries for all platforms. Its install script would download CUDA's part and is not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=1.30.0
if [[ $(node -p "require('onnxruntime-node/package.json').version" 2>/dev/null) == "$version" ]]; then
  echo "setup-onnxruntime-node: $version is there"
  exit 0
fi
# As if for development, but not written down: as the optional peer that it is npm would not install it.
npm install --no-save --save-dev --ignore-scripts "onnxruntime-node@$version"
node -e "require('onnxruntime-node')"
