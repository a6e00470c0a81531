# shellcheck shell=bash
# Runs steps in sequence, and lanes of steps in parallel. The first failure ends all lanes. Source this file.

outputs=$(mktemp -d)
declare -A lanes=()
trap 'end_lanes; rm -rf "$outputs"' EXIT
trap 'exit 1' INT TERM
TIMEFORMAT='%1R s, processor time %1U s + %1S s'

# step COMMAND...: runs a command. In a lane, its output is printed when it ends.
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

# beside NAME [COMMAND...]: starts a lane that runs the command, or else the function NAME.
beside() {
  # Each lane is a process group, so that it can be ended as a whole.
  set -m
  (lane=$1 && "${@:$(($# > 1 ? 2 : 1))}") &
  set +m
  lanes[$!]=$1
}

# Waits for all lanes. If a lane fails, ends the others and this script.
until_all() {
  while [ ${#lanes[@]} -gt 0 ]; do until_one; done
}

# until_ended NAME: waits for one lane. If any lane fails, ends the others and this script.
until_ended() {
  while [[ " ${lanes[*]} " == *" $1 "* ]]; do until_one; done
}

# Waits until the next lane ends.
until_one() {
  local ended code=0
  wait -n -p ended "${!lanes[@]}" || code=$?
  if [ "$code" -ne 0 ]; then
    echo "== failed: ${lanes[$ended]}, with exit code $code ($SECONDS s)" >&2
    exit "$code"
  fi
  unset "lanes[$ended]"
}

# Sends SIGTERM to all lanes, and SIGKILL after ten seconds.
end_lanes() {
  local group tries=100
  for group in "${!lanes[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
  for group in "${!lanes[@]}"; do
    while kill -0 -- "-$group" 2>/dev/null && [ $((tries--)) -gt 0 ]; do sleep 0.1; done
    kill -KILL -- "-$group" 2>/dev/null || true
  done
}
