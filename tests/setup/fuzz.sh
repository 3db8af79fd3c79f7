#!/bin/sh
# fuzz.sh GO TIME: runs each fuzz target of the tree for that long, one after the other.
set -eu
go=$1
time=$2
failed=""
for file in $(grep -rl --include='*_test.go' '^func Fuzz' .); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "== $target in $(dirname "$file")"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$(dirname "$file")" || failed="$failed $target"
	done
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
