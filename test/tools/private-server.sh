#!/bin/bash
# A private Postgres that preloads skyvault, below a directory of its own.
#
#   private-server.sh start DIR [setting=value ...]   make it if need be, and start it
#   private-server.sh stop DIR
#   private-server.sh status DIR                      exit status 0 if it runs
#   private-server.sh remove DIR                      stop it and delete its data
#   private-server.sh env DIR                         PGHOST, PGPORT and PGUSER, for eval
#   private-server.sh psql-line DIR [DATABASE]        the command to connect with
#
# The server runs as the user who calls, or as "postgres" if that is root, and
# listens on a Unix socket that only that user (and root) can reach.  Settings
# given to start replace those of the start before.
#
# The server lives in DIR/server, or below TMPDIR if its user cannot reach DIR;
# its socket is there too unless that path is too long for one.  DIR/place and
# DIR/sockets hold the two paths.
set -euo pipefail

die() { echo "private-server: $*" >&2; exit 1; }

[ $# -ge 2 ] || die "usage: $0 {start|stop|status|remove|env|psql-line} DIR [...]"
action=$1
dir=$(realpath -m "$2")
shift 2

bindir=$("${PG_CONFIG:-pg_config}" --bindir) || die "pg_config not found"

if [ "$(id -u)" -eq 0 ]; then
	owner=postgres
	id "$owner" >/dev/null 2>&1 || die "Postgres does not run as root, and there is no user \"$owner\""
	as_owner() { runuser -u "$owner" -- "$@"; }
else
	owner=$(id -un)
	as_owner() { "$@"; }
fi

# Makes a directory that belongs to the server's user.
make_owned() {
	mkdir -p "$1"
	if [ "$(stat -c %U "$1")" != "$owner" ]; then
		[ "$(id -u)" -eq 0 ] || die "$1 belongs to another user: remove it first, as that user or as root"
		chown "$owner:" "$1"
	fi
	chmod 0700 "$1"
}

find_place() {
	place=$(cat "$dir/place" 2>/dev/null || echo "$dir/server")
	sockets=$(cat "$dir/sockets" 2>/dev/null || echo "$place")
	data=$place/data
	if [ "$(id -u)" -eq 0 ] && [ -d "$place" ]; then
		owner=$(stat -c %U "$place")
	fi
	port=5432
	if [ -f "$data/skyvault.conf" ]; then
		port=$(sed -n "s/^port = '\(.*\)'$/\1/p" "$data/skyvault.conf" | tail -n 1)
	fi
}

choose_place() {
	mkdir -p "$dir"
	if [ ! -d "$place" ]; then
		place=$dir/server
		make_owned "$place"
		if ! as_owner test -x "$place"; then
			rmdir "$place"
			place=$(mktemp -d "${TMPDIR:-/tmp}/skyvault-XXXXXX")
			make_owned "$place"
			echo "private-server: user \"$owner\" cannot reach $dir: using $place" >&2
		fi
		echo "$place" > "$dir/place"
		rm -f "$dir/sockets"
	fi
	# sun_path takes 107 bytes: leave room for "/.s.PGSQL.65535.lock".
	if [ ${#place} -gt 85 ] && [ ! -d "$(cat "$dir/sockets" 2>/dev/null)" ]; then
		sockets=$(mktemp -d /tmp/skyvault-XXXXXX)
		make_owned "$sockets"
		echo "$sockets" > "$dir/sockets"
	fi
	find_place
}

running() {
	[ -e "$data/PG_VERSION" ] && (cd / && as_owner "$bindir/pg_ctl" -D "$data" status >/dev/null 2>&1)
}

initialise() {
	local ours theirs output
	if [ -e "$data/PG_VERSION" ]; then
		ours=$("$bindir/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
		theirs=$(cat "$data/PG_VERSION")
		[ "$ours" = "$theirs" ] || die "$data is of version $theirs, the server of $ours: remove it first ($0 remove $dir)"
		return
	fi
	make_owned "$place"
	# Left behind by an initdb that was interrupted.
	rm -rf "$data"
	output=$(cd / && as_owner "$bindir/initdb" -D "$data" -U postgres -A trust -E UTF8 --no-locale 2>&1) ||
		die "initdb failed: $output"
	echo "include 'skyvault.conf'" | as_owner tee -a "$data/postgresql.conf" >/dev/null
}

configure() {
	local setting
	{
		echo "shared_preload_libraries = 'skyvault'"
		echo "listen_addresses = ''"
		echo "port = '5432'"
		echo "unix_socket_directories = '$sockets'"
		echo "unix_socket_permissions = 0700"
		for setting in "$@"; do
			echo "${setting%%=*} = '${setting#*=}'"
		done
	} | as_owner tee "$data/skyvault.conf.new" >/dev/null
	if as_owner cmp -s "$data/skyvault.conf.new" "$data/skyvault.conf"; then
		as_owner rm "$data/skyvault.conf.new"
		return 1
	fi
	as_owner mv "$data/skyvault.conf.new" "$data/skyvault.conf"
}

stop_server() {
	running || return 0
	(cd / && as_owner "$bindir/pg_ctl" -D "$data" -m fast -t 60 stop >/dev/null 2>&1) ||
		(cd / && as_owner "$bindir/pg_ctl" -D "$data" -m immediate -t 60 stop >/dev/null) ||
		die "the server in $data does not stop"
}

start_server() {
	choose_place
	initialise
	if configure "$@"; then
		stop_server
	fi
	running && return
	find_place
	if ! (cd / && as_owner "$bindir/pg_ctl" -D "$data" -l "$place/log" -t 120 start >/dev/null </dev/null); then
		as_owner tail -n 20 "$place/log" >&2
		die "the server did not start; its log is $place/log"
	fi
}

remove_server() {
	stop_server
	if [ -f "$dir/place" ]; then
		rm -rf "$place" "$sockets"
		rm -f "$dir/place" "$dir/sockets"
		rmdir --ignore-fail-on-non-empty "$dir"
	fi
}

find_place
case $action in
	start) start_server "$@" ;;
	stop) stop_server ;;
	status) running ;;
	remove) remove_server ;;
	env) echo "export PGHOST='$sockets' PGPORT='$port' PGUSER=postgres" ;;
	psql-line) echo "$bindir/psql -h $sockets -p $port -U postgres ${1:-postgres}" ;;
	*) die "unknown action \"$action\"" ;;
esac
