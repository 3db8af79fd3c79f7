#!/bin/sh
# Runs the public conformance suite when COMPLEMENT_DIR names a checkout of it; says so when it does not.
set -eu
if [ -z "${COMPLEMENT_DIR:-}" ]; then
	echo "COMPLEMENT NOT RUN: set COMPLEMENT_DIR to a checkout of the suite."
	exit 0
fi
exec "$(dirname "$0")/../complement/run.sh" "$COMPLEMENT_DIR"
