#!/bin/sh
# Runs the Matrix conformance suite Complement against this checkout's Rempart.
#
#   COMPLEMENT_TOOLS=... tests/complement/run.sh CHECKOUT [PACKAGE...] [-- GO-TEST-FLAGS]
#
# CHECKOUT is a checkout of the suite (or COMPLEMENT_DIR names it); it is not
# changed. PACKAGE is a package folder of the suite (default: tests/csapi tests).
# Flags for `go test` follow "--", such as  -- -run 'TestLogin|TestSync'.
#
#   COMPLEMENT_TOOLS  folder with overlay.sh, in-netns, deployer/ and results/,
#                     which start servers as processes instead of containers
#   REMPART_BIN       binary to test (default: built from this checkout)
#   COMPLEMENT_RESULTS  result file (default: results.tsv beside this script)
#   COMPLEMENT_COMPARE  earlier result file to compare with: exit 1 if a test
#                       that passed there does not pass now
#   COMPLEMENT_KEEP   folder for the raw output and the logs of failed tests
#
# It needs root, for a network namespace with nothing but loopback. Exit status
# is 0 when the suite ran, whatever the tests found: the counts say that.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ -f "${1:-}/test_package.go" ]; then
	COMPLEMENT_DIR=$1
	shift
fi
suite=$(cd "${COMPLEMENT_DIR:?names a checkout of the suite}" && pwd)
tools=$(cd "${COMPLEMENT_TOOLS:?names the folder with overlay.sh}" && pwd)
results=${COMPLEMENT_RESULTS:-$here/results.tsv}

packages=
while [ $# -gt 0 ]; do
	if [ "$1" = -- ]; then
		shift
		break
	fi
	packages="$packages ./${1#./}"
	shift
done
packages=${packages:-./tests/csapi ./tests}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
if [ -z "${REMPART_BIN:-}" ]; then
	REMPART_BIN=$scratch/rempart
	(cd "$root" && CGO_ENABLED=0 go build -o "$REMPART_BIN" ./cmd/rempart)
fi
keep=${COMPLEMENT_KEEP:-$scratch/keep}
mkdir -p "$keep/logs" "$scratch/proc"
keep=$(cd "$keep" && pwd)
sh "$tools/overlay.sh" "$suite" >"$scratch/overlay.json"
(cd "$tools/results" && go build -o "$scratch/results" main.go)

export REMPART_BIN
export COMPLEMENT_BASE_IMAGE="$here/launch"
export COMPLEMENT_PROC_DIR="$scratch/proc"
export COMPLEMENT_PROC_LOGS="$keep/logs"
status=0
# One package at a time: on a busy machine slow is the same as wrong.
# shellcheck disable=SC2086 # the packages are words
(cd "$suite" && go test -json -p 1 -count=1 -timeout 90m -overlay "$scratch/overlay.json" \
	-exec "$tools/in-netns" "$@" $packages) >"$keep/run.json" 2>"$keep/run.err" || status=$?
if ! grep -q '"Action":"run"' "$keep/run.json"; then
	echo "the suite did not run (go test: $status)" >&2
	tail -n 20 "$keep/run.err" "$keep/run.json" >&2
	exit 2
fi
set -- -tsv "$results"
if [ -n "${COMPLEMENT_COMPARE:-}" ]; then
	set -- "$@" -diff "$COMPLEMENT_COMPARE"
fi
"$scratch/results" "$@" <"$keep/run.json"
