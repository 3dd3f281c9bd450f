/*
 * choose_fixture.h
 *		Forests written as text, and jobs as text.
 */
#ifndef CHOOSE_FIXTURE_H
#define CHOOSE_FIXTURE_H

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lsm/lsm_choose.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Woverride-init"

#define MAX_PARTS 4
#define TEXT_BYTES 2000

/* All keys of all specs, for as long as the program runs. */
static char spec_keys[1 << 20];
static size_t spec_keys_used;

static inline SvSlice
text_slice(const char *text)
{
	return sv_slice(text, strlen(text));
}

/* The key at *text, up to one of - % / * ; blank or the end. */
static inline SvSlice
spec_key(const char **text)
{
	char	   *key = spec_keys + spec_keys_used;
	size_t		len = strcspn(*text, "-%/*; ");

	if (spec_keys_used + len > sizeof(spec_keys))
		abort();
	memcpy(key, *text, len);
	spec_keys_used += len;
	*text += len;
	return sv_slice(key, len);
}

/* Skips the character and reads the number behind it. */
static inline int
spec_number(const char **text)
{
	char	   *end;
	long		number = strtol(*text + 1, &end, 10);

	*text = end;
	return (int) number;
}

/* A part: TABLE:MIN-MAX, %ENTRIES if not 10, /TOMBSTONES and *EXPIRING@FIRST-LAST if there are any. */
static inline void
spec_part(const char **text, LsmPart *part)
{
	(*text)--;
	lsm_part_init(part, spec_number(text));
	part->entries = 10;
	part->raw_bytes = 200;
	(*text)++;
	part->min_key = spec_key(text);
	(*text)++;
	part->max_key = spec_key(text);
	if (**text == '%')
		part->entries = (uint64_t) spec_number(text);
	if (**text == '/')
		part->tombstones = (uint64_t) spec_number(text);
	if (**text == '*')
	{
		part->expiring = (uint64_t) spec_number(text);
		part->expires_min = spec_number(text);
		part->expires_max = spec_number(text);
	}
}

/* A run: ID TIER LEVEL SEQUENCE-SEQUENCE, #BYTES if not 100, and its parts. */
static inline void
spec_run(const char **text, LsmForest *forest)
{
	LsmPart		parts[MAX_PARTS];
	LsmRun		run = {.file_bytes = 100,.object = "object",.parts = parts};
	SvError		err;

	(*text)--;
	run.id = spec_number(text);
	run.tier = (LsmTier) *++*text;
	run.level = spec_number(text);
	run.seq_lo = spec_number(text);
	run.seq_hi = spec_number(text);
	while (**text == ' ')
	{
		(*text)++;
		if (**text == '#')
			run.file_bytes = (uint64_t) spec_number(text);
		else
			spec_part(text, &parts[run.nparts++]);
	}
	if (lsm_forest_add_run(forest, &run, &err) != SV_OK)
		abort();
}

/* Runs with "; " between them. */
static inline LsmForest *
spec_forest(const char *text, const LsmFloor *floors)
{
	LsmForest  *forest;
	SvError		err;

	if (lsm_forest_create(&forest, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	while (*text != '\0')
	{
		spec_run(&text, forest);
		if (*text == ';')
			text += 2;
	}
	for (const LsmFloor *f = floors; f != NULL && f->table_id != 0; f++)
	{
		if (lsm_forest_add_floor(forest, f, &err) != SV_OK)
			abort();
	}
	if (lsm_forest_finish(forest, &err) != SV_OK)
	{
		printf("# %s\n", err.message);
		abort();
	}
	return forest;
}

static inline void
append(char *text, const char *fmt,...)
{
	size_t		len = strlen(text);
	va_list		args;

	va_start(args, fmt);
	vsnprintf(text + len, TEXT_BYTES - len, fmt, args);
	va_end(args);
}

/*
 * A job as text: its kind, inputs as "id" or, if only some of its tables are
 * consumed, "id(table ...)", and each merge behind a bar: table, tier and
 * level, sequences, sources, "move", and after ! where older entries may be.
 */
static inline void
describe_job(const LsmJob *job, char *text)
{
	text[0] = '\0';
	append(text, "%c:", job->kind);
	for (int i = 0; i < job->ninputs; i++)
	{
		const LsmJobInput *input = &job->inputs[i];

		append(text, " %d", (int) input->run.id);
		for (int t = 0; t < input->ntables && input->ntables < input->run.nparts; t++)
			append(text, "%s%d%s", t == 0 ? "(" : " ", (int) input->table_ids[t],
				   t + 1 == input->ntables ? ")" : "");
	}
	for (int i = 0; i < job->nmerges; i++)
	{
		const LsmMergePlan *merge = &job->merges[i];

		append(text, " | %d %c%d %d-%d:", (int) merge->table_id, merge->tier, merge->level,
			   (int) merge->seq_lo, (int) merge->seq_hi);
		for (int s = 0; s < merge->nsources; s++)
			append(text, " %d", (int) job->inputs[merge->sources[s].input].run.id);
		if (merge->is_move)
			append(text, " move");
		for (int o = 0; o < merge->nolder; o++)
			append(text, " !%.*s-%.*s", (int) merge->older[o].low.len,
				   (const char *) merge->older[o].low.data, (int) merge->older[o].high.len,
				   (const char *) merge->older[o].high.data);
	}
}

#endif							/* CHOOSE_FIXTURE_H */
