#!/bin/sh
# Serves from the sources, and starts again whenever a file in src/ is saved:
# npm run dev -- [--inspect[=HOST:PORT]] [FLAG OF SERVE...]
debug=
case ${1-} in --inspect*) debug=$1 && shift ;; esac
# Calls that are open must not hold up what has just been saved.
exec node --watch-path=src ${debug:+"$debug"} src/main.ts --drain-timeout 1s "$@"
