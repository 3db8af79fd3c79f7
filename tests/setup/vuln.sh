#!/bin/sh
# vuln.sh GO MODULE@VERSION: looks for known vulnerabilities. The database is not reachable from every machine: that is
# said in a line of its own and is no failure; a vulnerability found is.
set -u
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$1" run "$2" ./... >"$out" 2>&1
code=$?
cat "$out"
if [ "$code" -ne 0 ] && ! grep -q '^Vulnerability #' "$out"; then
	echo "VULNERABILITIES NOT CHECKED: govulncheck could not run or its database could not be reached from this machine."
	exit 0
fi
exit "$code"
