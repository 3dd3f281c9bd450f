/*
 * lsm_forest.c
 *		Runs as the registry gives them, then one sorted array that holds
 *		every table's lookup order.
 *
 * Each run is one block of memory with its parts, keys and object name behind
 * it.  lsm_forest_finish makes an array of (run, part) for all parts that
 * speak, sorted by table and then by lookup order, and an index that says
 * where each table's stretch begins.
 *
 * Parts that a floor hides are not in the array and are not checked either: a
 * WAL run stays registered for its other tables, and what it once held of a
 * truncated table must not stop anyone.
 */
#include "lsm/lsm_forest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct TableSources
{
	int32_t		table_id;
	int			first;			/* in sources */
	int			count;
	int			first_group;	/* in groups */
	int			ngroups;
} TableSources;

struct LsmForest
{
	const SvAlloc *alloc;
	bool		finished;
	int64_t		newest_seq;
	int			nruns;
	int			runs_room;
	LsmRun	  **runs;			/* once finished: ascending by id */
	int			nfloors;
	int			floors_room;
	LsmFloor   *floors;			/* once finished: ascending by table_id, one each */
	int			nsources;
	LsmSourceRun *sources;
	LsmGroup   *groups;
	int			ntables;
	TableSources *tables;		/* ascending by table_id */
};

SvStatus
lsm_forest_create(LsmForest **forest, const SvAlloc *alloc, SvError *err)
{
	*forest = sv_allocate(alloc, sizeof(LsmForest));
	if (*forest == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a forest");
	memset(*forest, 0, sizeof(LsmForest));
	(*forest)->alloc = alloc;
	return SV_OK;
}

void
lsm_forest_free(LsmForest *forest)
{
	const SvAlloc *alloc;

	if (forest == NULL)
		return;
	alloc = forest->alloc;
	for (int i = 0; i < forest->nruns; i++)
		sv_release(alloc, forest->runs[i]);
	sv_release(alloc, forest->runs);
	sv_release(alloc, forest->floors);
	sv_release(alloc, forest->sources);
	sv_release(alloc, forest->groups);
	sv_release(alloc, forest->tables);
	sv_release(alloc, forest);
}

/* Makes *array, of *room elements, large enough for one more than count. */
static SvStatus
make_room(const SvAlloc *alloc, void **array, int count, int *room, size_t element_bytes,
		  SvError *err)
{
	int			new_room = *room == 0 ? 16 : *room * 2;
	void	   *grown;

	if (count < *room)
		return SV_OK;
	grown = alloc->resize(alloc->state, *array, (size_t) new_room * element_bytes);
	if (grown == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a forest of %d elements", new_room);
	*array = grown;
	*room = new_room;
	return SV_OK;
}

SvStatus
lsm_forest_add_run(LsmForest *forest, const LsmRun *run, SvError *err)
{
	SvStatus	status;
	void	   *runs = forest->runs;
	void	   *copy;

	if (forest->finished)
		return sv_fail(err, SV_INVALID, "a finished forest takes no more runs");
	status = lsm_run_check(run, err);
	if (status != SV_OK)
		return status;
	status = make_room(forest->alloc, &runs, forest->nruns, &forest->runs_room,
					   sizeof(LsmRun *), err);
	if (status != SV_OK)
		return status;
	forest->runs = runs;
	copy = sv_allocate(forest->alloc, lsm_run_bytes(run));
	if (copy == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a run of %d tables", run->nparts);

	forest->runs[forest->nruns++] = lsm_run_copy(run, copy);
	if (forest->nruns == 1 || run->seq_hi > forest->newest_seq)
		forest->newest_seq = run->seq_hi;
	return SV_OK;
}

SvStatus
lsm_forest_add_floor(LsmForest *forest, const LsmFloor *floor, SvError *err)
{
	SvStatus	status;
	void	   *floors = forest->floors;

	if (forest->finished)
		return sv_fail(err, SV_INVALID, "a finished forest takes no more floors");
	status = make_room(forest->alloc, &floors, forest->nfloors, &forest->floors_room,
					   sizeof(LsmFloor), err);
	if (status != SV_OK)
		return status;
	forest->floors = floors;
	forest->floors[forest->nfloors++] = *floor;
	return SV_OK;
}

static int
compare_runs(const void *a, const void *b)
{
	int64_t		ida = (*(LsmRun *const *) a)->id;
	int64_t		idb = (*(LsmRun *const *) b)->id;

	return (ida > idb) - (ida < idb);
}

static int
compare_floors(const void *a, const void *b)
{
	int32_t		ta = ((const LsmFloor *) a)->table_id;
	int32_t		tb = ((const LsmFloor *) b)->table_id;

	return (ta > tb) - (ta < tb);
}

/* By table, then in lookup order: see the header. */
static int
compare_sources(const void *a, const void *b)
{
	const LsmSourceRun *sa = a;
	const LsmSourceRun *sb = b;

	if (sa->part->table_id != sb->part->table_id)
		return sa->part->table_id < sb->part->table_id ? -1 : 1;
	if (sa->run->level != sb->run->level)
		return sa->run->level < sb->run->level ? -1 : 1;
	if (sa->run->level == 0)
	{
		if (sa->run->seq_hi != sb->run->seq_hi)
			return sa->run->seq_hi > sb->run->seq_hi ? -1 : 1;
		if (sa->run->seq_lo != sb->run->seq_lo)
			return sa->run->seq_lo > sb->run->seq_lo ? -1 : 1;
	}
	return sv_slice_compare(sa->part->min_key, sb->part->min_key);
}

static SvStatus
sort_runs(LsmForest *forest, SvError *err)
{
	if (forest->nruns > 0)
		qsort(forest->runs, (size_t) forest->nruns, sizeof(LsmRun *), compare_runs);
	for (int i = 1; i < forest->nruns; i++)
	{
		if (forest->runs[i - 1]->id == forest->runs[i]->id)
			return sv_fail(err, SV_CORRUPT, "run %lld is registered twice",
						   (long long) forest->runs[i]->id);
	}
	return SV_OK;
}

static SvStatus
sort_floors(LsmForest *forest, SvError *err)
{
	if (forest->nfloors > 0)
		qsort(forest->floors, (size_t) forest->nfloors, sizeof(LsmFloor), compare_floors);
	for (int i = 1; i < forest->nfloors; i++)
	{
		if (forest->floors[i - 1].table_id == forest->floors[i].table_id)
			return sv_fail(err, SV_CORRUPT, "table %d has two floors",
						   (int) forest->floors[i].table_id);
	}
	return SV_OK;
}

/* Collects the parts that speak into sources, and returns their number. */
static int
collect_sources(LsmForest *forest, LsmSourceRun *sources)
{
	int			count = 0;

	for (int i = 0; i < forest->nruns; i++)
	{
		const LsmRun *run = forest->runs[i];

		for (int p = 0; p < run->nparts; p++)
		{
			const LsmPart *part = &run->parts[p];
			const LsmFloor *floor = lsm_forest_floor(forest, part->table_id);

			if (floor != NULL && run->seq_hi <= floor->floor_seq)
				continue;
			sources[count].run = run;
			sources[count].part = part;
			count++;
		}
	}
	return count;
}

/*
 * Checks two neighbours of one table's lookup order.  Neighbours are enough:
 * if each begins where the one before has ended, any two are disjoint.
 */
static SvStatus
check_neighbours(const LsmSourceRun *a, const LsmSourceRun *b, SvError *err)
{
	bool		same_seqs;

	if (a->run->level != b->run->level)
		return SV_OK;
	same_seqs = a->run->seq_lo == b->run->seq_lo && a->run->seq_hi == b->run->seq_hi;
	if (a->run->level == 0 && !same_seqs)
	{
		if (b->run->seq_hi < a->run->seq_lo)
			return SV_OK;
		return sv_fail(err, SV_CORRUPT,
					   "runs %lld and %lld of table %d overlap: sequences %lld to %lld and %lld to %lld",
					   (long long) a->run->id, (long long) b->run->id, (int) a->part->table_id,
					   (long long) a->run->seq_lo, (long long) a->run->seq_hi,
					   (long long) b->run->seq_lo, (long long) b->run->seq_hi);
	}
	if (sv_slice_compare(a->part->max_key, b->part->min_key) < 0)
		return SV_OK;
	return sv_fail(err, SV_CORRUPT, "runs %lld and %lld of table %d overlap by key on level %d",
				   (long long) a->run->id, (long long) b->run->id, (int) a->part->table_id,
				   a->run->level);
}

/* Finds where each table's stretch of sources begins, checking on the way. */
static SvStatus
index_tables(LsmForest *forest, int nsources, SvError *err)
{
	for (int i = 0; i < nsources; i++)
	{
		const LsmSourceRun *source = &forest->sources[i];
		TableSources *table;

		if (i == 0 || source[-1].part->table_id != source->part->table_id)
		{
			table = &forest->tables[forest->ntables++];
			table->table_id = source->part->table_id;
			table->first = i;
			table->count = 1;
		}
		else
		{
			SvStatus	status = check_neighbours(&source[-1], source, err);

			if (status != SV_OK)
				return status;
			forest->tables[forest->ntables - 1].count++;
		}
	}
	return SV_OK;
}

static void
group_tables(LsmForest *forest)
{
	int			ngroups = 0;

	for (int i = 0; i < forest->ntables; i++)
	{
		TableSources *table = &forest->tables[i];

		table->first_group = ngroups;
		table->ngroups = lsm_group_sources(&forest->sources[table->first], table->count,
										   &forest->groups[ngroups]);
		ngroups += table->ngroups;
	}
}

SvStatus
lsm_forest_finish(LsmForest *forest, SvError *err)
{
	SvStatus	status;
	size_t		nparts = 0;
	int			nsources;

	if (forest->finished)
		return sv_fail(err, SV_INVALID, "a forest is finished only once");
	forest->finished = true;
	status = sort_runs(forest, err);
	if (status == SV_OK)
		status = sort_floors(forest, err);
	if (status != SV_OK)
		return status;

	for (int i = 0; i < forest->nruns; i++)
		nparts += (size_t) forest->runs[i]->nparts;
	if (nparts == 0)
		return SV_OK;
	if (nparts > INT32_MAX)
		return sv_fail(err, SV_UNSUPPORTED, "a forest cannot hold %zu parts of runs", nparts);
	forest->sources = sv_allocate(forest->alloc, nparts * sizeof(LsmSourceRun));
	forest->tables = sv_allocate(forest->alloc, nparts * sizeof(TableSources));
	forest->groups = sv_allocate(forest->alloc, nparts * sizeof(LsmGroup));
	if (forest->sources == NULL || forest->tables == NULL || forest->groups == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a forest of %zu parts", nparts);

	nsources = forest->nsources = collect_sources(forest, forest->sources);
	if (nsources > 0)
		qsort(forest->sources, (size_t) nsources, sizeof(LsmSourceRun), compare_sources);
	status = index_tables(forest, nsources, err);
	if (status == SV_OK)
		group_tables(forest);
	return status;
}

int
lsm_forest_run_count(const LsmForest *forest)
{
	return forest->nruns;
}

const LsmRun *
lsm_forest_run(const LsmForest *forest, int index)
{
	assert(index >= 0 && index < forest->nruns);
	return forest->runs[index];
}

const LsmRun *
lsm_forest_find_run(const LsmForest *forest, int64_t run_id)
{
	int			low = 0;
	int			high = forest->nruns;

	assert(forest->finished);
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (forest->runs[middle]->id == run_id)
			return forest->runs[middle];
		if (forest->runs[middle]->id < run_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int64_t
lsm_forest_newest_seq(const LsmForest *forest)
{
	return forest->newest_seq;
}

const LsmFloor *
lsm_forest_floor(const LsmForest *forest, int32_t table_id)
{
	LsmFloor	wanted = {.table_id = table_id};

	assert(forest->finished);
	if (forest->nfloors == 0)
		return NULL;
	return bsearch(&wanted, forest->floors, (size_t) forest->nfloors, sizeof(LsmFloor),
				   compare_floors);
}

static const TableSources *
find_table(const LsmForest *forest, int32_t table_id)
{
	int			low = 0;
	int			high = forest->ntables;

	assert(forest->finished);
	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		const TableSources *table = &forest->tables[middle];

		if (table->table_id == table_id)
			return table;
		if (table->table_id < table_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const LsmSourceRun *
lsm_forest_sources(const LsmForest *forest, int32_t table_id, int *count)
{
	const TableSources *table = find_table(forest, table_id);

	*count = table == NULL ? 0 : table->count;
	return table == NULL ? NULL : &forest->sources[table->first];
}

const LsmGroup *
lsm_forest_groups(const LsmForest *forest, int32_t table_id, int *count)
{
	const TableSources *table = find_table(forest, table_id);

	*count = table == NULL ? 0 : table->ngroups;
	return table == NULL ? NULL : &forest->groups[table->first_group];
}

int
lsm_forest_own_groups(const LsmForest *forest, int32_t table_id)
{
	int			ngroups;
	const LsmGroup *groups = lsm_forest_groups(forest, table_id, &ngroups);
	int			n = 0;

	while (n < ngroups && groups[n].sources[0].run->is_own)
		n++;
	return n;
}

static size_t
aligned(size_t bytes)
{
	return (bytes + 7) & ~(size_t) 7;
}

static int
group_count(const LsmForest *forest)
{
	const TableSources *last;

	if (forest->ntables == 0)
		return 0;
	last = &forest->tables[forest->ntables - 1];
	return last->first_group + last->ngroups;
}

size_t
lsm_forest_copy_bytes(const LsmForest *forest)
{
	size_t		bytes = aligned(sizeof(LsmForest)) +
		aligned((size_t) forest->nruns * sizeof(LsmRun *)) +
		aligned((size_t) forest->nfloors * sizeof(LsmFloor)) +
		aligned((size_t) forest->nsources * sizeof(LsmSourceRun)) +
		aligned((size_t) group_count(forest) * sizeof(LsmGroup)) +
		aligned((size_t) forest->ntables * sizeof(TableSources));

	for (int i = 0; i < forest->nruns; i++)
		bytes += aligned(lsm_run_bytes(forest->runs[i]));
	return bytes;
}

/* Takes the next bytes of a piece of memory, with a copy in them. */
static void *
copy_bytes(uint8_t **at, const void *from, size_t bytes)
{
	void	   *copy = *at;

	if (bytes > 0)
		memcpy(copy, from, bytes);
	*at += aligned(bytes);
	return copy;
}

/* Lets the copy's sources point to its own runs, and its groups to its own sources. */
static void
relocate(const LsmForest *forest, LsmForest *copy)
{
	for (int i = 0; i < copy->nsources; i++)
	{
		const LsmSourceRun *old = &forest->sources[i];

		copy->sources[i].run = lsm_forest_find_run(copy, old->run->id);
		copy->sources[i].part = copy->sources[i].run->parts + (old->part - old->run->parts);
	}
	for (int i = 0; i < group_count(copy); i++)
		copy->groups[i].sources = copy->sources + (forest->groups[i].sources - forest->sources);
}

LsmForest *
lsm_forest_copy(const LsmForest *forest, void *memory)
{
	uint8_t    *at = memory;
	LsmForest  *copy = copy_bytes(&at, forest, sizeof(LsmForest));

	assert(forest->finished);
	copy->alloc = NULL;
	copy->runs = copy_bytes(&at, forest->runs, (size_t) forest->nruns * sizeof(LsmRun *));
	copy->floors = copy_bytes(&at, forest->floors, (size_t) forest->nfloors * sizeof(LsmFloor));
	copy->sources = copy_bytes(&at, forest->sources, (size_t) forest->nsources * sizeof(LsmSourceRun));
	copy->groups = copy_bytes(&at, forest->groups, (size_t) group_count(forest) * sizeof(LsmGroup));
	copy->tables = copy_bytes(&at, forest->tables, (size_t) forest->ntables * sizeof(TableSources));
	for (int i = 0; i < forest->nruns; i++)
	{
		copy->runs[i] = lsm_run_copy(forest->runs[i], at);
		at += aligned(lsm_run_bytes(forest->runs[i]));
	}
	relocate(forest, copy);
	return copy;
}
