# shellcheck shell=bash
# Steps, one after another or side by side. Sourced, never run: needs flock of util-linux.

outputs=$(mktemp -d)
besides=()
trap end_all EXIT
trap 'exit 130' INT TERM

# step COMMAND...: runs it, and prints all it has said when it is over: others may run beside it.
step() {
  local output=$outputs/$BASHPID start=$SECONDS code=0
  echo "-- $* ($start s)"
  echo "== $*" >"$output"
  "$@" >>"$output" 2>&1 || code=$?
  echo "== $((SECONDS - start)) s, until $SECONDS s: $*" >>"$output"
  if [ "$code" -ne 0 ]; then echo "== FAILED with $code: $*" | tee -a "$outputs/.failed" >>"$output"; fi
  flock "$outputs" cat "$output"
  rm "$output"
  return "$code"
}

# beside COMMAND...: begins a step, or a function that has some, in a process group of its own.
beside() {
  set -m
  ("$@") &
  set +m
  besides+=($!)
}

# until_all: waits for those beside. Where one fails, that is the end of all.
until_all() {
  local group left
  while [ ${#besides[@]} -gt 0 ]; do
    sleep 1
    left=()
    for group in "${besides[@]}"; do
      if kill -0 "$group" 2>/dev/null; then left+=("$group"); else wait "$group" || exit; fi
    done
    besides=("${left[@]}")
  done
}

# Nothing outlives the steps, and what one had said when it was stopped is not lost.
end_all() {
  local group output
  for group in "${besides[@]}"; do kill -TERM -- "-$group" 2>/dev/null || true; done
  for group in "${besides[@]}"; do wait "$group" 2>/dev/null || true; done
  for output in "$outputs"/*; do
    [ -f "$output" ] || continue
    cat "$output"
    echo '== STOPPED'
  done
  # It stands far above, among what the others had said.
  if [ -f "$outputs/.failed" ]; then cat "$outputs/.failed"; fi
  rm -rf "$outputs"
}
