/*
 * test_sst_hostile.c
 *		SSTs that are not what was written, and memory that runs out.
 *
 * Whatever the damage, a reader may say SV_CORRUPT or SV_UNSUPPORTED and may
 * yield entries that were written; it never yields others, nor leaves one out
 * without a word.
 */
#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "sst/sst_format.h"
#include "sst_fixture.h"
#include "unit.h"

#define ENTRIES 24

static char keys[ENTRIES][16];
static char values[ENTRIES][64];
static SstEntry entries[ENTRIES];

static void
make_entries(void)
{
	for (int i = 0; i < ENTRIES; i++)
	{
		snprintf(keys[i], sizeof(keys[i]), "key-%03d", i * 2);
		memset(values[i], 'a' + i, (size_t) (i * 2));
		entries[i] = i % 7 == 3 ? tombstone_entry(keys[i]) :
			value_entry(keys[i], values[i], i % 3 == 0 ? 1000 + i : SST_NEVER_EXPIRES);
	}
}

static bool
is_refusal(SvStatus status)
{
	return status == SV_CORRUPT || status == SV_UNSUPPORTED;
}

static bool
names_place(const SvError *err)
{
	return strstr(err->message, "test-object") != NULL;
}

/* Scans all; *wrong is set on a wrong answer.  The result says whether damage was reported. */
static bool
scan_reports(SstReader *reader, bool backward, bool *wrong)
{
	SstIterator *it;
	SstEntry	entry;
	SvError		err;
	SvStatus	status;
	int			n = 0;

	if (sst_iterator_open(&it, reader, NULL, NULL, backward, &err) != SV_OK)
		abort();
	while ((status = sst_iterator_next(it, &entry, &err)) == SV_OK)
	{
		if (n == ENTRIES || !same_entry(&entry, &entries[backward ? ENTRIES - 1 - n : n]))
		{
			*wrong = true;
			break;
		}
		n++;
	}
	if (status == SV_NOT_FOUND && n < ENTRIES)
		*wrong = true;
	if (status != SV_OK && status != SV_NOT_FOUND)
		*wrong = *wrong || !is_refusal(status) || !names_place(&err) ||
			strstr(err.message, "block") == NULL || strstr(err.message, "offset") == NULL;
	sst_iterator_close(it);
	return is_refusal(status);
}

static bool
gets_report(SstReader *reader, bool *wrong)
{
	SvBuffer	scratch;
	bool		reported = false;

	sv_buffer_init(&scratch, &sv_malloc_alloc);
	for (int i = 0; i < 2 * ENTRIES; i++)
	{
		char		key[16];
		SstEntry	entry;
		SvError		err;
		SvStatus	status;

		snprintf(key, sizeof(key), "key-%03d", i);
		status = sst_reader_get(reader, sv_slice(key, strlen(key)), &entry, &scratch, &err);
		if (status == SV_OK)
			*wrong = *wrong || i % 2 == 1 || !same_entry(&entry, &entries[i / 2]);
		else if (status == SV_NOT_FOUND)
			*wrong = *wrong || i % 2 == 0;
		else
		{
			*wrong = *wrong || !is_refusal(status) || !names_place(&err);
			reported = true;
		}
	}
	sv_buffer_free(&scratch);
	return reported;
}

/* Reads all of a file in every way.  True if damage was reported in each. */
static bool
damage_reported(MemFile *file, bool *wrong)
{
	SstReader  *reader;
	SvError		err;
	SvStatus	status = mem_open(&reader, file, &sv_malloc_alloc, &err);
	bool		reported;

	if (status != SV_OK)
	{
		*wrong = *wrong || !is_refusal(status) || !names_place(&err) || reader != NULL;
		return true;
	}
	reported = scan_reports(reader, false, wrong);
	reported = scan_reports(reader, true, wrong) && reported;
	reported = gets_report(reader, wrong) && reported;
	sst_reader_close(reader);
	return reported;
}

static void
make_file(MemFile *file, int zstd_level)
{
	SstWriterOptions options = {.block_bytes = 240, .zstd_level = zstd_level};

	mem_file_init(file);
	if (write_entries(file, entries, ENTRIES, options, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
}

static void
test_whole(int zstd_level)
{
	MemFile		file;
	bool		wrong = false;

	make_file(&file, zstd_level);
	CHECK(!damage_reported(&file, &wrong) && !wrong, "an undamaged file");
	mem_file_free(&file);
}

static void
test_flips(int zstd_level)
{
	MemFile		file;
	bool		wrong = false;
	bool		all_reported = true;

	make_file(&file, zstd_level);
	for (size_t at = 0; at < file.bytes.len; at++)
		for (int pattern = 0; pattern < 10; pattern++)
		{
			uint8_t		was = file.bytes.data[at];

			file.bytes.data[at] = pattern < 8 ? was ^ (uint8_t) (1 << pattern) :
				pattern == 8 ? (uint8_t) ~was : (uint8_t) (was + 1);
			all_reported = damage_reported(&file, &wrong) && all_reported;
			file.bytes.data[at] = was;
		}
	CHECK(all_reported, zstd_level ? "every flipped bit is reported, zstd" :
		  "every flipped bit is reported, raw");
	CHECK(!wrong, "no flipped bit leads to a wrong answer");
	mem_file_free(&file);
}

static void
test_truncations(void)
{
	MemFile		file;
	MemFile		cut;
	bool		wrong = false;
	bool		all_reported = true;

	make_file(&file, 0);
	for (size_t len = 0; len < file.bytes.len; len++)
		for (int shortened_tail = 0; shortened_tail < 2; shortened_tail++)
		{
			cut = file;
			cut.bytes.len = len;
			cut.summary.file_bytes = len;
			if (shortened_tail && cut.summary.tail_bytes > len)
				cut.summary.tail_bytes = len;
			all_reported = damage_reported(&cut, &wrong) && all_reported;
		}
	CHECK(all_reported && !wrong, "cut off at every length");

	all_reported = true;
	for (uint64_t tail = 0; tail <= file.bytes.len + 1; tail++)
	{
		cut = file;
		cut.summary.tail_bytes = tail;
		if (tail != file.summary.tail_bytes)
			all_reported = damage_reported(&cut, &wrong) && all_reported;
	}
	CHECK(all_reported && !wrong, "every wrong size of the tail");
	mem_file_free(&file);
}

/* Makes the tail's checksum right again. */
static void
seal(MemFile *file)
{
	uint8_t    *tail = file->bytes.data + file->bytes.len - file->summary.tail_bytes;
	size_t		covered = (size_t) file->summary.tail_bytes - 16;

	sv_put_u64(tail + covered, sv_hash64(sv_slice(tail, covered)));
}

/*
 * Damage that carries a right checksum, as a hostile writer would make it, may
 * yield what he likes; it must not yield an unordered or endless sequence, nor
 * touch memory out of bounds, which the sanitizers watch.
 */
static void
read_hostile(MemFile *file, bool *wrong)
{
	SstReader  *reader;

	if (mem_open(&reader, file, &sv_malloc_alloc, NULL) != SV_OK)
		return;
	for (int backward = 0; backward < 2; backward++)
	{
		uint8_t		last[SST_MAX_KEY_BYTES];
		size_t		last_len = 0;
		uint64_t	n = 0;
		SstIterator *it;
		SstEntry	entry;

		if (sst_iterator_open(&it, reader, NULL, NULL, backward, NULL) != SV_OK)
			abort();
		while (sst_iterator_next(it, &entry, NULL) == SV_OK)
		{
			int			c = sv_slice_compare(entry.key, sv_slice(last, last_len));

			if (n++ > 0 && (backward ? c >= 0 : c <= 0))
				*wrong = true;
			if (entry.key.len > 0)
				memcpy(last, entry.key.data, entry.key.len);
			last_len = entry.key.len;
			(void) sv_hash64(entry.value);	/* touches every byte */
		}
		*wrong = *wrong || n > sst_reader_entries(reader);
		sst_iterator_close(it);
	}
	sst_reader_close(reader);
}

static void
test_sealed_flips(int zstd_level)
{
	MemFile		file;
	bool		wrong = false;
	size_t		start;

	make_file(&file, zstd_level);
	start = file.bytes.len - (size_t) file.summary.tail_bytes;
	for (size_t at = start; at < file.bytes.len; at++)
		for (int pattern = 0; pattern < 256; pattern++)
		{
			uint8_t		was = file.bytes.data[at];

			file.bytes.data[at] = (uint8_t) pattern;
			seal(&file);
			read_hostile(&file, &wrong);
			file.bytes.data[at] = was;
		}
	CHECK(!wrong, "every value of every byte of the tail under a right checksum");
	mem_file_free(&file);
}

/* The same for the blocks: the index is told the new checksum. */
static void
test_sealed_blocks(int zstd_level)
{
	MemFile		file;
	bool		wrong = false;
	size_t		start;
	uint8_t    *record;
	uint64_t	stored;

	make_file(&file, zstd_level);
	start = file.bytes.len - (size_t) file.summary.tail_bytes;

	/* The block index begins the tail; its first record is behind eight bytes. */
	record = file.bytes.data + start + 8;
	stored = sv_get_u32(record + 16);
	for (size_t at = 0; at < stored; at++)
		for (int pattern = 0; pattern < 256; pattern++)
		{
			uint8_t		was = file.bytes.data[at];

			file.bytes.data[at] = (uint8_t) pattern;
			sv_put_u64(record + 8, sv_hash64(sv_slice(file.bytes.data, stored)));
			seal(&file);
			read_hostile(&file, &wrong);
			file.bytes.data[at] = was;
		}
	CHECK(!wrong, "every value of every byte of a block under right checksums");
	mem_file_free(&file);
}

/* A right frame, of which the index says that it makes more than it does. */
static void
test_wrong_raw_size(void)
{
	MemFile		file;
	SstReader  *reader;
	SstEntry	entry;
	SvBuffer	scratch;
	SvError		err;
	uint8_t    *record;

	make_file(&file, 1);
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	record = file.bytes.data + file.bytes.len - file.summary.tail_bytes + 8;
	sv_put_u32(record + 20, sv_get_u32(record + 20) + 1);
	seal(&file);
	CHECK(mem_open(&reader, &file, &sv_malloc_alloc, &err) == SV_OK &&
		  sst_reader_get(reader, entries[0].key, &entry, &scratch, &err) == SV_CORRUPT &&
		  strstr(err.message, "instead of") != NULL,
		  "a block that decompresses to less than it should");
	sst_reader_close(reader);
	sv_buffer_free(&scratch);
	mem_file_free(&file);
}

/* The last block, of a raw file, is said to reach into the tail. */
static void
test_block_in_tail(void)
{
	MemFile		file;
	SstReader  *reader;
	SvError		err;
	uint8_t    *tail;
	uint8_t    *record;

	make_file(&file, 0);
	tail = file.bytes.data + file.bytes.len - file.summary.tail_bytes;
	record = tail + 8 + (sv_get_u32(tail) - 1) * 32;
	sv_put_u32(record + 16, sv_get_u32(record + 16) + 1);
	sv_put_u32(record + 20, sv_get_u32(record + 20) + 1);
	seal(&file);
	CHECK(mem_open(&reader, &file, &sv_malloc_alloc, &err) == SV_CORRUPT,
		  "a block that reaches into the tail");
	mem_file_free(&file);
}

/* A whole block of other keys, with the checksum of its own: the index knows better. */
static void
test_swapped_blocks(void)
{
	MemFile		file;
	MemFile		other;
	SstEntry	shifted[ENTRIES];
	char		names[ENTRIES][16];
	SstWriterOptions options = {.block_bytes = 240};
	SstReader  *reader;
	SstEntry	entry;
	SvBuffer	scratch;
	SvError		err = {0};
	uint8_t    *record;
	uint8_t    *other_record;

	make_file(&file, 0);
	mem_file_init(&other);
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	for (int i = 0; i < ENTRIES; i++)
	{
		shifted[i] = entries[i];
		snprintf(names[i], sizeof(names[i]), "kez-%03d", i * 2);
		shifted[i].key = sv_slice(names[i], strlen(names[i]));
	}
	if (write_entries(&other, shifted, ENTRIES, options, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	record = file.bytes.data + file.bytes.len - file.summary.tail_bytes + 8 + 32;
	other_record = other.bytes.data + other.bytes.len - other.summary.tail_bytes + 8 + 32;
	memcpy(file.bytes.data + sv_get_u64(record), other.bytes.data + sv_get_u64(other_record),
		   sv_get_u32(record + 16));
	memcpy(record + 8, other_record + 8, 8);
	seal(&file);
	if (mem_open(&reader, &file, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	CHECK(scan_reports(reader, false, &(bool) {false}) &&
		  scan_reports(reader, true, &(bool) {false}), "a block of keys that are not its own");
	for (int i = 0; i < ENTRIES; i++)
		if (sst_reader_get(reader, entries[i].key, &entry, &scratch, &err) != SV_OK)
			break;
	CHECK(strstr(err.message, "does not fit the block index") != NULL, "and the message says so");
	sst_reader_close(reader);
	sv_buffer_free(&scratch);
	mem_file_free(&other);
	mem_file_free(&file);
}

static void
test_version(void)
{
	MemFile		file;
	SstReader  *reader;
	SvError		err;

	make_file(&file, 0);
	sv_put_u32(file.bytes.data + file.bytes.len - SST_TRAILER_BYTES, SST_VERSION + 1);
	seal(&file);
	CHECK(mem_open(&reader, &file, &sv_malloc_alloc, &err) == SV_UNSUPPORTED &&
		  strstr(err.message, "version 2") != NULL && names_place(&err),
		  "a version from the future");
	sv_put_u32(file.bytes.data + file.bytes.len - SST_TRAILER_BYTES, 0);
	seal(&file);
	CHECK(mem_open(&reader, &file, &sv_malloc_alloc, &err) == SV_CORRUPT, "version zero");
	mem_file_free(&file);
}

/* One damaged block of several: the others stay readable, and the message says which it is. */
static void
test_message(void)
{
	MemFile		file;
	SstReader  *reader;
	SstEntry	entry;
	SvBuffer	scratch;
	SvError		err = {0};
	uint64_t	second;
	char		expected[64];

	make_file(&file, 0);
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	second = sv_get_u64(file.bytes.data + file.bytes.len - file.summary.tail_bytes + 8 + 32);
	file.bytes.data[second] ^= 1;
	snprintf(expected, sizeof(expected), "block 1 at offset %llu of object \"test-object\"",
			 (unsigned long long) second);
	if (mem_open(&reader, &file, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	CHECK(sst_reader_get(reader, entries[0].key, &entry, &scratch, &err) == SV_OK,
		  "the block before the damaged one is readable");
	CHECK(sst_reader_get(reader, entries[ENTRIES - 1].key, &entry, &scratch, &err) == SV_OK,
		  "and the last one");
	CHECK(scan_reports(reader, false, &(bool) {false}), "a scan reports the damage");
	for (int i = 0; i < ENTRIES; i++)
		if (sst_reader_get(reader, entries[i].key, &entry, &scratch, &err) != SV_OK)
			break;
	CHECK(strstr(err.message, expected) != NULL, "the message names object, offset and block");
	sst_reader_close(reader);
	sv_buffer_free(&scratch);
	mem_file_free(&file);
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
		status = sst_iterator_open(&it, reader, &list[0].key, &list[n - 1].key, true, &err);
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
	SstWriterOptions options = {.block_bytes = 240, .zstd_level = 1};
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

		status = use_everything(&file, list, ENTRIES + 1, options, &alloc);
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

	make_file(&file, 1);
	CHECK(sst_reader_open(&reader, &source, file.summary.file_bytes, file.summary.tail_bytes,
						  &sv_malloc_alloc, &err) == SV_IO, "a failure of the source is passed on");
	flaky.fail = false;
	if (sst_reader_open(&reader, &source, file.summary.file_bytes, file.summary.tail_bytes,
						&sv_malloc_alloc, &err) != SV_OK ||
		sst_iterator_open(&it, reader, NULL, NULL, false, &err) != SV_OK)
		abort();
	while (status != SV_NOT_FOUND && same)
	{
		flaky.fail = !flaky.fail;
		status = sst_iterator_next(it, &entry, &err);
		if (status == SV_IO)
			failures++;
		else if (status == SV_OK)
			same = n < ENTRIES && same_entry(&entry, &entries[n++]);
	}
	CHECK(same && n == ENTRIES && failures > 1, "an iterator goes on after a failure");
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
	SstWriterOptions options = {.block_bytes = 240};
	bool		right = true;
	int			pieces = 0;
	SvStatus	status;

	do
	{
		int			countdown = pieces++;
		SstSink		sink = {failing_append, &countdown};
		SstSummary	summary;
		SstWriter  *writer;

		if (sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, NULL) != SV_OK)
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
	for (int zstd_level = 0; zstd_level < 2; zstd_level++)
	{
		test_whole(zstd_level);
		test_flips(zstd_level);
		test_sealed_flips(zstd_level);
		test_sealed_blocks(zstd_level);
	}
	test_truncations();
	test_wrong_raw_size();
	test_block_in_tail();
	test_swapped_blocks();
	test_version();
	test_message();
	test_no_memory();
	test_failing_source();
	test_failing_sink();
	return unit_done();
}
