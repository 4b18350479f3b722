#!/usr/bin/env bash
# The cross compiler for 64-bit Arm and an emulator, so that tests can compile models for such machines and run them. Needs Debian or
# Ubuntu and the rights to install packages; does nothing where both are there.
set -euo pipefail
sysroot=/usr/aarch64-linux-gnu

if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null && [ -e $sysroot/lib/libc.so.6 ]; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo 'setup-aarch64: no apt-get here; install an aarch64 cross compiler (aarch64-linux-gnu-gcc) and qemu-aarch64' >&2
  exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then sudo=(sudo -n); fi
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user >/dev/null
aarch64-linux-gnu-gcc --version | head -1
qemu-aarch64 --version | head -1
