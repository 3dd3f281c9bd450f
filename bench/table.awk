# From sql.csv to a Markdown table, or, with -v as=plot, to what plot.gp reads:
# label, ratio of the medians, tab-separated.
BEGIN {
	FS = ","
	if (as != "plot")
	{
		print "| work | clients | unit | plain: median (min - max) | skyvault: median (min - max) | skyvault/plain |"
		print "|---|---:|---|---:|---:|---:|"
	}
}

FNR == 1 { next }

{ id = $1 "," $3 }
!(id in known) { known[id] = 1; order[++ids] = id }
{ median[id, $2] = $6; range[id, $2] = sprintf("%d (%d - %d)", $6, $7, $8); unit[id] = $5 }

END {
	for (j = 1; j <= ids; j++)
	{
		id = order[j]
		split(id, part, ",")
		ratio = median[id, "plain"] > 0 ? sprintf("%.2f", median[id, "skyvault"] / median[id, "plain"]) : "-"
		if (as == "plot")
			printf "%s, %d client%s\t%s\n", part[1], part[2], part[2] == 1 ? "" : "s", ratio
		else
			printf "| %s | %d | %s | %s | %s | %s |\n", part[1], part[2], unit[id],
				range[id, "plain"], range[id, "skyvault"], ratio
	}
}
