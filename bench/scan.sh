#!/bin/bash
# Measures scans of a table in the order of its key, skyvault side by side with a
# plain table, in a private server.  `make bench-scan` calls it; README.md says
# what is measured, and how.
#
#   BENCH_KEYS       keys in each table, a multiple of 1,000, at least 10,000 (2000000)
#   BENCH_SECONDS    length of each measurement (5)
#   BENCH_RUNS       how often each is repeated (5)
#   BENCH_INSTALLED  1: measure the library that is installed, whatever it is;
#                    otherwise an optimized one is built and installed first
#   BENCH_KEEP       1: leave the server running, with its data
#   BENCH_RESULTS    directory of the results (bench/results)
#   PG_CONFIG        the server's pg_config
set -euo pipefail

keys=${BENCH_KEYS:-2000000}
seconds=${BENCH_SECONDS:-5}
runs=${BENCH_RUNS:-5}

# Keys between two flushes of the load.
portion=250000

megabytes=$((keys * 400 / 1048576 + 512))
settings=(max_parallel_workers_per_gather=0 "shared_buffers=${megabytes}MB" "skyvault.cache_size=${megabytes}MB" max_wal_size=8GB
	autovacuum=on skyvault.flush_interval=0 skyvault.flush_size=1TB)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

load() {
	local first
	echo "loading"
	run_sql_file reads-setup
	run_sql_file scan-setup
	for ((first = 0; first < keys; first += portion)); do
		run_psql -v "first=$first" -v "portion=$portion" -f "$bench/sql/reads-portion.sql" >/dev/null
	done
	run_sql_file scan-check
}

# measure WORK UNIT PER_TRANSACTION SCRIPT: one client, in turns.
measure() {
	local work=$1 unit=$2 per_transaction=$3 script=$4 system round
	echo "$work"
	for ((round = 1; round <= runs; round++)); do
		for system in plain skyvault; do
			run_pgbench "$script-$system" 1 on "$round"
			record "$work" "$system" 1 "$unit" "$per_transaction"
		done
	done
}

measure_scans() {
	measure "page of 100 from a random start$1" pages/s 1 scan-page
	measure "page of 100 backward$1" pages/s 1 scan-back
	measure "count(*)$1" counts/s 1 scan-count
	measure "count(*) of about half$1" counts/s 1 scan-half
}

write_results() {
	awk -f "$bench/summary.awk" "$scratch/runs" > "$scratch/scan.csv"
	{
		echo "Written by bench/scan.sh; [bench/README.md](../README.md) says what the lines mean."
		echo
		cat "$scratch/facts"
		echo
		awk -f "$bench/reads.awk" "$scratch/scan.csv"
	} > "$scratch/scan.md"
	mkdir -p "$results"
	cp "$scratch/scan.csv" "$scratch/scan.md" "$results/"
}

begin
load
measure_scans ""
run_sql_file scan-delta
measure_scans "; 1 % in the delta"
write_results
echo
awk -f "$bench/reads.awk" "$scratch/scan.csv" | sed '2d; s/^| //; s/ |$//' | column -t -s '|'
echo
echo "written: $results/scan.csv, scan.md"
