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

#define MAX_ENTRIES 120

/* Kinds of files: without what may be absent, or with all of it and many more blocks. */
typedef enum Kind
{
	RAW,
	ZSTD,
	ALL_PARTS
} Kind;

static const char *const kind_names[] = {"raw", "zstd", "all parts"};

static char keys[MAX_ENTRIES][16];
static char values[MAX_ENTRIES][100];
static SstEntry entries[MAX_ENTRIES];
static int	entry_count;		/* in the files that are made */

static void
make_entries(Kind kind)
{
	entry_count = kind == ALL_PARTS ? MAX_ENTRIES : 24;
	for (int i = 0; i < entry_count; i++)
	{
		snprintf(keys[i], sizeof(keys[i]), "key-%03d", i * 2);
		snprintf(values[i], sizeof(values[i]),
				 "{\"number\": %d, \"city\": \"Rotterdam\", \"state\": \"open\", \"code\": \"%x\"}",
				 i, i * 7919);
		values[i][i * 19 % 75] = '\0';
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

	if (mem_iterate(&it, reader, NULL, NULL, backward, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	while ((status = sst_iterator_next(it, &entry, &err)) == SV_OK)
	{
		if (n == entry_count ||
			!same_entry(&entry, &entries[backward ? entry_count - 1 - n : n]))
		{
			*wrong = true;
			break;
		}
		n++;
	}
	if (status == SV_NOT_FOUND && n < entry_count)
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
	for (int i = 0; i < 2 * entry_count; i++)
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
make_file(MemFile *file, Kind kind)
{
	SstWriterOptions options = {.block_bytes = 240,.zstd_level = kind == RAW ? 0 : 1};

	make_entries(kind);
	if (kind == ALL_PARTS)
	{
		options.filter_bits = SST_FILTER_DEFAULT_BITS;
		options.dictionary_bytes = 256;
	}
	mem_file_init(file);
	if (write_entries(file, entries, (size_t) entry_count, options, &sv_malloc_alloc,
					  NULL) != SV_OK)
		abort();
}

static uint8_t *
tail_of(const MemFile *file)
{
	return file->bytes.data + file->bytes.len - file->summary.tail_bytes;
}

static bool
footer_of(const MemFile *file, SstFooter *footer)
{
	SvSlice		tail = sv_slice(tail_of(file), (size_t) file->summary.tail_bytes);

	return sst_footer_decode(tail, file->bytes.len - tail.len, footer) == NULL;
}

/* A block's record in the block index. */
static uint8_t *
record_of(const MemFile *file, uint32_t block)
{
	SstFooter	footer;

	if (!footer_of(file, &footer))
		abort();
	return file->bytes.data + footer.block_index.offset + 32 + 32 * (size_t) block;
}

static void
test_whole(Kind kind)
{
	MemFile		file;
	SstFooter	footer;
	bool		wrong = false;
	char		name[80];

	make_file(&file, kind);
	snprintf(name, sizeof(name), "an undamaged file, %s, %zu bytes", kind_names[kind],
			 file.bytes.len);
	CHECK(!damage_reported(&file, &wrong) && !wrong, name);
	if (!footer_of(&file, &footer))
		abort();
	CHECK((footer.filter.length > 0) == (kind == ALL_PARTS) &&
		  (footer.learned_index.length > 0) == (kind == ALL_PARTS) &&
		  (footer.dictionary.length > 0) == (kind == ALL_PARTS), "which has the parts it should");
	mem_file_free(&file);
}

/* The i-th way to damage a byte; 0 if there is none.  A larger file gets fewer of them. */
static uint8_t
flip_mask(Kind kind, size_t at, int i)
{
	int			bits = kind == ALL_PARTS ? 1 : 8;

	if (i < bits)
		return (uint8_t) (1 << (at + (size_t) i) % 8);
	return i == bits ? 0xff : 0;
}

static void
test_flips(Kind kind)
{
	MemFile		file;
	bool		wrong = false;
	bool		all_reported = true;
	uint8_t		mask;
	char		name[80];

	make_file(&file, kind);
	for (size_t at = 0; at < file.bytes.len; at++)
		for (int i = 0; (mask = flip_mask(kind, at, i)) != 0; i++)
		{
			file.bytes.data[at] ^= mask;
			all_reported = damage_reported(&file, &wrong) && all_reported;
			file.bytes.data[at] ^= mask;
		}
	snprintf(name, sizeof(name), "every flipped bit is reported, %s", kind_names[kind]);
	CHECK(all_reported, name);
	CHECK(!wrong, "no flipped bit leads to a wrong answer");
	mem_file_free(&file);
}

static void
test_truncations(Kind kind)
{
	MemFile		file;
	MemFile		cut;
	bool		wrong = false;
	bool		all_reported = true;

	make_file(&file, kind);
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

/* Makes the hashes of the dictionary and of the tail right again. */
static void
seal(MemFile *file)
{
	uint8_t    *tail = tail_of(file);
	size_t		covered = (size_t) file->summary.tail_bytes - 16;
	SstFooter	footer;

	if (footer_of(file, &footer) && footer.dictionary.length > 16)
	{
		uint8_t    *dictionary = file->bytes.data + footer.dictionary.offset;
		uint64_t	hash[2];

		sv_hash128(sv_slice(dictionary + 16, footer.dictionary.length - 16), hash);
		sv_put_u64(dictionary, hash[0]);
		sv_put_u64(dictionary + 8, hash[1]);
	}
	sv_put_u64(tail + covered, sv_hash64(sv_slice(tail, covered)));
}

/* Whether an iterator ends, and yields what is in its range and in its order. */
static bool
scan_is_orderly(SstReader *reader, const SvSlice *low, const SvSlice *high, bool backward)
{
	uint8_t		last[SST_MAX_KEY_BYTES];
	size_t		last_len = 0;
	uint64_t	n = 0;
	bool		orderly = true;
	SstIterator *it;
	SstEntry	entry;

	if (mem_iterate(&it, reader, low, high, backward, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	while (sst_iterator_next(it, &entry, NULL) == SV_OK)
	{
		int			c = sv_slice_compare(entry.key, sv_slice(last, last_len));

		if (n++ > 0 && (backward ? c >= 0 : c <= 0))
			orderly = false;
		if ((low != NULL && sv_slice_compare(entry.key, *low) < 0) ||
			(high != NULL && sv_slice_compare(entry.key, *high) >= 0))
			orderly = false;
		if (entry.key.len > 0)
			memcpy(last, entry.key.data, entry.key.len);
		last_len = entry.key.len;
		(void) sv_hash64(entry.value);	/* touches every byte */
	}
	sst_iterator_close(it);
	return orderly && n <= sst_reader_entries(reader);
}

/*
 * Damage that carries a right checksum, as a hostile writer would make it, may
 * yield what he likes; it must not yield an unordered or endless sequence, nor
 * touch memory out of bounds, which the sanitizers watch.
 */
static void
read_hostile(MemFile *file, bool *wrong)
{
	const SvSlice *low = &entries[2].key;
	const SvSlice *high = &entries[entry_count - 3].key;
	SstReader  *reader;
	SstEntry	entry;
	SvBuffer	scratch;

	if (mem_open(&reader, file, &sv_malloc_alloc, NULL) != SV_OK)
		return;
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	for (int i = 0; i < entry_count; i += 5)
		if (sst_reader_get(reader, entries[i].key, &entry, &scratch, NULL) == SV_OK)
			*wrong = *wrong || !sv_slice_equal(entry.key, entries[i].key);
	sv_buffer_free(&scratch);
	for (int backward = 0; backward < 2; backward++)
		if (!scan_is_orderly(reader, NULL, NULL, backward) ||
			!scan_is_orderly(reader, low, high, backward))
			*wrong = true;
	sst_reader_close(reader);
}

/* So many values of a byte are tried under right checksums. */
static int
sealed_step(Kind kind)
{
	return kind == ALL_PARTS ? 37 : 2;
}

static void
test_sealed_flips(Kind kind)
{
	MemFile		file;
	bool		wrong = false;
	size_t		start;
	char		name[80];

	make_file(&file, kind);
	start = file.bytes.len - (size_t) file.summary.tail_bytes;
	for (size_t at = start; at < file.bytes.len; at++)
		for (int change = 1; change < 256; change += sealed_step(kind))
		{
			uint8_t		was = file.bytes.data[at];

			file.bytes.data[at] = was ^ (uint8_t) change;
			seal(&file);
			read_hostile(&file, &wrong);
			file.bytes.data[at] = was;
		}
	snprintf(name, sizeof(name), "every byte of the tail under a right checksum, %s",
			 kind_names[kind]);
	CHECK(!wrong, name);
	mem_file_free(&file);
}

/* The same for the blocks: the index is told the new checksum. */
static void
test_sealed_blocks(Kind kind)
{
	MemFile		file;
	bool		wrong = false;
	uint8_t    *record;
	uint64_t	stored;

	make_file(&file, kind);
	record = record_of(&file, 0);
	stored = sv_get_u32(record + 16);
	for (size_t at = 0; at < stored; at++)
		for (int change = 1; change < 256; change += sealed_step(kind))
		{
			uint8_t		was = file.bytes.data[at];

			file.bytes.data[at] = was ^ (uint8_t) change;
			sv_put_u64(record + 8, sv_hash64(sv_slice(file.bytes.data, stored)));
			seal(&file);
			read_hostile(&file, &wrong);
			file.bytes.data[at] = was;
		}
	CHECK(!wrong, "every byte of a block under right checksums");
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

	make_file(&file, ZSTD);
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	record = record_of(&file, 0);
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
	uint8_t    *record;

	make_file(&file, RAW);
	record = record_of(&file, sv_get_u32(record_of(&file, 0) - 32) - 1);
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
	SstEntry	shifted[MAX_ENTRIES];
	char		names[MAX_ENTRIES][16];
	SstWriterOptions options = {.block_bytes = 240};
	SstReader  *reader;
	SstEntry	entry;
	SvBuffer	scratch;
	SvError		err = {0};
	uint8_t    *record;
	uint8_t    *other_record;

	make_file(&file, RAW);
	mem_file_init(&other);
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	for (int i = 0; i < entry_count; i++)
	{
		shifted[i] = entries[i];
		snprintf(names[i], sizeof(names[i]), "kez-%03d", i * 2);
		shifted[i].key = sv_slice(names[i], strlen(names[i]));
	}
	if (write_entries(&other, shifted, (size_t) entry_count, options, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	record = record_of(&file, 1);
	other_record = record_of(&other, 1);
	memcpy(file.bytes.data + sv_get_u64(record), other.bytes.data + sv_get_u64(other_record),
		   sv_get_u32(record + 16));
	memcpy(record + 8, other_record + 8, 8);
	seal(&file);
	if (mem_open(&reader, &file, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	CHECK(scan_reports(reader, false, &(bool) {false}) &&
		  scan_reports(reader, true, &(bool) {false}), "a block of keys that are not its own");
	for (int i = 0; i < entry_count; i++)
		if (sst_reader_get(reader, entries[i].key, &entry, &scratch, &err) != SV_OK)
			break;
	CHECK(strstr(err.message, "does not fit the block index") != NULL, "and the message says so");
	sst_reader_close(reader);
	sv_buffer_free(&scratch);
	mem_file_free(&other);
	mem_file_free(&file);
}

/* The index says of two blocks that one has an entry more and the other one less; lookups in a cache believe it. */
static void
test_moved_entry(void)
{
	MemFile		file;
	SstReader  *reader;
	SstEntry	entry;
	SvBuffer	scratch;
	SvError		err;
	uint8_t    *more;
	uint8_t    *less;

	make_file(&file, RAW);
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	more = record_of(&file, 0) + 26;
	less = record_of(&file, 1) + 26;
	sv_put_u16(more, (uint16_t) (sv_get_u16(more) + 1));
	sv_put_u16(less, (uint16_t) (sv_get_u16(less) - 1));
	seal(&file);
	if (mem_open(&reader, &file, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	CHECK(sst_reader_get(reader, entries[0].key, &entry, &scratch, &err) == SV_CORRUPT &&
		  strstr(err.message, "block 0 ") != NULL && strstr(err.message, "wrong number of entries") != NULL,
		  "a block of fewer entries than the index says");
	CHECK(sst_reader_get(reader, entries[sv_get_u16(more) - 1].key, &entry, &scratch, &err) == SV_CORRUPT &&
		  strstr(err.message, "block 1 ") != NULL && strstr(err.message, "wrong number of entries") != NULL,
		  "and one of more");
	sst_reader_close(reader);
	sv_buffer_free(&scratch);
	mem_file_free(&file);
}

static void
test_version(void)
{
	MemFile		file;
	SstReader  *reader;
	SvError		err;

	make_file(&file, RAW);
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

	make_file(&file, RAW);
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	second = sv_get_u64(record_of(&file, 1));
	file.bytes.data[second] ^= 1;
	snprintf(expected, sizeof(expected), "block 1 at offset %llu of object \"test-object\"",
			 (unsigned long long) second);
	if (mem_open(&reader, &file, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	CHECK(sst_reader_get(reader, entries[0].key, &entry, &scratch, &err) == SV_OK,
		  "the block before the damaged one is readable");
	CHECK(sst_reader_get(reader, entries[entry_count - 1].key, &entry, &scratch, &err) == SV_OK,
		  "and the last one");
	CHECK(scan_reports(reader, false, &(bool) {false}), "a scan reports the damage");
	for (int i = 0; i < entry_count; i++)
		if (sst_reader_get(reader, entries[i].key, &entry, &scratch, &err) != SV_OK)
			break;
	CHECK(strstr(err.message, expected) != NULL, "the message names object, offset and block");
	sst_reader_close(reader);
	sv_buffer_free(&scratch);
	mem_file_free(&file);
}

/* A dictionary that is no dictionary is found out by whoever needs it. */
static void
test_bad_dictionary(void)
{
	MemFile		file;
	SstReader  *reader;
	SstEntry	entry;
	SstFooter	footer;
	SvBuffer	scratch;
	SvError		err;

	make_file(&file, ALL_PARTS);
	sv_buffer_init(&scratch, &sv_malloc_alloc);
	if (!footer_of(&file, &footer))
		abort();
	/* Behind hash, magic number and id are the tables of how often what occurs. */
	CHECK(sv_get_u32(file.bytes.data + footer.dictionary.offset + 16) == 0xec30a437,
		  "a dictionary with tables");
	memset(file.bytes.data + footer.dictionary.offset + 24, 0xff, 16);
	seal(&file);
	CHECK(mem_open(&reader, &file, &sv_malloc_alloc, &err) == SV_OK &&
		  sst_reader_get(reader, entries[0].key, &entry, &scratch, &err) == SV_CORRUPT &&
		  strstr(err.message, "dictionary of the file is malformed") != NULL && names_place(&err),
		  "a malformed dictionary");
	sst_reader_close(reader);

	/* No block may ask for a dictionary that is not there. */
	mem_file_free(&file);
	make_file(&file, ZSTD);
	sv_put_u16(record_of(&file, 0) + 24, SST_BLOCK_ZSTD | SST_BLOCK_DICTIONARY);
	seal(&file);
	CHECK(mem_open(&reader, &file, &sv_malloc_alloc, &err) == SV_CORRUPT &&
		  strstr(err.message, "wrong flags") != NULL, "a block that asks for an absent one");
	sv_buffer_free(&scratch);
	mem_file_free(&file);
}

int
main(void)
{
	for (Kind kind = RAW; kind <= ALL_PARTS; kind++)
	{
		test_whole(kind);
		test_flips(kind);
		test_sealed_flips(kind);
		test_sealed_blocks(kind);
		test_truncations(kind);
	}
	test_wrong_raw_size();
	test_block_in_tail();
	test_swapped_blocks();
	test_moved_entry();
	test_version();
	test_message();
	test_bad_dictionary();
	return unit_done();
}
