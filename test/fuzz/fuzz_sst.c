/*
 * fuzz_sst.c
 *		Any bytes as an SST: nothing may crash, and keys ascend.
 *
 * The input is a file, whose footer says how long the tail is; where it does
 * not, the whole file is the tail.  It is read as it is, and once more with
 * the checksums made right, so that mutations get behind them.
 */
#include <stdlib.h>

#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "sst/sst_reader.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In the footer. */
#define DICTIONARY_HANDLE	32
#define BLOCK_INDEX_HANDLE	48

#define RECORD_BYTES	32		/* of the block index, and of its header */
#define HASH_BYTES		16		/* before a dictionary */

static SvStatus
read_slice(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	const SvSlice *file = state;

	if (offset > file->len || len > file->len - offset)
		return sv_fail(err, SV_IO, "read beyond the end");
	memcpy(dst, file->data + offset, len);
	return SV_OK;
}

/* What the footer's first handle says, if it is in the file. */
static size_t
tail_bytes_of(SvSlice file)
{
	uint64_t	at;

	if (file.len < SST_FOOTER_BYTES)
		return file.len;
	at = sv_get_u64(file.data + file.len - SST_FOOTER_BYTES);
	return at < file.len - SST_FOOTER_BYTES ? file.len - (size_t) at : file.len;
}

/* The part that a handle of the footer names; empty if it is not in the file. */
static SvSlice
part_of(const uint8_t *data, size_t size, size_t handle)
{
	uint64_t	at = sv_get_u64(data + size - SST_FOOTER_BYTES + handle);
	uint64_t	length = sv_get_u64(data + size - SST_FOOTER_BYTES + handle + 8);

	if (at > size || length > size - at)
		return sv_slice(NULL, 0);
	return sv_slice(data + at, (size_t) length);
}

/* Makes the checksums of the blocks right, as far as they can be found. */
static void
seal_blocks(uint8_t *data, size_t size)
{
	SvSlice		index = part_of(data, size, BLOCK_INDEX_HANDLE);
	size_t		at = (size_t) (index.len > 0 ? index.data - data : 0);

	for (size_t i = RECORD_BYTES; i + RECORD_BYTES <= index.len; i += RECORD_BYTES)
	{
		uint8_t    *record = data + at + i;
		uint64_t	offset = sv_get_u64(record);
		uint32_t	stored = sv_get_u32(record + 16);

		/* Keys come behind the records, and look like none. */
		if (offset > at || stored > at - offset)
			break;
		sv_put_u64(record + 8, sv_hash64(sv_slice(data + offset, stored)));
	}
}

static void
seal_dictionary(uint8_t *data, size_t size)
{
	SvSlice		part = part_of(data, size, DICTIONARY_HANDLE);
	uint64_t	hash[2];

	if (part.len <= HASH_BYTES)
		return;
	sv_hash128(sv_slice(part.data + HASH_BYTES, part.len - HASH_BYTES), hash);
	sv_put_u64(data + (part.data - data), hash[0]);
	sv_put_u64(data + (part.data - data) + 8, hash[1]);
}

static void
seal(uint8_t *data, size_t size)
{
	size_t		tail = tail_bytes_of(sv_slice(data, size));
	uint8_t    *trailer;

	if (size < SST_FOOTER_BYTES)
		return;
	trailer = data + size - SST_TRAILER_BYTES;
	seal_blocks(data, size);
	seal_dictionary(data, size);
	sv_put_u32(trailer, SST_VERSION);
	memcpy(trailer + 16, SST_MAGIC, SST_MAGIC_BYTES);
	sv_put_u64(trailer + 8, sv_hash64(sv_slice(data + size - tail, tail - 16)));
}

/* An iterator's keys ascend or descend strictly. */
static void
scan(SstReader *reader, const SvSlice *low, const SvSlice *high, bool backward)
{
	uint8_t		last[SST_MAX_KEY_BYTES];
	size_t		last_len = 0;
	uint64_t	n = 0;
	SstBlockSource source = sst_reader_block_source(reader);
	SstIterator *it;
	SstEntry	entry;
	SvError		err;

	if (sst_iterator_open(&it, &source, low, high, backward, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	while (sst_iterator_next(it, &entry, &err) == SV_OK)
	{
		int			c = sv_slice_compare(entry.key, sv_slice(last, last_len));

		if ((n > 0 && (backward ? c >= 0 : c <= 0)) || n == sst_reader_entries(reader))
			abort();
		if ((low != NULL && sv_slice_compare(entry.key, *low) < 0) ||
			(high != NULL && sv_slice_compare(entry.key, *high) >= 0))
			abort();
		if (entry.key.len > 0)
			memcpy(last, entry.key.data, entry.key.len);
		last_len = entry.key.len;
		n++;
	}
	sst_iterator_close(it);
}

static void
read_file(SvSlice file)
{
	SstSource	source = {read_slice, &file, "fuzz"};
	SstReader  *reader;
	SvBuffer	scratch;
	SstEntry	entry;
	SvError		err;
	SvSlice		key;
	SvSlice		above;

	if (sst_reader_open(&reader, &source, file.len, tail_bytes_of(file), &sv_malloc_alloc,
						&err) != SV_OK)
		return;
	sv_buffer_init(&scratch, &sv_malloc_alloc);

	/* Any bytes of the file will do as keys. */
	for (size_t at = 0; at + 8 <= file.len; at += 1 + file.len / 16)
	{
		key = sv_slice(file.data + at, at % 8);
		if (sst_reader_get(reader, key, &entry, &scratch, &err) == SV_OK &&
			!sv_slice_equal(entry.key, key))
			abort();
	}
	key = sv_slice(file.data, 2);
	above = sv_slice("key", 3);
	scan(reader, NULL, NULL, false);
	scan(reader, NULL, NULL, true);
	scan(reader, &key, &above, false);
	scan(reader, &key, &above, true);
	sv_buffer_free(&scratch);
	sst_reader_close(reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t    *copy;

	read_file(sv_slice(size > 0 ? data : NULL, size));
	copy = malloc(size + 1);
	if (copy == NULL)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	seal(copy, size);
	read_file(sv_slice(copy, size));
	free(copy);
	return 0;
}
