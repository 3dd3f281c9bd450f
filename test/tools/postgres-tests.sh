#!/bin/bash
# Runs Postgres's own regression tests in a server that preloads skyvault, which
# must not notice it.
#
# The tests are those of Debian's source package of the server (POSTGRES_TESTS names
# a src/test/regress to take instead), the whole parallel schedule.  Debian's mirror
# may have the sources of another minor version, whose tests expect some other things:
# so what fails is run once more without the library, and is a fault if that gives
# another result.
#
# PG_CONFIG names the server, in which the library is installed.  As root, runs as user
# "postgres".  The exit status is 3 if the tests are not to be had, also not within
# 300 seconds, and 1 if anything else fails.
set -euo pipefail

pg_config=${PG_CONFIG:-pg_config}
bindir=$("$pg_config" --bindir)
libdir=$("$pg_config" --pkglibdir)
pg_regress=$(dirname "$("$pg_config" --pgxs)")/../../src/test/regress/pg_regress
version=$("$pg_config" --version)
version=${version#PostgreSQL }
version=${version%% *}
package=postgresql-${version%%.*}

# So many may fail without the library: more is no other version, but something wrong with this script.
MOST_STRANGE=10

for variable in ${!PG*}; do
	case $variable in
		PG_CONFIG) ;;
		*) unset "$variable" ;;
	esac
done
export LC_ALL=C.UTF-8
unset LANGUAGE

scratch=$(mktemp -d "${TMPDIR:-/tmp}/skyvault-postgres-XXXXXX")
chmod 755 "$scratch"
run=$scratch/run
as_user() { "$@"; }
if [ "$(id -u)" -eq 0 ]; then
	as_user() { runuser -u postgres -- "$@"; }
fi

finish() {
	local status=$?
	cd /
	if [ "$status" -eq 1 ]; then
		echo "postgres-tests: outputs are in $scratch" >&2
	else
		rm -rf "$scratch"
	fi
}
trap finish EXIT

unreachable() {
	echo "postgres-tests: SKIPPED: the sources of $package are not to be had here: $*"
	exit 3
}

# The machine's sources of packages, as sources of sources, in lists of their own.
apt() {
	timeout 300 "$1" -q -o Dir::Etc::sourcelist="$scratch/apt/sources.list" -o Dir::Etc::sourceparts="$scratch/apt/sources.list.d" \
		-o Dir::State::lists="$scratch/apt/lists" -o Dir::Cache="$scratch/apt" -o APT::Sandbox::User=root \
		-o Debug::NoLocking=true "${@:2}"
}

make_sources() {
	local file
	mkdir -p "$scratch"/apt/{sources.list.d,lists/partial,archives/partial}
	: > "$scratch/apt/sources.list"
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
		[ -f "$file" ] || continue
		sed -E 's/^deb /deb-src /; s/^(Types:).*/\1 deb-src/' "$file" > "$scratch/apt/sources.list.d/${file##*/}"
	done
}

# The server's own version if there is one, else the newest.
fetch_tests() {
	local candidate
	command -v apt-get >/dev/null || unreachable "no Debian"
	make_sources
	apt apt-get update > "$scratch/fetch.log" 2>&1 || true
	cd "$scratch"
	for candidate in $(apt apt-cache showsrc "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -ruV); do
		apt apt-get --download-only source "$package=$candidate" >> "$scratch/fetch.log" 2>&1 || continue
		tar -xf "$package"_*.orig.tar.* --wildcards '*/src/test/regress'
		tests=$(echo "$scratch"/postgresql-*/src/test/regress)
		tests_version=${candidate%%-*}
		return
	done
	tail -n 3 "$scratch/fetch.log"
	unreachable "not by apt-get source"
}

tests=${POSTGRES_TESTS:-}
tests_version=given
[ -n "$tests" ] || fetch_tests

mkdir "$run"
cp -r "$tests"/{sql,expected,data,parallel_schedule,resultmap} "$run"
cc -O1 -fPIC -shared -I "$("$pg_config" --includedir-server)" -o "$run/regress.so" "$tests/regress.c"
cp "$libdir"/{autoinc,refint}.so "$run"
[ "$(id -u)" -ne 0 ] || chown -R postgres: "$run"
cd "$run"

# run_tests NAME SETTING...: results are in NAME/ then; the answer is that of pg_regress.
run_tests() {
	local name=$1 status=0
	shift
	printf '%s\n' 'fsync = off' "$@" | as_user tee "$run/settings" >/dev/null
	as_user env PATH="$bindir:$PATH" "$pg_regress" --temp-instance="$run/instance" --temp-config="$run/settings" \
		--bindir="$bindir" --inputdir="$run" --outputdir="$run" --dlpath="$run" --max-concurrent-tests=20 \
		--schedule="$run/parallel_schedule" > "$scratch/$name.out" 2>&1 || status=$?
	mv "$run/results" "$run/$name"
	mv "$run/log" "$run/$name.log"
	return "$status"
}

# Up to 15 it is "     NAME ... FAILED", later "not ok 7  + NAME".
failed_tests() {
	sed -nE 's/^(test)? +([a-z0-9_]+) +\.\.\. FAILED.*/\2/p; s/^not ok [0-9]+ +[-+] ([a-z0-9_]+) .*/\1/p' "$scratch/with.out"
}

run_tests with "shared_preload_libraries = 'skyvault'" || true
passed=$(grep -Ec '\.\.\. +ok\b|^ok ' "$scratch/with.out" || true)
failed=$(failed_tests)
if grep -A 1 -E 'TRAP: |PANIC: |terminated by signal (4|6|7|8|11)\b' "$run"/with.log/postmaster.log; then
	echo "postgres-tests: FAILED: a server process crashed"
	exit 1
fi
if [ "$passed" -lt 150 ] || [ "$(wc -w <<< "$failed")" -gt "$MOST_STRANGE" ]; then
	tail -n 30 "$scratch/with.out"
	echo "postgres-tests: FAILED: $passed tests passed, these failed:" $failed
	exit 1
fi

different=
if [ -n "$failed" ]; then
	run_tests without || true
	for test in $failed; do
		diff -u "$run/without/$test.out" "$run/with/$test.out" || different+=" $test"
	done
fi
if [ -n "$different" ]; then
	echo "postgres-tests: FAILED: with the library these have other results than without:$different"
	exit 1
fi
echo "postgres-tests: $passed tests of $tests_version passed in $version with the library," \
	"$(wc -w <<< "$failed") failed with it as without:" $failed
