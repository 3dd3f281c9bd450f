#!/bin/bash
# Measures skyvault side by side with a plain table, in a private server.
# `make bench` calls it; README.md says what is measured, and how.
#
#   BENCH_KEYS       keys in each table, a multiple of 1,000, at least 10,000 (200000)
#   BENCH_SECONDS    length of each measurement (5)
#   BENCH_RUNS       how often each is repeated (5)
#   BENCH_INSTALLED  1: measure the library that is installed, whatever it is;
#                    otherwise an optimized one is built and installed first
#   BENCH_KEEP       1: leave the server running, with its data
#   BENCH_RESULTS    directory of the results (bench/results)
#   PG_CONFIG        the server's pg_config
set -euo pipefail

keys=${BENCH_KEYS:-200000}
seconds=${BENCH_SECONDS:-5}
runs=${BENCH_RUNS:-5}
settings=(shared_buffers=512MB max_wal_size=4GB autovacuum=on
	skyvault.flush_interval=0 skyvault.flush_size=1TB)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# measure_write FUNCTION WORK CLIENTS SYNC UNIT ROWS_PER_TRANSACTION
measure_write() {
	local round system
	echo "$2, clients: $3"
	for ((round = 1; round <= runs; round++)); do
		for system in plain skyvault; do
			run_psql -c 'VACUUM plain, skyvault.delta' -c 'CHECKPOINT'
			run_pgbench "$1-$system" "$3" "$4" "$round"
			record "$2" "$system" "$3" "$5" "$6"
		done
	done
}

# measure_read FUNCTION WORK CLIENTS UNIT ROWS_PER_TRANSACTION
# One measurement of the plain table stands beside both of skyvault.
measure_read() {
	local round place
	echo "$2, clients: $3"
	for ((round = 1; round <= runs; round++)); do
		run_pgbench "$1-plain" "$3" on "$round"
		record "$2 delta" plain "$3" "$4" "$5"
		record "$2 run" plain "$3" "$4" "$5"
		for place in delta run; do
			run_pgbench "$1-$place" "$3" on "$round"
			record "$2 $place" skyvault "$3" "$4" "$5"
		done
	done
}

measure_writes() {
	local sync
	run_sql_file load-writes
	for sync in on off; do
		measure_write put "put sync $sync" 1 $sync puts/s 1
		measure_write put "put sync $sync" 8 $sync puts/s 1
		measure_write multi_put "multi_put 1000 sync $sync" 1 $sync rows/s 1000
	done
	run_sql_file check-writes
}

measure_reads() {
	run_sql_file load-reads
	run_sql_file check-reads
	measure_read get get 1 gets/s 1
	measure_read get get 8 gets/s 1
	measure_read multi_get "multi_get 1000" 1 keys/s 1000
	run_sql_file check-reads
}

# ----------------------------------------------------------------- results
# Nothing is replaced before everything is there.
write_results() {
	awk -f "$bench/summary.awk" "$scratch/runs" > "$scratch/sql.csv"
	awk -v as=plot -f "$bench/table.awk" "$scratch/sql.csv" > "$scratch/ratios"
	gnuplot -e "data='$scratch/ratios'; picture='$scratch/sql.png'" "$bench/plot.gp"
	{
		echo "Written by bench/run.sh; [bench/README.md](../README.md) says what the lines mean."
		echo
		cat "$scratch/facts"
		echo
		awk -f "$bench/table.awk" "$scratch/sql.csv"
		echo
		echo "![ratios](sql.png)"
	} > "$scratch/sql.md"
	mkdir -p "$results"
	cp "$scratch/sql.csv" "$scratch/sql.md" "$scratch/sql.png" "$results/"
}

install_gnuplot
value="\\x$(head -c 50 /dev/urandom | od -An -v -tx1 | tr -d ' \n')$(printf '2a%.0s' {1..50})"
begin
run_sql_file setup
measure_writes
measure_reads
write_results
echo
awk -f "$bench/table.awk" "$scratch/sql.csv" | sed '2d; s/^| //; s/ |$//' | column -t -s '|'
echo
echo "written: $results/sql.csv, sql.md, sql.png"
