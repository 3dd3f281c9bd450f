#!/bin/bash
# Measures reads of a large table, skyvault side by side with a plain table, in
# a private server.  `make bench-reads` calls it; README.md says what is
# measured, and how.
#
#   BENCH_KEYS       keys in each table, a multiple of 1,000, at least 10,000 (10000000)
#   BENCH_SECONDS    length of each measurement (5)
#   BENCH_RUNS       how often each is repeated (5)
#   BENCH_INSTALLED  1: measure the library that is installed, whatever it is;
#                    otherwise an optimized one is built and installed first
#   BENCH_KEEP       1: leave the server running, with its data
#   BENCH_RESULTS    directory of the results (bench/results)
#   PG_CONFIG        the server's pg_config
set -euo pipefail

keys=${BENCH_KEYS:-10000000}
seconds=${BENCH_SECONDS:-5}
runs=${BENCH_RUNS:-5}

# Keys in the delta, and keys between two flushes of the load.
delta_keys=200000
portion=1000000

# Everything fits: what is compared is the lookup, not the disk.  A library
# without the block cache warns of its setting, and is measured without.
megabytes=$((keys * 400 / 1048576 + 512))
settings=("shared_buffers=${megabytes}MB" "skyvault.cache_size=${megabytes}MB" max_wal_size=8GB
	autovacuum=on skyvault.flush_interval=0 skyvault.flush_size=1TB)
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# ------------------------------------------------------------- preparations
# Libpq of the client's own: its version does not matter.
build_batch_client() {
	cc -O2 -I"$("$PG_CONFIG" --includedir)" -I/usr/include/postgresql -o "$scratch/batch_client" "$bench/reads/batch_client.c" \
		-L"$("$PG_CONFIG" --libdir)" -lpq || die "cannot build bench/reads/batch_client.c: libpq's development files are missing"
}

load() {
	local first
	echo "loading"
	run_sql_file reads-setup
	for ((first = 0; first < keys; first += portion)); do
		run_psql -v "first=$first" -v "portion=$portion" -f "$bench/sql/reads-portion.sql" >/dev/null
	done
	run_psql -v "keys=$keys" -v "delta_keys=$delta_keys" -f "$bench/sql/reads-loaded.sql" > "$scratch/sizes"
}

# What a scan-resistant cache would not keep of a scan, it keeps of lookups: the check does one of every key.
warm_up() {
	echo "checking and warming up"
	run_sql_file reads-check
}

# ------------------------------------------------------------- measurements
# measure WORK CLIENTS UNIT LOOKUPS_PER_TRANSACTION PLAIN_SCRIPT SKYVAULT_SCRIPT [WORK SKYVAULT_SCRIPT]...
# Further pairs are measured against the same measurement of the plain table.
measure() {
	local work=$1 clients=$2 unit=$3 lookups=$4 plain=$5 round i
	local works=("$1") scripts=("$6")
	shift 6
	while [ $# -gt 0 ]; do
		works+=("$1")
		scripts+=("$2")
		shift 2
	done
	echo "$work, clients: $clients"
	for ((round = 1; round <= runs; round++)); do
		run_pgbench "$plain" "$clients" on "$round"
		for i in "${!works[@]}"; do
			record "${works[i]}" plain "$clients" "$unit" "$lookups"
		done
		for i in "${!works[@]}"; do
			run_pgbench "${scripts[i]}" "$clients" on "$round"
			record "${works[i]}" skyvault "$clients" "$unit" "$lookups"
		done
	done
}

# measure_binary CLIENT_CPU QUERY_ON_PLAIN [WORK QUERY]...: the same of batches over the binary protocol.
measure_binary() {
	local client_cpu=$1 plain=$2 round i
	local works=() queries=()
	shift 2
	while [ $# -gt 0 ]; do
		works+=("$1")
		queries+=("$2")
		shift 2
	done
	echo "${works[0]} and so on"
	for ((round = 1; round <= runs; round++)); do
		run_batch_client "$plain" "$round" "$client_cpu"
		for i in "${!works[@]}"; do
			record "${works[i]}" plain 1 keys/s 1000
		done
		for i in "${!works[@]}"; do
			run_batch_client "${queries[i]}" "$round" "$client_cpu"
			record "${works[i]}" skyvault 1 keys/s 1000
		done
	done
}

# measure_binary_batches WORK CLIENT_CPU
# shellcheck disable=SC2016
measure_binary_batches() {
	measure_binary "$2" 'SELECT key, value FROM plain WHERE key = ANY ($1::bytea[])' \
		"$1; multi_get" "SELECT key, value FROM skyvault_multi_get('kv', \$1::bytea[])" \
		"$1; get_array" "SELECT skyvault_get_array('kv', \$1::bytea[])" \
		"$1; = ANY" 'SELECT key, value FROM kv WHERE key = ANY ($1::bytea[])'
}

measure_reads() {
	local clients
	measure_binary_batches "batch of 1000 binary" "$cpu"
	[ "$other_cpu" = "$cpu" ] || measure_binary_batches "batch of 1000 binary on two CPUs" "$other_cpu"
	measure "batch of 1000; multi_get" 1 keys/s 1000 reads-any-plain reads-multi_get \
		"batch of 1000; get_array" reads-get_array "batch of 1000; = ANY" reads-any-skyvault
	measure "batch of 1000 counted; multi_get" 1 keys/s 1000 reads-count-plain reads-count-multi_get \
		"batch of 1000 counted; get_array" reads-count-get_array "batch of 1000 counted; = ANY" reads-count-any
	measure "PL/pgSQL loop" 1 gets/s 1000 reads-loop-plain reads-loop-skyvault
	for clients in 1 2 8; do
		measure "get; hit" "$clients" gets/s 1 reads-get-plain reads-get-skyvault
	done
	for clients in 1 2 8; do
		measure "get; miss" "$clients" gets/s 1 reads-miss-plain reads-miss-skyvault
	done
}

# ----------------------------------------------------------------- results
# Nothing is replaced before everything is there.
write_results() {
	{
		awk -f "$bench/summary.awk" "$scratch/runs"
		cat "$scratch/sizes"
	} > "$scratch/reads.csv"
	{
		echo "Written by bench/reads.sh; [bench/README.md](../README.md) says what the lines mean."
		echo
		cat "$scratch/facts"
		echo
		awk -f "$bench/reads.awk" "$scratch/reads.csv"
	} > "$scratch/reads.md"
	mkdir -p "$results"
	cp "$scratch/reads.csv" "$scratch/reads.md" "$results/"
}

begin
build_batch_client
load
warm_up
measure_reads
run_sql_file reads-still
write_results
echo
awk -f "$bench/reads.awk" "$scratch/reads.csv" | sed '2d; s/^| //; s/ |$//' | column -t -s '|'
echo
echo "written: $results/reads.csv, reads.md"
