/*
 * test_sst_pack.c
 *		How blocks are stored: levels that change, dictionaries that pay and
 *		that do not, and loading what came of it.
 */
#include "base/sv_hash.h"
#include "sst_fixture.h"
#include "unit.h"

#define ENTRIES 3000
#define VALUE_BYTES 160

static char keys[ENTRIES][16];
static char texts[ENTRIES][VALUE_BYTES];	/* alike but for a few bytes */
static char other_texts[ENTRIES][VALUE_BYTES];
static uint8_t noise[ENTRIES][VALUE_BYTES];

static void
make_values(void)
{
	uint64_t	state = 11;

	for (int i = 0; i < ENTRIES; i++)
	{
		unsigned	random = (unsigned) next_random(&state);

		snprintf(keys[i], sizeof(keys[i]), "key-%06d", i * 2);
		snprintf(texts[i], VALUE_BYTES,
				 "{\"id\": %u, \"country\": \"Netherlands\", \"city\": \"%s\", \"active\": %s, \"balance\": %u}",
				 random % 100000, random % 3 == 0 ? "Rotterdam" : "Amsterdam",
				 random % 2 == 0 ? "true" : "false", random % 7777);
		snprintf(other_texts[i], VALUE_BYTES,
				 "<row number='%u'><product>%s</product><price currency='EUR'>%u</price></row>",
				 random % 54321, random % 5 == 0 ? "bicycle" : "lamp", random % 999);
		for (int j = 0; j < VALUE_BYTES; j++)
			noise[i][j] = (uint8_t) next_random(&state);
	}
}

static SstEntry
text_entry(int i)
{
	return value_entry(keys[i], texts[i], SST_NEVER_EXPIRES);
}

static SstEntry
other_text_entry(int i)
{
	return value_entry(keys[i], other_texts[i], SST_NEVER_EXPIRES);
}

static SstEntry
noise_entry(int i)
{
	SstEntry	entry = text_entry(i);

	entry.value = sv_slice(noise[i], VALUE_BYTES);
	return entry;
}

/* What a test does before it adds the i-th entry. */
typedef SvStatus (*Before) (SstWriter *writer, int i);
typedef SstEntry (*MakeEntry) (int i);

static void
write_file(MemFile *file, SstWriterOptions options, int n, MakeEntry make, Before before)
{
	SstWriter  *writer;
	SstSink		sink = mem_sink(file);
	SvError		err;
	SvStatus	status;

	mem_file_init(file);
	status = sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, &err);
	for (int i = 0; i < n && status == SV_OK; i++)
	{
		SstEntry	entry = make(i);

		if (before != NULL)
			status = before(writer, i);
		if (status == SV_OK)
			status = sst_writer_add(writer, &entry, &err);
	}
	if (status == SV_OK)
		status = sst_writer_finish(writer, &file->summary, &err);
	if (status != SV_OK)
		abort();
	sst_writer_destroy(writer);
}

static SstReader *
open_file(MemFile *file)
{
	SstReader  *reader;

	if (mem_open(&reader, file, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	return reader;
}

static bool
reads_back(SstReader *reader, int n, MakeEntry make)
{
	SstIterator *it;
	SstEntry	entry;
	SvBuffer	scratch;
	bool		ok = true;

	if (mem_iterate(&it, reader, NULL, NULL, false, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	for (int i = 0; i < n && ok; i++)
	{
		SstEntry	expected = make(i);

		ok = sst_iterator_next(it, &entry, NULL) == SV_OK && same_entry(&entry, &expected);
		if (i % 50 == 0)
			ok = ok && sst_reader_get(reader, expected.key, &entry, &scratch, NULL) == SV_OK &&
				same_entry(&entry, &expected);
	}
	ok = ok && sst_iterator_next(it, &entry, NULL) == SV_NOT_FOUND;
	sv_buffer_free(&scratch);
	sst_iterator_close(it);
	return ok;
}

/* How many blocks have all of these flags. */
static uint32_t
blocks_with(const SstReader *reader, uint16_t flags)
{
	const SstIndex *index = &sst_reader_tail(reader)->index;
	uint32_t	n = 0;

	for (uint32_t i = 0; i < index->count; i++)
		n += (sst_index_block(index, i).flags & flags) == flags;
	return n;
}

/* ---- Levels ---- */

static SvStatus
level_by_thousand(SstWriter *writer, int i)
{
	static const int levels[] = {0, 1, 19};

	return sst_writer_set_level(writer, levels[i / 1000 % 3], NULL);
}

static void
test_levels(void)
{
	SstWriterOptions options = {.block_bytes = SST_FRAME_BYTES,.zstd_level = 3};
	MemFile		file;
	SstReader  *reader;
	const SstIndex *index;
	bool		right = true;
	uint32_t	entries = 0;

	write_file(&file, options, ENTRIES, text_entry, level_by_thousand);
	reader = open_file(&file);
	index = &sst_reader_tail(reader)->index;
	CHECK(reads_back(reader, ENTRIES, text_entry), "a file of three levels");
	for (uint32_t i = 0; i < index->count; i++)
	{
		SstBlockInfo info = sst_index_block(index, i);
		bool		zstd = (info.flags & SST_BLOCK_ZSTD) != 0;

		/* No block lies across a change of level. */
		right = right && entries / 1000 == (entries + info.entries - 1) / 1000 &&
			zstd == (entries >= 1000);
		entries += info.entries;
	}
	CHECK(right, "each block has the level of its entries");
	sst_reader_close(reader);
	mem_file_free(&file);
}

static SvStatus
same_level(SstWriter *writer, int i)
{
	(void) i;
	return sst_writer_set_level(writer, 1, NULL) == SV_OK ?
		sst_writer_set_dictionary(writer, true, NULL) : SV_INVALID;
}

static void
test_same_level(void)
{
	SstWriterOptions options = {.block_bytes = SST_FRAME_BYTES,.zstd_level = 1};
	MemFile		file;
	MemFile		plain;

	write_file(&file, options, ENTRIES, text_entry, same_level);
	write_file(&plain, options, ENTRIES, text_entry, NULL);
	CHECK(sv_slice_equal(sv_buffer_slice(&file.bytes), sv_buffer_slice(&plain.bytes)),
		  "what stays as it is closes no block");
	mem_file_free(&file);
	mem_file_free(&plain);
}

static void
test_refusals(void)
{
	SstWriterOptions options = SST_WRITER_DEFAULTS;
	MemFile		file;
	SstSink		sink = mem_sink(&file);
	SstWriter  *writer;
	SstSummary	summary;

	mem_file_init(&file);
	if (sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	CHECK(sst_writer_set_level(writer, -1, NULL) == SV_INVALID &&
		  sst_writer_set_level(writer, 1, NULL) == SV_INVALID &&
		  sst_writer_set_dictionary(writer, true, NULL) == SV_INVALID &&
		  sst_writer_finish(writer, &summary, NULL) == SV_INVALID,
		  "after an unknown level the writer is of no use");
	sst_writer_destroy(writer);

	options.dictionary_bytes = SST_MIN_DICTIONARY_BYTES - 1;
	CHECK(sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, NULL) == SV_INVALID,
		  "a dictionary that is too small");
	options.dictionary_bytes = SST_MAX_DICTIONARY_BYTES + 1;
	CHECK(sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, NULL) == SV_INVALID,
		  "or too large");
	options.dictionary_bytes = 0;
	options.filter_bits = SST_FILTER_MAX_BITS + 1;
	CHECK(sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, NULL) == SV_INVALID,
		  "or a filter");
	mem_file_free(&file);
}

/* ---- Dictionaries ---- */

static const SstWriterOptions with_dictionary = {
	.block_bytes = 1000,.zstd_level = 1,.filter_bits = SST_FILTER_DEFAULT_BITS,.dictionary_bytes = 1024
};

static void
test_dictionary_pays(void)
{
	SstWriterOptions without = with_dictionary;
	MemFile		file;
	MemFile		plain;
	SstReader  *reader;
	SstReader  *plain_reader;

	without.dictionary_bytes = 0;
	write_file(&file, with_dictionary, ENTRIES, text_entry, NULL);
	write_file(&plain, without, ENTRIES, text_entry, NULL);
	reader = open_file(&file);
	plain_reader = open_file(&plain);
	printf("# %zu bytes with a dictionary of %zu bytes, %zu without\n", file.bytes.len,
		   sst_reader_tail(reader)->dictionary.len, plain.bytes.len);
	CHECK(reads_back(reader, ENTRIES, text_entry) && reads_back(plain_reader, ENTRIES, text_entry),
		  "files with and without a dictionary have the same entries");
	CHECK(sst_reader_tail(reader)->dictionary.len > 0 &&
		  sst_reader_tail(reader)->dictionary.len <= 1024 && file.bytes.len < plain.bytes.len,
		  "the file is smaller with it");
	CHECK(blocks_with(reader, SST_BLOCK_DICTIONARY | SST_BLOCK_ZSTD) ==
		  sst_reader_tail(reader)->index.count &&
		  blocks_with(plain_reader, SST_BLOCK_DICTIONARY) == 0, "all blocks are flagged, or none");
	sst_reader_close(plain_reader);
	sst_reader_close(reader);
	mem_file_free(&plain);
	mem_file_free(&file);
}

/* Whether a file is the same, byte by byte, as one without a dictionary. */
static bool
is_without_dictionary(SstWriterOptions options, int n, MakeEntry make, Before before)
{
	MemFile		file;
	MemFile		plain;
	bool		same;

	write_file(&file, options, n, make, before);
	options.dictionary_bytes = 0;
	write_file(&plain, options, n, make, before);
	same = sv_slice_equal(sv_buffer_slice(&file.bytes), sv_buffer_slice(&plain.bytes));
	mem_file_free(&file);
	mem_file_free(&plain);
	return same;
}

static SvStatus
no_dictionary(SstWriter *writer, int i)
{
	return i == 0 ? sst_writer_set_dictionary(writer, false, NULL) : SV_OK;
}

static void
test_dictionary_does_not_pay(void)
{
	SstWriterOptions raw = with_dictionary;

	raw.zstd_level = 0;
	CHECK(is_without_dictionary(with_dictionary, ENTRIES, noise_entry, NULL),
		  "noise gets no dictionary");
	CHECK(is_without_dictionary(with_dictionary, 12, text_entry, NULL),
		  "neither do a few entries, which are smaller than it");
	CHECK(is_without_dictionary(with_dictionary, 0, text_entry, NULL), "nor none");
	CHECK(is_without_dictionary(raw, ENTRIES, text_entry, NULL), "nor those stored raw");
	CHECK(is_without_dictionary(with_dictionary, ENTRIES, text_entry, no_dictionary),
		  "nor those of which nobody wants it");
}

/* Entries 1000 to 1999 are of a table without a dictionary. */
static SvStatus
dictionary_by_thousand(SstWriter *writer, int i)
{
	return sst_writer_set_dictionary(writer, i / 1000 != 1, NULL);
}

/* As before, but the first table is the one without: nothing is held back for it. */
static SvStatus
dictionary_later(SstWriter *writer, int i)
{
	return sst_writer_set_dictionary(writer, i >= 1000, NULL);
}

static void
test_tables(Before before, const char *name)
{
	MemFile		file;
	SstReader  *reader;
	const SstIndex *index;
	uint32_t	entries = 0;
	bool		right = true;

	write_file(&file, with_dictionary, ENTRIES, text_entry, before);
	reader = open_file(&file);
	index = &sst_reader_tail(reader)->index;
	for (uint32_t i = 0; i < index->count; i++)
	{
		SstBlockInfo info = sst_index_block(index, i);
		bool		wanted = before == dictionary_later ? entries >= 1000 : entries / 1000 != 1;

		right = right && ((info.flags & SST_BLOCK_DICTIONARY) != 0) == wanted;
		entries += info.entries;
	}
	CHECK(right && reads_back(reader, ENTRIES, text_entry), name);
	sst_reader_close(reader);
	mem_file_free(&file);
}

static uint8_t large_value[6 * 1024 * 1024];

/* Every thousandth value is a large one, the first of them over all that may be held back. */
static SstEntry
with_large_entry(int i)
{
	SstEntry	entry = text_entry(i);

	if (i % 1000 == 10)
		entry.value = sv_slice(large_value, i == 10 ? sizeof(large_value) : 100000);
	return entry;
}

static void
test_large_among_sample(void)
{
	MemFile		file;
	SstReader  *reader;

	memset(large_value, 'l', sizeof(large_value));
	write_file(&file, with_dictionary, ENTRIES, with_large_entry, NULL);
	reader = open_file(&file);
	CHECK(reads_back(reader, ENTRIES, with_large_entry) &&
		  blocks_with(reader, SST_BLOCK_LARGE) == 3, "large values while a sample is collected");
	sst_reader_close(reader);
	mem_file_free(&file);
}

/* ---- Loading ---- */

static bool
load_matches(SstLoader *loader, const SstReader *reader, MemFile *file, uint32_t block,
			 MakeEntry make, uint8_t *dst)
{
	const SstTail *tail = sst_reader_tail(reader);
	SstSource	source = mem_source(file);
	SstBlockInfo info = sst_index_block(&tail->index, block);
	SstBlock	parsed;
	size_t		at = 0;
	bool		ok;

	ok = sst_load_block(loader, tail, &source, block, dst, NULL) == SV_OK &&
		sst_block_parse(&parsed, sv_slice(dst, info.raw_bytes)) == NULL;
	for (uint32_t i = 0; ok && i < parsed.count; i++)
	{
		SstEntry	entry;
		SstEntry	expected;
		char		digits[7] = {0};

		ok = sst_block_entry(&parsed, at, &entry, &at) == NULL && entry.key.len == 10;
		if (!ok)
			break;
		memcpy(digits, entry.key.data + 4, 6);
		expected = make(atoi(digits) / 2);
		ok = same_entry(&entry, &expected);
	}
	return ok;
}

/* One loader for two files with dictionaries of their own, in turns. */
static void
test_loader(void)
{
	MemFile		files[2];
	SstReader  *readers[2];
	MakeEntry	make[2] = {text_entry, other_text_entry};
	SstLoader  *loader;
	uint8_t    *dst = must_allocate(SST_FRAME_BYTES);
	bool		ok = true;

	for (int i = 0; i < 2; i++)
	{
		write_file(&files[i], with_dictionary, ENTRIES, make[i], NULL);
		readers[i] = open_file(&files[i]);
		ok = ok && sst_reader_tail(readers[i])->dictionary.len > 0;
	}
	if (sst_loader_create(&loader, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	for (uint32_t block = 0; block < 40 && ok; block++)
		for (int i = 0; i < 2; i++)
			ok = load_matches(loader, readers[i], &files[i], block, make[i], dst) &&
				load_matches(loader, readers[i], &files[i], block + 1, make[i], dst);
	CHECK(ok, "a loader goes from one dictionary to another and back");
	CHECK(sst_loader_memory(loader) > sst_reader_tail(readers[0])->dictionary.len,
		  "and says what memory it has");
	sst_loader_destroy(loader);
	sst_loader_destroy(NULL);
	for (int i = 0; i < 2; i++)
	{
		sst_reader_close(readers[i]);
		mem_file_free(&files[i]);
	}
	free(dst);
}

/* Stored bytes that came by another way, also at the place where the block is to be. */
static void
test_load_stored(int zstd_level)
{
	SstWriterOptions options = {.block_bytes = 1000,.zstd_level = zstd_level};
	MemFile		file;
	SstReader  *reader;
	const SstTail *tail;
	SstLoader  *loader;
	SstBlockInfo info;
	SvSlice		stored;
	SvError		err;
	uint8_t    *in_place = must_allocate(SST_FRAME_BYTES);
	uint8_t    *apart = must_allocate(SST_FRAME_BYTES);

	write_file(&file, options, 100, text_entry, NULL);
	reader = open_file(&file);
	tail = sst_reader_tail(reader);
	info = sst_index_block(&tail->index, 1);
	stored = sv_slice(file.bytes.data + info.offset, info.stored_bytes);
	memcpy(in_place, stored.data, stored.len);
	if (sst_loader_create(&loader, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	CHECK(sst_load_stored(loader, tail, "o", 1, stored, apart, NULL) == SV_OK &&
		  (zstd_level > 0 ||
		   (sst_load_stored(loader, tail, "o", 1, sv_slice(in_place, stored.len), in_place,
							NULL) == SV_OK &&
			memcmp(in_place, apart, info.raw_bytes) == 0)), "stored bytes are loaded");
	stored.len--;
	CHECK(sst_load_stored(loader, tail, "o", 1, stored, apart, &err) == SV_CORRUPT &&
		  strstr(err.message, "corrupted block 1 at offset") != NULL, "but not too few of them");
	stored = sv_slice(file.bytes.data, sst_index_block(&tail->index, 0).stored_bytes);
	CHECK(sst_load_stored(loader, tail, "o", 1, stored, apart, NULL) == SV_CORRUPT,
		  "nor those of another block");
	sst_loader_destroy(loader);
	sst_reader_close(reader);
	mem_file_free(&file);
	free(in_place);
	free(apart);
}

int
main(void)
{
	make_values();
	test_levels();
	test_same_level();
	test_refusals();
	test_dictionary_pays();
	test_dictionary_does_not_pay();
	test_tables(dictionary_by_thousand, "tables with the dictionary and without");
	test_tables(dictionary_later, "first without, then with");
	test_large_among_sample();
	test_loader();
	test_load_stored(0);
	test_load_stored(1);
	return unit_done();
}
