#!/bin/sh
# `make load`: builds rempart, starts it on temporary folders and measures it,
# with the goals and the peers' figures beside.
#
#   tests/load/run.sh [FLAGS of the load program]
#
#   LOAD_ENGINES  sqlite, postgres, or sqlite,postgres (default: both when
#                 PostgreSQL is installed)
#   LOAD_JSON     result file (default: tests/load/results.json)
#   LOAD_PEER     a running server to measure beside, as for -target:
#                 name=dendrite,base=http://127.0.0.1:18008,pid=4711
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
engines=${LOAD_ENGINES:-}
if [ -z "$engines" ]; then
	engines=sqlite
	if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null; then
		engines=sqlite,postgres
	else
		echo "load: PostgreSQL is not installed, SQLite only (apt-get install postgresql)" >&2
	fi
fi
program=$(mktemp -d)
trap 'rm -rf "$program"' EXIT
trap 'exit 130' INT TERM
go build -o "$program/load" ./tests/load
set -- -spawn "$engines" -module "$root" -json "${LOAD_JSON:-$root/tests/load/results.json}" "$@"
if [ -n "${LOAD_PEER:-}" ]; then
	set -- -target "$LOAD_PEER" "$@"
fi
"$program/load" "$@"
