#!/bin/sh
# Installs what the tests need beside Go, once, on Debian as root or by sudo: a PostgreSQL server (each test process
# starts its own), Redis for two nodes in a call, gcc for the race detector, Node and Chromium for the real clients. Says loudly what it could not
# do; the tests that need it then fail.
set -eu

server() { command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }

loud() {
	echo "================================================================================" >&2
	echo "$*" >&2
	echo "================================================================================" >&2
}

wanted=""
if [ -z "${REMPART_TEST_POSTGRES:-}" ] && [ "${REMPART_TEST_ENGINES:-}" != sqlite ] && ! server; then
	wanted="$wanted postgresql"
fi
command -v redis-server >/dev/null 2>&1 || wanted="$wanted redis-server"
command -v gcc >/dev/null 2>&1 || wanted="$wanted gcc libc6-dev"
if [ "${REMPART_TEST_CLIENTS:-}" != off ]; then
	command -v npm >/dev/null 2>&1 || wanted="$wanted nodejs npm"
	command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 ||
		wanted="$wanted chromium fonts-dejavu-core"
fi
[ -n "$wanted" ] || exit 0
without="REMPART_TEST_ENGINES=sqlite leaves PostgreSQL out, REMPART_TEST_CLIENTS=off the real clients"

if ! command -v apt-get >/dev/null 2>&1; then
	loud "Missing:$wanted. This is no Debian: install them by hand; $without."
	exit 0
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1 || ! sudo -n true 2>/dev/null; then
		loud "Missing:$wanted, and neither root nor sudo here. Install them; $without."
		exit 0
	fi
	as_root="sudo -n"
fi
echo "installing:$wanted"
# The package must not start a server of its own: the tests start theirs.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	$as_root mkdir -p /etc/postgresql-common
	echo "create_main_cluster = false" | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
# shellcheck disable=SC2086 # a list of words
if ! { $as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -qq -y --no-install-recommends \
	-o Dpkg::Options::=--force-confold $wanted >/dev/null; }; then
	loud "Could not install:$wanted. The tests that need them will fail; $without."
fi
