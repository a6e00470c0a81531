#!/usr/bin/env bash
# Installs the Debian packages that are needed to build Linux executables, and to run those for arm64 in an
# emulator.
exec "$(dirname "${BASH_SOURCE[0]}")/../.ci/debian" strip:binutils \
  aarch64-linux-gnu-strip:binutils-aarch64-linux-gnu qemu-aarch64:qemu-user \
  /usr/aarch64-linux-gnu/lib/libc.so.6:libc6-arm64-cross \
  /usr/aarch64-linux-gnu/lib/libstdc++.so.6:libstdc++6-arm64-cross \
  /usr/aarch64-linux-gnu/lib/libatomic.so.1:libatomic1-arm64-cross
