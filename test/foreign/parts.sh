# What install scripts share: it is sourced, and keeps everything below $foreign.
foreign=${FOREIGN:-$HOME/.cache/greeter-foreign}
debian=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.ci/debian
mkdir -p "$foreign/bin" "$foreign/stamps"

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null && continue
    echo "Cannot install the foreign clients: $program is missing" >&2
    exit 1
  done
}

# once NAME PIN FILE COMMAND: runs COMMAND unless it once left FILE behind with this very PIN.
once() {
  local name=$1 pin=$2 file=$foreign/$3 stamp=$foreign/stamps/$1 start=$SECONDS
  if [ -x "$file" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$pin" ]; then
    echo "foreign: $name is there (0 s)"
    return
  fi
  rm -f "$stamp"
  "$4"
  # Only now: what was stopped halfway is begun again.
  printf '%s' "$pin" >"$stamp"
  echo "foreign: $name installed ($((SECONDS - start)) s)"
}

# new_venv FOLDER REQUIREMENTS: a virtual environment of Python with nothing else in it.
new_venv() {
  python3 -m venv --clear "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"
}

# Without the user's own GOFLAGS, which could forbid the download or change what is built. The compiler collects garbage
# less often, which took a sixth of its time.
quiet_go() {
  GOGC=400 GOFLAGS='-mod=readonly -buildvcs=false' GOBIN=$foreign/bin go "$@" 2> >(grep -v '^go: downloading' >&2)
}

# java_program CLASS SOURCE FOLDER COMMAND: compiles it with grpc-java, and makes the command that runs it.
java_program() {
  local jars=$foreign/interop/java
  rm -rf "$3"
  mkdir -p "$3"
  javac -cp "$jars/*" -d "$3" "$2"
  # Each of its runs is short: what would make a long one fast makes it slow.
  printf '#!/bin/sh\nexec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp %q:%q %s "$@"\n' "$3" "$jars/*" "$1" >"$4"
  chmod +x "$4"
}
