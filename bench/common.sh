#!/bin/bash
# shellcheck disable=SC2034,SC2154
# What the measuring scripts share; sourced, after they have set keys, seconds,
# runs and settings.  README.md says what is measured, and how.

tree=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
bench=$tree/bench
server=$tree/test/tools/private-server.sh
home=$tree/build/bench
results=$(realpath -m "${BENCH_RESULTS:-$bench/results}")
export PG_CONFIG=${PG_CONFIG:-pg_config}

die() { echo "bench: $*" >&2; exit 1; }

for number in "$keys" "$seconds" "$runs"; do
	[[ $number =~ ^[1-9][0-9]*$ ]] || die "not a positive number: \"$number\""
done
# In a smaller table, a batch of 1,000 would be a sequential scan.
((keys % 1000 == 0 && keys >= 10000)) || die "BENCH_KEYS must be a multiple of 1000, and at least 10000"

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)

# The caller's own connection settings must not leak into the measurements.
for variable in ${!PG*}; do
	[ "$variable" = PG_CONFIG ] || unset "$variable"
done

# ------------------------------------------------------------- preparations
# Begins with a clean tree: flags of an earlier build must not survive.
install_plain_build() {
	local make=(env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make --no-print-directory -C "$tree"
		"PG_CONFIG=$PG_CONFIG" ASSERTS= STOP_POINTS= WERROR= CI=)
	"$tree/test/tools/install-deps.sh" build
	"${make[@]}" clean >/dev/null
	"${make[@]}" all >/dev/null
	"${as_root[@]}" "${make[@]}" install >/dev/null
}

# For the pictures.
install_gnuplot() {
	command -v gnuplot >/dev/null && return
	command -v apt-get >/dev/null || die "please install gnuplot: it draws the picture"
	"${as_root[@]}" apt-get update -q
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends gnuplot-nox
}

# What kind of library is measured: anything but "optimized" spoils the figures.
kind_of_library() {
	local library kind=optimized
	library=$("$PG_CONFIG" --pkglibdir)/skyvault.so
	[ -f "$library" ] || die "$library does not exist: run without BENCH_INSTALLED"
	if grep -aq ExceptionalCondition "$library"; then kind="with assertions"; fi
	if grep -aq 'skyvault stop points' "$library"; then kind="$kind, with stop points"; fi
	echo "$kind"
}

clean_up() {
	[ -z "${pgbench_pid:-}" ] || kill "$pgbench_pid" 2>/dev/null || true
	rm -rf "$scratch"
	if [ -n "${BENCH_KEEP:-}" ]; then
		echo "The server is left running:   $("$server" psql-line "$home" bench)"
	else
		"$server" remove "$home"
	fi
}

run_psql() { "$bindir/psql" -X -q -v ON_ERROR_STOP=1 "$@"; }

run_sql_file() { run_psql -v "keys=$keys" -f "$bench/sql/$1.sql" >/dev/null; }

start_server() {
	local connection
	"$server" remove "$home"
	"$server" start "$home" "${settings[@]}"
	connection=$("$server" env "$home")
	eval "$connection"
	run_psql -d postgres -c 'CREATE DATABASE bench'
	export PGDATABASE=bench
}

# ------------------------------------------------------------------- facts
print_facts() {
	local commit="not a git tree" version origin="built for this run"
	[ -z "${BENCH_INSTALLED:-}" ] || origin="as it was installed"
	if version=$(git -C "$tree" rev-parse --short=12 HEAD 2>/dev/null); then
		commit=$version
		[ -z "$(git -C "$tree" status --porcelain -- src skyvault--0.1.sql Makefile 2>/dev/null)" ] ||
			commit="$commit, with local changes"
	fi
	echo "- date: $(date -u '+%Y-%m-%d %H:%M') UTC; load average before the run: $(cut -d ' ' -f 1-3 /proc/loadavg)"
	echo "- CPU: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) usable;" \
		"memory: $(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)"
	echo "- system: $(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' /etc/os-release), Linux $(uname -r) $(uname -m);" \
		"file system of the data: $(df --output=fstype "$data_directory" | tail -n 1)"
	echo "- server: $("$bindir/postgres" --version), ${settings[*]}"
	echo "- huge pages: $(awk '/^HugePages_Total/ { n = $2 } /^Hugepagesize/ { printf "%d MB reserved on this machine, which both tables have the use of; skyvault.cache_huge_pages as it is by default", n * $2 / 1024 }' /proc/meminfo)"
	echo "- skyvault: commit $commit; library: $(kind_of_library), $origin; $(cc --version 2>/dev/null | head -n 1 || true)"
	echo "- $keys keys of 8 bytes, values of 100 bytes; $runs runs of $seconds s each;" \
		"one client and its backend are pinned to CPU $cpu"
}

# ------------------------------------------------------------- measurements
# Pins the backend of this pgbench's session.  pgbench opens one before it, to
# look around: that one sends no query.  $1 is the session's application_name.
pin_backend() {
	local pid tries
	for ((tries = 0; tries < 200; tries++)); do
		pid=$(run_psql -At -c "SELECT pid FROM pg_stat_activity WHERE application_name = '$1' AND query <> ''")
		if [ -n "$pid" ]; then
			taskset -cp "$cpu" "$pid" >/dev/null
			return
		fi
		kill -0 "$pgbench_pid" 2>/dev/null || break
	done
	cat "$scratch/pgbench.log" >&2
	die "found no backend to pin"
}

# Runs one pgbench script once; sets rate.  Equal rounds draw equal random keys.
run_pgbench() {
	local script=$1 clients=$2 sync=$3 round=$4 threads name pin=() variables=(-D "keys=$keys")
	[ -z "${value:-}" ] || variables+=(-D "value=$value")
	threads=$((clients < 2 ? 1 : 2))
	[ "$clients" -ne 1 ] || pin=(taskset -c "$cpu")
	# A name of its own for each: the backend before may still be on its way out.
	name=bench-$((++measurements))
	PGAPPNAME=$name PGOPTIONS="-c synchronous_commit=$sync" "${pin[@]}" "$bindir/pgbench" \
		-n -M prepared -c "$clients" -j "$threads" -T "$seconds" --random-seed="$round" \
		"${variables[@]}" -f "$bench/pgbench/$script.sql" >"$scratch/pgbench.log" 2>&1 &
	pgbench_pid=$!
	[ "$clients" -ne 1 ] || pin_backend "$name"
	if ! wait "$pgbench_pid"; then
		cat "$scratch/pgbench.log" >&2
		die "pgbench failed in $script"
	fi
	pgbench_pid=
	rate=$(sed -n 's/^tps = \([0-9.]*\) .*/\1/p' "$scratch/pgbench.log")
	[ -n "$rate" ] || die "pgbench printed no rate in $script"
}

# Runs one query over the binary protocol once, with arrays of table batch as its
# parameter and the client on the given CPU; sets rate.
run_batch_client() {
	local query=$1 round=$2 client_cpu=$3 name
	name=bench-$((++measurements))
	PGAPPNAME=$name taskset -c "$client_cpu" "$scratch/batch_client" "$seconds" "$round" "$query" \
		>"$scratch/pgbench.log" 2>&1 &
	pgbench_pid=$!
	pin_backend "$name"
	if ! wait "$pgbench_pid"; then
		cat "$scratch/pgbench.log" >&2
		die "batch_client failed in: $query"
	fi
	pgbench_pid=
	rate=$(sed -n 's/^tps = \([0-9.]*\) .*/\1/p' "$scratch/pgbench.log")
	[ -n "$rate" ] || die "batch_client printed no rate for: $query"
}

# record WORK SYSTEM CLIENTS UNIT ROWS_PER_TRANSACTION
record() {
	printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" \
		"$(awk -v rate="$rate" -v rows="$5" 'BEGIN { printf "%.1f", rate * rows }')" >> "$scratch/runs"
}

# Builds if asked to, starts the server, prints what it runs on.
begin() {
	[ -n "${BENCH_INSTALLED:-}" ] || install_plain_build
	bindir=$("$PG_CONFIG" --bindir)
	command -v taskset >/dev/null || die "needs taskset (package util-linux)"
	cpu=$(sed -n 's/^Cpus_allowed_list:.*[^0-9]\([0-9]\+\)$/\1/p' /proc/self/status)
	other_cpu=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]\+\).*$/\1/p' /proc/self/status)
	measurements=0
	scratch=$(mktemp -d)
	trap clean_up EXIT
	start_server
	data_directory=$(run_psql -At -c 'SHOW data_directory')
	print_facts | tee "$scratch/facts"
	echo
	run_sql_file check
}
