/*
 * test_sst.c
 *		Writer, reader and iterator of SSTs against an array of entries.
 */
#include "sst/sst_format.h"
#include "sst/sst_index.h"
#include "sst_fixture.h"
#include "unit.h"

#define SEED UINT64_C(20261121)

static uint64_t random_state = SEED;

static uint32_t
random_below(uint32_t n)
{
	return (uint32_t) (next_random(&random_state) >> 33) % n;
}

/* ---- A model: entries in order, with keys that leave gaps ---- */

#define MODEL_KEY_BYTES 24

typedef struct Model
{
	SstEntry   *entries;
	size_t		n;
	SvBuffer	bytes;
} Model;

static void
random_bytes(uint8_t *dst, size_t n, bool compressible)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = compressible ? (uint8_t) ('a' + i % 7) : (uint8_t) random_below(256);
}

/* Keys are even numbers in base ten, of one or of several lengths; odd ones are absent. */
static size_t
model_key(char *dst, size_t i, bool padded)
{
	size_t		digits;

	if (padded)
		return (size_t) snprintf(dst, MODEL_KEY_BYTES, "%010zu", i * 2);
	/* A letter for the number of digits keeps the order. */
	digits = (size_t) snprintf(dst + 1, MODEL_KEY_BYTES - 1, "%zu", i * 2);
	dst[0] = (char) ('a' + digits);
	return digits + 1;
}

static Model
make_model(size_t n, size_t max_value, bool compressible, bool padded)
{
	Model		model = {must_allocate(n * sizeof(SstEntry)), n, {0}};
	uint8_t    *at;

	sv_buffer_init(&model.bytes, &sv_malloc_alloc);
	if (sv_buffer_reserve(&model.bytes, n * (MODEL_KEY_BYTES + max_value) + 1, NULL) != SV_OK)
		abort();
	at = model.bytes.data;
	for (size_t i = 0; i < n; i++)
	{
		SstEntry   *entry = &model.entries[i];
		size_t		key_len = model_key((char *) at, i, padded);
		size_t		value_len = random_below((uint32_t) max_value + 1);

		entry->key = sv_slice(at, key_len);
		at += MODEL_KEY_BYTES;
		entry->kind = random_below(5) == 0 ? SST_TOMBSTONE : SST_VALUE;
		if (entry->kind == SST_TOMBSTONE)
			value_len = 0;
		random_bytes(at, value_len, compressible);
		entry->value = sv_slice(at, value_len);
		at += value_len;
		entry->expires_at = random_below(3) == 0 ? (int64_t) next_random(&random_state) :
			SST_NEVER_EXPIRES;
	}
	return model;
}

static void
free_model(Model *model)
{
	free(model->entries);
	sv_buffer_free(&model->bytes);
}

/* Position of the first entry not below key. */
static size_t
model_seek(const Model *model, const SvSlice *key)
{
	size_t		i = 0;

	while (i < model->n && sv_slice_compare(model->entries[i].key, *key) < 0)
		i++;
	return i;
}

/* ---- Comparing a file with the model ---- */

static bool
scan_matches(SstReader *reader, const Model *model, const SvSlice *low, const SvSlice *high,
			 bool backward)
{
	size_t		from = low == NULL ? 0 : model_seek(model, low);
	size_t		to = high == NULL ? model->n : model_seek(model, high);
	SstIterator *it;
	SstEntry	entry;
	SvError		err;
	bool		ok = true;

	if (mem_iterate(&it, reader, low, high, backward, &sv_malloc_alloc, &err) != SV_OK)
		return false;
	while (ok && from < to)
	{
		const SstEntry *expected = &model->entries[backward ? --to : from++];

		ok = sst_iterator_next(it, &entry, &err) == SV_OK && same_entry(&entry, expected);
	}
	ok = ok && sst_iterator_next(it, &entry, &err) == SV_NOT_FOUND &&
		sst_iterator_next(it, &entry, &err) == SV_NOT_FOUND;
	sst_iterator_close(it);
	return ok;
}

static bool
scans_match(SstReader *reader, const Model *model, const SvSlice *low, const SvSlice *high)
{
	return scan_matches(reader, model, low, high, false) &&
		scan_matches(reader, model, low, high, true);
}

/* Every key is found, with one read each, and the keys between them are not. */
static bool
gets_match(SstReader *reader, MemFile *file, const Model *model)
{
	SvBuffer	scratch;
	SstEntry	entry;
	SvError		err;
	uint8_t		absent[SST_MAX_KEY_BYTES + 1];
	bool		ok = true;

	sv_buffer_init(&scratch, &sv_malloc_alloc);
	for (size_t i = 0; i < model->n && ok; i++)
	{
		SvSlice		key = model->entries[i].key;
		SvSlice		beyond = sv_slice(absent, key.len + 1);

		file->reads = 0;
		ok = sst_reader_get(reader, key, &entry, &scratch, &err) == SV_OK &&
			file->reads == 1 && same_entry(&entry, &model->entries[i]);

		/* The key's successor comes before the next key, unless it is that one. */
		if (key.len > 0)
			memcpy(absent, key.data, key.len);
		absent[key.len] = 0;
		if (i + 1 < model->n && sv_slice_equal(beyond, model->entries[i + 1].key))
			continue;
		file->reads = 0;
		ok = ok && sst_reader_get(reader, beyond, &entry, &scratch, &err) == SV_NOT_FOUND &&
			file->reads <= (i + 1 < model->n ? 1 : 0);
	}
	sv_buffer_free(&scratch);
	return ok;
}

static bool
summary_matches(const MemFile *file, const Model *model)
{
	uint64_t	tombstones = 0;
	uint64_t	raw_bytes = 0;

	for (size_t i = 0; i < model->n; i++)
	{
		tombstones += model->entries[i].kind == SST_TOMBSTONE;
		raw_bytes += model->entries[i].key.len + model->entries[i].value.len;
	}
	return file->summary.file_bytes == file->bytes.len &&
		file->summary.entries == model->n && file->summary.tombstones == tombstones &&
		file->summary.raw_bytes == raw_bytes;
}

/* No block of several entries is over the size asked for. */
static bool
blocks_fit(const MemFile *file, uint32_t block_bytes)
{
	uint64_t	tail_offset = file->summary.file_bytes - file->summary.tail_bytes;
	SvSlice		tail = sv_slice(file->bytes.data + tail_offset, file->summary.tail_bytes);
	SstFooter	footer;
	SstIndex	index;

	if (sst_footer_decode(tail, tail_offset, &footer) != NULL ||
		sst_index_parse(&index, sv_slice(file->bytes.data + footer.block_index.offset,
										 footer.block_index.length),
						tail_offset, file->summary.entries, true) != NULL)
		return false;
	for (uint32_t i = 0; i < index.count; i++)
	{
		SstBlockInfo info = sst_index_block(&index, i);

		if (info.raw_bytes > block_bytes && info.entries > 1)
			return false;
	}
	return true;
}

/* Writes the model and reads it back in every way; false also if it cannot be written. */
static bool
round_trip(const Model *model, SstWriterOptions options)
{
	MemFile		file;
	SstReader  *reader = NULL;
	SvError		err;
	bool		ok;

	mem_file_init(&file);
	ok = write_entries(&file, model->entries, model->n, options, &sv_malloc_alloc,
					   &err) == SV_OK && summary_matches(&file, model) &&
		blocks_fit(&file, options.block_bytes) &&
		mem_open(&reader, &file, &sv_malloc_alloc, &err) == SV_OK &&
		file.reads == 1 &&
		file.last_read_at == file.summary.file_bytes - file.summary.tail_bytes &&
		sst_reader_entries(reader) == model->n &&
		sst_reader_memory(reader) >= file.summary.tail_bytes &&
		gets_match(reader, &file, model) &&
		scans_match(reader, model, NULL, NULL);
	sst_reader_close(reader);
	mem_file_free(&file);
	return ok;
}

static SstWriterOptions
options_of(uint32_t block_bytes, int zstd_level)
{
	return (SstWriterOptions) {
		.block_bytes = block_bytes,.zstd_level = zstd_level,.filter_bits = SST_FILTER_DEFAULT_BITS
	};
}

/* ---- Tests ---- */

static void
test_round_trips(void)
{
	static const size_t counts[] = {0, 1, 2, 3, 100, 3000};
	static const uint32_t blocks[] = {1, 64, 1000, SST_FRAME_BYTES};
	char		name[128];

	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
		for (int compressible = 0; compressible < 2; compressible++)
		{
			Model		model = make_model(counts[c], 200, compressible, compressible);
			bool		ok = true;

			for (size_t b = 0; b < sizeof(blocks) / sizeof(blocks[0]); b++)
				ok = ok && round_trip(&model, options_of(blocks[b], 0)) &&
					round_trip(&model, options_of(blocks[b], 1));
			snprintf(name, sizeof(name), "%zu entries, %s", counts[c],
					 compressible ? "compressible" : "random");
			CHECK(ok, name);
			free_model(&model);
		}
}

/* An entry of every size around that of a block, so that blocks close in every way. */
static void
test_block_boundaries(void)
{
	Model		model = make_model(60, 300, false, true);
	bool		ok = true;

	for (uint32_t bytes = 1; bytes < 1200; bytes++)
		ok = ok && round_trip(&model, options_of(bytes, 0));
	CHECK(ok, "every block size up to 1200 bytes");
	CHECK(round_trip(&model, options_of(333, 19)), "a high compression level");
	free_model(&model);
}

/* Values around a frame's size and far above, both storable forms. */
static void
test_large_values(void)
{
	static const size_t sizes[] = {0, 16300, 16350, 16360, 16361, 16362, 16363, 16364, 16365,
		16366, 16367, 16368, 16369, 16370, 16384, 16385, 32768, 70000, 5000000};
	const size_t n = sizeof(sizes) / sizeof(sizes[0]);

	for (int compressible = 0; compressible < 2; compressible++)
	{
		Model		model = make_model(n, 0, false, true);
		uint8_t    *value = must_allocate(sizes[n - 1]);

		random_bytes(value, sizes[n - 1], compressible);
		for (size_t i = 0; i < n; i++)
		{
			model.entries[i].kind = SST_VALUE;
			model.entries[i].value = sv_slice(value, sizes[i]);
			if (sizes[i] == 0)
				model.entries[i].value.data = NULL;
		}
		CHECK(round_trip(&model, options_of(SST_FRAME_BYTES, 0)), "large values, raw");
		CHECK(round_trip(&model, options_of(SST_FRAME_BYTES, 1)), "large values, zstd");
		free(value);
		free_model(&model);
	}
}

/* The longest keys, the empty key, and prefixes of one another. */
static void
test_extreme_keys(void)
{
	static uint8_t key[SST_MAX_KEY_BYTES];
	SstEntry	entries[6];
	Model		model = {entries, 6, {0}};
	static const size_t lengths[] = {0, 1, 2, 1000, SST_MAX_KEY_BYTES - 1, SST_MAX_KEY_BYTES};
	bool		ok = true;

	for (size_t i = 0; i < 6; i++)
		entries[i] = (SstEntry)
	{
		.key = sv_slice(i == 0 ? NULL : key, lengths[i]),
		.value = sv_slice("v", 1),
		.expires_at = i % 2 == 0 ? INT64_MIN : SST_NEVER_EXPIRES,
		.kind = SST_VALUE
	};
	for (int filling = 0; filling < 256; filling += 51)
	{
		memset(key, filling, sizeof(key));
		ok = ok && round_trip(&model, options_of(1, 0)) &&
			round_trip(&model, options_of(2500, 0)) &&
			round_trip(&model, options_of(SST_FRAME_BYTES, 1));
	}
	CHECK(ok, "keys of 0 to 2048 bytes, each a prefix of the next");
}

/* All pairs of bounds at, before and after every key, forward and backward. */
static void
test_bounds(void)
{
	Model		model = make_model(23, 40, false, true);
	MemFile		file;
	SstReader  *reader;
	SvError		err;
	char		texts[50][MODEL_KEY_BYTES];
	SvSlice		bounds[50];
	bool		ok;

	mem_file_init(&file);
	ok = write_entries(&file, model.entries, model.n, options_of(150, 1), &sv_malloc_alloc,
					   &err) == SV_OK &&
		mem_open(&reader, &file, &sv_malloc_alloc, &err) == SV_OK;
	if (!CHECK(ok, "a small file for bounds"))
		return;
	bounds[0] = sv_slice(NULL, 0);
	for (int i = 1; i < 50; i++)
	{
		snprintf(texts[i], MODEL_KEY_BYTES, "%010d", i - 2);
		bounds[i] = sv_slice(texts[i], strlen(texts[i]));
	}
	bounds[1] = sv_slice("\xff", 1);
	for (int low = 0; low < 50; low++)
	{
		ok = ok && scans_match(reader, &model, &bounds[low], NULL) &&
			scans_match(reader, &model, NULL, &bounds[low]);
		for (int high = 0; high < 50; high++)
		{
			/* The model's positions are only those of a range if low is not above high. */
			if (sv_slice_compare(bounds[low], bounds[high]) <= 0)
				ok = ok && scans_match(reader, &model, &bounds[low], &bounds[high]);
		}
	}
	CHECK(ok, "all pairs of bounds");
	file.reads = 0;
	CHECK(scans_match(reader, &(Model) {NULL, 0, {0}}, &bounds[9], &bounds[5]) &&
		  file.reads == 0, "bounds the wrong way round hold nothing and read nothing");
	sst_reader_close(reader);
	mem_file_free(&file);
	free_model(&model);
}

/* Random bounds over many blocks, shorter and longer than the keys. */
static void
test_random_bounds(void)
{
	Model		model = make_model(2000, 60, false, false);
	MemFile		file;
	SstReader  *reader;
	SvError		err;
	bool		ok;

	mem_file_init(&file);
	ok = write_entries(&file, model.entries, model.n, options_of(512, 1), &sv_malloc_alloc,
					   &err) == SV_OK &&
		mem_open(&reader, &file, &sv_malloc_alloc, &err) == SV_OK;
	if (!CHECK(ok, "a file for random bounds"))
		return;
	for (int round = 0; round < 400 && ok; round++)
	{
		char		texts[2][MODEL_KEY_BYTES];
		SvSlice		low;
		SvSlice		high;

		low = sv_slice(texts[0], model_key(texts[0], random_below(2100), false));
		high = sv_slice(texts[1], model_key(texts[1], random_below(2100), false));
		if (random_below(2) == 0)
			low.len--;
		if (random_below(2) == 0)
			texts[1][high.len - 1]++;
		if (sv_slice_compare(low, high) <= 0)
			ok = scans_match(reader, &model, &low, &high);
	}
	CHECK(ok, "random bounds");
	sst_reader_close(reader);
	mem_file_free(&file);
	free_model(&model);
}

static uint32_t
count_blocks_read(SstReader *reader, MemFile *file, const SvSlice *low, const SvSlice *high,
				  bool backward)
{
	SstIterator *it;
	SstEntry	entry;

	file->reads = 0;
	if (mem_iterate(&it, reader, low, high, backward, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	while (sst_iterator_next(it, &entry, NULL) == SV_OK)
		;
	sst_iterator_close(it);
	return (uint32_t) file->reads;
}

/* One entry a block, so that blocks read are entries looked at. */
static void
test_reads(void)
{
	SstEntry	entries[] = {
		value_entry("b1", "x", 5), value_entry("b3", "x", 6), value_entry("b5", "x", 7),
		value_entry("b7", "x", 8)
	};
	SvSlice		b3 = entries[1].key;
	SvSlice		b7 = entries[3].key;
	SvSlice		before = sv_slice("a", 1);
	SvSlice		after = sv_slice("c", 1);
	SvBuffer	scratch;
	SstEntry	entry;
	MemFile		file;
	SstReader  *reader;

	mem_file_init(&file);
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	if (write_entries(&file, entries, 4, options_of(1, 0), &sv_malloc_alloc, NULL) != SV_OK ||
		mem_open(&reader, &file, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	for (int backward = 0; backward < 2; backward++)
	{
		CHECK(count_blocks_read(reader, &file, NULL, NULL, backward) == 4, "each block once");
		CHECK(count_blocks_read(reader, &file, &b3, &b7, backward) == 2,
			  "only the blocks of the range");
		CHECK(count_blocks_read(reader, &file, NULL, &before, backward) == 0, "none before");
		CHECK(count_blocks_read(reader, &file, &after, NULL, backward) == 0, "none behind");
	}
	file.reads = 0;
	CHECK(sst_reader_get(reader, before, &entry, &scratch, NULL) == SV_NOT_FOUND &&
		  sst_reader_get(reader, after, &entry, &scratch, NULL) == SV_NOT_FOUND &&
		  file.reads == 0, "a key out of range reads nothing");
	sv_buffer_free(&scratch);
	sst_reader_close(reader);
	mem_file_free(&file);
}

/* Both entries are tried, the second after the first; what comes after a refusal is refused. */
static bool
second_refused(SstEntry first, SstEntry second)
{
	MemFile		file;
	SstSink		sink;
	SstWriter  *writer;
	SstSummary	summary;
	SstWriterOptions options = SST_WRITER_DEFAULTS;
	SstEntry	later = value_entry("zzz", "", SST_NEVER_EXPIRES);
	bool		ok;

	mem_file_init(&file);
	sink = mem_sink(&file);
	ok = sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, NULL) == SV_OK &&
		sst_writer_add(writer, &first, NULL) == SV_OK &&
		sst_writer_add(writer, &second, NULL) == SV_INVALID &&
		sst_writer_add(writer, &later, NULL) == SV_INVALID &&
		sst_writer_finish(writer, &summary, NULL) == SV_INVALID;
	sst_writer_destroy(writer);
	mem_file_free(&file);
	return ok;
}

static void
test_refusals(void)
{
	static uint8_t long_key[SST_MAX_KEY_BYTES + 1] = {'z'};
	SstEntry	first = value_entry("k", "v", SST_NEVER_EXPIRES);
	SstEntry	entry = value_entry("l", "v", SST_NEVER_EXPIRES);
	SstWriter  *writer;
	SstSink		sink = {mem_append, NULL};
	SstWriterOptions options;

	CHECK(second_refused(first, first), "the same key again");
	CHECK(second_refused(first, value_entry("j", "", 0)), "a smaller key");
	CHECK(second_refused(first, value_entry("", "", 0)), "the empty key after another");
	CHECK(second_refused(value_entry("", "", 0), value_entry("", "", 0)), "the empty key twice");
	entry.key = sv_slice(long_key, sizeof(long_key));
	CHECK(second_refused(first, entry), "a key of 2049 bytes");
	entry = value_entry("l", "v", SST_NEVER_EXPIRES);
	entry.value.len = SST_MAX_VALUE_BYTES + (size_t) 1;
	CHECK(second_refused(first, entry), "a value over the limit");
	entry = value_entry("l", "v", SST_NEVER_EXPIRES);
	entry.kind = SST_TOMBSTONE;
	CHECK(second_refused(first, entry), "a tombstone with a value");
	entry.kind = (SstKind) 3;
	CHECK(second_refused(first, entry), "an unknown kind");

	options = options_of(0, 0);
	CHECK(sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, NULL) == SV_INVALID &&
		  writer == NULL, "blocks of no bytes");
	options = options_of(SST_FRAME_BYTES + 1, 0);
	CHECK(sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, NULL) == SV_INVALID,
		  "blocks over a frame");
	options = options_of(100, 1000);
	CHECK(sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, NULL) == SV_INVALID,
		  "an unknown compression level");
	sst_writer_destroy(NULL);
}

/* The longest value there may be: the format's own limit, not one met by accident. */
static void
test_longest_value(void)
{
	uint8_t    *value = must_allocate(SST_MAX_VALUE_BYTES);
	SstEntry	entry = value_entry("k", "", 1);
	Model		model = {&entry, 1, {0}};

	memset(value, 'v', SST_MAX_VALUE_BYTES);
	entry.value = sv_slice(value, SST_MAX_VALUE_BYTES);
	CHECK(round_trip(&model, options_of(SST_FRAME_BYTES, 1)), "the longest value");
	free(value);
}

int
main(void)
{
	printf("# seed %llu\n", (unsigned long long) SEED);
	test_round_trips();
	test_block_boundaries();
	test_large_values();
	test_extreme_keys();
	test_bounds();
	test_random_bounds();
	test_reads();
	test_refusals();
	test_longest_value();
	return unit_done();
}
