/*
 * fdw_meter.c
 *		See fdw_meter.h.
 */
#include "postgres.h"

#include "fdw/fdw_meter.h"

#include "lib/stringinfo.h"

void
fdw_meter_merge(FdwMeter *sum, const FdwMeter *part)
{
	forest_meter_add(&sum->sum, &part->sum);
	sum->keys += part->keys;
	sum->keys_found += part->keys_found;
	sum->ranges += part->ranges;
	sum->rows += part->rows;
}

/* ---- text ---- */

/* A line of counts "name=count", of which those that are zero may be left out. */
static void
add_count(StringInfo line, const char *name, uint64 count)
{
	appendStringInfo(line, "%s%s=" UINT64_FORMAT, line->len > 0 ? " " : "", name, count);
}

static void
add_count_if_any(StringInfo line, const char *name, uint64 count)
{
	if (count > 0)
		add_count(line, name, count);
}

static void
end_line(StringInfo line, const char *label, ExplainState *es)
{
	if (line->len > 0)
		ExplainPropertyText(label, line->data, es);
	resetStringInfo(line);
}

static void
text_of_keys(const FdwMeter *meter, StringInfo line, ExplainState *es)
{
	if (meter->keys > 0)
	{
		add_count(line, "looked up", meter->keys);
		add_count(line, "found", meter->keys_found);
		end_line(line, "Keys", es);
	}
	if (meter->ranges > 0)
	{
		add_count(line, "read", meter->ranges);
		add_count(line, "rows", meter->rows);
		end_line(line, "Key Ranges", es);
	}
}

static void
text_of_runs(const FdwMeter *meter, StringInfo line, ExplainState *es)
{
	const uint64 *n = meter->sum.n;

	if (n[METER_RUNS_CONSIDERED] > 0)
	{
		add_count(line, "considered", n[METER_RUNS_CONSIDERED]);
		add_count_if_any(line, "out of range", n[METER_RUNS_OUT_OF_RANGE]);
		add_count_if_any(line, "filtered", n[METER_RUNS_FILTERED]);
		end_line(line, "Runs", es);
	}
	if (n[METER_MODEL_LOOKUPS] > 0)
	{
		add_count(line, "lookups", n[METER_MODEL_LOOKUPS]);
		add_count_if_any(line, "fallbacks", n[METER_MODEL_FALLBACKS]);
		end_line(line, "Models", es);
	}
}

static void
text_of_buffers(const FdwMeter *meter, StringInfo line, ExplainState *es)
{
	const uint64 *n = meter->sum.n;

	add_count_if_any(line, "cached", n[METER_BLOCKS_CACHED]);
	add_count_if_any(line, "disk", n[METER_BLOCKS_DISK]);
	add_count_if_any(line, "store", n[METER_BLOCKS_STORE]);
	add_count_if_any(line, "streamed", n[METER_BLOCKS_STREAMED]);
	add_count_if_any(line, "waited", n[METER_BLOCKS_WAITED]);
	end_line(line, "Blocks", es);
	add_count_if_any(line, "gets", n[METER_STORE_GETS]);
	add_count_if_any(line, "read", n[METER_STORE_BYTES_READ]);
	add_count_if_any(line, "puts", n[METER_STORE_PUTS]);
	add_count_if_any(line, "written", n[METER_STORE_BYTES_WRITTEN]);
	if (es->timing && n[METER_STORE_US] > 0 && line->len > 0)
		appendStringInfo(line, " time=%.3f", n[METER_STORE_US] / 1000.0);
	end_line(line, "Store", es);
}

static void
explain_text(const FdwMeter *meter, ExplainState *es)
{
	StringInfoData line;

	initStringInfo(&line);
	text_of_keys(meter, &line, es);
	if (es->buffers)
	{
		text_of_runs(meter, &line, es);
		text_of_buffers(meter, &line, es);
	}
	pfree(line.data);
}

/* ---- formats for machines ---- */

static void
explain_counts(const FdwMeter *meter, ExplainState *es)
{
	static const struct
	{
		const char *name;
		const char *unit;
		ForestMeterCounter counter;
	}			counts[] = {
		{"Runs Considered", NULL, METER_RUNS_CONSIDERED},
		{"Runs Pruned by Key Range", NULL, METER_RUNS_OUT_OF_RANGE},
		{"Runs Pruned by Filter", NULL, METER_RUNS_FILTERED},
		{"Model Lookups", NULL, METER_MODEL_LOOKUPS},
		{"Model Fallbacks", NULL, METER_MODEL_FALLBACKS},
		{"Tails Loaded", NULL, METER_TAILS_LOADED},
		{"Blocks from Cache", NULL, METER_BLOCKS_CACHED},
		{"Blocks Waited For", NULL, METER_BLOCKS_WAITED},
		{"Blocks from Disk", NULL, METER_BLOCKS_DISK},
		{"Blocks from Store", NULL, METER_BLOCKS_STORE},
		{"Blocks Streamed", NULL, METER_BLOCKS_STREAMED},
		{"Disk Bytes Read", "B", METER_DISK_BYTES},
		{"Store Gets", NULL, METER_STORE_GETS},
		{"Store Bytes Read", "B", METER_STORE_BYTES_READ},
		{"Store Puts", NULL, METER_STORE_PUTS},
		{"Store Bytes Written", "B", METER_STORE_BYTES_WRITTEN},
	};

	for (int i = 0; i < lengthof(counts); i++)
		ExplainPropertyUInteger(counts[i].name, counts[i].unit, meter->sum.n[counts[i].counter], es);
	if (es->timing)
		ExplainPropertyFloat("Store Time", "ms", meter->sum.n[METER_STORE_US] / 1000.0, 3, es);
}

void
fdw_meter_explain(const FdwMeter *meter, ExplainState *es)
{
	if (!es->analyze)
		return;
	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		explain_text(meter, es);
		return;
	}
	ExplainPropertyUInteger("Keys Looked Up", NULL, meter->keys, es);
	ExplainPropertyUInteger("Keys Found", NULL, meter->keys_found, es);
	ExplainPropertyUInteger("Key Ranges", NULL, meter->ranges, es);
	ExplainPropertyUInteger("Rows in Key Ranges", NULL, meter->rows, es);
	explain_counts(meter, es);
}

void
fdw_meter_explain_reads(const FdwMeter *meter, ExplainState *es)
{
	if (!es->analyze)
		return;
	if (es->format == EXPLAIN_FORMAT_TEXT)
		explain_text(meter, es);
	else
		explain_counts(meter, es);
}
