#!/usr/bin/env bash
# The cross compiler for 64-bit Arm and an emulator, so that tests can compile models for such machines and run them. Needs Debian or
# Ubuntu and the rights to install packages; does nothing where both are there.
set -euo pipefail
sysroot=/usr/aarch64-linux-gnu

if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null && [ -e $sysroot/lib/libc.so.6 ]; then
  echo "setup-aarch64: compiler and emulator are there"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo 'setup-aarch64: no apt-get here; install an aarch64 cross compiler (aarch64-linux-gnu-gcc) and qemu-aarch64' >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
export DEBIAN_FRONTEND=noninteractive
packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
${as_root[@]+"${as_root[@]}"} apt-get update -qq
${as_root[@]+"${as_root[@]}"} apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
echo "setup-aarch64: ${packages[*]}"
