#!/bin/bash
# Measures a table that is overwritten all the time, skyvault side by side with a
# plain table, in a private server: how fast writes are while flushes and
# compactions go on, what reads meet, and whether debt stays bounded.
# `make bench-living` calls it.
#
#   BENCH_KEYS       keys in each table, a multiple of 1,000, at least 10,000 (10000000)
#   BENCH_SECONDS    length of each overwriting (600)
#   BENCH_CLIENTS    writing sessions (8)
#   BENCH_SETTINGS   more settings of the server, such as skyvault.flush_size=16MB
#   BENCH_INSTALLED, BENCH_KEEP, BENCH_RESULTS, PG_CONFIG: as in ../README.md
#
# One reading session runs beside the writers, and before them, when it is quiet.
set -euo pipefail

keys=${BENCH_KEYS:-10000000}
seconds=${BENCH_SECONDS:-600}
clients=${BENCH_CLIENTS:-8}
runs=1
quiet_seconds=$((seconds < 30 ? seconds : 30))
portion=100000

read -r -a more_settings <<< "${BENCH_SETTINGS:-}"
megabytes=$((keys * 400 / 1048576 + 512))
settings=("shared_buffers=${megabytes}MB" "skyvault.cache_size=${megabytes}MB" max_wal_size=8GB
	autovacuum=on "${more_settings[@]}")
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$0")/../common.sh"

install_plain=${BENCH_INSTALLED:+no}
[ -n "$install_plain" ] || install_plain_build
install_gnuplot
bindir=$("$PG_CONFIG" --bindir)
scratch=$(mktemp -d)
trap clean_up EXIT
start_server

value_sql="md5(random()::text) || md5(random()::text) || md5(random()::text) || 'abcd'"

load() {
	local first
	echo "loading $keys keys"
	run_psql -c "CREATE EXTENSION skyvault" -c "SELECT skyvault_create_table('kv')" \
		-c "CREATE TABLE plain (key text COLLATE \"C\" PRIMARY KEY, value text)" >/dev/null
	for ((first = 0; first < keys; first += portion)); do
		run_psql -c "CREATE TEMP TABLE rows AS SELECT lpad(n::text, 8, '0') AS key, $value_sql AS value
				FROM generate_series($first, least($first + $portion, $keys) - 1) AS n" \
			-c "INSERT INTO plain SELECT * FROM rows" -c "INSERT INTO kv SELECT * FROM rows" >/dev/null
	done
	run_psql -c "SELECT skyvault_compact('kv')" -c "VACUUM ANALYZE plain" -c "CHECKPOINT" >/dev/null
}

# scripts: NAME TABLE DISTRIBUTION
write_script() {
	local key
	case $2 in
		uniform) key="random(0, $keys - 1)" ;;
		# pgbench has no theta below 1; 1.001 is as near as it gets.  Hot keys are spread over the table.
		zipf) key="((random_zipfian(1, $keys, 1.001) * 2654435761) % $keys)" ;;
	esac
	printf '\\set n %s\n\\set v random(1, 1000000000)\n' "$key"
	if [ "$1" = plain ]; then
		echo "INSERT INTO plain VALUES (lpad(:n::text, 8, '0'), rpad(:v::text, 100, 'value of a row ')) ON CONFLICT (key) DO UPDATE SET value = excluded.value;"
	else
		echo "SELECT skyvault_put('kv', lpad(:n::text, 8, '0'), rpad(:v::text, 100, 'value of a row '));"
	fi
}

read_script() {
	printf '\\set n random(0, %s - 1)\n' "$keys"
	if [ "$1" = plain ]; then
		echo "SELECT value FROM plain WHERE key = lpad(:n::text, 8, '0');"
	else
		echo "SELECT skyvault_get('kv', lpad(:n::text, 8, '0'));"
	fi
}

# Debt over time, a line each second while the file $scratch/sampling exists.
sample() {
	local begin=$SECONDS
	while [ -e "$scratch/sampling" ]; do
		run_psql -At -F, -c "SELECT $((SECONDS - begin)), pg_total_relation_size('skyvault.delta'),
			(SELECT n_live_tup FROM pg_stat_all_tables WHERE relid = 'skyvault.delta'::regclass),
			(SELECT n_dead_tup FROM pg_stat_all_tables WHERE relid = 'skyvault.delta'::regclass),
			count(*) FILTER (WHERE tier = 'w'), count(*) FILTER (WHERE tier = 'b'), count(*) FILTER (WHERE tier = 'l'),
			coalesce(sum(file_bytes), 0) FROM skyvault.run" >> "$1" || true
		sleep 1
	done
}

# The 99th percentile and the longest of latencies in us, the third column of pgbench's logs.
latencies() { cat "$1"* | sort -n -k 3,3 | awk '{ l[NR] = $3 } END { at = int(NR * 0.99) + 1; if (at > NR) at = NR; printf "%d %d", l[at], l[NR] }'; }

pgbench_run() {
	local script=$1 sessions=$2 length=$3 log=$4
	"$bindir/pgbench" -n -M prepared -c "$sessions" -j "$((sessions < 2 ? 1 : 2))" -T "$length" --random-seed=1 \
		-f "$script" -l --log-prefix="$log" > "$log.out" 2>&1 || { cat "$log.out" >&2; die "pgbench failed"; }
}

rate_of() { sed -n 's/^tps = \([0-9]*\).*/\1/p' "$1.out"; }

# measure TABLE DISTRIBUTION: a line of the result
measure() {
	local name=$1-$2 quiet during writes
	write_script "$1" "$2" > "$scratch/$name.sql"
	read_script "$1" > "$scratch/$name-read.sql"
	pgbench_run "$scratch/$name-read.sql" 1 "$quiet_seconds" "$scratch/$name-quiet"
	touch "$scratch/sampling"
	echo "s,delta_bytes,delta_rows,delta_dead_rows,wal_runs,buffer_runs,level_runs,run_bytes" > "$results/living-$name.csv"
	sample "$results/living-$name.csv" &
	local sampler=$!
	pgbench_run "$scratch/$name-read.sql" 1 "$seconds" "$scratch/$name-reads" &
	local reader=$!
	pgbench_run "$scratch/$name.sql" "$clients" "$seconds" "$scratch/$name-writes"
	wait "$reader"
	rm "$scratch/sampling"
	wait "$sampler" || true
	quiet=$(latencies "$scratch/$name-quiet.")
	during=$(latencies "$scratch/$name-reads.")
	writes=$(latencies "$scratch/$name-writes.")
	echo "$1,$2,$(rate_of "$scratch/$name-writes"),${quiet% *},${during% *},${during#* },${writes% *},${writes#* }"
}

# Bytes of a table's runs.
run_bytes() {
	run_psql -At -c "SELECT sum(file_bytes) FROM skyvault.run WHERE
		(SELECT id FROM skyvault.\"table\" WHERE relid = '$1'::regclass) = ANY (table_ids)"
}

# What is live, written by one flush, in the order of keys: what a full compaction could come to at best.
write_fresh() {
	run_psql -c "SELECT skyvault_create_table('fresh')" -c "SELECT skyvault_pause()" \
		-c "INSERT INTO fresh SELECT key, value FROM kv ORDER BY key COLLATE \"C\"" -c "SELECT skyvault_flush()" >/dev/null
}

load
mkdir -p "$results"
csv=$results/living.csv
echo "table,keys,puts_per_s,read_p99_quiet_us,read_p99_us,read_longest_us,put_p99_us,put_longest_us" > "$csv"
for distribution in uniform zipf; do
	for table in plain kv; do
		echo "overwriting $table, $distribution"
		measure "$table" "$distribution" | tee -a "$csv"
	done
done

echo "compacting fully"
run_psql -c "SELECT skyvault_compact('kv', true)" >/dev/null
compacted_bytes=$(run_bytes kv)
write_fresh
fresh_bytes=$(run_bytes fresh)
data_directory=$(run_psql -At -c "SHOW data_directory")
cpu=0
{
	echo "# A table that is overwritten all the time"
	echo
	print_facts
	echo "- $clients writing sessions and a reading one, $seconds s each; flush_size $(run_psql -At -c 'SHOW skyvault.flush_size')"
	echo
	awk -F, 'NR == 1 { gsub(/,/, " | "); print "| " $0 " |"; print "|---|---|---|---|---|---|---|---|"; next }
		{ rate[$1 $2] = $3; slower[$1 $2] = $5 / $4; printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", $1, $2, $3, $4, $5, $6, $7, $8 }
		END { printf "\nPuts per second against the plain table: uniform %.2f, zipf %.2f (aim 0.8).\n",
			rate["kvuniform"] / rate["plainuniform"], rate["kvzipf"] / rate["plainzipf"]
			printf "99th percentile of reads during it against the quiet one: uniform %.2f, zipf %.2f (aim at most 3); plain table %.2f, %.2f.\n",
			slower["kvuniform"], slower["kvzipf"], slower["plainuniform"], slower["plainzipf"] }' "$csv"
	run_psql -At -c "SELECT 'After a full compaction: ' || count(*) || ' runs of ' || pg_size_pretty(sum(file_bytes))
		|| ', raw ' || pg_size_pretty(sum(b)) FROM skyvault.run, unnest(raw_bytes) AS b WHERE tier = 'l'"
	awk -v compacted="$compacted_bytes" -v fresh="$fresh_bytes" 'BEGIN {
		printf "Space after it: %d bytes, %.3f of the same rows written by one flush, %d bytes (aim at most 1.05).\n",
			compacted, compacted / fresh, fresh }'
	run_psql -At -c "SELECT 'Compactions: ' || count(*) || ', ' || pg_size_pretty(sum(bytes_in)) || ' read in ' ||
		round(sum(extract(epoch FROM ended - started))) || ' s of workers' FROM skyvault.job WHERE kind = 'compact' AND state = 'done' AND bytes_in > 0"
} > "$results/living.md"
for name in kv-uniform kv-zipf; do
	gnuplot -e "csv='$results/living-$name.csv'; out='$results/living-$name.png'" "$bench/living/plot.gp"
done
cat "$results/living.md"
