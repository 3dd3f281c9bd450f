#!/bin/bash
# Runs test suites and ends with a line "N passed, N failed".
#
#   run-tests.sh all | SUITE ...
#
#   unit        programs build/unit/*, made from test/unit/*.c (make unit-programs)
#   fuzz        programs build/fuzz/*, made from test/fuzz/fuzz_*.c (make fuzz), for
#               a fixed number of inputs from test/fuzz/corpus/ on
#   regress     sql/ against expected/, as pg_regress does
#   isolation   test/isolation/specs/ against test/isolation/expected/
#   modules     the regression tests of test/modules/*/
#   pgtap       test/pgtap/*.sql
#   tap         test/tap/*.pl, each with servers of its own
#
# unit and tap also need an S3 server, which is started once for the run (see
# test/s3/s3-server); SKYVAULT_S3_* in the environment tell the tests where it is.
#
# All but unit and fuzz need an installed build with STOP_POINTS=1; the targets of the
# Makefile see to that.  Everything runs as an ordinary user, if root calls as
# "postgres", on a copy of the tree in a scratch directory.  That directory
# stays behind, named, when something fails.
#
# A suite that cannot run, or has nothing to run, counts as a failed test, and so
# does a server process that crashed.
set -euo pipefail

tree=$(realpath "$(dirname "$0")/../..")
build=${BUILD_DIR:-$tree}
pg_config=${PG_CONFIG:-pg_config}
all_suites=(unit fuzz regress isolation modules pgtap tap)

suites=("$@")
[ "${suites[*]}" = all ] && suites=("${all_suites[@]}")
[ ${#suites[@]} -gt 0 ] || { echo "usage: $0 all | SUITE ... (${all_suites[*]})" >&2; exit 2; }
for suite in "${suites[@]}"; do
	case " ${all_suites[*]} " in
		*" $suite "*) ;;
		*) echo "$0: no suite \"$suite\"; there are: ${all_suites[*]}" >&2; exit 2 ;;
	esac
done

# The caller's own connection settings must not leak into the tests.
for variable in ${!PG*}; do
	case $variable in
		PG_CONFIG|PG_TEST_*) ;;
		*) unset "$variable" ;;
	esac
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/skyvault-test-XXXXXX")
if [ "$(id -u)" -eq 0 ] && id postgres >/dev/null 2>&1; then
	chown postgres: "$scratch"
	as_user() { runuser -u postgres -- "$@"; }
else
	as_user() { "$@"; }
fi

passed=0
failed=0
failed_suites=()
server_state=
s3_state=
finished=

# The last line comes whatever happens.
finish() {
	if [ -n "$server_state" ]; then
		"$tree/test/tools/private-server.sh" stop "$scratch/server" || failed=$((failed + 1))
	fi
	stop_s3_servers
	if [ -z "$finished" ]; then
		echo "the run was broken off"
		failed=$((failed + 1))
	fi
	cd /
	if [ "$failed" -eq 0 ]; then
		rm -rf "$scratch"
	else
		echo "failed: ${failed_suites[*]}; outputs and logs are in $scratch"
	fi
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ] || exit 1
}
trap finish EXIT
trap 'exit 130' INT TERM

tar -C "$tree" --exclude=./.git --exclude=./.demo --exclude='*.o' --exclude='*.d' --exclude=./build -cf - . |
	as_user sh -c "umask 022; mkdir '$scratch/tree' '$scratch/tmp' && tar -C '$scratch/tree' -xf -"
cd "$scratch/tree"
export HOME="$scratch" TMPDIR="$scratch/tmp" LC_ALL=C.UTF-8
unset LANGUAGE

# add SUITE PASSED FAILED
add() {
	echo "== $1: $2 passed, $3 failed"
	passed=$((passed + $2))
	failed=$((failed + $3))
	if [ "$3" -ne 0 ]; then
		failed_suites+=("$1")
	fi
}

# cannot_run SUITE REASON...
cannot_run() {
	local suite=$1
	shift
	echo "$suite: $*" >&2
	add "$suite" 0 1
}

# run_tap SUITE ARGUMENTS...: as run-tap.pl takes them, after COUNTS.
run_tap() {
	local suite=$1 counts=$scratch/$1.counts
	shift
	if ! as_user perl "$scratch/tree/test/tools/run-tap.pl" "$counts" "$@" && [ ! -s "$counts" ]; then
		cannot_run "$suite" "the harness died"
		return
	fi
	read -r tap_passed tap_failed < "$counts"
	if [ $((tap_passed + tap_failed)) -eq 0 ]; then
		cannot_run "$suite" "no test ran"
		return
	fi
	add "$suite" "$tap_passed" "$tap_failed"
}

# run_regress SUITE COMMAND...: a command that runs pg_regress or
# pg_isolation_regress.  Up to 15 they print "test NAME ... ok", from 16 on TAP.
run_regress() {
	local suite=$1 output=$scratch/${1//\//-}.out status=0 ok bad diffs
	shift
	as_user "$@" 2>&1 | tee "$output" || status=$?
	ok=$(grep -Ec '^(test |     |parallel ).* \.\.\. +ok\b|^ok ' "$output" || true)
	bad=$(grep -Ec '^(test |     ).* \.\.\. +FAILED|^not ok ' "$output" || true)
	if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
	elif [ $((ok + bad)) -eq 0 ]; then
		echo "$suite: no test ran" >&2
		bad=1
	fi
	if [ "$bad" -ne 0 ]; then
		diffs=$(sed -n 's/^.*"\(.*regression\.diffs\)".*$/\1/p' "$output" | head -n 1)
		[ -z "$diffs" ] || head -n 300 "$diffs"
	fi
	add "$suite" "$ok" "$bad"
}

# Starts the server that the SQL suites share, once; false if it does not start.
need_server() {
	local settings
	if [ -z "$server_state" ]; then
		server_state=failed
		if "$tree/test/tools/private-server.sh" start "$scratch/server" max_prepared_transactions=10; then
			settings=$("$tree/test/tools/private-server.sh" env "$scratch/server")
			eval "$settings"
			export PGDATABASE=postgres
			server_state=running
		fi
	fi
	[ "$server_state" = running ]
}

# Starts the S3 server that unit and TAP tests share, once; false if it does not start.
need_s3() {
	local settings
	if [ -z "$s3_state" ]; then
		s3_state=failed
		if as_user "$scratch/tree/test/s3/s3-server" start "$scratch/s3"; then
			settings=$(as_user "$scratch/tree/test/s3/s3-server" env "$scratch/s3")
			eval "$settings"
			s3_state=running
		fi
	fi
	[ "$s3_state" = running ]
}

# The shared one, and those of tests that were killed.
stop_s3_servers() {
	local settings
	find "$scratch" -path '*/s3*/settings' | while read -r settings; do
		as_user "$scratch/tree/test/s3/s3-server" stop "${settings%/settings}"
		# what it stored is large and tells nothing
		rm -rf "${settings%/settings}"/{mon,osd}
	done
}

# A database with the extension, the stop points and what else is named.
make_database() {
	local name=$1
	shift
	"$bindir/psql" -X -q -v ON_ERROR_STOP=1 -c "CREATE DATABASE $name TEMPLATE template0" &&
		"$bindir/psql" -X -q -v ON_ERROR_STOP=1 -d "$name" -c "CREATE EXTENSION skyvault" \
			-f "$tree/test/tools/stop_points.sql" "$@"
}

# copy_program SUITE PROGRAM: to where the user who runs the tests can read it.
copy_program() {
	as_user mkdir -p "$scratch/$1"
	as_user tee "$scratch/$1/${2##*/}" < "$2" >/dev/null
	as_user chmod +x "$scratch/$1/${2##*/}"
}

suite_unit() {
	local programs=() source program
	for source in "$tree"/test/unit/*.c; do
		program=$build/build/unit/$(basename "$source" .c)
		[ -e "$source" ] || continue
		if [ ! -x "$program" ]; then
			cannot_run unit "$program is not built: make unit-programs"
			return
		fi
		copy_program unit "$program"
		programs+=("$scratch/unit/${program##*/}")
	done
	if [ ${#programs[@]} -eq 0 ]; then
		cannot_run unit "no tests in test/unit"
		return
	fi
	need_s3 || { cannot_run unit "no S3 server"; return; }
	run_tap unit "${programs[@]}"
}

suite_fuzz() {
	local source program
	for source in "$tree"/test/fuzz/fuzz_*.c; do
		program=$build/build/fuzz/$(basename "$source" .c)
		[ -e "$source" ] || continue
		if [ ! -x "$program" ]; then
			cannot_run fuzz "$program is not built: make fuzz, which needs clang"
			return
		fi
		copy_program fuzz "$program"
	done
	FUZZ_DIR=$scratch/fuzz run_tap fuzz "$scratch/tree/test/fuzz/smoke.sh"
}

suite_regress() {
	local tests
	tests=$(find sql -name '*.sql' -printf '%f\n' | sed 's/\.sql$//' | sort)
	if [ -z "$tests" ]; then
		cannot_run regress "no tests in sql"
		return
	fi
	need_server || { cannot_run regress "no server"; return; }
	run_regress regress "$pgxs_dir/src/test/regress/pg_regress" --bindir="$bindir" \
		--inputdir=. --outputdir=. --load-extension=skyvault --dbname=regression $tests
}

suite_isolation() {
	local tests
	tests=$(find test/isolation -name '*.spec' -printf '%f\n' | sed 's/\.spec$//' | sort)
	if [ -z "$tests" ]; then
		cannot_run isolation "no specs in test/isolation/specs"
		return
	fi
	need_server && make_database isolation || { cannot_run isolation "no server"; return; }
	run_regress isolation "$pgxs_dir/src/test/isolation/pg_isolation_regress" --bindir="$bindir" \
		--inputdir=test/isolation --outputdir=test/isolation --use-existing --dbname=isolation $tests
}

suite_modules() {
	local makefile
	if ! compgen -G 'test/modules/*/Makefile' >/dev/null; then
		cannot_run modules "no modules in test/modules"
		return
	fi
	need_server || { cannot_run modules "no server"; return; }
	for makefile in test/modules/*/Makefile; do
		run_regress "modules/$(basename "$(dirname "$makefile")")" \
			make --no-print-directory -C "$(dirname "$makefile")" installcheck PG_CONFIG="$pg_config"
	done
}

suite_pgtap() {
	if ! compgen -G 'test/pgtap/*.sql' >/dev/null; then
		cannot_run pgtap "no tests in test/pgtap"
		return
	fi
	need_server && make_database pgtap -c 'CREATE EXTENSION pgtap' || { cannot_run pgtap "no server"; return; }
	PATH=$bindir:$PATH run_tap pgtap --database pgtap test/pgtap/*.sql
}

# The environment is the one that the target prove_installcheck of PGXS gives; of
# where things go, 15 knows TESTDIR only, later versions the other two.
suite_tap() {
	if ! compgen -G 'test/tap/*.pl' >/dev/null; then
		cannot_run tap "no tests in test/tap"
		return
	fi
	need_s3 || { cannot_run tap "no S3 server"; return; }
	TESTDIR=$scratch TESTDATADIR=$scratch/tmp_check TESTLOGDIR=$scratch/tmp_check/log PATH=$bindir:$PATH PGPORT=65432 \
		PG_REGRESS=$pgxs_dir/src/test/regress/pg_regress \
		STOP_POINTS_SQL=$scratch/tree/test/tools/stop_points.sql \
		run_tap tap -I "$pgxs_dir/src/test/perl" -I test/tap test/tap/*.pl
}

# A worker that died and was restarted may not have failed any test.
check_logs() {
	local log deaths
	for log in "$scratch/server/server/log" "$scratch"/tmp_check/log/*.log; do
		[ -e "$log" ] || continue
		deaths=$(grep -E 'TRAP: |PANIC: |terminated by signal (4|6|7|8|11)\b' "$log" || true)
		if [ -n "$deaths" ]; then
			echo "$deaths"
			cannot_run "${log##*/}" "a server process crashed"
		fi
	done
}

needs_server=
for suite in "${suites[@]}"; do
	case $suite in
		unit|fuzz) ;;
		*) needs_server=yes ;;
	esac
done
if [ -n "$needs_server" ]; then
	bindir=$("$pg_config" --bindir)
	pgxs_dir=$(realpath "$(dirname "$("$pg_config" --pgxs)")/../..")
fi

for suite in "${suites[@]}"; do
	echo "== $suite"
	"suite_$suite"
done
check_logs

finished=yes
