/*
 * forest_batch_table.c
 *		See forest_batch_table.h.
 */
#include "postgres.h"

#include "forest/forest_batch_table.h"

#include "forest/forest_meter.h"
#include "forest/forest_run.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_status.h"

void *
batch_take_room(SvScratch *scratch, Size n, Size bytes)
{
	void	   *room = n > SIZE_MAX / 4 / bytes ? NULL : sv_scratch_take(scratch, n * bytes);

	if (room == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed on request of size %zu for a batch of keys.", n * bytes)));
	return room;
}

void
batch_table_init(BatchTable *table, ForestView *view, int32 table_id, int n, SvScratch *scratch,
				 SvBuffer *values)
{
	*table = (BatchTable) {
		.view = view,
		.table_id = table_id,
		.scratch = scratch,
		.values = values,
		.keys = batch_take_room(scratch, n, sizeof(SvSlice)),
		.answers = batch_take_room(scratch, n, sizeof(RunAnswer)),
		.next_group = batch_take_room(scratch, n, sizeof(int)),
		.missing = batch_take_room(scratch, n, sizeof(int)),
		.active = batch_take_room(scratch, n, sizeof(int)),
		.asked_of = batch_take_room(scratch, n, sizeof(LsmRun *)),
		.asked = batch_take_room(scratch, n, sizeof(SvSlice)),
		.asked_at = batch_take_room(scratch, n, sizeof(int)),
		.heard = batch_take_room(scratch, n, sizeof(RunAnswer))
	};
	table->groups = lsm_forest_groups(view->forest, table_id, &table->ngroups);
}

/* ---- delta ---- */

/* What comes before others' runs is appended to the values like what those have. */
void
batch_table_ask_delta(BatchTable *table)
{
	bool	   *excluded = batch_take_room(table->scratch, table->n, sizeof(bool));
	int			own_groups = lsm_forest_own_groups(table->view->forest, table->table_id);
	ForestEntry entry;
	SvError		err;

	/* What the filter excludes may still be in runs of this transaction. */
	if (own_groups == 0)
		delta_probe_exclude(&table->view->probe, table->table_id, table->keys, table->n, excluded);
	else
		memset(excluded, false, table->n);
	for (int i = 0; i < table->n; i++)
	{
		RunAnswer  *answer = &table->answers[i];

		answer->kind = RUN_ABSENT;
		table->next_group[i] = own_groups;
		if (excluded[i] || !forest_lookup_before_runs(table->view, table->table_id, table->keys[i], &entry))
			continue;
		CHECK_FOR_INTERRUPTS();
		answer->kind = entry.is_tombstone ? SST_TOMBSTONE : SST_VALUE;
		answer->expires_at = entry.expires_at;
		answer->value_at = table->values->len;
		answer->value_len = entry.value.len;
		PG_STATUS_CHECK(sv_buffer_append(table->values, entry.value.data, entry.value.len, &err), &err);
	}
}

/* ---- runs ---- */

static void
make_walkeys(BatchTable *table)
{
	size_t		bytes = 0;
	uint8	   *at;

	for (int i = 0; i < table->n; i++)
		bytes += LSM_WALKEY_PREFIX_BYTES + table->keys[i].len;
	at = batch_take_room(table->scratch, 1, bytes);
	table->walkeys = batch_take_room(table->scratch, table->n, sizeof(SvSlice));
	for (int i = 0; i < table->n; i++)
	{
		table->walkeys[i] = sv_slice(at, LSM_WALKEY_PREFIX_BYTES + table->keys[i].len);
		lsm_walkey_prefix(at, table->table_id);
		memcpy(at + LSM_WALKEY_PREFIX_BYTES, table->keys[i].data, table->keys[i].len);
		at += table->walkeys[i].len;
	}
}

static SvSlice
key_in_run(BatchTable *table, const LsmRun *run, int key)
{
	if (run->tier != LSM_WAL)
		return table->keys[key];
	if (table->walkeys == NULL)
		make_walkeys(table);
	return table->walkeys[key];
}

/* Of the active keys from `first` on, the index of the first that is above `key`; or not below it, if `at` is set. */
static int
first_active(const BatchTable *table, int first, SvSlice key, bool at)
{
	int			low = first;
	int			high = table->nactive;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			c = sv_slice_compare(table->keys[table->active[middle]], key);

		if (c < 0 || (c == 0 && !at))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Which of the active keys are within the range of which of the group's runs:
 * their number, with what to ask in asked_of, asked and asked_at.
 */
static int
match_group(BatchTable *table, const LsmGroup *group)
{
	int			n = 0;
	int			i = 0;

	while (i < table->nactive)
	{
		int			s = lsm_group_seek(group, table->keys[table->active[i]]);
		const LsmSourceRun *source = &group->sources[s];
		int			end;

		if (s == group->count)
			break;
		end = first_active(table, i, source->part->max_key, false);
		for (i = first_active(table, i, source->part->min_key, true); i < end; i++)
		{
			table->asked_of[n] = source->run;
			table->asked[n] = key_in_run(table, source->run, table->active[i]);
			table->asked_at[n++] = table->active[i];
		}
		i = end;
	}
	return n;
}

/* What match_group has found; those whose answers are not cached wait. */
static void
ask_runs(BatchTable *table, int g, int n)
{
	forest_run_get_cached(table->asked_of, table->asked, n, table->scratch, table->values, table->heard);
	for (int i = 0; i < n; i++)
	{
		int			key = table->asked_at[i];

		table->answers[key] = table->heard[i];
		if (table->heard[i].kind == RUN_UNCACHED)
		{
			table->next_group[key] = g;
			table->nwaiting++;
		}
	}
}

static void
ask_group(BatchTable *table, int g)
{
	int			n = match_group(table, &table->groups[g]);
	int			waited = table->nwaiting;

	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < table->nactive; i++)
		table->next_group[table->active[i]] = g + 1;
	if (n > 0)
		ask_runs(table, g, n);
	/* Those that wait are asked again. */
	waited = table->nwaiting - waited;
	forest_meter_runs((uint64) (table->nactive - waited) * table->groups[g].count, n - waited);
}

/* Which of the missing keys come to the group now; what was found, or waits, is missing no longer. */
static void
choose_active(BatchTable *table, int g)
{
	int			kept = 0;

	table->nactive = 0;
	for (int i = 0; i < table->nmissing; i++)
	{
		int			key = table->missing[i];

		if (table->answers[key].kind != RUN_ABSENT)
			continue;
		if (table->next_group[key] == g)
			table->active[table->nactive++] = key;
		table->missing[kept++] = key;
	}
	table->nmissing = kept;
}

void
batch_table_ask_runs(BatchTable *table)
{
	table->nmissing = 0;
	for (int i = 0; i < table->n; i++)
		if (table->answers[i].kind == RUN_ABSENT && table->next_group[i] < table->ngroups)
			table->missing[table->nmissing++] = i;
	for (int g = 0; g < table->ngroups && table->nmissing > 0; g++)
	{
		choose_active(table, g);
		if (table->nactive > 0)
			ask_group(table, g);
	}
}

/* ---- what is not cached ---- */

/* What some keys wait for, of all tables: runs[i] for key keys[i], which is tables[of_table[i]]'s at[i]. */
typedef struct Waiting
{
	int			n;
	const LsmRun **runs;
	Oid		   *servers;
	SvSlice    *keys;
	int		   *of_table;
	int		   *at;
	RunAnswer  *answers;
} Waiting;

static int
count_waiting(const BatchTable *tables, int n)
{
	int			count = 0;

	for (int i = 0; i < n; i++)
		count += tables[i].nwaiting;
	return count;
}

/* By table, group and key, so that the keys of a run are neighbours. */
static void
gather_waiting(BatchTable *tables, int n, Waiting *waiting)
{
	for (int t = 0; t < n; t++)
	{
		BatchTable *table = &tables[t];

		for (int g = 0; g < table->ngroups && table->nwaiting > 0; g++)
			for (int i = 0; i < table->n; i++)
			{
				const LsmSourceRun *source;

				if (table->answers[i].kind != RUN_UNCACHED || table->next_group[i] != g)
					continue;
				source = lsm_group_find(&table->groups[g], table->keys[i]);
				waiting->runs[waiting->n] = source->run;
				waiting->servers[waiting->n] = table->view->server_oid;
				waiting->keys[waiting->n] = key_in_run(table, source->run, i);
				waiting->of_table[waiting->n] = t;
				waiting->at[waiting->n] = i;
				waiting->answers[waiting->n++].kind = RUN_UNCACHED;
			}
	}
}

/* Every key that waits is answered; those that are not in their run go on behind its group. */
static void
fetch_waiting(BatchTable *tables, int n)
{
	SvScratch  *scratch = tables[0].scratch;
	int			count = count_waiting(tables, n);
	Waiting		waiting = {
		.runs = batch_take_room(scratch, count, sizeof(LsmRun *)),
		.servers = batch_take_room(scratch, count, sizeof(Oid)),
		.keys = batch_take_room(scratch, count, sizeof(SvSlice)),
		.of_table = batch_take_room(scratch, count, sizeof(int)),
		.at = batch_take_room(scratch, count, sizeof(int)),
		.answers = batch_take_room(scratch, count, sizeof(RunAnswer))
	};

	gather_waiting(tables, n, &waiting);
	Assert(waiting.n == count);
	forest_run_fetch_of(waiting.servers, waiting.runs, waiting.keys, waiting.n, scratch, tables[0].values,
						waiting.answers);
	for (int i = 0; i < waiting.n; i++)
	{
		BatchTable *table = &tables[waiting.of_table[i]];

		forest_meter_runs(table->groups[table->next_group[waiting.at[i]]].count, 1);
		table->answers[waiting.at[i]] = waiting.answers[i];
		table->next_group[waiting.at[i]]++;
	}
	for (int t = 0; t < n; t++)
		tables[t].nwaiting = 0;
}

/* Adds the runs, of all groups that it may come to, that may have a key which waits. */
static void
add_runs_ahead(const BatchTable *table, int g, SvBuffer *runs, SvBuffer *servers)
{
	const LsmRun *last = NULL;
	SvError		err;

	for (int i = 0; i < table->n; i++)
	{
		const LsmSourceRun *source;

		if (table->answers[i].kind != RUN_UNCACHED || table->next_group[i] > g)
			continue;
		source = lsm_group_find(&table->groups[g], table->keys[i]);
		if (source == NULL || source->run == last)
			continue;
		last = source->run;
		PG_STATUS_CHECK(sv_buffer_append(runs, &last, sizeof(last), &err), &err);
		PG_STATUS_CHECK(sv_buffer_append(servers, &table->view->server_oid, sizeof(Oid), &err), &err);
	}
}

/* Lets go on what waits. */
static void
resume(BatchTable *table)
{
	for (int i = 0; i < table->n && table->nwaiting > 0; i++)
		if (table->answers[i].kind == RUN_UNCACHED)
			table->answers[i].kind = RUN_ABSENT;
	table->nwaiting = 0;
	batch_table_ask_runs(table);
}

/*
 * Tails first, also those of the groups behind: with all filters at hand, a key
 * waits for a block of a run that, but for one time in a hundred, has it.
 */
static void
fetch_tails(BatchTable *tables, int n)
{
	SvAlloc		alloc = pg_status_alloc(CurrentMemoryContext);
	SvBuffer	runs;
	SvBuffer	servers;
	uint32		fetched = 0;

	sv_buffer_init(&runs, &alloc);
	sv_buffer_init(&servers, &alloc);
	for (int t = 0; t < n; t++)
		for (int g = 0; g < tables[t].ngroups && tables[t].nwaiting > 0; g++)
			add_runs_ahead(&tables[t], g, &runs, &servers);
	if (runs.len > 0)
		fetched = forest_run_fetch_tails_of((const Oid *) servers.data, (const LsmRun *const *) runs.data,
											runs.len / sizeof(LsmRun *), tables[0].scratch);
	sv_buffer_free(&runs);
	sv_buffer_free(&servers);
	for (int t = 0; t < n && fetched > 0; t++)
		resume(&tables[t]);
}

void
batch_tables_fetch(BatchTable *tables, int n)
{
	if (count_waiting(tables, n) > 0)
		fetch_tails(tables, n);
	while (count_waiting(tables, n) > 0)
	{
		fetch_waiting(tables, n);
		for (int t = 0; t < n; t++)
			batch_table_ask_runs(&tables[t]);
	}
}
