#!/bin/sh
# Serves from the sources, and restarts whenever a file in src/ is saved:
# npm run dev -- [--inspect[=HOST:PORT]] [SERVE FLAG...]
debug=
case ${1-} in --inspect*) debug=$1 && shift ;; esac
# Open calls must not delay the restart.
exec node --watch-path=src ${debug:+"$debug"} src/main.ts --drain-timeout 1s "$@"
