#!/bin/bash
# Measures joins by the key: a table of a vault, warm, beside a plain one; and one in a
# bucket that answers late, by batches beside one lookup per row.  `make bench-join`
# calls it; README.md says what is measured, and how.
#
#   BENCH_KEYS       rows of each table, a multiple of 1,000, at least 10,000 (10000000)
#   BENCH_WANTED     rows that are joined with them (100000)
#   BENCH_RUNS       rounds (5)
#   BENCH_IN_FLIGHT  server option io_concurrency of the bucket (64)
#   BENCH_INSTALLED  1: measure the library that is installed, whatever it is;
#                    otherwise an optimized one is built and installed first
#   BENCH_KEEP       1: leave the server running, with its data
#   BENCH_RESULTS    directory of the results (bench/results)
#   PG_CONFIG        the server's pg_config
set -euo pipefail

keys=${BENCH_KEYS:-10000000}
wanted=${BENCH_WANTED:-100000}
runs=${BENCH_RUNS:-5}
in_flight=${BENCH_IN_FLIGHT:-64}
seconds=1
portion=1000000

# Everything fits in memory, of both vaults together.
megabytes=$((keys * 500 / 1048576 + 512))
settings=("shared_buffers=$((keys * 300 / 1048576 + 256))MB" "skyvault.cache_size=${megabytes}MB"
	skyvault.tail_cache_size=256MB max_wal_size=8GB skyvault.flush_interval=0 skyvault.flush_size=1TB
	skyvault.max_workers=1 skyvault.disk_cache_size=0 max_parallel_workers_per_gather=0 synchronous_commit=off
	skyvault.gc_interval=0)
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$0")/../common.sh"
home=$tree/build/bench-join
delay=$tree/build/store/delay
s3=$home/s3

# ------------------------------------------------------------- preparations
clean_up() {
	stop_delay
	rm -rf "$scratch"
	if [ -n "${BENCH_KEEP:-}" ]; then
		echo "The server is left running:   $("$server" psql-line "$home" bench)"
	else
		"$server" remove "$home"
		"$tree/test/s3/s3-server" remove "$s3"
	fi
}

start() {
	local environment
	[ -n "${BENCH_INSTALLED:-}" ] || install_plain_build
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make --no-print-directory -C "$tree" store-programs "PG_CONFIG=$PG_CONFIG" >/dev/null
	bindir=$("$PG_CONFIG" --bindir)
	cpu=any
	scratch=$(mktemp -d)
	trap clean_up EXIT
	mkdir -p "$home"
	"$tree/test/s3/s3-server" start "$s3"
	environment=$("$tree/test/s3/s3-server" env "$s3")
	eval "$environment"
	start_server
	data_directory=$(run_psql -At -c 'SHOW data_directory')
	run_sql_file check
}

print_join_facts() {
	print_facts | sed '$d'
	echo "- store: $(radosgw --version 2>/dev/null | cut -d ' ' -f 1-3), one gateway and one storage daemon on the same machine, over loopback; bench/join/delay.c before it; io_concurrency $in_flight"
	echo "- $keys rows, keys of 8 random bytes, values of 100 bytes; $wanted of them joined; $runs rounds"
}

load() {
	local first last
	echo "loading"
	run_psql -v "url=s3://$SKYVAULT_S3_BUCKET/bench" -v "endpoint=$SKYVAULT_S3_ENDPOINT" \
		-v "region=$SKYVAULT_S3_REGION" -v "key_id=$SKYVAULT_S3_ACCESS_KEY_ID" -v "in_flight=$in_flight" \
		-v "secret=$SKYVAULT_S3_SECRET_ACCESS_KEY" -f "$bench/join/setup.sql" >/dev/null
	for ((first = 1; first <= keys; first += portion)); do
		last=$((first + portion - 1 < keys ? first + portion - 1 : keys))
		for table in plain near far; do
			run_psql -c "INSERT INTO $table SELECT * FROM bench_rows($first, $last)"
		done
		run_psql -c 'SELECT skyvault_flush()' >/dev/null
	done
	for table in near far; do
		run_psql -c "SELECT skyvault_compact('$table', true)" >/dev/null
	done
	run_psql -v "keys=$keys" -v "wanted=$wanted" -f "$bench/join/loaded.sql" >/dev/null
}

# ----------------------------------------------------------------- latency
stop_delay() {
	[ -z "${delay_pid:-}" ] || kill "$delay_pid" 2>/dev/null || true
	delay_pid=
}

# From here on the bucket answers so many milliseconds later.
start_delay() {
	local port
	stop_delay
	mkfifo "$scratch/delay-in-$1" "$scratch/delay-out-$1"
	"$delay" "${SKYVAULT_S3_ENDPOINT##*:}" "$1" <"$scratch/delay-in-$1" >"$scratch/delay-out-$1" &
	delay_pid=$!
	exec 8>"$scratch/delay-in-$1"
	read -r port <"$scratch/delay-out-$1"
	run_psql -c "ALTER SERVER vault OPTIONS (SET endpoint 'http://127.0.0.1:$port')"
	rm -f "$scratch/delay-in-$1" "$scratch/delay-out-$1"
}

# ------------------------------------------------------------- measurements
note_lines() {
	local work system unit figure
	while IFS=$'\t' read -r work system unit figure; do
		printf '%s\t%s\t\t%s\t%s\n' "$work" "$system" "$unit" "$figure" >>"$scratch/runs"
		printf '%-28s %-30s %14s %s\n' "$work" "$system" "$figure" "$unit"
	done
}

measure() {
	local round ms
	echo "warming up"
	run_psql -At -v "wanted=$wanted" -f "$bench/join/warm.sql" >/dev/null
	for ((round = 1; round <= runs; round++)); do
		echo "round $round of $runs"
		run_psql -At -v "wanted=$wanted" -f "$bench/join/warm.sql" | note_lines
	done
	# One by one takes as long as the delay lasts: so fewer rows are asked for so.
	for ms in 1 20; do
		start_delay "$ms"
		for ((round = 1; round <= runs; round++)); do
			echo "$ms ms, round $round of $runs"
			run_psql -At -v "wanted=$wanted" -v "sample=$((2000 / ms))" -v "ms=$ms" -f "$bench/join/cold.sql" | note_lines
		done
	done
	stop_delay
}

# ----------------------------------------------------------------- results
write_results() {
	awk -f "$bench/summary.awk" "$scratch/runs" >"$scratch/join.csv"
	{
		echo "Written by bench/join/run.sh; [bench/README.md](../README.md) says what the lines mean."
		echo
		cat "$scratch/facts"
		echo
		awk -f "$bench/join/join.awk" "$scratch/join.csv"
	} >"$scratch/join.md"
	mkdir -p "$results"
	cp "$scratch/join.csv" "$scratch/join.md" "$results/"
}

"$tree/test/tools/install-deps.sh" test
start
print_join_facts | tee "$scratch/facts"
load
measure
write_results
echo
tail -n +3 "$scratch/join.md" | grep '^|' | sed '2d; s/^| //; s/ |$//' | column -t -s '|'
echo
echo "written: $results/join.csv, join.md"
