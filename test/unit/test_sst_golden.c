/*
 * test_sst_golden.c
 *		Files written by released versions stay readable, byte by byte what
 *		FORMAT.md says, and today's writer still writes them.
 *
 * usage: test_sst_golden [DIR]				run the tests
 *        test_sst_golden --write DIR		write the golden files into DIR
 *        test_sst_golden --corpus DIR	write inputs to begin fuzzing with into
 *										DIR/sst, DIR/block and DIR/filter
 *        test_sst_golden --print-example	print FORMAT.md's example
 *
 * DIR has the golden files; without it SKYVAULT_UNIT_DATA says where they are,
 * else they are in test/unit/golden.
 */
#include <inttypes.h>

#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "sst/sst_rmi_build.h"
#include "sst_fixture.h"
#include "unit.h"

#define FORMAT_MD "../../../src/sst/FORMAT.md"	/* from the golden files */
#define MAX_PATH 4096
#define MAX_ENTRIES 300

static uint8_t long_key[SST_MAX_KEY_BYTES];
static uint8_t large_value[40000];

/* The contents of the golden files: never change them. */
static size_t
raw_entries(SstEntry *entries)
{
	size_t		n = 0;

	entries[n++] = value_entry("", "the empty key", SST_NEVER_EXPIRES);
	entries[n++] = value_entry("a", "", SST_NEVER_EXPIRES);
	entries[n++] = value_entry("aa", "expires at the epoch", 0);
	entries[n++] = value_entry("aaa", "expired before it", -1);
	entries[n++] = value_entry("ab", "expires very late", INT64_MAX - 1);
	entries[n++] = tombstone_entry("b");
	entries[n++] = tombstone_entry("ba");
	entries[n - 1].expires_at = INT64_C(846547200000000);
	entries[n++] = value_entry("key-1", "longer than a block of two hundred bytes: "
							   "0123456789012345678901234567890123456789"
							   "0123456789012345678901234567890123456789"
							   "0123456789012345678901234567890123456789"
							   "0123456789012345678901234567890123456789"
							   "0123456789012345678901234567890123456789", 77);
	entries[n++] = value_entry("key-2", "short again", SST_NEVER_EXPIRES);
	entries[n++] = value_entry("key-3", "and the next", SST_NEVER_EXPIRES);
	entries[n++] = value_entry("\xc3\xa9", "beyond ASCII", SST_NEVER_EXPIRES);
	entries[n++] = value_entry("\xff\xff", "\xff", SST_NEVER_EXPIRES);
	return n;
}

/* The same, then a large block whose key is as long as may be. */
static size_t
zstd_entries(SstEntry *entries)
{
	size_t		n = raw_entries(entries);

	memset(long_key, 0xff, sizeof(long_key));
	for (size_t i = 0; i < sizeof(large_value); i++)
		large_value[i] = (uint8_t) (i / 1000);
	entries[n] = value_entry("", "", 1);
	entries[n].key = sv_slice(long_key, sizeof(long_key));
	entries[n++].value = sv_slice(large_value, sizeof(large_value));
	return n;
}

static char many_keys[MAX_ENTRIES][16];
static char many_values[MAX_ENTRIES][80];

/* Texts alike, in many blocks; every fifth of another kind. */
static size_t
many_entries(SstEntry *entries)
{
	for (int i = 0; i < MAX_ENTRIES; i++)
	{
		snprintf(many_keys[i], sizeof(many_keys[i]), "city:%05d", i * i);
		snprintf(many_values[i], sizeof(many_values[i]),
				 "{\"name\": \"city of %d\", \"country\": \"Utopia\", \"area\": %d}", i, i * 31 % 97);
		entries[i] = i % 5 == 4 ? tombstone_entry(many_keys[i]) :
			value_entry(many_keys[i], many_values[i], i % 3 == 0 ? i : SST_NEVER_EXPIRES);
	}
	return MAX_ENTRIES;
}

static size_t
example_entries(SstEntry *entries)
{
	entries[0] = value_entry("apple", "red", SST_NEVER_EXPIRES);
	entries[1] = tombstone_entry("banana");
	entries[2] = value_entry("cherry", "dark", 1000000);
	return 3;
}

/* What a golden file is there to show. */
#define HAS_FILTER		1
#define HAS_LEARNED		2
#define HAS_DICTIONARY	4
#define HAS_LARGE		8
#define EXACT			16		/* neither libzstd nor floating point have a say in the bytes */

typedef struct Golden
{
	const char *name;
	size_t		(*fill) (SstEntry *entries);
	SstWriterOptions options;
	uint64_t	tail_bytes;		/* as the registry would keep it */
	int			traits;
} Golden;

static const Golden goldens[] = {
	{"sst-v1.sst", raw_entries, {.block_bytes = 200}, 288, EXACT},
	{"sst-v1-filter.sst", raw_entries, {.block_bytes = 2000,.filter_bits = 10}, 352,
	HAS_FILTER | EXACT},
	{"sst-v1-zstd.sst", zstd_entries, {.block_bytes = 16384,.zstd_level = 1}, 2304, HAS_LARGE},
	{"sst-v1-learned.sst", many_entries, {.block_bytes = 400,.zstd_level = 1,.filter_bits = 10},
	3328, HAS_FILTER | HAS_LEARNED},
	{"sst-v1-dictionary.sst", many_entries,
		{.block_bytes = 400,.zstd_level = 3,.filter_bits = 10,.dictionary_bytes = 512},
	3872, HAS_FILTER | HAS_LEARNED | HAS_DICTIONARY}
};

static void
write_golden(const Golden *golden, MemFile *file)
{
	SstEntry	entries[MAX_ENTRIES];
	SvError		err;

	mem_file_init(file);
	if (write_entries(file, entries, golden->fill(entries), golden->options, &sv_malloc_alloc,
					  &err) != SV_OK)
	{
		fprintf(stderr, "%s\n", err.message);
		abort();
	}
}

/* Takes a whole file into memory; aborts if there is none. */
static void
load_file(const char *dir, const char *name, SvBuffer *bytes)
{
	char		path[MAX_PATH];
	char		piece[4096];
	size_t		n;
	FILE	   *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (f == NULL)
	{
		perror(path);
		exit(2);
	}
	sv_buffer_init(bytes, &sv_malloc_alloc);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		if (sv_buffer_append(bytes, piece, n, NULL) != SV_OK)
			abort();
	fclose(f);
}

/* What of the traits a file has, apart from being exact. */
static int
traits_of(const SstReader *reader)
{
	const SstTail *tail = sst_reader_tail(reader);
	int			traits = 0;

	for (uint32_t i = 0; i < tail->index.count; i++)
		if ((sst_index_block(&tail->index, i).flags & SST_BLOCK_LARGE) != 0)
			traits |= HAS_LARGE;
	return traits | (tail->filter.line_count > 0 ? HAS_FILTER : 0) |
		(tail->rmi.count > 0 ? HAS_LEARNED : 0) |
		(tail->dictionary.len > 0 ? HAS_DICTIONARY : 0);
}

static bool
reads_back(MemFile *file, const SstEntry *entries, size_t n, int traits)
{
	SstReader  *reader;
	SstIterator *it;
	SstEntry	entry;
	SvError		err;
	SvBuffer	scratch;
	bool		ok;

	if (mem_open(&reader, file, &sv_malloc_alloc, &err) != SV_OK)
	{
		printf("# %s\n", err.message);
		return false;
	}
	if (mem_iterate(&it, reader, NULL, NULL, false, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	ok = traits_of(reader) == (traits & ~EXACT);
	for (size_t i = 0; i < n && ok; i++)
		ok = sst_iterator_next(it, &entry, &err) == SV_OK && same_entry(&entry, &entries[i]) &&
			sst_reader_get(reader, entries[i].key, &entry, &scratch, &err) == SV_OK &&
			same_entry(&entry, &entries[i]);
	ok = ok && sst_iterator_next(it, &entry, &err) == SV_NOT_FOUND;
	sv_buffer_free(&scratch);
	sst_iterator_close(it);
	sst_reader_close(reader);
	return ok;
}

static void
test_golden(const Golden *golden, const char *dir)
{
	SstEntry	entries[MAX_ENTRIES];
	size_t		n = golden->fill(entries);
	MemFile		written;
	MemFile		stored;

	write_golden(golden, &written);
	mem_file_init(&stored);
	load_file(dir, golden->name, &stored.bytes);
	stored.summary.file_bytes = stored.bytes.len;
	stored.summary.tail_bytes = golden->tail_bytes;
	CHECK(reads_back(&stored, entries, n, golden->traits), golden->name);

	if ((golden->traits & EXACT) != 0)
		CHECK(sv_slice_equal(sv_buffer_slice(&written.bytes), sv_buffer_slice(&stored.bytes)),
			  "the writer still writes the same bytes");
	else
		CHECK(reads_back(&written, entries, n, golden->traits), "and what the writer makes of them now");
	mem_file_free(&written);
	mem_file_free(&stored);
}

static void
write_example(MemFile *file)
{
	SstEntry	entries[3];
	SstWriterOptions options = {.block_bytes = 16384};

	mem_file_init(file);
	if (write_entries(file, entries, example_entries(entries), options, &sv_malloc_alloc,
					  NULL) != SV_OK)
		abort();
}

/* Lines of an offset, two spaces and up to 16 bytes in hex. */
static void
print_dump(SvSlice bytes, SvBuffer *text)
{
	char		piece[16];

	for (size_t at = 0; at < bytes.len; at++)
	{
		int			n = snprintf(piece, sizeof(piece), "%02x", bytes.data[at]);

		if (at % 16 == 0)
		{
			char		offset[16];
			int			m = snprintf(offset, sizeof(offset), "%s%04zx ", at == 0 ? "" : "\n", at);

			if (sv_buffer_append(text, offset, (size_t) m, NULL) != SV_OK)
				abort();
		}
		if (sv_buffer_append(text, " ", 1, NULL) != SV_OK ||
			sv_buffer_append(text, piece, (size_t) n, NULL) != SV_OK)
			abort();
	}
	if (sv_buffer_append(text, "\n", 2, NULL) != SV_OK)
		abort();
	text->len--;
}

/* Whether FORMAT.md has the text in one piece. */
static bool
is_documented(const char *dir, const void *text, size_t len)
{
	SvBuffer	document;
	bool		found;

	load_file(dir, FORMAT_MD, &document);
	found = memmem(document.data, document.len, text, len) != NULL;
	sv_buffer_free(&document);
	return found;
}

/* A dump stands in the document as it is printed. */
static bool
is_dumped(const char *dir, SvSlice bytes)
{
	SvBuffer	text;
	bool		found;

	sv_buffer_init(&text, &sv_malloc_alloc);
	print_dump(bytes, &text);
	found = is_documented(dir, text.data, text.len);
	sv_buffer_free(&text);
	return found;
}

#define EXAMPLE_BLOCK_BYTES 54

static void
test_example(const char *dir)
{
	const size_t table_at = EXAMPLE_BLOCK_BYTES - sst_block_trailer_bytes(3);
	MemFile		file;
	SstSettled	settled;
	char		table[80];
	size_t		len = 0;

	write_example(&file);
	CHECK(is_dumped(dir, sv_buffer_slice(&file.bytes)), "FORMAT.md's example is what the writer writes");
	if (sst_block_settle(file.bytes.data, EXAMPLE_BLOCK_BYTES, &settled) != NULL)
		abort();
	for (uint32_t i = 0; i < sst_block_slots(3); i++)
	{
		const uint8_t *slot = file.bytes.data + table_at + i * SST_SLOT_BYTES;

		len += (size_t) snprintf(table + len, sizeof(table) - len, "%s`%02x %02x %02x`", i == 0 ? "" : " ",
								 slot[0], slot[1], slot[2]);
	}
	CHECK(settled.count == 3 && is_documented(dir, table, len), "so is its table, once it is settled");
	mem_file_free(&file);
}

static SvSlice
animal(const void *state, uint32_t i)
{
	return sv_slice((const char *) state + (size_t) i * 3, 3);
}

static void
test_index_example(const char *dir)
{
	SstRmiKeys	keys = {animal, "antbeecatcowdogelkfoxgnu", 8};
	SstRmiOptions options = {.fences = true};
	SstRmi		rmi;
	SstRmiRange dog;
	SstRmiRange dad;
	SvBuffer	bytes;

	sv_buffer_init(&bytes, &sv_malloc_alloc);
	if (sst_rmi_build(&keys, &options, &bytes, NULL) != SV_OK ||
		sst_rmi_parse(&rmi, sv_buffer_slice(&bytes), keys.count) != NULL)
		abort();
	CHECK(is_dumped(dir, sv_buffer_slice(&bytes)), "FORMAT.md's learned index is what the writer writes");
	dog = sst_rmi_locate(&rmi, sv_slice("dog", 3));
	dad = sst_rmi_locate(&rmi, sv_slice("dad", 3));
	CHECK(dog.low == 4 && dog.high == 5 && dad.low == 4 && dad.high == 4, "and answers what is said there");
	sv_buffer_free(&bytes);
}

static void
save_file(const char *dir, const char *name, SvSlice bytes)
{
	char		path[MAX_PATH];
	FILE	   *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(bytes.data, 1, bytes.len, f) != bytes.len || fclose(f) != 0)
	{
		perror(path);
		exit(2);
	}
}

static int
write_all(const char *dir)
{
	for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++)
	{
		MemFile		file;

		write_golden(&goldens[i], &file);
		save_file(dir, goldens[i].name, sv_buffer_slice(&file.bytes));
		printf("%s: %zu bytes, tail of %" PRIu64 " bytes\n", goldens[i].name, file.bytes.len,
			   file.summary.tail_bytes);
		mem_file_free(&file);
	}
	return 0;
}

/* ---- Inputs to begin fuzzing with ---- */

static void
save_entries(const char *dir, const char *name, const SstEntry *entries, size_t n,
			 SstWriterOptions options)
{
	MemFile		file;

	mem_file_init(&file);
	if (write_entries(&file, entries, n, options, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	save_file(dir, name, sv_buffer_slice(&file.bytes));
	mem_file_free(&file);
}

static void
save_block(const char *dir, const char *name, const SstEntry *entries, size_t n, bool settled)
{
	SstBlockBuilder builder;
	SvSlice		raw;
	SstSettled	there;
	uint8_t    *bytes;

	sst_block_builder_init(&builder, &sv_malloc_alloc);
	for (size_t i = 0; i < n; i++)
		if (sst_block_builder_add(&builder, &entries[i], NULL) != SV_OK)
			abort();
	if (sst_block_builder_finish(&builder, &raw, NULL) != SV_OK)
		abort();
	bytes = must_allocate(raw.len);
	memcpy(bytes, raw.data, raw.len);
	if (settled && sst_block_settle(bytes, raw.len, &there) != NULL)
		abort();
	save_file(dir, name, sv_slice(bytes, raw.len));
	free(bytes);
	sst_block_builder_free(&builder);
}

/* The number of hashes and of bits, the hashes, and their filter. */
static void
save_filter(const char *dir, const char *name, uint8_t n, uint8_t bits)
{
	SstFilterBuilder builder;
	SvBuffer	input;
	uint8_t		first = (uint8_t) (n + 13 * bits);

	sv_buffer_init(&input, &sv_malloc_alloc);
	sst_filter_builder_init(&builder, &sv_malloc_alloc);
	if (sv_buffer_append(&input, &first, 1, NULL) != SV_OK)
		abort();
	for (uint8_t i = 0; i < n; i++)
	{
		uint64_t	hash = sv_hash64(sv_slice(&i, 1));
		uint8_t		stored[8];

		sv_put_u64(stored, hash);
		if (sst_filter_builder_add(&builder, hash, NULL) != SV_OK ||
			sv_buffer_append(&input, stored, sizeof(stored), NULL) != SV_OK)
			abort();
	}
	if (sst_filter_builder_finish(&builder, bits, &input, NULL) != SV_OK)
		abort();
	save_file(dir, name, sv_buffer_slice(&input));
	sst_filter_builder_free(&builder);
	sv_buffer_free(&input);
}

static int
write_corpus(const char *dir)
{
	SstEntry	entries[MAX_ENTRIES];
	char		path[MAX_PATH];
	size_t		n;

	snprintf(path, sizeof(path), "%s/sst", dir);
	n = many_entries(entries);
	save_entries(path, "empty", entries, 0, (SstWriterOptions) {.block_bytes = 100});
	save_entries(path, "learned", entries, 30,
				 (SstWriterOptions) {.block_bytes = 200,.filter_bits = 10});
	save_entries(path, "dictionary", entries, n, (SstWriterOptions) {
		.block_bytes = 400,.zstd_level = 1,.filter_bits = 3,.dictionary_bytes = 256
	});
	n = example_entries(entries);
	save_entries(path, "example", entries, n, (SstWriterOptions) {.block_bytes = 16384});
	n = raw_entries(entries);
	save_entries(path, "filter", entries, n,
				 (SstWriterOptions) {.block_bytes = 300,.filter_bits = 10});
	n = zstd_entries(entries);
	save_entries(path, "large", entries + n - 1, 1,
				 (SstWriterOptions) {.block_bytes = 16384,.zstd_level = 1});

	snprintf(path, sizeof(path), "%s/block", dir);
	entries[n - 1].key.len = 3;
	entries[n - 1].value.len = SST_FRAME_BYTES;
	save_block(path, "large", entries + n - 1, 1, false);
	n = raw_entries(entries);
	save_block(path, "raw", entries, n, false);
	save_block(path, "settled", entries, n, true);
	save_block(path, "one", entries + 3, 1, false);
	n = many_entries(entries);
	save_block(path, "many", entries, 40, false);

	snprintf(path, sizeof(path), "%s/filter", dir);
	save_filter(path, "empty", 0, 0);
	save_filter(path, "one", 1, 10);
	save_filter(path, "few", 12, 18);
	save_filter(path, "loose", 12, 1);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : getenv("SKYVAULT_UNIT_DATA");

	if (argc > 2 && strcmp(argv[1], "--write") == 0)
		return write_all(argv[2]);
	if (argc > 2 && strcmp(argv[1], "--corpus") == 0)
		return write_corpus(argv[2]);
	if (argc > 1 && strcmp(argv[1], "--print-example") == 0)
	{
		MemFile		file;
		SvBuffer	text;

		write_example(&file);
		sv_buffer_init(&text, &sv_malloc_alloc);
		print_dump(sv_buffer_slice(&file.bytes), &text);
		fwrite(text.data, 1, text.len, stdout);
		sv_buffer_free(&text);
		mem_file_free(&file);
		return 0;
	}
	if (dir == NULL)
		dir = "test/unit/golden";
	for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++)
		test_golden(&goldens[i], dir);
	test_example(dir);
	test_index_example(dir);
	return unit_done();
}
