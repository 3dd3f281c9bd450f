/*
 * test_sst_golden.c
 *		Files written by released versions stay readable, byte by byte what
 *		FORMAT.md says, and today's writer still writes them.
 *
 * usage: test_sst_golden [DIR]				run the tests
 *        test_sst_golden --write DIR		write the golden files into DIR
 *        test_sst_golden --print-example	print FORMAT.md's example
 *
 * DIR has the golden files; without it SKYVAULT_UNIT_DATA says where they are,
 * else they are in test/unit/golden.
 */
#include <inttypes.h>

#include "sst_fixture.h"
#include "unit.h"

#define FORMAT_MD "../../../src/sst/FORMAT.md"	/* from the golden files */
#define MAX_PATH 4096

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

static size_t
example_entries(SstEntry *entries)
{
	entries[0] = value_entry("apple", "red", SST_NEVER_EXPIRES);
	entries[1] = tombstone_entry("banana");
	entries[2] = value_entry("cherry", "dark", 1000000);
	return 3;
}

typedef struct Golden
{
	const char *name;
	size_t		(*fill) (SstEntry *entries);
	uint32_t	block_bytes;
	int			zstd_level;
	uint64_t	tail_bytes;		/* as the registry would keep it */
} Golden;

static const Golden goldens[] = {
	{"sst-v1.sst", raw_entries, 200, 0, 224},
	{"sst-v1-zstd.sst", zstd_entries, 16384, 1, 2235}
};

static void
write_golden(const Golden *golden, MemFile *file)
{
	SstEntry	entries[20];
	SstWriterOptions options = {golden->block_bytes, golden->zstd_level};
	SvError		err;

	mem_file_init(file);
	if (write_entries(file, entries, golden->fill(entries), options, &sv_malloc_alloc,
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

static bool
reads_back(MemFile *file, const SstEntry *entries, size_t n)
{
	SstReader  *reader;
	SstIterator *it;
	SstEntry	entry;
	SvError		err;
	SvBuffer	scratch;
	bool		ok = true;

	if (mem_open(&reader, file, &sv_malloc_alloc, &err) != SV_OK)
	{
		printf("# %s\n", err.message);
		return false;
	}
	if (sst_iterator_open(&it, reader, NULL, NULL, false, &err) != SV_OK)
		abort();
	sv_buffer_init(&scratch, &sv_malloc_alloc);
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
	SstEntry	entries[20];
	size_t		n = golden->fill(entries);
	MemFile		written;
	MemFile		stored;

	write_golden(golden, &written);
	mem_file_init(&stored);
	load_file(dir, golden->name, &stored.bytes);
	stored.summary.file_bytes = stored.bytes.len;
	stored.summary.tail_bytes = golden->tail_bytes;
	CHECK(reads_back(&stored, entries, n), golden->name);

	/* What zstd makes of the same bytes is its own affair, and changes. */
	if (golden->zstd_level == 0)
		CHECK(sv_slice_equal(sv_buffer_slice(&written.bytes), sv_buffer_slice(&stored.bytes)),
			  "the writer still writes the same bytes");
	else
		CHECK(reads_back(&written, entries, n), "and what the writer makes of them now");
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
print_example(const MemFile *file, SvBuffer *text)
{
	char		piece[16];

	for (size_t at = 0; at < file->bytes.len; at++)
	{
		int			n = snprintf(piece, sizeof(piece), "%02x", file->bytes.data[at]);

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

/* The dump stands in the document as it is printed, so that it is found in one piece. */
static void
test_example(const char *dir)
{
	MemFile		file;
	SvBuffer	text;
	SvBuffer	document;

	write_example(&file);
	sv_buffer_init(&text, &sv_malloc_alloc);
	print_example(&file, &text);
	load_file(dir, FORMAT_MD, &document);
	CHECK(memmem(document.data, document.len, text.data, text.len) != NULL,
		  "FORMAT.md's example is what the writer writes");
	sv_buffer_free(&document);
	sv_buffer_free(&text);
	mem_file_free(&file);
}

static int
write_all(const char *dir)
{
	for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++)
	{
		char		path[MAX_PATH];
		MemFile		file;
		FILE	   *f;

		write_golden(&goldens[i], &file);
		snprintf(path, sizeof(path), "%s/%s", dir, goldens[i].name);
		f = fopen(path, "wb");
		if (f == NULL || fwrite(file.bytes.data, 1, file.bytes.len, f) != file.bytes.len ||
			fclose(f) != 0)
		{
			perror(path);
			return 1;
		}
		printf("%s: %zu bytes, tail of %" PRIu64 " bytes\n", path, file.bytes.len,
			   file.summary.tail_bytes);
		mem_file_free(&file);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : getenv("SKYVAULT_UNIT_DATA");

	if (argc > 2 && strcmp(argv[1], "--write") == 0)
		return write_all(argv[2]);
	if (argc > 1 && strcmp(argv[1], "--print-example") == 0)
	{
		MemFile		file;
		SvBuffer	text;

		write_example(&file);
		sv_buffer_init(&text, &sv_malloc_alloc);
		print_example(&file, &text);
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
	return unit_done();
}
