#!/usr/bin/env bash
# Installs what executables of Linux are built with, and what runs those of arm64 here: from Debian's
# packages, where it is missing. Root alone can.
set -euo pipefail

missing=()
for pair in strip:binutils aarch64-linux-gnu-strip:binutils-aarch64-linux-gnu qemu-aarch64:qemu-user \
  /usr/aarch64-linux-gnu/lib/libc.so.6:libc6-arm64-cross \
  /usr/aarch64-linux-gnu/lib/libstdc++.so.6:libstdc++6-arm64-cross \
  /usr/aarch64-linux-gnu/lib/libatomic.so.1:libatomic1-arm64-cross; do
  command -v "${pair%:*}" >/dev/null || [ -e "${pair%:*}" ] || missing+=("${pair#*:}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "Cannot install what executables need: ${missing[*]} of Debian's packages is missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=300 update
apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}" >/dev/null
echo "release: ${missing[*]} installed"
