/*
 * test_sst_tail.c
 *		The tail: which block a key is in, and what is refused as a whole.
 */
#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "sst_fixture.h"
#include "unit.h"

#define SEED UINT64_C(20261122)
#define KEYS 1500
#define MAX_KEY 64

static uint64_t random_state = SEED;

/* ---- Sets of keys, sorted and without repeats ---- */

typedef struct KeySet
{
	uint8_t		bytes[KEYS][MAX_KEY];
	SvSlice		keys[KEYS];
	size_t		n;
} KeySet;

static int
compare_keys(const void *a, const void *b)
{
	return sv_slice_compare(*(const SvSlice *) a, *(const SvSlice *) b);
}

static void
sort_keys(KeySet *set)
{
	size_t		n = 0;

	qsort(set->keys, set->n, sizeof(SvSlice), compare_keys);
	for (size_t i = 0; i < set->n; i++)
		if (n == 0 || !sv_slice_equal(set->keys[n - 1], set->keys[i]))
			set->keys[n++] = set->keys[i];
	set->n = n;
}

static void
put_big_endian(uint8_t *dst, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		dst[i] = (uint8_t) (v >> (56 - 8 * i));
}

/* The i-th key of a kind, into dst; its length. */
static size_t
key_of_kind(int kind, size_t i, uint8_t *dst)
{
	uint64_t	random = next_random(&random_state);

	switch (kind)
	{
		case 0:					/* random numbers */
			put_big_endian(dst, random);
			return 8;
		case 1:					/* dense ones */
			put_big_endian(dst, i);
			return 8;
		case 2:					/* crowded at the low end: random bits of random length */
			put_big_endian(dst, random >> (i % 60));
			return 8;
		case 3:					/* texts with gaps */
			return (size_t) snprintf((char *) dst, MAX_KEY, "user:%011u:feature_%02u",
									 (unsigned) (random % 1000000) * 7, (unsigned) (i % 8));
		case 4:					/* each a prefix of many others */
			memset(dst, 'a' + (int) (i % 3), MAX_KEY);
			dst[random % MAX_KEY] = (uint8_t) (random >> 32);
			return i % MAX_KEY;
		case 5:					/* short ones, all bytes */
			put_big_endian(dst, random);
			return random % 4;
		case 6:					/* far from one another in length and at both ends */
			memset(dst, i % 2 == 0 ? 0 : 0xff, MAX_KEY);
			put_big_endian(dst + i % 50, random);
			return i % 50 + random % 9;
		default:				/* what differs is behind the same forty bytes */
			memset(dst, 'p', 40);
			put_big_endian(dst + 40, random >> 20);
			return 48;
	}
}

#define KINDS 8

static KeySet *
make_keys(int kind)
{
	KeySet	   *set = must_allocate(sizeof(*set));

	set->n = KEYS;
	for (size_t i = 0; i < KEYS; i++)
		set->keys[i] = sv_slice(set->bytes[i], key_of_kind(kind, i, set->bytes[i]));
	sort_keys(set);
	return set;
}

/* A file of the keys, about three of them a block; NULL bytes on failure. */
static void
write_keys(const KeySet *set, size_t n, MemFile *file)
{
	SstWriterOptions options = {.block_bytes = 64,.filter_bits = SST_FILTER_DEFAULT_BITS};
	SstEntry   *entries = must_allocate(n * sizeof(SstEntry));

	mem_file_init(file);
	for (size_t i = 0; i < n; i++)
		entries[i] = (SstEntry) {
		.key = set->keys[i],.kind = SST_TOMBSTONE,.expires_at = SST_NEVER_EXPIRES
		};
	if (write_entries(file, entries, n, options, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	free(entries);
}

/* ---- Locating ---- */

/* Counts the low keys up to a key by looking at all of them. */
static uint32_t
count_low_keys(const SstTail *tail, SvSlice key, bool equal_counts)
{
	uint32_t	n = 0;

	for (uint32_t i = 0; i < tail->index.count; i++)
	{
		int			c = sv_slice_compare(sst_index_low_key(&tail->index, i), key);

		if (c > 0 || (c == 0 && !equal_counts))
			break;
		n++;
	}
	return n;
}

static bool
locates(const SstTail *tail, SvSlice key)
{
	uint32_t	expected = count_low_keys(tail, key, true);
	SstRmiProbe probe = sst_tail_start(tail, key);

	if (sst_tail_blocks_up_to(tail, key) != expected ||
		sst_tail_blocks_below(tail, key) != count_low_keys(tail, key, false))
		return false;
	if (expected == 0 || sv_slice_compare(key, sst_index_last_key(&tail->index)) > 0)
		expected = SST_NO_BLOCK;
	else
		expected--;
	return sst_tail_locate(tail, key) == expected &&
		sst_tail_finish(tail, &probe, key) == expected;
}

/* A key, what is just below and above it, and its parts. */
static bool
locates_around(const SstTail *tail, SvSlice key)
{
	uint8_t		bytes[MAX_KEY + 2];
	bool		ok = locates(tail, key);

	if (key.len > 0)
		memcpy(bytes, key.data, key.len);
	bytes[key.len] = 0;
	ok = ok && locates(tail, sv_slice(bytes, key.len + 1));
	bytes[key.len] = 0xff;
	ok = ok && locates(tail, sv_slice(bytes, key.len + 1));
	if (key.len > 0)
	{
		ok = ok && locates(tail, sv_slice(bytes, key.len - 1)) &&
			locates(tail, sv_slice(bytes, key.len / 2));
		bytes[key.len - 1]++;
		ok = ok && locates(tail, sv_slice(bytes, key.len));
		bytes[key.len - 1] -= 2;
		ok = ok && locates(tail, sv_slice(bytes, key.len));
	}
	return ok;
}

static bool
locates_random(const SstTail *tail)
{
	bool		ok = true;

	for (int i = 0; i < 400 && ok; i++)
	{
		uint8_t		bytes[MAX_KEY];

		ok = locates(tail, sv_slice(bytes, key_of_kind(i % KINDS, (size_t) i, bytes)));
	}
	return ok;
}

static void
test_locate(int kind)
{
	KeySet	   *set = make_keys(kind);
	MemFile		file;
	SstReader  *reader;
	const SstTail *tail;
	bool		ok = true;
	char		name[80];

	write_keys(set, set->n, &file);
	if (mem_open(&reader, &file, &sv_malloc_alloc, NULL) != SV_OK)
		abort();
	tail = sst_reader_tail(reader);
	for (size_t i = 0; i < set->n && ok; i++)
		ok = locates_around(tail, set->keys[i]);
	ok = ok && locates_random(tail);
	snprintf(name, sizeof(name), "every key is located, kind %d, %u blocks, %zu bytes of index",
			 kind, tail->index.count, tail->rmi.len);
	CHECK(ok && tail->rmi.count == tail->index.count && tail->index.count > 8, name);
	sst_reader_close(reader);
	mem_file_free(&file);
	free(set);
}

/* Few blocks have no learned index; locating does not mind. */
static void
test_few_blocks(void)
{
	KeySet	   *set = make_keys(0);
	bool		ok = true;
	uint32_t	most_without = 0;

	for (size_t n = 0; n < 60 && ok; n++)
	{
		MemFile		file;
		SstReader  *reader;
		const SstTail *tail;

		write_keys(set, n, &file);
		if (mem_open(&reader, &file, &sv_malloc_alloc, NULL) != SV_OK)
			abort();
		tail = sst_reader_tail(reader);
		if (tail->rmi.count == 0)
			most_without = tail->index.count;
		for (size_t i = 0; i < 80 && ok; i++)
			ok = locates_around(tail, set->keys[i]);
		ok = ok && (tail->rmi.count == 0 || tail->rmi.count == tail->index.count);
		sst_reader_close(reader);
		mem_file_free(&file);
	}
	CHECK(ok, "every key is located in small files");
	CHECK(most_without == 7, "from 8 blocks on there is a learned index");
	free(set);
}

/* ---- Parts ---- */

/* The tail of a file in memory of its own, with its checksum made right. */
static SvStatus
parse_sealed(const MemFile *file, uint8_t *bytes, SvError *err)
{
	size_t		len = (size_t) file->summary.tail_bytes;
	uint8_t    *tight = must_allocate(len);
	SstTail		tail;
	SvStatus	status;

	memcpy(tight, bytes, len);
	sv_put_u64(tight + len - 16, sv_hash64(sv_slice(tight, len - 16)));
	status = sst_tail_parse(&tail, sv_slice(tight, len), file->summary.file_bytes, "test-object",
							err);
	free(tight);
	return status;
}

static bool
is_refused(const MemFile *file, uint8_t *bytes, const char *why)
{
	SvError		err = {0};

	return parse_sealed(file, bytes, &err) == SV_CORRUPT && strstr(err.message, why) != NULL &&
		strstr(err.message, "test-object") != NULL;
}

/*
 * Every handle of the footer, a little off; and bytes between the parts.  The
 * length of the block index, whose last key is what is left of it, may take in
 * what is between it and the properties: then no block has that last key.
 */
#define BLOCK_INDEX_LENGTH 56	/* in the footer */

static void
test_parts(void)
{
	KeySet	   *set = make_keys(3);
	MemFile		file;
	uint8_t    *bytes;
	uint8_t    *footer;
	size_t		len;
	bool		refused = true;
	int			paddings = 0;
	SstFooter	parts;

	write_keys(set, 100, &file);
	len = (size_t) file.summary.tail_bytes;
	bytes = file.bytes.data + file.bytes.len - len;
	footer = bytes + len - SST_FOOTER_BYTES;
	CHECK(parse_sealed(&file, bytes, NULL) == SV_OK &&
		  sst_footer_decode(sv_slice(bytes, len), file.bytes.len - len, &parts) == NULL,
		  "a tail as it was written");
	for (size_t at = 0; at < 80; at += 8)
		for (int off = -33; off <= 33; off++)
		{
			uint64_t	was = sv_get_u64(footer + at);

			sv_put_u64(footer + at, was + (uint64_t) (int64_t) off);
			if (off < 0 || (off > 0 && at != BLOCK_INDEX_LENGTH))
				refused = refused && parse_sealed(&file, bytes, NULL) == SV_CORRUPT;
			sv_put_u64(footer + at, was + ((uint64_t) 1 << 63));
			refused = refused && parse_sealed(&file, bytes, NULL) == SV_CORRUPT;
			sv_put_u64(footer + at, was);
		}
	CHECK(refused, "parts that are elsewhere, or of another length");
	refused = true;
	for (uint64_t at = parts.block_index.offset + parts.block_index.length;
		 at < parts.properties.offset; at++)
	{
		file.bytes.data[at] = 1;
		refused = refused && is_refused(&file, bytes, "bytes between parts are not zero");
		file.bytes.data[at] = 0;
		paddings++;
	}
	CHECK(refused && paddings > 0, "bytes between parts");
	sv_put_u32(footer + 84, SST_FOOTER_BYTES + 1);
	CHECK(is_refused(&file, bytes, "wrong length of the footer"), "a footer of another length");
	CHECK(parts.filter.offset == file.bytes.len - len && parts.dictionary.length == 0 &&
		  (parts.learned_index.offset - parts.filter.offset) % SST_PART_ALIGN == 0 &&
		  (parts.block_index.offset - parts.filter.offset) % SST_PART_ALIGN == 0,
		  "the filter comes first, and parts are aligned");
	mem_file_free(&file);
	free(set);
}

/* A tail that is all there but of nonsensical size. */
static void
test_sizes(void)
{
	SvError		err;

	CHECK(sst_tail_check_size(100, 101, "o", &err) == SV_CORRUPT &&
		  sst_tail_check_size(100, SST_TRAILER_BYTES - 1, "o", &err) == SV_CORRUPT &&
		  sst_tail_check_size(UINT64_MAX, SST_MAX_TAIL_BYTES + 1, "o", &err) == SV_CORRUPT &&
		  sst_tail_check_size(100, 100, "o", &err) == SV_OK, "sizes that no tail can have");
}

/* ---- Dictionaries ---- */

/* A tail of nothing but a dictionary, of which the caller may spoil the bytes. */
static SvStatus
parse_with_dictionary(SvSlice stored, SvError *err)
{
	MemFile		file;
	SstWriterOptions options = SST_WRITER_DEFAULTS;
	SvBuffer	tail;
	SstFooter	footer;
	SstTail		parsed;
	size_t		index_bytes;
	SvStatus	status;

	mem_file_init(&file);
	if (write_entries(&file, NULL, 0, options, &sv_malloc_alloc, NULL) != SV_OK ||
		sst_footer_decode(sv_buffer_slice(&file.bytes), 0, &footer) != NULL)
		abort();
	index_bytes = (size_t) footer.block_index.length;
	sv_buffer_init(&tail, &sv_malloc_alloc);
	if (sv_buffer_append(&tail, stored.data, stored.len, NULL) != SV_OK ||
		sst_tail_align(&tail, NULL) != SV_OK)
		abort();
	footer.dictionary.length = stored.len;
	footer.block_index.offset = tail.len;
	footer.properties.offset = tail.len + index_bytes;
	if (sv_buffer_append(&tail, file.bytes.data, file.bytes.len - SST_FOOTER_BYTES, NULL) != SV_OK ||
		sst_footer_append(&tail, &footer, NULL) != SV_OK)
		abort();
	status = sst_tail_parse(&parsed, sv_buffer_slice(&tail), tail.len, "test-object", err);
	if (status == SV_OK && parsed.dictionary.len != stored.len - 16)
		abort();
	sv_buffer_free(&tail);
	mem_file_free(&file);
	return status;
}

static void
test_dictionaries(void)
{
	SvBuffer	part;
	SvError		err = {0};
	uint8_t    *long_one = must_allocate(SST_MAX_DICTIONARY_BYTES + 1);

	memset(long_one, 'd', SST_MAX_DICTIONARY_BYTES + 1);
	sv_buffer_init(&part, &sv_malloc_alloc);
	if (sst_dictionary_append(&part, sv_slice("what is often said", 18), NULL) != SV_OK)
		abort();
	CHECK(parse_with_dictionary(sv_buffer_slice(&part), &err) == SV_OK, "a dictionary is taken");
	part.data[part.len - 1] ^= 1;
	CHECK(parse_with_dictionary(sv_buffer_slice(&part), &err) == SV_CORRUPT &&
		  strstr(err.message, "hash of the dictionary does not match") != NULL,
		  "unless its hash is another's");
	CHECK(parse_with_dictionary(sv_slice(part.data, 16), &err) == SV_CORRUPT &&
		  parse_with_dictionary(sv_slice(part.data, 3), &err) == SV_CORRUPT,
		  "or nothing but a hash");
	sv_buffer_reset(&part);
	if (sst_dictionary_append(&part, sv_slice(long_one, SST_MAX_DICTIONARY_BYTES + 1),
							  NULL) != SV_OK)
		abort();
	CHECK(parse_with_dictionary(sv_buffer_slice(&part), &err) == SV_CORRUPT, "or too long");
	sv_buffer_free(&part);
	free(long_one);
}

int
main(void)
{
	printf("# seed %llu\n", (unsigned long long) SEED);
	for (int kind = 0; kind < KINDS; kind++)
		test_locate(kind);
	test_few_blocks();
	test_parts();
	test_sizes();
	test_dictionaries();
	return unit_done();
}
