# shellcheck shell=bash
# Steps one after the other, and lanes of them side by side; the first that fails ends all. It is sourced.

outputs=$(mktemp -d)
declare -A lanes=()
trap 'end_lanes; rm -rf "$outputs"' EXIT
trap 'exit 1' INT TERM
TIMEFORMAT='%1R s, %1U s + %1S s of processors'

# step COMMAND...: in a lane, what it prints is printed whole when it ends.
step() {
  if [ -z "${lane-}" ]; then
    echo "== $* ($SECONDS s)"
    time "$@"
    return
  fi
  local output=$outputs/$lane code=0
  echo "== $lane begins: $* ($SECONDS s)"
  { time "$@" </dev/null >"$output" 2>&1; } 2>"$output.time" || code=$?
  echo "== $lane: $* ($SECONDS s)" | flock "$outputs" cat - "$output" "$output.time"
  return "$code"
}

# beside NAME [COMMAND...]: begins a lane: a command, or the steps of the function that has its name.
beside() {
  # A process group of its own, which ends as one.
  set -m
  (lane=$1 && "${@:$(($# > 1 ? 2 : 1))}") &
  set +m
  lanes[$!]=$1
}

# Waits for all lanes; the first that fails ends the others, and this script.
until_all() {
  while [ ${#lanes[@]} -gt 0 ]; do until_one; done
}

# until_ended NAME: waits for that lane; the first of all that fails ends the others, and this script.
until_ended() {
  while [[ " ${lanes[*]} " == *" $1 "* ]]; do until_one; done
}

# Waits until one more lane has ended.
until_one() {
  local ended code=0
  wait -n -p ended "${!lanes[@]}" || code=$?
  if [ "$code" -ne 0 ]; then
    echo "== failed: ${lanes[$ended]}, with exit code $code ($SECONDS s)" >&2
    exit "$code"
  fi
  unset "lanes[$ended]"
}

end_lanes() {
  local group tries=100
  for group in "${!lanes[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
  for group in "${!lanes[@]}"; do
    while kill -0 -- "-$group" 2>/dev/null && [ $((tries--)) -gt 0 ]; do sleep 0.1; done
    kill -KILL -- "-$group" 2>/dev/null || true
  done
}
