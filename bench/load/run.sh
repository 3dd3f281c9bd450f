#!/bin/bash
# Measures bulk loads, side by side in one run: COPY into a foreign table and into
# a plain one with a primary key, skyvault_load and RocksDB's SstFileWriter; and
# the memory of a large load.  `make bench-load` calls it; ../README.md says what
# is measured, and how.
#
#   BENCH_KEYS       rows, a multiple of 1,000, at least 10,000 (10000000)
#   BENCH_RUNS       rounds (3)
#   BENCH_MEMORY_KEYS  rows of the load whose memory is sampled (50000000; 0: none)
#   BENCH_SETTINGS   more settings of the server, such as skyvault.load_workers=1
#   BENCH_INSTALLED, BENCH_KEEP, BENCH_RESULTS, PG_CONFIG: as in ../README.md
set -euo pipefail

keys=${BENCH_KEYS:-10000000}
runs=${BENCH_RUNS:-3}
memory_keys=${BENCH_MEMORY_KEYS:-50000000}
seconds=1 cpu=	# what common.sh asks for
maintenance_mb=256

read -r -a more_settings <<< "${BENCH_SETTINGS:-}"
settings=(shared_buffers=1GB max_wal_size=16GB "maintenance_work_mem=${maintenance_mb}MB" skyvault.cache_size=128MB
	skyvault.max_workers=0 "${more_settings[@]}")
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$0")/../common.sh"
home=$tree/build/bench-load
csv=$results/load.csv
report=$results/load.md

# ------------------------------------------------------------- preparations
start() {
	[ -n "${BENCH_INSTALLED:-}" ] || install_plain_build
	bindir=$("$PG_CONFIG" --bindir)
	scratch=$(mktemp -d)
	trap clean_up EXIT
	start_server
	data_directory=$(run_psql -At -c 'SHOW data_directory')
	{ print_facts | sed '$d'; echo "- $keys rows, values of 100 bytes of which half compress; $runs rounds, medians"; } | tee "$scratch/facts"
	run_sql_file check
	run_psql -c 'CREATE EXTENSION skyvault'
}

# A bijection of 64 bits, so that no key comes twice; a value of 100 bytes.
key_sql="('x' || substr(md5(n::text), 1, 16))::bit(64)::bigint"
value_sql="rpad(substr(md5(n::text) || md5((n + 1)::text), 1, 50), 100, 'value of a row ')"
string_sql="'user:' || lpad((n / 16)::text, 11, '0') || ':feature_' || lpad((n % 16)::text, 2, '0')"

# As files of the server: what a client would cost is not measured.
make_input() {
	echo "making the input"
	run_psql -c "COPY (SELECT $key_sql, $value_sql FROM generate_series(1, $keys) AS n) TO '$data_directory/random.txt'" \
		-c "COPY (SELECT $string_sql, $value_sql FROM generate_series(1, $keys) AS n) TO '$data_directory/sorted.txt'" \
		-c "CREATE UNLOGGED TABLE source (k bigint, v text)" \
		-c "COPY source FROM '$data_directory/random.txt'" -c "VACUUM ANALYZE source"
}

build_peer() {
	peer=
	[ -e /usr/include/rocksdb/c.h ] || { echo "RocksDB is left out: it is not installed"; return; }
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make --no-print-directory -C "$tree" ENGINE_PEERS=rocksdb build/engine/bench_load \
		"PG_CONFIG=$PG_CONFIG" >/dev/null
	peer=$tree/build/engine/bench_load
}

# ------------------------------------------------------------- measurements
# timed WORK SYSTEM PREPARATION STATEMENT TABLE: a line of the result; all rows must be there after it.
timed() {
	local ms count
	run_psql -c "$3" -c CHECKPOINT >/dev/null
	ms=$(run_psql -c '\timing on' -c "$4" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p')
	count=$(run_psql -At -c "SELECT count(*) FROM $5")
	[ "$count" = "$keys" ] || die "$5 has $count rows, not $keys"
	awk -v what="$1,$2" -v ms="$ms" -v rows="$keys" 'BEGIN { printf "%s,%.0f\n", what, rows / ms * 1000 }' | tee -a "$scratch/rates"
}

plain() { echo "SET client_min_messages = warning; DROP TABLE IF EXISTS p; CREATE TABLE p (k $1 PRIMARY KEY, v text)"; }
foreign() { echo "SET client_min_messages = warning; DROP FOREIGN TABLE IF EXISTS f; CREATE FOREIGN TABLE f (k $1, v text) SERVER skyvault OPTIONS (key 'k')"; }

measure_round() {
	local string='text COLLATE "C"'
	timed "COPY random" plain "$(plain bigint)" "COPY p FROM '$data_directory/random.txt'" p
	timed "COPY random" skyvault "$(foreign bigint)" "COPY f FROM '$data_directory/random.txt'" f
	timed "COPY sorted strings" plain "$(plain "$string")" "COPY p FROM '$data_directory/sorted.txt'" p
	timed "COPY sorted strings" skyvault "$(foreign "$string")" "COPY f FROM '$data_directory/sorted.txt'" f
	timed "load from a query" skyvault "$(foreign bigint)" "SELECT skyvault_load('f', 'SELECT k, v FROM source')" f
	run_psql -c 'DROP TABLE p' -c 'DROP FOREIGN TABLE f'
	if [ -n "$peer" ]; then
		"$peer" "$scratch" "$keys" 1 | sed 's/^write,/load from a query,rocksdb,/; s/^sort and write,/load from a query,rocksdb with sort,/' |
			tee -a "$scratch/rates"
		rm -rf "$scratch"/load-*
	fi
}

# Private memory in kB of the load's backend and its workers.
private_memory() {
	local pid
	for pid in "$1" $(pgrep -f '^postgres: skyvault load worker' || true); do
		sed -n 's/^Pss_Anon: *\([0-9]*\) kB/\1/p' "/proc/$pid/smaps_rollup" 2>/dev/null || true
	done | awk '{ sum += $1 } END { print sum + 0 }'
}

# The most that was seen.
measure_memory() {
	local pid peak=0 now
	echo "loading $memory_keys rows"
	run_psql -c "$(foreign bigint)" >/dev/null
	PGAPPNAME=bench-load run_psql -c "SELECT skyvault_load('f', \$\$SELECT $key_sql, $value_sql FROM generate_series(1, $memory_keys) AS n\$\$)" >/dev/null &
	load_pid=$!
	until pid=$(run_psql -At -c "SELECT pid FROM pg_stat_activity WHERE application_name = 'bench-load' AND state = 'active'") && [ -n "$pid" ]; do
		kill -0 "$load_pid" 2>/dev/null || die "the load has ended before its memory was sampled"
	done
	while kill -0 "$load_pid" 2>/dev/null; do
		now=$(private_memory "$pid")
		peak=$((now > peak ? now : peak))
		sleep 0.05
	done
	wait "$load_pid" || die "the load has failed"
	awk -v kb="$peak" -v aim="$((maintenance_mb + 64))" \
		'BEGIN { printf "memory,skyvault,%.0f\nmemory,aim,%d\n", kb / 1024, aim }' | tee -a "$scratch/rates"
}

# ------------------------------------------------------------------ results
# Medians: what, of whom, value.
medians() {
	sort -t , -k 1,2 -k 3,3n "$scratch/rates" | awk -F , '
		{ name = $1 "," $2; if (name != last && n) print last "," v[int((n + 1) / 2)]; if (name != last) n = 0; v[++n] = $3; last = name }
		END { print last "," v[int((n + 1) / 2)] }'
}

# line WORK SKYVAULT PEER AIM
compare() {
	awk -F , -v work="$1" -v peer="$2" -v aim="$3" '
		$1 == work && $2 == "skyvault" { ours = $3 }
		$1 == work && $2 == peer { theirs = $3 }
		END { if (theirs) printf "| %s | %.2f M rows/s | %s %.2f | %.1f | %s | %s |\n", work, ours / 1e6, peer, theirs / 1e6,
			ours / theirs, aim, (ours >= aim * theirs ? "reached" : "missed") }' "$csv"
}

write_report() {
	mkdir -p "$results"
	{ echo "work,system,value"; medians; } > "$csv"
	{
		echo "# Bulk loads"
		echo
		cat "$scratch/facts"
		echo
		echo "| work | skyvault | beside | times | aim | |"
		echo "|---|---|---|---|---|---|"
		compare "COPY random" plain 4
		compare "COPY sorted strings" plain 1.5
		compare "load from a query" rocksdb 0.7
		awk -F , '$1 == "memory" { v[$2] = $3 } END { if (v["aim"]) printf "\nMemory of a load, at its peak: %d MB; the aim is %d MB: %s.\n",
			v["skyvault"], v["aim"], (v["skyvault"] <= v["aim"] ? "reached" : "missed") }' "$csv"
	} | tee "$report"
}

start
build_peer
make_input
: > "$scratch/rates"
for ((round = 1; round <= runs; round++)); do
	echo "round $round"
	measure_round
done
[ "$memory_keys" -eq 0 ] || measure_memory
write_report
