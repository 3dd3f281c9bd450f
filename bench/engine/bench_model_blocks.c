/*
 * bench_model_blocks.c
 *		From a key to its block: models that define where blocks begin, against
 *		full blocks with a learned index over their low keys.
 *
 *	bench_model_blocks KEYS > CSV
 *
 * Model-defined blocks: a root model sends a key to a leaf, the leaf divides
 * its share of the codes into equal cells, and a cell is a block.  So the
 * prediction is the block, at the price that a leaf needs as many cells as its
 * fullest one demands.  A leaf is 8 bytes: first block and number of cells.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/sv_coding.h"
#include "engine_data.h"
#include "sst/sst_keycode_build.h"
#include "sst/sst_rmi.h"
#include "sst/sst_rmi_fit.h"

#define ROUNDS			5
#define LOOKUPS			(1024 * 1024)
#define FRAME_BYTES		16384
#define ENTRY_BYTES		110
#define BLOCK_KEYS		(FRAME_BYTES / ENTRY_BYTES)
#define CELL_BYTES		8
#define MAX_CELLS		65536		/* of a leaf: more mean that cells do not help */

static volatile uint32_t always_zero = 0;

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

/* A way to find blocks: what lookups need, and what it costs. */
typedef struct Layout
{
	const char *name;
	uint32_t	(*locate) (const struct Layout *layout, SvSlice key);
	SvSlice    *low_keys;		/* of full blocks */
	uint32_t	blocks;			/* that hold keys */
	SvBuffer	index;
	SstRmi		rmi;			/* of full blocks */
	SvBuffer	code;
	SstRmiNode	root;			/* of model-defined ones */
	uint8_t		table[SST_RMI_MAX_TABLE_BYTES];
	size_t		index_bytes;	/* beside what any block index has */
} Layout;

/* -------------------------------------------------------------- full blocks */

static SvSlice
low_key(const void *state, uint32_t i)
{
	return ((const Layout *) state)->low_keys[i];
}

static uint32_t
rank_between(const Layout *layout, SvSlice key, uint32_t low, uint32_t high)
{
	while (low < high)
	{
		uint32_t	middle = low + (high - low) / 2;

		if (sv_slice_compare(layout->low_keys[middle], key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t
locate_learned(const Layout *layout, SvSlice key)
{
	SstRmiRange range = sst_rmi_locate(&layout->rmi, key);

	return rank_between(layout, key, range.low, range.high) - 1;
}

static uint32_t
locate_searched(const Layout *layout, SvSlice key)
{
	return rank_between(layout, key, 0, layout->blocks) - 1;
}

/* As sst_index.c shortens them: up to the first byte that tells from the key before. */
static void
cut_full_blocks(Layout *layout, const EngineData *data)
{
	layout->blocks = (data->count + BLOCK_KEYS - 1) / BLOCK_KEYS;
	layout->low_keys = engine_allocate(layout->blocks * sizeof(SvSlice));
	for (uint32_t i = 0; i < layout->blocks; i++)
	{
		SvSlice		key = engine_key(data, i * BLOCK_KEYS);
		size_t		n = 0;

		if (i > 0)
		{
			SvSlice		before = engine_key(data, i * BLOCK_KEYS - 1);

			while (before.data[n] == key.data[n])
				n++;
			key.len = n + 1;
		}
		layout->low_keys[i] = key;
	}
}

static void
make_learned(Layout *layout, const EngineData *data)
{
	SstRmiOptions options = {0, true};
	SstRmiKeys	keys = {low_key, layout, 0};
	SvError		err;
	const char *wrong;

	layout->name = "full blocks, learned index";
	layout->locate = locate_learned;
	cut_full_blocks(layout, data);
	keys.count = layout->blocks;
	if (sst_rmi_build(&keys, &options, &layout->index, &err) != SV_OK)
		engine_die("%s", err.message);
	wrong = sst_rmi_parse(&layout->rmi, sv_buffer_slice(&layout->index), layout->blocks);
	if (wrong != NULL)
		engine_die("%s", wrong);
	layout->index_bytes = layout->index.len;
}

static void
make_searched(Layout *layout, const EngineData *data)
{
	layout->name = "full blocks, binary search";
	layout->locate = locate_searched;
	cut_full_blocks(layout, data);
}

/* ----------------------------------------------------- model-defined blocks */

static SvSlice
data_key(const void *state, uint32_t i)
{
	return engine_key(state, i);
}

static uint32_t
cell_of(uint32_t fraction, uint32_t cells)
{
	return (uint32_t) ((uint64_t) fraction * cells >> 32);
}

static uint32_t
locate_cell(const Layout *layout, SvSlice key)
{
	uint64_t	code;
	SstRmiPlace place;
	const uint8_t *leaf;

	if (sst_keycode_of(&layout->root.code, key, &code) != 0)
		return 0;
	place = sst_rmi_place(&layout->root, code);
	leaf = layout->index.data + (size_t) place.leaf * CELL_BYTES;
	return sv_get_u32(leaf) + cell_of(place.fraction, sv_get_u32(leaf + 4));
}

/* The most keys in one of so many cells; *used counts those with keys. */
static uint32_t
fullest_cell(const uint32_t *fractions, uint32_t n, uint32_t cells, uint32_t *used)
{
	uint32_t	fullest = 0;
	uint32_t	run = 0;

	*used = 0;
	for (uint32_t i = 0; i < n; i++)
	{
		if (i == 0 || cell_of(fractions[i], cells) != cell_of(fractions[i - 1], cells))
		{
			run = 0;
			(*used)++;
		}
		if (++run > fullest)
			fullest = run;
	}
	return fullest;
}

/* The fewest cells of which none overflows, found by trying; 0 if there are none. */
static uint32_t
count_cells(const uint32_t *fractions, uint32_t n, uint32_t *used)
{
	uint32_t	cells = n / BLOCK_KEYS + 1;

	while (cells <= MAX_CELLS && fullest_cell(fractions, n, cells, used) > BLOCK_KEYS)
		cells += cells / 64 + 1;
	return cells <= MAX_CELLS ? cells : 0;
}

/* Divides each leaf of the root into cells.  False if some leaf cannot be divided. */
static bool
divide_leaves(Layout *layout, const uint64_t *codes, uint32_t count, uint32_t *fractions)
{
	uint32_t	next = 0;
	uint32_t	i = 0;
	SvError		err;

	layout->blocks = 0;
	sv_buffer_reset(&layout->index);
	for (uint32_t leaf = 0; leaf < layout->root.leaf_count; leaf++)
	{
		uint32_t	n = 0;
		uint32_t	used = 0;
		uint32_t	cells = 1;
		uint8_t		bytes[CELL_BYTES];

		for (; i < count; i++)
		{
			SstRmiPlace place = sst_rmi_place(&layout->root, codes[i]);

			if (place.leaf != leaf)
				break;
			fractions[n++] = place.fraction;
		}
		if (n > 0)
			cells = count_cells(fractions, n, &used);
		if (cells == 0)
			return false;
		sv_put_u32(bytes, next);
		sv_put_u32(bytes + 4, cells);
		if (sv_buffer_append(&layout->index, bytes, sizeof(bytes), &err) != SV_OK)
			engine_die("%s", err.message);
		next += cells;
		layout->blocks += used;
	}
	return true;
}

static void
make_codes(Layout *layout, const EngineData *data, SstKeyCodeKind kind, uint64_t *codes)
{
	SstRmiKeys	keys = {data_key, data, data->count};
	SstKeySet	set = {&keys, 0, data->count, 0};
	SvError		err;

	sv_buffer_reset(&layout->code);
	if (sst_keycode_build(&set, kind, SIZE_MAX, &layout->code, &err) != SV_OK)
		engine_die("%s", err.message);
	if (layout->code.len == 0)
		return;
	sst_keycode_read(&layout->root.code, layout->code.data);
	for (uint32_t i = 0; i < data->count; i++)
		sst_keycode_of(&layout->root.code, engine_key(data, i), &codes[i]);
}

/*
 * So many blocks to a leaf, on average; of the ways to code keys and to place
 * them, the one that fills blocks best.
 */
static bool
make_cells(Layout *layout, const EngineData *data, uint32_t blocks_per_leaf, const char *name)
{
	uint64_t   *codes = engine_allocate((size_t) data->count * sizeof(uint64_t));
	uint32_t   *fractions = engine_allocate((size_t) data->count * sizeof(uint32_t));
	uint32_t	leaves = data->count / BLOCK_KEYS / blocks_per_leaf + 1;
	uint32_t	least = UINT32_MAX;
	int			best = -1;

	layout->name = name;
	layout->locate = locate_cell;
	for (int pass = 0; pass < 2; pass++)
	{
		/* the second time only what won */
		for (int way = 0; way < SST_KEYCODE_KINDS * SST_RMI_ROOT_FITS; way++)
		{
			if (way % SST_RMI_ROOT_FITS == 0)
				make_codes(layout, data, (SstKeyCodeKind) (way / SST_RMI_ROOT_FITS), codes);
			if (layout->code.len == 0 || (pass == 1 && way != best) ||
				!sst_rmi_fit_root(&layout->root, codes, data->count,
								  (SstRmiRootFit) (way % SST_RMI_ROOT_FITS), leaves, layout->table) ||
				!divide_leaves(layout, codes, data->count, fractions))
				continue;
			if (layout->blocks < least)
			{
				least = layout->blocks;
				best = way;
			}
			if (pass == 1)
				break;
		}
	}
	layout->index_bytes = layout->index.len + layout->code.len +
		sst_rmi_table_bytes(layout->root.table_bits);
	free(codes);
	free(fractions);
	return best >= 0;
}

/* ---------------------------------------------------------------- measuring */

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
time_independent(const Layout *layout, const uint8_t *wanted, uint32_t key_bytes)
{
	double		start = now_ns();
	uint64_t	sum = 0;

	for (size_t i = 0; i < LOOKUPS; i++)
		sum += layout->locate(layout, sv_slice(wanted + i * key_bytes, key_bytes));
	if (sum == 0)
		engine_die("no answers");
	return (now_ns() - start) / LOOKUPS;
}

/* Which key comes next is known when the answer is. */
static double
time_dependent(const Layout *layout, const uint8_t *wanted, uint32_t key_bytes)
{
	double		start = now_ns();
	uint32_t	zero = always_zero;
	uint32_t	answer = 0;

	for (size_t i = 0; i < LOOKUPS; i++)
		answer = layout->locate(layout, sv_slice(wanted + (i + (answer & zero)) * key_bytes,
												 key_bytes));
	if (answer == UINT32_MAX)
		engine_die("no answer");
	return (now_ns() - start) / LOOKUPS;
}

/* Keys of one block are neighbours, and blocks are in the order of their keys. */
static void
check_blocks(const Layout *layout, const EngineData *data)
{
	uint32_t	before = 0;
	uint32_t	run = 0;

	for (uint32_t i = 0; i < data->count; i++)
	{
		uint32_t	block = layout->locate(layout, engine_key(data, i));

		run = block == before ? run + 1 : 1;
		if (block < before || run > BLOCK_KEYS)
			engine_die("%s: key %u is in the wrong block", layout->name, i);
		before = block;
	}
}

static void
measure(const Layout *layout, const EngineData *data)
{
	uint8_t    *wanted = engine_allocate((size_t) LOOKUPS * data->key_bytes);

	check_blocks(layout, data);
	for (int dependent = 0; dependent < 2; dependent++)
	{
		double		ns[ROUNDS];

		for (uint32_t round = 0; round < ROUNDS; round++)
		{
			for (uint32_t i = 0; i < LOOKUPS; i++)
				memcpy(wanted + (size_t) i * data->key_bytes,
					   engine_key(data, data->order[((uint64_t) round * LOOKUPS + i) % data->count]).data,
					   data->key_bytes);
			ns[round] = dependent ? time_dependent(layout, wanted, data->key_bytes) :
				time_independent(layout, wanted, data->key_bytes);
		}
		qsort(ns, ROUNDS, sizeof(double), compare_doubles);
		printf("%s,%u,%s,%s,%.1f,%.1f,%.1f,%.4f,%.3f\n", data->name, data->count, layout->name,
			   dependent ? "dependent" : "independent", ns[ROUNDS / 2], ns[0], ns[ROUNDS - 1],
			   (double) layout->index_bytes / data->count,
			   (double) data->count * ENTRY_BYTES / ((double) layout->blocks * FRAME_BYTES));
	}
	fflush(stdout);
	free(wanted);
}

static Layout *
new_layout(void)
{
	Layout	   *layout = engine_allocate(sizeof(Layout));

	memset(layout, 0, sizeof(*layout));
	sv_buffer_init(&layout->index, &sv_malloc_alloc);
	sv_buffer_init(&layout->code, &sv_malloc_alloc);
	return layout;
}

static void
free_layout(Layout *layout)
{
	sv_buffer_free(&layout->index);
	sv_buffer_free(&layout->code);
	free(layout->low_keys);
	free(layout);
}

static void
run_cells(const EngineData *data, uint32_t blocks_per_leaf, const char *name)
{
	Layout	   *layout = new_layout();

	if (make_cells(layout, data, blocks_per_leaf, name))
		measure(layout, data);
	else
		fprintf(stderr, "%s: %s: some keys are too near to each other\n", data->name, name);
	free_layout(layout);
}

static void
run_set(EngineSet set, uint32_t keys)
{
	EngineData	data;
	Layout	   *layout;

	engine_data_make(&data, set, keys, 1);
	layout = new_layout();
	make_searched(layout, &data);
	measure(layout, &data);
	free_layout(layout);
	layout = new_layout();
	make_learned(layout, &data);
	measure(layout, &data);
	free_layout(layout);
	run_cells(&data, 1, "model-defined blocks, 1 to a leaf");
	run_cells(&data, 4, "model-defined blocks, 4 to a leaf");
	run_cells(&data, 16, "model-defined blocks, 16 to a leaf");
	run_cells(&data, 64, "model-defined blocks, 64 to a leaf");
	engine_data_free(&data);
}

int
main(int argc, char **argv)
{
	unsigned long keys = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;

	if (keys < 100000 || keys > UINT32_MAX)
		engine_die("usage: bench_model_blocks KEYS, at least 100000");
	printf("keyset,keys,layout,mode,ns_median,ns_min,ns_max,index_bytes_per_key,fill\n");
	run_set(ENGINE_UNIFORM, (uint32_t) keys);
	run_set(ENGINE_STRINGS, (uint32_t) keys);
	run_set(ENGINE_LOGNORMAL, (uint32_t) keys);
	return 0;
}
