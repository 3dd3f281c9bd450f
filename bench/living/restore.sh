#!/bin/bash
# Measures how long it takes from an empty database to the first lookup in a
# vault that is restored from its store alone, in a private server.
#
#   BENCH_KEYS       keys in the vault (10000000)
#   BENCH_SETTINGS   more settings of the server
#   BENCH_INSTALLED, BENCH_KEEP, PG_CONFIG: as in ../README.md
#
# The store is a directory; the restored database has nothing cached.
set -euo pipefail

keys=${BENCH_KEYS:-10000000}
runs=1
seconds=1
clients=1
portion=500000

read -r -a more_settings <<< "${BENCH_SETTINGS:-}"
settings=(shared_buffers=512MB skyvault.cache_size=512MB max_wal_size=8GB "${more_settings[@]}")
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "$0")/../common.sh"

install_plain=${BENCH_INSTALLED:+no}
[ -n "$install_plain" ] || install_plain_build
bindir=$("$PG_CONFIG" --bindir)
scratch=$(mktemp -d)
trap clean_up EXIT
start_server

echo "loading $keys keys"
foreign_server="CREATE SERVER vault FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:bench_restore')"
run_psql -c "CREATE EXTENSION skyvault" -c "$foreign_server" -c "SELECT skyvault_create_table('kv', server => 'vault')" >/dev/null
for ((first = 0; first < keys; first += portion)); do
	run_psql -c "INSERT INTO kv SELECT lpad(n::text, 8, '0'), md5(n::text) || md5((n + 1)::text)
		FROM generate_series($first, least($first + $portion, $keys) - 1) AS n" >/dev/null
done
run_psql -c "SELECT skyvault_flush('vault')" -c "SELECT skyvault_export('vault')" >/dev/null
runs_there=$(run_psql -tA -c "SELECT count(*) FROM skyvault.run")
run_psql -c "CREATE DATABASE restored" >/dev/null
PGDATABASE=restored run_psql -c "CREATE EXTENSION skyvault" -c "$foreign_server" >/dev/null

started=$(date +%s.%N)
value=$(PGDATABASE=restored run_psql -tA -c "SELECT count(skyvault_restore('vault'))" \
	-c "SELECT length(skyvault_get('kv', lpad('$((keys / 2))', 8, '0')))" | tail -n 1)
ended=$(date +%s.%N)
[ "$value" = 64 ] || { echo "the restored vault answers wrongly: $value" >&2; exit 1; }
awk -v k="$keys" -v r="$runs_there" -v s="$started" -v e="$ended" \
	'BEGIN { printf "%d keys in %d runs: %.2f s from an empty database to the first lookup\n", k, r, e - s }'
