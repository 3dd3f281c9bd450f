/*
 * test_verify.c
 *		What verify finds wrong with a run, and that it finds nothing in a good one.
 */
#include "unit.h"

#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "lsm/lsm_verify.h"
#include "lsm/lsm_walkey.h"
#include "sst/sst_block.h"
#include "sst/sst_format.h"
#include "sst/sst_rmi_node.h"
#include "sst_fixture.h"

#define KEYS 400
#define KEY_BYTES (LSM_WALKEY_PREFIX_BYTES + 16)
#define VALUE_BYTES 24
#define TABLES 3

/* A run of one table, or a WAL run of TABLES with as many keys each; the last is not among its parts. */
typedef struct World
{
	MemFile		file;
	LsmRun		run;
	LsmPart		parts[TABLES];
	SstEntry	entries[KEYS * TABLES];
	char		keys[KEYS * TABLES][KEY_BYTES];
	char		values[KEYS * TABLES][VALUE_BYTES];
} World;

/* What was told. */
typedef struct Told
{
	int			n;
	char		problems[16][64];
	int			blocks;
	int			stop_after;		/* blocks; 0: never */
} Told;

static void
report(void *state, const char *problem, const char *detail)
{
	Told	   *told = state;

	(void) detail;
	if (told->n < 16)
		snprintf(told->problems[told->n++], sizeof(told->problems[0]), "%s", problem);
}

static SvStatus
progress(void *state, uint64_t bytes, SvError *err)
{
	Told	   *told = state;

	(void) bytes;
	if (++told->blocks == told->stop_after)
		return sv_fail(err, SV_CANCELLED, "told to stop");
	return SV_OK;
}

static bool
was_told(const Told *told, const char *problem)
{
	for (int i = 0; i < told->n; i++)
		if (strcmp(told->problems[i], problem) == 0)
			return true;
	return false;
}

static bool
only_told(const Told *told, const char *problem)
{
	return told->n == 1 && was_told(told, problem);
}

static void
add_entry(World *w, int at, int table, bool wal, char kind, int number)
{
	SstEntry   *entry = &w->entries[at];
	size_t		prefix = wal ? LSM_WALKEY_PREFIX_BYTES : 0;

	memset(entry, 0, sizeof(*entry));
	if (wal)
		lsm_walkey_prefix((uint8_t *) w->keys[at], table);
	sprintf(w->keys[at] + prefix, "%c%08d", kind, number);
	memset(w->values[at], 'a' + number % 7, VALUE_BYTES);
	entry->key = sv_slice(w->keys[at], prefix + strlen(w->keys[at] + prefix));
	entry->kind = number % 10 == 0 ? SST_TOMBSTONE : SST_VALUE;
	entry->expires_at = SST_NEVER_EXPIRES;
	if (entry->kind == SST_VALUE)
		entry->value = sv_slice(w->values[at], VALUE_BYTES);
}

/* Keys begin with kind. */
static void
make(World *w, LsmTier tier, char kind)
{
	SstWriterOptions options = SST_WRITER_DEFAULTS;
	bool		wal = tier == LSM_WAL;
	int			ntables = wal ? TABLES : 1;
	SvError		err;

	memset(w, 0, sizeof(*w));
	mem_file_init(&w->file);
	options.zstd_level = 0;
	options.block_bytes = 1024;
	for (int t = 0; t < ntables; t++)
	{
		LsmPart    *part = &w->parts[t];
		size_t		prefix = wal ? LSM_WALKEY_PREFIX_BYTES : 0;

		lsm_part_init(part, t + 1);
		for (int k = 0; k < KEYS; k++)
		{
			add_entry(w, t * KEYS + k, t + 1, wal, kind, k);
			lsm_part_count(part, &w->entries[t * KEYS + k]);
		}
		part->min_key = sv_slice(w->keys[t * KEYS] + prefix, w->entries[0].key.len - prefix);
		part->max_key = sv_slice(w->keys[t * KEYS + KEYS - 1] + prefix, w->entries[0].key.len - prefix);
	}
	if (write_entries(&w->file, w->entries, (size_t) (KEYS * ntables), options, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	w->run = (LsmRun) {
		.id = 1,.tier = tier,.object = "test-object",.nparts = wal ? TABLES - 1 : 1,.parts = w->parts,
		.file_bytes = w->file.summary.file_bytes,.tail_bytes = w->file.summary.tail_bytes
	};
}

static SvStatus
verify(World *w, bool deep, Told *told, SvError *err)
{
	SstSource	source = mem_source(&w->file);
	LsmVerify	question = {
		.run = &w->run,.source = &source,.deep = deep,.alloc = &sv_malloc_alloc,
		.report = report,.progress = progress,.state = told
	};
	int			stop_after = told->stop_after;

	memset(told, 0, sizeof(*told));
	told->stop_after = stop_after;
	return lsm_verify_run(&question, err);
}

static bool
is_well(World *w, bool deep)
{
	Told		told = {0};
	SvError		err;

	return verify(w, deep, &told, &err) == SV_OK && told.n == 0 && (told.blocks > 2) == deep;
}

static void
test_good(void)
{
	World	   *w = must_allocate(sizeof(World));

	for (int tier = 0; tier < 3; tier++)
	{
		make(w, tier == 0 ? LSM_WAL : tier == 1 ? LSM_BUFFER : LSM_LEVEL, 'k');
		CHECK(is_well(w, false) && is_well(w, true), "nothing is wrong with a good run");
		mem_file_free(&w->file);
	}
	free(w);
}

/* The registry says something else. */
static void
test_registry(LsmTier tier)
{
	World	   *w = must_allocate(sizeof(World));
	Told		told = {0};
	SvError		err;
	LsmPart    *part;
	LsmPart		right;

	make(w, tier, 'k');
	part = &w->parts[w->run.nparts - 1];
	right = *part;
	part->tombstones++;
	CHECK(verify(w, true, &told, &err) == SV_OK && only_told(&told, "wrong number of tombstones"), "tombstones");
	*part = right;
	part->min_key.len--;
	CHECK(verify(w, true, &told, &err) == SV_OK && only_told(&told, "wrong lowest key"), "lowest key");
	*part = right;
	part->max_key.len--;
	CHECK(verify(w, true, &told, &err) == SV_OK && only_told(&told, "wrong highest key"), "highest key");
	*part = right;
	part->entries--;
	CHECK(verify(w, true, &told, &err) == SV_OK && was_told(&told, "wrong number of entries") &&
		  was_told(&told, "wrong number of entries in all") == (tier != LSM_WAL), "fewer entries");
	*part = right;
	part->entries += KEYS * TABLES;
	CHECK(verify(w, false, &told, &err) == SV_OK && only_told(&told, "wrong number of entries in all"),
		  "more entries than there are, by the tail alone");
	mem_file_free(&w->file);
	free(w);
}

/* The blocks of one run with the tail of another of the same shape: each is whole by itself. */
static void
test_other_blocks(void)
{
	World	   *a = must_allocate(sizeof(World));
	World	   *b = must_allocate(sizeof(World));
	Told		told = {0};
	SvError		err;

	make(a, LSM_LEVEL, 'k');
	make(b, LSM_LEVEL, 'm');
	CHECK(a->run.file_bytes == b->run.file_bytes && a->run.tail_bytes == b->run.tail_bytes, "two runs of one shape");
	memcpy(a->file.bytes.data, b->file.bytes.data, a->run.file_bytes - a->run.tail_bytes);
	CHECK(is_well(a, false), "are not told apart by the tail");
	CHECK(verify(a, true, &told, &err) == SV_OK && only_told(&told, "damaged"), "but by the blocks");
	mem_file_free(&a->file);
	mem_file_free(&b->file);
	free(a);
	free(b);
}

static void
test_damage(void)
{
	World	   *w = must_allocate(sizeof(World));
	Told		told = {0};
	SvError		err;
	size_t		tail_at;

	make(w, LSM_LEVEL, 'k');
	tail_at = w->run.file_bytes - w->run.tail_bytes;
	w->file.bytes.data[tail_at / 2] ^= 1;
	CHECK(is_well(w, false), "a damaged block is not looked at");
	CHECK(verify(w, true, &told, &err) == SV_OK && only_told(&told, "damaged"), "but deep");
	w->file.bytes.data[tail_at / 2] ^= 1;
	w->file.bytes.data[tail_at + 5] ^= 1;
	CHECK(verify(w, false, &told, &err) == SV_OK && only_told(&told, "damaged"), "a damaged tail");
	w->file.bytes.data[tail_at + 5] ^= 1;

	told.stop_after = 2;
	CHECK(verify(w, true, &told, &err) == SV_CANCELLED && told.blocks == 2, "it ends when told to");
	told.stop_after = 0;
	w->file.bytes.len -= 1;
	CHECK(verify(w, true, &told, &err) == SV_IO, "what the source answers is handed on");
	w->file.bytes.len += 1;
	CHECK(is_well(w, true), "and it is well again");
	mem_file_free(&w->file);
	free(w);
}

/* ------------------------------- wrong content under right checksums: what a faulty writer would leave */

/* The file's own bytes, which are there to be changed. */
static void *
unconst(const void *bytes)
{
	return (void *) (uintptr_t) bytes;
}

static uint8_t *
tail_of(const World *w)
{
	return w->file.bytes.data + w->file.bytes.len - w->file.summary.tail_bytes;
}

static SstFooter
footer_of(const World *w)
{
	SvSlice		tail = sv_slice(tail_of(w), (size_t) w->file.summary.tail_bytes);
	SstFooter	footer;

	if (sst_footer_decode(tail, w->file.bytes.len - tail.len, &footer) != NULL)
		abort();
	return footer;
}

/* Of block i in the block index: offset, checksum, stored bytes. */
static uint8_t *
record_of(const World *w, uint32_t i)
{
	return w->file.bytes.data + footer_of(w).block_index.offset + 32 + 32 * (size_t) i;
}

/* Makes the checksums of block i and of the tail right. */
static void
seal(World *w, uint32_t i)
{
	uint8_t    *record = record_of(w, i);
	SvSlice		stored = sv_slice(w->file.bytes.data + sv_get_u64(record), sv_get_u32(record + 16));
	size_t		covered = (size_t) w->file.summary.tail_bytes - 16;

	sv_put_u64(record + 8, sv_hash64(stored));
	sv_put_u64(tail_of(w) + covered, sv_hash64(sv_slice(tail_of(w), covered)));
}

/* The n-th entry of block i, in the file's bytes. */
static SstEntry
entry_of(const World *w, uint32_t i, int n)
{
	uint8_t    *record = record_of(w, i);
	SstBlock	block;
	SstEntry	entry;
	size_t		at = 0;

	if (sst_block_parse(&block, sv_slice(w->file.bytes.data + sv_get_u64(record), sv_get_u32(record + 16))) != NULL)
		abort();
	for (int k = 0; k <= n; k++)
		if (sst_block_entry(&block, at, &entry, &at) != NULL)
			abort();
	return entry;
}

/* The n-th key of block i becomes that of the entry before it, or changes places with it. */
static void
disorder(World *w, uint32_t i, int n, bool twice)
{
	SvSlice		before = entry_of(w, i, n - 1).key;
	SvSlice		key = entry_of(w, i, n).key;
	char		kept[KEY_BYTES];

	if (before.len != key.len)
		abort();
	memcpy(kept, key.data, key.len);
	memcpy(unconst(key.data), before.data, key.len);
	if (!twice)
		memcpy(unconst(before.data), kept, key.len);
	seal(w, i);
}

static void
test_order(LsmTier tier)
{
	World	   *w = must_allocate(sizeof(World));
	Told		told = {0};
	SvError		err;

	make(w, tier, 'k');
	disorder(w, 3, 5, false);
	CHECK(is_well(w, false), "the order of keys is not looked at");
	CHECK(verify(w, true, &told, &err) == SV_OK && only_told(&told, "keys are not in order"), "but deep");
	disorder(w, 3, 5, false);
	CHECK(is_well(w, true), "and it is well again");
	disorder(w, 4, 5, true);
	CHECK(verify(w, true, &told, &err) == SV_OK && only_told(&told, "keys are not in order"), "a key twice");
	mem_file_free(&w->file);
	free(w);
}

/* Each line of bits that is cleared denies the keys that are in it. */
static void
test_filter(void)
{
	World	   *w = must_allocate(sizeof(World));
	Told		told = {0};
	SvError		err;
	SstFooter	footer;

	make(w, LSM_LEVEL, 'k');
	footer = footer_of(w);
	memset(w->file.bytes.data + footer.filter.offset + 2 * SST_FILTER_LINE_BYTES, 0, SST_FILTER_LINE_BYTES);
	seal(w, 0);
	CHECK(is_well(w, false), "what a filter lacks is not looked for");
	CHECK(verify(w, true, &told, &err) == SV_OK && only_told(&told, "the filter denies a key that is there"),
		  "but deep");
	mem_file_free(&w->file);
	free(w);
}

/* Fences that are all as high as can be send every key to a block before its own. */
static void
test_index(void)
{
	World	   *w = must_allocate(sizeof(World));
	Told		told = {0};
	SvError		err;
	SstHandle	index;
	uint8_t    *bytes;
	uint32_t	blocks;

	make(w, LSM_LEVEL, 'k');
	index = footer_of(w).learned_index;
	bytes = w->file.bytes.data + index.offset;
	blocks = sv_get_u32(bytes + SST_RMI_HEADER_COUNT);
	CHECK(index.length > 0 && sv_get_u32(bytes + SST_RMI_HEADER_FLAGS) == SST_RMI_FENCES,
		  "a learned index with fences");
	memset(bytes + index.length - 8 * (size_t) blocks, 0xff, 8 * (size_t) blocks);
	seal(w, 0);
	CHECK(is_well(w, false), "where an index leads is not looked at");
	CHECK(verify(w, true, &told, &err) == SV_OK && only_told(&told, "the index leads to another block"), "but deep");
	mem_file_free(&w->file);
	free(w);
}

/* A block that begins before, or ends behind, what the block index says of it. */
static void
test_bounds(void)
{
	World	   *w = must_allocate(sizeof(World));
	SvError		err;

	make(w, LSM_LEVEL, 'k');
	for (int last = 0; last < 2; last++)
	{
		Told		told = {0};
		int			entries = sv_get_u16(record_of(w, 3) + 26);
		SvSlice		key = entry_of(w, 3, last ? entries - 1 : 0).key;
		char		kept[KEY_BYTES];

		memcpy(kept, key.data, key.len);
		memset(unconst(key.data), last ? 'z' : 'a', key.len);
		seal(w, 3);
		CHECK(is_well(w, false), "the bounds of blocks are not looked at");
		CHECK(verify(w, true, &told, &err) == SV_OK && only_told(&told, "damaged"), "but deep");
		memcpy(unconst(key.data), kept, key.len);
		seal(w, 3);
	}
	CHECK(is_well(w, true), "and it is well again");
	mem_file_free(&w->file);
	free(w);
}

/* The object counts other entries than it has. */
static void
test_counts(void)
{
	World	   *w = must_allocate(sizeof(World));
	Told		told = {0};
	SvError		err;
	uint8_t    *properties;
	uint8_t    *record;

	make(w, LSM_LEVEL, 'k');
	properties = w->file.bytes.data + footer_of(w).properties.offset;
	record = record_of(w, 3);
	sv_put_u64(properties, KEYS - 1);
	seal(w, 0);
	CHECK(verify(w, false, &told, &err) == SV_OK && only_told(&told, "damaged"), "properties and blocks differ");
	sv_put_u16(record + 26, (uint16_t) (sv_get_u16(record + 26) - 1));
	seal(w, 3);
	CHECK(verify(w, false, &told, &err) == SV_OK && only_told(&told, "wrong number of entries in all"),
		  "both have fewer than the registry");
	CHECK(verify(w, true, &told, &err) == SV_OK && was_told(&told, "damaged"), "and a block has more");
	mem_file_free(&w->file);
	free(w);
}

int
main(void)
{
	test_good();
	test_registry(LSM_WAL);
	test_registry(LSM_LEVEL);
	test_other_blocks();
	test_damage();
	test_order(LSM_WAL);
	test_order(LSM_LEVEL);
	test_filter();
	test_index();
	test_bounds();
	test_counts();
	return unit_done();
}
