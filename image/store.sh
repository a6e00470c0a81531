# shellcheck shell=bash
# Functions and variables of the scripts in this folder, which source this file.
set -euo pipefail

image=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(dirname "$image")
export PATH=$project/node_modules/.bin:$PATH
# A separate image store, which may be deleted at any time.
store=${IMAGES:-$HOME/.cache/greeter-images}
kept_in=(--root "$store/root" --runroot "$store/run" --storage-driver overlay)

stop_here() {
  echo "Cannot $1: $2" >&2
  exit 1
}
