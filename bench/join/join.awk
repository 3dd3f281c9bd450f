# From join.csv to a Markdown table with the aims.
BEGIN {
	FS = ","
	line("join; warm", "plain; nested loop", 5)
	line("join; warm", "plain; hash join", 0)
	line("join; warm", "skyvault; one lookup per row", 0)
	line("join; warm", "skyvault; hash join", 0)
	line("join; cold; 1 ms", "skyvault; one lookup per row", 50)
	line("join; cold; 20 ms", "skyvault; one lookup per row", 50)
	line("GETs a key; cold; 1 ms", "skyvault; one lookup per row", 0)
	line("GETs a key; cold; 20 ms", "skyvault; one lookup per row", 0)
	print "| work | beside | unit | skyvault: median (min - max) | beside: median (min - max) | skyvault/beside | aim | reached |"
	print "|---|---|---|---:|---:|---:|---|---|"
}

function line(work, beside, aim)
{
	n++
	works[n] = work; besides[n] = beside; aims[n] = aim
}

FNR == 1 { next }
{
	unit[$1] = $5
	median[$1, $2] = $6
	range[$1, $2] = sprintf("%d (%d - %d)", $6, $7, $8)
}

END {
	for (i = 1; i <= n; i++)
	{
		ours = median[works[i], "skyvault"]
		theirs = median[works[i], besides[i]]
		if (theirs == 0)
			continue
		printf "| %s | %s | %s | %s | %s | %.2f | %s | %s |\n", works[i], besides[i], unit[works[i]], \
			range[works[i], "skyvault"], range[works[i], besides[i]], ours / theirs, \
			aims[i] ? ">= " aims[i] : "", aims[i] ? (ours / theirs >= aims[i] ? "yes" : "no") : ""
	}
}
