#!/bin/bash
# Measures the engine without a server, side by side with RocksDB and LMDB.
# `make bench-engine` calls it; ../README.md says what is measured, and how.
#
#   ENGINE_KEYS        keys in each data set (10000000)
#   ENGINE_ROUNDS      how often each measurement is repeated (5)
#   ENGINE_OPERATIONS  keys asked for in each measurement (500000)
#   ENGINE_INDEX       largest number of keys for the index alone (100000000);
#                      0: leave that part out
#   ENGINE_INSTALL     1: install by apt what is missing of RocksDB, LMDB, Abseil
#                      and gnuplot; otherwise what is missing is left out
#   BENCH_RESULTS      directory of the results (bench/results)
#   TMPDIR             where the data goes: about 4 GB for 10 million keys,
#                      and 7 GB for the index of 100 million
set -euo pipefail

tree=$(realpath "$(dirname "$0")/../..")
here=$tree/bench/engine
build=${BUILD_DIR:-$tree}
programs=$build/build/engine
results=$(realpath -m "${BENCH_RESULTS:-$tree/bench/results}")
keys=${ENGINE_KEYS:-10000000}
rounds=${ENGINE_ROUNDS:-5}
operations=${ENGINE_OPERATIONS:-500000}
index_keys=${ENGINE_INDEX:-100000000}

die() { echo "bench: $*" >&2; exit 1; }

for number in "$keys" "$rounds" "$operations" "$index_keys"; do
	[[ $number =~ ^[0-9]+$ ]] || die "not a number: \"$number\""
done

# ------------------------------------------------------------- preparations
has_header() { echo "#include <$1>" | c++ -std=c++17 -E -x c++ - >/dev/null 2>&1; }

install_missing() {
	local as_root=() missing=()
	[ "$(id -u)" -eq 0 ] || as_root=(sudo)
	command -v c++ >/dev/null || missing+=(g++)
	has_header rocksdb/db.h || missing+=(librocksdb-dev)
	has_header lmdb.h || missing+=(liblmdb-dev)
	has_header absl/container/btree_map.h || missing+=(libabsl-dev)
	command -v gnuplot >/dev/null || missing+=(gnuplot-nox)
	[ ${#missing[@]} -gt 0 ] || return 0
	"${as_root[@]}" apt-get update -q
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends "${missing[@]}"
}

# find_peer NAME HEADER PACKAGE: whoever is not there is left out.
find_peer() {
	if has_header "$2"; then
		peers+=("$1")
	else
		echo "bench: no <$2> here: left out; it comes with the package $3" >&2
	fi
}

# ------------------------------------------------------------------- facts
print_facts() {
	local commit="not a git tree" version packages
	if version=$(git -C "$tree" rev-parse --short=12 HEAD 2>/dev/null); then
		commit=$version
		[ -z "$(git -C "$tree" status --porcelain -- src bench/engine 2>/dev/null)" ] ||
			commit="$commit, with local changes"
	fi
	packages=$(dpkg-query -W -f '${Package} ${Version}, ' librocksdb-dev liblmdb-dev libabsl-dev 2>/dev/null || true)
	echo "- date: $(date -u '+%Y-%m-%d %H:%M') UTC; load average before the run: $(cut -d ' ' -f 1-3 /proc/loadavg)"
	echo "- CPU: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) usable;" \
		"memory: $(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo);" \
		"huge pages: $(cat /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null || echo none)"
	echo "- system: $(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' /etc/os-release), Linux $(uname -r) $(uname -m)"
	echo "- skyvault: commit $commit; $(cc --version | head -n 1), -O2"
	echo "- others: ${packages%, }"
	echo "- $keys keys, values of $(sed -n 's/^#define ENGINE_VALUE_BYTES //p' "$here/engine_data.h") bytes;" \
		"$rounds rounds of $operations keys for each measurement"
}

# --------------------------------------------------------- the index alone
# bench_index chooses sets and sizes; RocksDB follows.
measure_index() {
	local set n
	[ "$index_keys" -gt 0 ] && [ -x "$programs/bench_index" ] || return 0
	"$programs/bench_index" "$index_keys" > "$scratch/index.csv"
	[ -x "$programs/bench_rocksdb_index" ] || return 0
	awk -F , 'FNR > 1 && !seen[$1, $2]++ { print $1, $2 }' "$scratch/index.csv" > "$scratch/sizes"
	while read -r set n; do
		mkdir "$scratch/rocksdb"
		"$programs/bench_rocksdb_index" "$set" "$n" "$rounds" "$scratch/rocksdb" >> "$scratch/index.csv"
		rm -rf "$scratch/rocksdb"
	done < "$scratch/sizes"
}

# ----------------------------------------------------------------- results
write_report() {
	echo "Written by bench/engine/run.sh; [bench/README.md](../README.md) says what the lines mean."
	echo
	cat "$scratch/facts"
	echo
	awk -f "$here/engine.awk" "$scratch/engine.csv"
	echo
	echo "![latency against batch size](engine_batch.png)"
}

draw() {
	local name
	if ! command -v gnuplot >/dev/null; then
		echo "bench: no gnuplot here: no pictures" >&2
		return
	fi
	gnuplot -e "data='$scratch/engine.csv'; picture='$scratch/engine_batch.png'" "$here/engine_batch.gp"
	if [ -s "$scratch/index.csv" ]; then
		gnuplot -e "data='$scratch/index.csv'; picture='$scratch/index.png'" "$here/index.gp"
	fi
}

[ -z "${ENGINE_INSTALL:-}" ] || install_missing
command -v c++ >/dev/null || die "please install a C++ compiler: the peers need one"
peers=()
find_peer rocksdb rocksdb/db.h librocksdb-dev
find_peer lmdb lmdb.h liblmdb-dev
find_peer absl absl/container/btree_map.h libabsl-dev
make --no-print-directory -C "$build" -f "$tree/Makefile" engine-programs ENGINE_PEERS="${peers[*]}" >&2

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/data"
print_facts | tee "$scratch/facts"
"$programs/bench_engine" "$keys" "$rounds" "$operations" "$scratch/data" > "$scratch/engine.csv"
measure_index
write_report > "$scratch/engine.md"
draw

# Nothing is replaced before everything is there.
mkdir -p "$results"
for file in engine.csv engine.md engine_batch.png index.csv index.png; do
	[ ! -s "$scratch/$file" ] || cp "$scratch/$file" "$results/"
done
echo
sed -n '/^| data/,/^$/p' "$results/engine.md"
echo "written: $results/engine.csv, engine.md and what goes with them"
