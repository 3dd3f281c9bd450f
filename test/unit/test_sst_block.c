/*
 * test_sst_block.c
 *		One data block: built, settled, read; and any bytes in its place.
 */
#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "sst/sst_format.h"
#include "sst_fixture.h"
#include "unit.h"

#define ENTRIES 40
#define FLIPS	400000

static char keys[ENTRIES][24];
static char values[ENTRIES][80];
static SstEntry entries[ENTRIES];

/* Keys are of even numbers; a few are long or expire. */
static void
make_entries(void)
{
	for (int i = 0; i < ENTRIES; i++)
	{
		snprintf(keys[i], sizeof(keys[i]), "k%03d%.*s", i * 2, i % 5 * 4, "xxxxxxxxxxxxxxxx");
		memset(values[i], 'a' + i % 26, (size_t) i);
		entries[i] = i % 7 == 3 ? tombstone_entry(keys[i]) :
			value_entry(keys[i], values[i], i % 3 == 0 ? 1000 + i : SST_NEVER_EXPIRES);
	}
}

/* The raw block of n entries, in memory of exactly its size. */
static uint8_t *
build(const SstEntry *list, size_t n, size_t *len)
{
	SstBlockBuilder builder;
	SvSlice		raw;
	uint8_t    *copy;
	size_t		bytes = 0;

	sst_block_builder_init(&builder, &sv_malloc_alloc);
	for (size_t i = 0; i < n; i++)
	{
		bytes = sst_block_builder_bytes(&builder, &list[i]);
		if (sst_block_builder_add(&builder, &list[i], NULL) != SV_OK)
			abort();
	}
	if (sst_block_builder_finish(&builder, &raw, NULL) != SV_OK || raw.len != bytes)
		abort();
	copy = must_allocate(raw.len);
	memcpy(copy, raw.data, raw.len);
	*len = raw.len;
	sst_block_builder_free(&builder);
	return copy;
}

/* Reads the block's offsets into memory of the caller's. */
static bool
read_offsets(const SstBlock *block, SvBuffer *offsets)
{
	const char *problem;

	return sst_block_offsets(block, offsets, &problem, NULL) == SV_OK && problem == NULL;
}

/* Finds the key at once and in two steps, which must say the same. */
static const char *
find_both_ways(const SstBlock *block, SvSlice key, uint64_t hash, bool *found, SstEntry *entry)
{
	SstEntry	stepped;
	bool		found_stepped;
	const char *problem = sst_block_find(block, key, hash, found, entry);
	const char *problem_stepped = sst_block_find_first(block, key, hash, sst_block_first(block, hash),
													   &found_stepped, &stepped);

	if ((problem == NULL) != (problem_stepped == NULL) || *found != found_stepped)
		return "the two ways differ";
	if (*found && (stepped.key.data != entry->key.data || stepped.value.data != entry->value.data ||
				   !same_entry(entry, &stepped)))
		return "the two ways find different entries";
	return problem;
}

/* Finds each entry by place, hash and order. */
static bool
holds(const SstBlock *block, const SstEntry *list, uint32_t n)
{
	SvBuffer	offsets;
	bool		ok;
	size_t		at = 0;

	sv_buffer_init(&offsets, &sv_malloc_alloc);
	ok = block->count == n && read_offsets(block, &offsets) && offsets.len == n * sizeof(uint16_t);
	for (uint32_t i = 0; i < n && ok; i++)
	{
		const uint16_t *offset = (const uint16_t *) offsets.data;
		SstEntry	entry;
		bool		found;
		uint32_t	position;

		ok = offset[i] == at && sst_block_entry(block, at, &entry, &at) == NULL &&
			same_entry(&entry, &list[i]);
		ok = ok && find_both_ways(block, list[i].key, sv_hash64(list[i].key), &found, &entry) == NULL &&
			found && same_entry(&entry, &list[i]);
		ok = ok && sst_block_seek(block, offset, list[i].key, &position) == NULL && position == i;
	}
	sv_buffer_free(&offsets);
	return ok && at == block->entries_bytes;
}

static void
test_lookups(void)
{
	size_t		len;
	uint8_t    *raw = build(entries, ENTRIES, &len);
	SvBuffer	offsets;
	SstSettled	settled;
	SstBlock	block;
	SstEntry	entry;
	bool		ok = true;
	bool		found;
	uint32_t	position;

	sv_buffer_init(&offsets, &sv_malloc_alloc);
	CHECK(sst_block_settle(raw, len, &settled) == NULL &&
		  sst_block_parse(&block, sv_slice(raw, len)) == NULL && holds(&block, entries, ENTRIES),
		  "each entry is found in each way");
	CHECK(settled.count == ENTRIES && sv_slice_equal(settled.first_key, entries[0].key) &&
		  sv_slice_equal(settled.last_key, entries[ENTRIES - 1].key), "settling tells what there is");
	CHECK(block.entries_bytes + sst_block_trailer_bytes(ENTRIES) == len,
		  "the trailer is what it is said to be");
	block = sst_block_known(raw, len, ENTRIES);
	CHECK(holds(&block, entries, ENTRIES), "a block of a known number of entries");
	ok = read_offsets(&block, &offsets);
	for (int i = 0; i < ENTRIES && ok; i++)
	{
		char		absent[8];
		SvSlice		key;

		snprintf(absent, sizeof(absent), "k%03d", i * 2 + 1);
		key = sv_slice(absent, 4);
		ok = find_both_ways(&block, key, sv_hash64(key), &found, &entry) == NULL && !found &&
			sst_block_seek(&block, (const uint16_t *) offsets.data, key, &position) == NULL &&
			position == (uint32_t) i + 1;
	}
	CHECK(ok, "absent keys are not found, and belong between their neighbours");
	CHECK(find_both_ways(&block, entries[9].key, sv_hash64(entries[9].key) ^ 1, &found,
						 &entry) == NULL && !found, "a key is not found by another's hash");
	CHECK(find_both_ways(&block, sv_slice("k018", 4), sv_hash64(entries[9].key), &found,
						 &entry) == NULL && !found, "another key is not found by this one's hash");
	CHECK(sst_block_settle(raw, len, &settled) != NULL, "settled once, a block is not settled again");
	sv_buffer_free(&offsets);
	free(raw);
}

/* Blocks of any number of entries: tables of any size, with searches that wrap around. */
static void
test_tables(void)
{
	static char names[1000][12];
	static SstEntry list[1000];
	bool		ok = true;

	for (int i = 0; i < 1000; i++)
	{
		snprintf(names[i], sizeof(names[i]), "%04d", i);
		list[i] = value_entry(names[i], "", SST_NEVER_EXPIRES);
	}
	for (uint32_t n = 1; n <= 1000 && ok; n += n < 60 ? 1 : 47)
	{
		SstSettled	settled;
		size_t		len;
		uint8_t    *raw = build(list, n, &len);
		SstBlock	block = sst_block_known(raw, len, n);

		ok = sst_block_settle(raw, len, &settled) == NULL && holds(&block, list, n);
		for (uint32_t i = 0; i < 1000 && ok; i++)
		{
			size_t		home = sst_block_home_at(len, n, sv_hash64(list[i].key));
			SstEntry	entry;
			bool		found;

			ok = sst_block_find(&block, list[i].key, sv_hash64(list[i].key), &found, &entry) == NULL &&
				found == (i < n) && home >= block.entries_bytes && home + SST_SLOT_BYTES + 2 <= len;
		}
		free(raw);
	}
	CHECK(ok, "blocks of 1 to 1000 entries");
}

/* A block of one entry, on both sides of what makes it large. */
static void
test_sizes_around_a_frame(void)
{
	uint8_t    *value = must_allocate(100000);
	bool		right = true;

	memset(value, 'v', 100000);
	for (size_t bytes = SST_FRAME_BYTES - 40; bytes < SST_FRAME_BYTES + 5 && right; bytes++)
	{
		SstEntry	entry = value_entry("key", "", 77);
		SstEntry	decoded;
		SstSettled	settled;
		SstBlock	block;
		size_t		len;
		size_t		value_at;
		uint8_t    *raw;

		entry.value = sv_slice(value, bytes == SST_FRAME_BYTES ? 100000 : bytes);
		raw = build(&entry, 1, &len);
		right = sst_block_settle(raw, len, &settled) == NULL &&
			sst_block_parse(&block, sv_slice(raw, len)) == NULL && holds(&block, &entry, 1);

		/* A cache has the head of a large one in a frame by itself. */
		right = right && sst_entry_decode_head(sv_slice(raw, SST_ENTRY_HEAD_BYTES + 3), &decoded,
											   &value_at) == NULL &&
			sv_slice_equal(decoded.key, entry.key) && decoded.value.data == NULL &&
			decoded.value.len == entry.value.len && decoded.expires_at == 77 &&
			memcmp(raw + value_at, value, entry.value.len) == 0;
		free(raw);
	}
	CHECK(right, "blocks of one entry, large and not");
	free(value);
}

static bool
lies_inside(SvSlice part, const SstBlock *block)
{
	return part.len == 0 ||
		(part.data >= block->data && part.data + part.len <= block->data + block->entries_bytes);
}

/*
 * All that the functions may be asked of a block of any bytes; the sanitizers
 * watch what they read.  False if an answer lies outside the block.
 */
static bool
ask_everything(const uint8_t *bytes, size_t len)
{
	SstBlock	block;
	SvBuffer	offsets;
	SstEntry	entry;
	bool		found;
	bool		readable;
	bool		inside = true;
	uint32_t	position;
	size_t		end;

	if (sst_block_parse(&block, sv_slice(bytes, len)) != NULL)
		return true;
	sv_buffer_init(&offsets, &sv_malloc_alloc);
	readable = read_offsets(&block, &offsets);
	for (size_t at = 0; at <= block.entries_bytes; at += 3)
		if (sst_block_entry(&block, at, &entry, &end) == NULL)
			inside = inside && lies_inside(entry.key, &block) && lies_inside(entry.value, &block) &&
				end > at && end <= block.entries_bytes;
	for (int i = 0; i < ENTRIES; i += 7)
	{
		SvSlice		key = entries[i].key;

		if (find_both_ways(&block, key, sv_hash64(key), &found, &entry) == NULL && found)
			inside = inside && sv_slice_equal(entry.key, key) && lies_inside(entry.value, &block);
		if (readable && sst_block_seek(&block, (const uint16_t *) offsets.data, key, &position) == NULL)
			inside = inside && position <= block.count;
	}
	sv_buffer_free(&offsets);
	return inside;
}

/* What settle accepts is whole: each entry decodes, and is found by its key. */
static bool
settled_is_whole(const uint8_t *bytes, size_t len)
{
	SstBlock	block;
	bool		whole = sst_block_parse(&block, sv_slice(bytes, len)) == NULL;
	size_t		at = 0;

	for (uint32_t i = 0; whole && i < block.count; i++)
	{
		SstEntry	entry;
		SstEntry	same;
		bool		found;

		whole = sst_block_entry(&block, at, &entry, &at) == NULL &&
			sst_block_find(&block, entry.key, sv_hash64(entry.key), &found, &same) == NULL && found;
	}
	return whole && at == block.entries_bytes;
}

/* Each value of each byte of a raw block. */
static void
test_hostile_raw(void)
{
	size_t		len;
	uint8_t    *raw = build(entries, ENTRIES, &len);
	uint8_t    *changed = must_allocate(len);
	SstSettled	settled;
	bool		whole = true;
	uint32_t	refused = 0;

	for (size_t at = 0; at < len; at++)
		for (int pattern = 1; pattern < 256; pattern++)
		{
			memcpy(changed, raw, len);
			changed[at] ^= (uint8_t) pattern;
			if (sst_block_settle(changed, len, &settled) == NULL)
				whole = settled_is_whole(changed, len) && whole;
			else
				refused++;
			whole = ask_everything(changed, len) && whole;
		}
	CHECK(whole, "what is settled is whole, whichever byte is changed");
	CHECK(refused > 3 * ENTRIES * 255 && refused < len * 255, "much is refused, not all");
	for (size_t cut = 0; cut < len; cut++)
	{
		uint8_t    *part = must_allocate(cut);

		memcpy(part, raw + (len - cut), cut);
		if (sst_block_settle(part, cut, &settled) == NULL)
			whole = settled_is_whole(part, cut) && whole;
		whole = ask_everything(part, cut) && whole;
		free(part);
	}
	CHECK(whole, "a block that lacks its beginning");
	free(changed);
	free(raw);
}

/* Readers of a cache may meet a settled block half overwritten by anything. */
static void
test_changing_bytes(void)
{
	size_t		len;
	uint8_t    *raw = build(entries, ENTRIES, &len);
	uint64_t	state = 5;
	SstSettled	settled;
	bool		inside = true;

	if (sst_block_settle(raw, len, &settled) != NULL)
		abort();
	for (int i = 0; i < FLIPS; i++)
	{
		uint64_t	random = next_random(&state);
		size_t		at = (size_t) (random >> 16) % len;

		/* The trailer more often than what it is about. */
		if (random % 4 == 0)
			at = len - 1 - (size_t) (random >> 16) % sst_block_trailer_bytes(ENTRIES);
		raw[at] = (uint8_t) (random >> 8);
		if (i % 8 == 0)
			inside = ask_everything(raw, len) && inside;
	}
	CHECK(inside, "readers stay inside bytes that change");
	free(raw);
}

/* The first entry that the table names for a hash is another key's with the same bits. */
static void
test_collision(void)
{
	SvSlice		key = entries[9].key;
	uint64_t	hash = sv_hash64(key);
	size_t		len;
	uint8_t    *raw = build(entries, ENTRIES, &len);
	SstBlock	block = sst_block_known(raw, len, ENTRIES);
	size_t		home = sst_block_home_at(len, ENTRIES, hash);
	size_t		offsets[2] = {0, 0};
	SstSettled	settled;
	SstEntry	entry = {.key = {NULL, 0}};
	bool		found;

	if (home + 2 * SST_SLOT_BYTES > len - 2 || sst_block_settle(raw, len, &settled) != NULL)
		abort();
	for (size_t at = 0; at < block.entries_bytes && !sv_slice_equal(entry.key, key);)
	{
		offsets[1] = at;
		if (sst_block_entry(&block, at, &entry, &at) != NULL)
			abort();
	}
	for (size_t i = 0; i < 2; i++)
	{
		uint32_t	slot = (uint32_t) (offsets[i] + 1) | ((uint32_t) hash & 0x3ff) << 14;

		sv_put_u16(raw + home + i * SST_SLOT_BYTES, (uint16_t) slot);
		raw[home + i * SST_SLOT_BYTES + 2] = (uint8_t) (slot >> 16);
	}
	CHECK(find_both_ways(&block, key, hash, &found, &entry) == NULL && found &&
		  same_entry(&entry, &entries[9]), "a key is found behind another with the same bits");
	free(raw);
}

/* A slot of the table that leads a search out of the block, to the table itself or beyond all that is there. */
static void
test_slots_that_lead_outside(void)
{
	SvSlice		key = entries[9].key;
	uint64_t	hash = sv_hash64(key);
	size_t		len;
	uint8_t    *raw = build(entries, ENTRIES, &len);
	size_t		home = sst_block_home_at(len, ENTRIES, hash);
	SstBlock	block = sst_block_known(raw, len, ENTRIES);
	const size_t offsets[] = {block.entries_bytes, len, SST_FRAME_BYTES - 2};
	SstSettled	settled;

	if (sst_block_settle(raw, len, &settled) != NULL)
		abort();
	for (int i = 0; i < 3; i++)
	{
		/* Fourteen bits of the offset plus one, then ten of the hash: FORMAT.md. */
		uint32_t	slot = (uint32_t) (offsets[i] + 1) | ((uint32_t) hash & 0x3ff) << 14;
		SstEntry	entry;
		const char *problem;
		bool		found;

		sv_put_u16(raw + home, (uint16_t) slot);
		raw[home + 2] = (uint8_t) (slot >> 16);
		problem = find_both_ways(&block, key, hash, &found, &entry);
		CHECK(problem != NULL && strcmp(problem, "entry is outside the block") == 0 && !found,
			  "a slot that leads outside");
	}
	free(raw);
}

static const char *
settle_problem(size_t at, const char *bytes, size_t n)
{
	size_t		len;
	uint8_t    *raw = build(entries, 3, &len);
	SstSettled	settled;
	const char *problem;

	memcpy(raw + (at < len ? at : len - (SIZE_MAX - at) - 1), bytes, n);
	problem = sst_block_settle(raw, len, &settled);
	free(raw);
	return problem == NULL ? "" : problem;
}

/* Counted from the end: the last byte is 0. */
#define FROM_END(i) (SIZE_MAX - (i))

/* Of three entries: the first has a head of 11 bytes, a key of 4 and no value. */
static void
test_problems(void)
{
	uint8_t		nothing[1] = {0};
	uint8_t		large[SST_FRAME_BYTES + 40] = {0};
	size_t		large_entry = sizeof(large) - sst_block_trailer_bytes(1);
	SstSettled	settled;

	CHECK(strcmp(settle_problem(FROM_END(1), "\0\0", 2), "block without entries") == 0,
		  "no entries");
	CHECK(strcmp(settle_problem(FROM_END(1), "\xff\xff", 2),
				 "table of the entries does not fit the block") == 0, "too many entries");
	CHECK(strcmp(settle_problem(FROM_END(1), "\x02", 1), "entries do not fill the block") == 0,
		  "an entry too few");
	CHECK(strcmp(settle_problem(FROM_END(1), "\x04", 1), "room for the table is not empty") == 0,
		  "an entry too many");
	CHECK(strcmp(settle_problem(FROM_END(4), "\x01", 1), "room for the table is not empty") == 0,
		  "a table in a file");
	CHECK(strcmp(settle_problem(0, "\x03", 1), "unknown kind of entry") == 0, "an unknown kind");
	CHECK(strcmp(settle_problem(0, "\x00", 1), "unknown kind of entry") == 0, "kind zero");
	CHECK(strcmp(settle_problem(1, "\x84\0", 2), "length is not encoded shortest") == 0,
		  "a length that could be shorter");
	CHECK(strcmp(settle_problem(1, "\x81\x10", 2), "key is too long") == 0, "a key of 2049 bytes");
	CHECK(strcmp(settle_problem(2, "\x81\x80\xc0\x20", 4), "value is too long") == 0,
		  "a value of a byte more than there may be");
	CHECK(strcmp(settle_problem(2, "\x80\x80\x80\x80\x01", 5), "length is too long") == 0,
		  "a length of five bytes");
	CHECK(strcmp(settle_problem(1, "\x7f", 1), "entry is cut off") == 0, "a key that is cut off");
	CHECK(strcmp(settle_problem(2, "\x7f", 1), "entry is cut off") == 0, "a value that is cut off");
	CHECK(strcmp(settle_problem(3, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8),
				 "stored expiry means none") == 0, "an expiry that means none");
	CHECK(sst_block_settle(nothing, 0, &settled) != NULL && sst_block_settle(nothing, 1, &settled) != NULL,
		  "no bytes at all");

	large[0] = SST_VALUE;
	sv_varint_put(large + 2, large_entry - 5);
	large[sizeof(large) - 2] = 1;
	CHECK(sst_block_settle(large, sizeof(large), &settled) == NULL, "a large block");
	memset(large + large_entry, 0, sizeof(large) - large_entry);
	sv_varint_put(large + 2, large_entry - 6);
	large[sizeof(large) - 2] = 1;
	CHECK(sst_block_settle(large, sizeof(large), &settled) != NULL, "a large block with a byte too many");
	memset(large + large_entry, 0, sizeof(large) - large_entry);
	large[sizeof(large) - 2] = 2;
	CHECK(strcmp(sst_block_settle(large, sizeof(large), &settled), "large block has several entries") == 0,
		  "a large block of two entries");
}

int
main(void)
{
	make_entries();
	test_lookups();
	test_tables();
	test_sizes_around_a_frame();
	test_hostile_raw();
	test_changing_bytes();
	test_collision();
	test_slots_that_lead_outside();
	test_problems();
	return unit_done();
}
