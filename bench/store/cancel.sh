#!/bin/bash
# Measures how long sessions that wait at a store which never answers go on waiting
# when they are told to stop, by either signature.  `make bench-cancel` calls it;
# README.md says what is measured, and how.
#
#   BENCH_SESSIONS   sessions that wait (32)
#   BENCH_RUNS       databases dropped, and schedulers ended, meanwhile (5)
#   BENCH_INSTALLED, BENCH_RESULTS, PG_CONFIG   as in run.sh
set -euo pipefail

sessions=${BENCH_SESSIONS:-32}
runs=${BENCH_RUNS:-5}
rows=$((sessions * 100)) seconds=1 cpu=
keys=10000	# common.sh asks for some
settings=(skyvault.disk_cache_size=0 skyvault.flush_interval=0 skyvault.export_interval=0 skyvault.store_timeout=1h skyvault.max_workers=0 fsync=off)
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$0")/../common.sh"
home=$tree/build/bench-cancel
s3=$home/s3

signal_store() { kill "-$1" "$(cat "$s3/run/client.rgw.pid")"; }

clean_up() {
	rm -rf "$scratch"
	signal_store CONT 2>/dev/null || true
	"$server" remove "$home"
	"$tree/test/s3/s3-server" remove "$s3"
}

start() {
	local environment
	[ -n "${BENCH_INSTALLED:-}" ] || install_plain_build
	bindir=$("$PG_CONFIG" --bindir)
	scratch=$(mktemp -d)
	trap clean_up EXIT
	mkdir -p "$home"
	cc -std=c11 -D_GNU_SOURCE -O2 -I"$("$PG_CONFIG" --includedir)" -I/usr/include/postgresql -o "$scratch/cancel" \
		"$bench/store/cancel.c" -L"$("$PG_CONFIG" --libdir)" -lpq ||
		die "cannot build bench/store/cancel.c: libpq's development files are missing"
	"$tree/test/s3/s3-server" start "$s3"
	environment=$("$tree/test/s3/s3-server" env "$s3")
	eval "$environment"
}

# load SIGNATURE
load() {
	run_psql -v "url=s3://$SKYVAULT_S3_BUCKET/bench-$1" -v "endpoint=$SKYVAULT_S3_ENDPOINT" \
		-v "region=$SKYVAULT_S3_REGION" -v "key_id=$SKYVAULT_S3_ACCESS_KEY_ID" \
		-v "secret=$SKYVAULT_S3_SECRET_ACCESS_KEY" -f "$bench/store/setup.sql" >/dev/null
	# The last get leaves the tail in memory, and a block that nobody will ask for.
	run_psql -c "ALTER SERVER vault OPTIONS (ADD signature '$1')" \
		-c "SELECT bench_load('kv1k', 1, $rows, 1024, 0)" -c 'SELECT skyvault_flush()' \
		-c 'SELECT skyvault_clear_cache()' -c "SELECT skyvault_get('kv1k', bench_key($rows)::bytea)" >/dev/null
}

# measure SIGNATURE: with a server of its own, which is stopped in the end
measure() {
	start_server
	data_directory=$(run_psql -At -c 'SHOW data_directory')
	[ -e "$scratch/facts" ] || print_facts | sed '$d' >"$scratch/facts"
	load "$1"
	signal_store STOP
	"$scratch/cancel" "$sessions" "$runs" "$(run_psql -At -c "SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)")" |
		sed "s/\t/\t$1\t/" >>"$scratch/times"
	signal_store CONT
}

# Lines of cancel.c, with the signature, to a table in Markdown.
table() {
	echo '| told to stop by | signature | times | median ms | 95 % | longest |'
	echo '|---|---|---:|---:|---:|---:|'
	sort -t $'\t' -k 1,1 -k 2,2r -k 3,3n | awk -F '\t' '
		function line() { if (n) printf "| %s | %s | %d | %.1f | %.1f | %.1f |\n", work, signature, n, (ms[int((n + 1) / 2)] + ms[int((n + 2) / 2)]) / 2, ms[int(n * 0.95 + 0.999)], ms[n] }
		$1 != work || $2 != signature { line(); work = $1; signature = $2; n = 0 }
		{ ms[++n] = $3 }
		END { line() }'
}

"$tree/test/tools/install-deps.sh" test
start
measure v4
measure v2
mkdir -p "$results"
{
	echo "Written by bench/store/cancel.sh; [bench/README.md](../README.md) says what the lines mean."
	echo
	cat "$scratch/facts"
	echo "- $sessions sessions wait for an S3 server that is stopped (SIGSTOP)"
	echo
	table <"$scratch/times"
} >"$scratch/cancel.md"
cp "$scratch/cancel.md" "$results/cancel.md"
cat "$results/cancel.md"
