/*
 * test_sst_faults.c
 *		Memory that runs out, and sources and sinks that fail.
 */
#include "sst_fixture.h"
#include "unit.h"

#define ENTRIES 300

static char keys[ENTRIES][16];
static char values[ENTRIES][128];
static SstEntry entries[ENTRIES];

/* Texts alike, so that a dictionary pays. */
static void
make_entries(void)
{
	uint64_t	state = 3;

	for (int i = 0; i < ENTRIES; i++)
	{
		uint64_t	random = next_random(&state);

		snprintf(keys[i], sizeof(keys[i]), "key-%06d", i * 2);
		snprintf(values[i], sizeof(values[i]),
				 "{\"name\": \"%llx\", \"city\": \"Rotterdam\", \"visits\": %u, \"state\": \"open\"}",
				 (unsigned long long) random, (unsigned) random % 1000);
		entries[i] = value_entry(keys[i], values[i], SST_NEVER_EXPIRES);
	}
}

/* Every part of a file. */
static const SstWriterOptions all_parts = {
	.block_bytes = 400,.zstd_level = 1,.filter_bits = SST_FILTER_DEFAULT_BITS,.dictionary_bytes = 512
};

static void
make_file(MemFile *file)
{
	mem_file_init(file);
	if (write_entries(file, entries, ENTRIES, all_parts, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
}

/* Everything once, its memory from alloc; the first failure ends it. */
static SvStatus
use_everything(MemFile *file, SstEntry *list, size_t n, SstWriterOptions options,
			   const SvAlloc *alloc)
{
	SstReader  *reader;
	SstIterator *it = NULL;
	SstEntry	entry;
	SvBuffer	scratch;
	SvError		err;
	SvStatus	status = write_entries(file, list, n, options, alloc, &err);

	if (status == SV_OK)
		status = mem_open(&reader, file, alloc, &err);
	if (status != SV_OK)
		return status;
	sv_buffer_init(&scratch, alloc);
	for (size_t i = 0; i < n && status == SV_OK; i++)
		status = sst_reader_get(reader, list[i].key, &entry, &scratch, &err);
	if (status == SV_OK)
		status = mem_iterate(&it, reader, &list[0].key, &list[n - 1].key, true, alloc, &err);
	while (status == SV_OK)
		status = sst_iterator_next(it, &entry, &err);
	sst_iterator_close(it);
	sv_buffer_free(&scratch);
	sst_reader_close(reader);
	return status == SV_NOT_FOUND ? SV_OK : status;
}

static void
test_no_memory(void)
{
	static uint8_t large[100000];
	SstEntry	list[ENTRIES + 1];
	MemFile		file;
	SvStatus	status;
	bool		right = true;
	bool		leaked = false;
	long		n = 0;

	memcpy(list, entries, sizeof(entries));
	list[ENTRIES] = value_entry("large", "", SST_NEVER_EXPIRES);
	list[ENTRIES].value = sv_slice(large, sizeof(large));
	mem_file_init(&file);
	do
	{
		FailingAlloc state = {.countdown = n++};
		SvAlloc		alloc = failing_alloc(&state);

		status = use_everything(&file, list, ENTRIES + 1, all_parts, &alloc);
		right = right && status == (state.failed ? SV_NO_MEMORY : SV_OK);
		leaked = leaked || state.outstanding != 0;
	} while (status == SV_NO_MEMORY && right);
	printf("# %ld allocations\n", n - 1);
	CHECK(right && status == SV_OK && n > 20, "each allocation that fails is SV_NO_MEMORY");
	CHECK(!leaked, "and leaks nothing");
	mem_file_free(&file);
}

/* A source that fails once: the iterator stands where it stood. */
typedef struct Flaky
{
	MemFile    *file;
	bool		fail;
} Flaky;

static SvStatus
flaky_read(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	Flaky	   *flaky = state;

	if (flaky->fail)
		return sv_fail(err, SV_IO, "no answer");
	return mem_read(flaky->file, offset, len, dst, err);
}

static void
test_failing_source(void)
{
	MemFile		file;
	Flaky		flaky = {&file, true};
	SstSource	source = {flaky_read, &flaky, "test-object"};
	SstReader  *reader;
	SstIterator *it;
	SstEntry	entry;
	SvError		err;
	SvStatus	status = SV_OK;
	bool		same = true;
	int			n = 0;
	int			failures = 0;

	make_file(&file);
	CHECK(sst_reader_open(&reader, &source, file.summary.file_bytes, file.summary.tail_bytes,
						  &sv_malloc_alloc, &err) == SV_IO, "a failure of the source is passed on");
	flaky.fail = false;
	if (sst_reader_open(&reader, &source, file.summary.file_bytes, file.summary.tail_bytes,
						&sv_malloc_alloc, &err) != SV_OK ||
		mem_iterate(&it, reader, NULL, NULL, false, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	while (status != SV_NOT_FOUND && same)
	{
		flaky.fail = status != SV_IO;
		status = sst_iterator_next(it, &entry, &err);
		if (status == SV_IO)
			failures++;
		else if (status == SV_OK)
			same = n < ENTRIES && same_entry(&entry, &entries[n++]);
	}
	CHECK(sst_reader_tail(reader)->dictionary.len > 0 && sst_reader_tail(reader)->rmi.count > 0 &&
		  sst_reader_tail(reader)->filter.line_count > 0, "the file has all parts");
	CHECK(same && n == ENTRIES &&
		  failures == (int) sst_reader_tail(reader)->index.count,
		  "an iterator goes on after a failure of each block");
	sst_iterator_close(it);
	sst_reader_close(reader);
	mem_file_free(&file);
}

static SvStatus
failing_append(void *state, const void *data, size_t len, SvError *err)
{
	(void) data;
	(void) len;
	if ((*(int *) state)-- > 0)
		return SV_OK;
	return sv_fail(err, SV_NO_SPACE, "disk full");
}

static void
test_failing_sink(void)
{
	bool		right = true;
	int			pieces = 0;
	SvStatus	status;

	do
	{
		int			countdown = pieces++;
		SstSink		sink = {failing_append, &countdown};
		SstSummary	summary;
		SstWriter  *writer;

		if (sst_writer_create(&writer, &all_parts, &sink, &sv_malloc_alloc, NULL) != SV_OK)
			abort();
		status = SV_OK;
		for (int i = 0; i < ENTRIES && status == SV_OK; i++)
			status = sst_writer_add(writer, &entries[i], NULL);
		if (status == SV_OK)
			status = sst_writer_finish(writer, &summary, NULL);
		right = right && status == (countdown < 0 ? SV_NO_SPACE : SV_OK);
		sst_writer_destroy(writer);
	} while (status != SV_OK && right);
	CHECK(right && pieces > 3, "a failure of the sink is passed on, whichever piece meets it");
}

int
main(void)
{
	make_entries();
	test_no_memory();
	test_failing_source();
	test_failing_sink();
	return unit_done();
}
