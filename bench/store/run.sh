#!/bin/bash
# Measures a vault in a bucket, side by side with a bare C program on the same S3
# server on loopback, in interleaved rounds.  `make bench-store` calls it;
# README.md says what is measured, and how.
#
#   BENCH_ROWS       rows of 1 KiB; ten times as many of 100 bytes (100000)
#   BENCH_RUNS       rounds (5)
#   BENCH_INSTALLED  1: measure the library that is installed, whatever it is;
#                    otherwise an optimized one is built and installed first
#   BENCH_KEEP       1: leave the server running, with its data
#   BENCH_RESULTS    directory of the results (bench/results)
#   PG_CONFIG        the server's pg_config
set -euo pipefail

rows=${BENCH_ROWS:-100000}
runs=${BENCH_RUNS:-5}
keys=$rows seconds=1 cpu=	# what common.sh asks for
settings=(shared_buffers=512MB skyvault.cache_size=256MB skyvault.disk_cache_size=2GB max_wal_size=8GB
	skyvault.flush_interval=0 skyvault.flush_size=1TB skyvault.max_workers=0 synchronous_commit=off)
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$0")/../common.sh"
home=$tree/build/bench-store
programs=$tree/build/store
s3=$home/s3
mib=1048576

# ------------------------------------------------------------- preparations
clean_up() {
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

print_store_facts() {
	print_facts | sed '$d'
	echo "- store: $(radosgw --version 2>/dev/null | cut -d ' ' -f 1-3), one gateway and one storage daemon on the same machine, over loopback"
	echo "- $rows rows of 10 bytes of key and 1,024 of value, $((10 * rows)) with 100 of value; $runs rounds"
}

load() {
	local first
	echo "loading"
	run_psql -v "url=s3://$SKYVAULT_S3_BUCKET/bench" -v "endpoint=$SKYVAULT_S3_ENDPOINT" \
		-v "region=$SKYVAULT_S3_REGION" -v "key_id=$SKYVAULT_S3_ACCESS_KEY_ID" \
		-v "secret=$SKYVAULT_S3_SECRET_ACCESS_KEY" -f "$bench/store/setup.sql" >/dev/null
	for ((first = 1; first <= rows; first += 10000)); do
		run_psql -c "SELECT bench_load('kv1k', $first, least($first + 9999, $rows), 1024, 0)" >/dev/null
	done
	run_psql -c 'SELECT skyvault_flush()' >/dev/null
	bytes_1k=$(run_psql -At -c 'SELECT sum(file_bytes) FROM skyvault.run')
	for ((first = 1; first <= 10 * rows; first += 100000)); do
		run_psql -c "SELECT bench_load('kv100', $first, least($first + 99999, 10 * $rows), 50, 50)" >/dev/null
	done
	run_psql -c 'SELECT skyvault_flush()' >/dev/null
	bytes_100=$(($(run_psql -At -c 'SELECT sum(file_bytes) FROM skyvault.run') - bytes_1k))
}

# ------------------------------------------------------------- measurements
# note WORK SYSTEM UNIT FIGURE
note() { printf '%s\t%s\t\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$scratch/runs"; }

bare() { "$programs/bare" "$@"; }

one_round() {
	local work unit figure size=$((64 * mib))
	note 'cold get' bare us "$(bare get bare "$size" 16384 100 1)"
	note '100 distant keys at once' bare us "$(bare get bare "$size" 16384 100 100)"
	note '100 distant keys at once' 'bare; 16 in flight' us "$(bare get bare "$size" 16384 100 16)"
	run_psql -At -v "rows=$rows" -v "round=$1" -v "bytes_1k=$bytes_1k" -v "bytes_100=$bytes_100" \
		-f "$bench/store/round.sql" >"$scratch/round"
	while IFS=$'\t' read -r work unit figure; do
		note "$work" skyvault "$unit" "$figure"
	done <"$scratch/round"
	figure=$(bare scan bare "$size" $((8 * mib)) 16 1)
	for work in '1 KiB values' '100-byte values'; do
		note "cold scan; $work" bare 'stored bytes/s' "$figure"
	done
	note 'upload of 64 MiB' skyvault us "$("$programs/upload" "$size" 1)"
	note 'upload of 64 MiB' bare us "$(bare put bare "$size" $((8 * mib)) 1 8)"
	note 'upload of 64 MiB' 'bare; SHA-256 and MD5' us "$(bare put bare "$size" $((8 * mib)) 1 8 hash)"
}

measure() {
	local round
	bare put bare $((64 * mib)) $((8 * mib)) 1 8 >/dev/null
	for ((round = 1; round <= runs; round++)); do
		echo "round $round of $runs"
		one_round "$round"
	done
}

# ----------------------------------------------------------------- results
write_results() {
	awk -f "$bench/summary.awk" "$scratch/runs" >"$scratch/store.csv"
	{
		echo "Written by bench/store/run.sh; [bench/README.md](../README.md) says what the lines mean."
		echo
		cat "$scratch/facts"
		echo
		awk -f "$bench/store/store.awk" "$scratch/store.csv"
	} >"$scratch/store.md"
	awk -v picture=1 -f "$bench/store/store.awk" "$scratch/store.csv" >"$scratch/picture"
	gnuplot -e "data='$scratch/picture'; picture='$scratch/store.png'" "$bench/store/plot.gp"
	mkdir -p "$results"
	cp "$scratch/store.csv" "$scratch/store.md" "$scratch/store.png" "$results/"
}

"$tree/test/tools/install-deps.sh" test
install_gnuplot
start
print_store_facts | tee "$scratch/facts"
load
measure
write_results
echo
awk -f "$bench/store/store.awk" "$scratch/store.csv" | sed '2d; s/^| //; s/ |$//' | grep '|' | column -t -s '|'
echo
echo "written: $results/store.csv, store.md, store.png"
