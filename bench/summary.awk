# From one line per measurement (tab-separated: work, system, clients, unit,
# value) to one CSV line per work, system and number of clients, in the order of
# first appearance.
BEGIN {
	FS = "\t"
	print "work,system,clients,metric,unit,median,min,max,runs"
}

{
	id = $1 "," $2 "," $3 ",rate," $4
	if (!(id in runs))
		order[++ids] = id

	# Insertion keeps the values of an id sorted.
	i = runs[id]++
	while (i > 0 && value[id, i] > $5 + 0)
	{
		value[id, i + 1] = value[id, i]
		i--
	}
	value[id, i + 1] = $5 + 0
}

END {
	for (j = 1; j <= ids; j++)
	{
		id = order[j]
		n = runs[id]
		median = (value[id, int((n + 1) / 2)] + value[id, int((n + 2) / 2)]) / 2
		printf "%s,%.0f,%.0f,%.0f,%d\n", id, median, value[id, 1], value[id, n], n
	}
}
