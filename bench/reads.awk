# From reads.csv, or scan.csv, to a Markdown table, with the aims.
BEGIN {
	FS = ","
	aim["batch of 1000 binary; multi_get", 1] = ">= 8"
	aim["batch of 1000 binary on two CPUs; multi_get", 1] = ">= 8"
	aim["batch of 1000; multi_get", 1] = ">= 8"
	aim["PL/pgSQL loop", 1] = ">= 4"
	aim["get; hit", 1] = ">= 1.0"
	aim["get; hit", 8] = ">= 1.15"
	aim["bytes on disk", 0] = "< 0.4"
	aim["page of 100 from a random start", 1] = ">= 1.0"
	aim["page of 100 backward", 1] = ">= 1.0"
	aim["count(*)", 1] = ">= 1.0"
	aim["page of 100 from a random start; 1 % in the delta", 1] = ">= 1.0"
	aim["count(*); 1 % in the delta", 1] = ">= 1.0"
	print "| work | clients | unit | plain: median (min - max) | skyvault: median (min - max) | skyvault/plain | aim | reached |"
	print "|---|---:|---|---:|---:|---:|---:|---|"
}

FNR == 1 { next }

{ id = $1 "," $3 }
!(id in known) { known[id] = 1; order[++ids] = id }
{ median[id, $2] = $6; range[id, $2] = sprintf("%d (%d - %d)", $6, $7, $8); unit[id] = $5 }

function reached(ratio, wanted, part)
{
	if (wanted == "")
		return ""
	split(wanted, part, " ")
	return (part[1] == "<" ? ratio < part[2] : ratio >= part[2]) ? "yes" : "no"
}

END {
	for (j = 1; j <= ids; j++)
	{
		id = order[j]
		split(id, part, ",")
		ratio = median[id, "plain"] > 0 ? median[id, "skyvault"] / median[id, "plain"] : 0
		wanted = aim[part[1], part[2]]
		printf "| %s | %s | %s | %s | %s | %.2f | %s | %s |\n", part[1], part[2] ? part[2] : "-", unit[id],
			range[id, "plain"], range[id, "skyvault"], ratio, wanted, reached(ratio, wanted)
	}
}
