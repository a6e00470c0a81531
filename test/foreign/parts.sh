# Functions of the install scripts, which source this file and install everything below $foreign.
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

# once NAME PIN FILE COMMAND: runs COMMAND, which creates FILE, unless it has done so with the same PIN.
once() {
  local name=$1 pin=$2 file=$foreign/$3 stamp=$foreign/stamps/$1 start=$SECONDS
  if [ -x "$file" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$pin" ]; then
    echo "foreign: $name is installed already (0 s)"
    return
  fi
  rm -f "$stamp"
  "$4"
  # Written last, so that an interrupted installation starts again.
  printf '%s' "$pin" >"$stamp"
  echo "foreign: $name installed ($((SECONDS - start)) s)"
}

# new_venv FOLDER REQUIREMENTS: creates a Python virtual environment with these requirements only.
new_venv() {
  python3 -m venv --clear "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"
}

# Runs go without the user's GOFLAGS, which could forbid the download or change the build. GOGC saves the sixth of the
# compiler's time that garbage collection takes.
quiet_go() {
  GOGC=400 GOFLAGS='-mod=readonly -buildvcs=false' GOBIN=$foreign/bin go "$@" 2> >(grep -v '^go: downloading' >&2)
}

# java_program CLASS SOURCE FOLDER COMMAND: compiles a class with grpc-java, and writes the command that runs it.
java_program() {
  local jars=$foreign/interop/java
  rm -rf "$3"
  mkdir -p "$3"
  javac -cp "$jars/*" -d "$3" "$2"
  # Runs are short, so the optimizing compiler and a parallel collector would only slow them down.
  printf '#!/bin/sh\nexec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp %q:%q %s "$@"\n' "$3" "$jars/*" "$1" >"$4"
  chmod +x "$4"
}
