# From engine.csv to Markdown: what was aimed at, then everything that was measured.
BEGIN { FS = "," }

FNR == 1 { next }

!($1 in known_set) { known_set[$1] = 1; sets[++set_count] = $1 }
$2 == "data" { raw[$1] = $8; keys = $4; next }
!($3 in known_contender) { known_contender[$3] = 1; contenders[++contender_count] = $3 }
$8 != "" { bytes[$1, $2, $3] = $8; next }

{
	work = $2 "," $4
	if (!(work in known_work)) { known_work[work] = 1; works[++work_count] = work }
	median[$1, work, $3] = $5
	spread[$1, work, $3] = sprintf("%.0f (%.0f - %.0f)", $5, $6, $7)
}

# The faster of both kinds of RocksDB.
function rocksdb(set, work,   small, large)
{
	small = median[set, work, "rocksdb-4k"]
	large = median[set, work, "rocksdb-16k"]
	return small > 0 && small < large ? small : large
}

function ratio(a, b) { return a > 0 && b > 0 ? sprintf("%.2f", a / b) : "-" }

# One line of the aims: a figure for each of the two ways to have memory.
function line(set, name, aim, figure)
{
	printf "| %s | %s | %s |", set, name, aim
	for (v = 1; v <= 2; v++)
		printf " %s |", value_of(set, figure, v == 1 ? "skyvault" : "skyvault-4kpages")
	print ""
}

function value_of(set, figure, ours)
{
	if (figure == "hit/rocksdb")
		return ratio(rocksdb(set, "get hit,1"), median[set, "get hit,1", ours])
	if (figure == "hit/lmdb")
		return ratio(median[set, "get hit,1", "lmdb"], median[set, "get hit,1", ours])
	if (figure == "miss/rocksdb")
		return ratio(rocksdb(set, "get miss,1"), median[set, "get miss,1", ours])
	if (figure ~ /^batch,/)
		return ratio(median[set, figure, "rocksdb-16k"], median[set, figure, ours])
	if (figure == "disk")
		return ratio(bytes[set, "disk", ours], bytes[set, "disk", "rocksdb-16k"])
	return raw[set] > 0 ? sprintf("%.2f %%", 100 * bytes[set, "index memory", ours] / raw[set]) : "-"
}

function print_aims(   i, set)
{
	print "| data | work | aim | skyvault | skyvault-4kpages |"
	print "|---|---|---|---:|---:|"
	for (i = 1; i <= set_count; i++)
	{
		set = sets[i]
		line(set, "get, hit: times as fast as RocksDB, the faster of both", "at least 3.5", "hit/rocksdb")
		line(set, "get, hit: times as fast as LMDB", "more than 1", "hit/lmdb")
		line(set, "get, miss: times as fast as RocksDB, the faster of both", "at least 1.5", "miss/rocksdb")
		line(set, "batch of 100: times as fast as MultiGet, 16 KiB blocks", "at least 5", "batch,100")
		line(set, "batch of 1,000: times as fast as MultiGet, 16 KiB blocks", "at least 5", "batch,1000")
		line(set, "bytes on disk, of those of RocksDB with zstd, 16 KiB blocks", "at most 1.0", "disk")
		line(set, "tails, of the raw data", "under 2 %", "tails")
	}
}

function print_times(set,   i, j, part)
{
	printf "| ns a key: median (min - max) |"
	for (j = 1; j <= contender_count; j++)
		printf " %s |", contenders[j]
	printf "\n|---|"
	for (j = 1; j <= contender_count; j++)
		printf "---:|"
	print ""
	for (i = 1; i <= work_count; i++)
	{
		split(works[i], part, ",")
		printf part[1] == "batch" ? "| %s of %d |" : "| %s, threads: %d |", part[1], part[2]
		for (j = 1; j <= contender_count; j++)
			printf " %s |", spread[set, works[i], contenders[j]]
		print ""
	}
	print_sizes(set, "disk", "MB on disk")
	print_sizes(set, "index memory", "MB of filters and indexes")
}

function print_sizes(set, what, label,   j, b)
{
	printf "| %s |", label
	for (j = 1; j <= contender_count; j++)
	{
		b = bytes[set, what, contenders[j]]
		printf " %s |", (b > 0 ? sprintf("%.1f", b / 1e6) : "-")
	}
	print ""
}

END {
	print_aims()
	for (i = 1; i <= set_count; i++)
	{
		printf "\n## %s: %d keys, %.0f MB of keys and values\n\n", sets[i], keys, raw[sets[i]] / 1e6
		print_times(sets[i])
	}
}
