#!/bin/bash
# Shows skyvault on the package index of this machine.
#
#   demo.sh           make a private server in .demo, load, restart, query; a
#                     demo that is already there is replaced
#   demo.sh start     start the server of the last demo again
#   demo.sh stop
#   demo.sh remove    stop it and delete everything
#
# `make demo` builds and installs the extension first.
set -euo pipefail
cd "$(dirname "$0")/.."

here=$PWD/.demo
server=test/tools/private-server.sh
least_records=50000

run_psql() {
	local settings
	settings=$("$server" env "$here")
	(eval "$settings" && "$("${PG_CONFIG:-pg_config}" --bindir)/psql" -X -d demo "$@")
}

count_records() { apt-cache dumpavail 2>/dev/null | grep -c '^Package:' || true; }

# Makes sure that apt has an index to show.
need_index() {
	local as_root=() records
	if ! command -v apt-cache >/dev/null; then
		echo "demo: it shows the package index of a Debian system, and there is no apt-cache here" >&2
		exit 1
	fi
	[ "$(count_records)" -lt "$least_records" ] || return 0
	[ "$(id -u)" -eq 0 ] || as_root=(sudo)
	"${as_root[@]}" apt-get update -q || true
	records=$(count_records)
	if [ "$records" -lt "$least_records" ]; then
		echo "demo: apt knows only $records packages, less than $least_records, even after apt-get update:" >&2
		echo "demo: is Debian's main archive in /etc/apt/sources.list?" >&2
		exit 1
	fi
}

say_how_to_go_on() {
	echo
	echo "The server is running.  To go on:   $("$server" psql-line "$here" demo)"
	echo "To stop it: demo/demo.sh stop       To delete it: demo/demo.sh remove"
}

run() {
	local line
	need_index
	"$server" remove "$here"
	"$server" start "$here"
	line=$("$server" psql-line "$here" postgres)
	$line -X -q -c 'CREATE DATABASE demo'
	apt-cache dumpavail | awk -f demo/packages.awk | run_psql -f demo/load.sql
	echo
	echo '== 5. The server restarts'
	"$server" stop "$here"
	"$server" start "$here"
	run_psql -f demo/show.sql
	say_how_to_go_on
}

case ${1:-run} in
	run) run ;;
	start) "$server" start "$here"; say_how_to_go_on ;;
	stop) "$server" stop "$here" ;;
	# Without pg_config there never was a server.
	remove) [ ! -d "$here" ] || "$server" remove "$here" ;;
	*) echo "usage: $0 [start|stop|remove]" >&2; exit 2 ;;
esac
