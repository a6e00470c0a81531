# shellcheck shell=bash
# Common to the scripts of this folder: where images are kept. Sourced, never run.
set -euo pipefail

image=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(dirname "$image")
export PATH=$project/node_modules/.bin:$PATH
# A store of our own: it is nobody else's, and may be removed at any time.
store=${IMAGES:-$HOME/.cache/greeter-images}
kept_in=(--root "$store/root" --runroot "$store/run" --storage-driver overlay)

stop_here() {
  echo "Cannot $1: $2" >&2
  exit 1
}
