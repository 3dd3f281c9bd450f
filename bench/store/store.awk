# From store.csv to a Markdown table with the aims, or (picture=1) to lines for
# plot.gp: label, how good skyvault is as a multiple of the aim.
BEGIN {
	FS = ","
	line("cold get", "bare", "skyvault/bare", "<=", 1.3)
	line("GETs per 100 cold gets", "", "GETs a get", "<=", 1.0, 100)
	line("100 distant keys at once", "bare", "skyvault/bare", "<=", 2.5)
	line("100 distant keys at once", "bare; 16 in flight", "skyvault/bare", "<=", 2.5)
	line("100 distant keys at once; GETs", "", "GETs a key", "", 0, 100)
	line("100 neighbours at once", "", "us", "", 0)
	line("100 neighbours at once; GETs", "", "GETs a key", "<", 1, 100)
	line("disk cache hit", "", "us", "<", 150)
	line("memory hit", "", "us", "", 0)
	line("cold scan; 1 KiB values", "bare", "skyvault/bare", ">=", 0.8)
	line("cold scan; 100-byte values", "bare", "skyvault/bare", ">=", 0.8)
	line("cold scan; 1 KiB values; raw", "", "MB/s of keys and values", "", 0, 1000000)
	line("cold scan; 100-byte values; raw", "", "MB/s of keys and values", "", 0, 1000000)
	line("upload of 64 MiB", "bare", "bare/skyvault", ">=", 0.8)
	line("upload of 64 MiB", "bare; SHA-256 and MD5", "bare/skyvault", ">=", 0.8)
	if (!picture)
	{
		print "| work | beside | skyvault: median (min - max) | beside: median (min - max) | figure | of | aim | reached |"
		print "|---|---|---:|---:|---:|---|---|---|"
	}
}

function line(work, beside, of, sign, aim, divisor)
{
	n++
	works[n] = work; besides[n] = beside; ofs[n] = of; signs[n] = sign; aims[n] = aim
	divisors[n] = divisor ? divisor : 1
}

FNR == 1 { next }
{
	median[$1, $2] = $6
	range[$1, $2] = sprintf("%d (%d - %d) %s", $6, $7, $8, $5)
}

function figure_of(i, ours, theirs)
{
	ours = median[works[i], "skyvault"]
	if (besides[i] == "")
		return ours / divisors[i]
	theirs = median[works[i], besides[i]]
	if (theirs == 0 || ours == 0)
		return 0
	return ofs[i] == "bare/skyvault" ? theirs / ours : ours / theirs
}

function reached(i, figure)
{
	if (signs[i] == "")
		return ""
	return (signs[i] == "<=" ? figure <= aims[i] : signs[i] == "<" ? figure < aims[i] : figure >= aims[i]) ? "yes" : "no"
}

END {
	for (i = 1; i <= n; i++)
	{
		figure = figure_of(i)
		if (picture && signs[i] != "")
			printf "%s%s\t%.3f\n", works[i], besides[i] == "" ? "" : " / " besides[i],
				signs[i] == ">=" ? figure / aims[i] : (figure > 0 ? aims[i] / figure : 0)
		else if (!picture)
			printf "| %s | %s | %s | %s | %.2f | %s | %s | %s |\n", works[i], besides[i] == "" ? "-" : besides[i],
				range[works[i], "skyvault"], besides[i] == "" ? "-" : range[works[i], besides[i]], figure, ofs[i],
				signs[i] == "" ? "" : signs[i] " " aims[i], reached(i, figure)
	}
	if (!picture)
		print "\nSlateDB publishes 0.95 GETs a cold get, with part of its data in a cache; here nothing but tails is cached."
}
