/*
 * sst_tail.c
 *		The tail as a whole, and finding the block of a key with it.
 */
#include "sst/sst_tail.h"

#include <inttypes.h>

#include "base/sv_coding.h"
#include "base/sv_hash.h"

_Static_assert((uint32_t) 0 - 1 == SST_NO_BLOCK, "the block before the first is none");

/* The dictionary's hash precedes it. */
#define DICTIONARY_HASH_BYTES 16

static void
put_dictionary_hash(uint8_t *dst, SvSlice dictionary, uint64_t hash[2])
{
	sv_hash128(dictionary, hash);
	sv_put_u64(dst, hash[0]);
	sv_put_u64(dst + 8, hash[1]);
}

SvStatus
sst_dictionary_append(SvBuffer *tail, SvSlice dictionary, SvError *err)
{
	uint8_t		stored[DICTIONARY_HASH_BYTES];
	uint64_t	hash[2];
	SvStatus	status = sv_buffer_reserve(tail, sizeof(stored) + dictionary.len, err);

	put_dictionary_hash(stored, dictionary, hash);
	if (status == SV_OK)
		status = sv_buffer_append(tail, stored, sizeof(stored), err);
	if (status == SV_OK)
		status = sv_buffer_append(tail, dictionary.data, dictionary.len, err);
	return status;
}

static const char *
parse_dictionary(SstTail *tail, SvSlice bytes)
{
	uint8_t		expected[DICTIONARY_HASH_BYTES];

	if (bytes.len == 0)
		return NULL;
	if (bytes.len <= DICTIONARY_HASH_BYTES ||
		bytes.len > DICTIONARY_HASH_BYTES + SST_MAX_DICTIONARY_BYTES)
		return "wrong size of the dictionary";
	tail->dictionary = sv_slice(bytes.data + DICTIONARY_HASH_BYTES,
								bytes.len - DICTIONARY_HASH_BYTES);
	put_dictionary_hash(expected, tail->dictionary, tail->dictionary_hash);
	if (memcmp(expected, bytes.data, sizeof(expected)) != 0)
		return "hash of the dictionary does not match";
	return NULL;
}

/* The bytes of a part that sst_footer_decode found to be inside the tail. */
static SvSlice
part_of(const SstTail *tail, SstHandle handle)
{
	if (handle.length == 0)
		return sv_slice(NULL, 0);
	return sv_slice(tail->bytes.data + (handle.offset - tail->offset), (size_t) handle.length);
}

static const char *
parse_parts(SstTail *tail)
{
	SstFooter	footer;
	SvSlice		learned;
	const char *problem = sst_footer_decode(tail->bytes, tail->offset, &footer);

	if (problem == NULL)
		problem = sst_properties_decode(part_of(tail, footer.properties), &tail->properties);
	if (problem == NULL)
		problem = sst_filter_parse(&tail->filter, part_of(tail, footer.filter));
	if (problem == NULL)
		problem = parse_dictionary(tail, part_of(tail, footer.dictionary));
	if (problem == NULL)
		problem = sst_index_parse(&tail->index, part_of(tail, footer.block_index), tail->offset,
								  tail->properties.entries, tail->dictionary.len > 0);
	if (problem != NULL)
		return problem;
	learned = part_of(tail, footer.learned_index);
	if (learned.len == 0)
		return NULL;
	if (tail->index.count == 0)
		return "learned index in a file without blocks";
	return sst_rmi_parse(&tail->rmi, learned, tail->index.count);
}

static SvStatus
damaged_tail(const SstTail *tail, const char *object, const char *problem, SvError *err)
{
	return sv_fail(err, SV_CORRUPT, "corrupted tail at offset %" PRIu64 " of object \"%s\": %s",
				   tail->offset, object, problem);
}

SvStatus
sst_tail_check_size(uint64_t file_bytes, uint64_t tail_bytes, const char *object, SvError *err)
{
	if (tail_bytes <= file_bytes && tail_bytes >= SST_TRAILER_BYTES &&
		tail_bytes <= SST_MAX_TAIL_BYTES)
		return SV_OK;
	return sv_fail(err, SV_CORRUPT,
				   "object \"%s\" of %" PRIu64 " bytes cannot have a tail of %" PRIu64 " bytes",
				   object, file_bytes, tail_bytes);
}

SvStatus
sst_tail_parse(SstTail *tail, SvSlice bytes, uint64_t file_bytes, const char *object,
			   SvError *err)
{
	uint32_t	version;
	const char *problem;
	SvStatus	status = sst_tail_check_size(file_bytes, bytes.len, object, err);

	memset(tail, 0, sizeof(*tail));
	if (status != SV_OK)
		return status;
	tail->offset = file_bytes - bytes.len;
	tail->bytes = bytes;
	problem = sst_tail_check(bytes, &version);
	if (problem != NULL)
		return damaged_tail(tail, object, problem, err);
	if (version > SST_VERSION)
		return sv_fail(err, SV_UNSUPPORTED,
					   "object \"%s\" has format version %" PRIu32 ", newer than version %d",
					   object, version, SST_VERSION);
	problem = parse_parts(tail);
	return problem == NULL ? SV_OK : damaged_tail(tail, object, problem, err);
}

/* ----------------------------------------------------------------- lookups */

static uint32_t
rank_in_range(const SstTail *tail, SvSlice key, SstRmiRange range)
{
	return sst_index_rank(&tail->index, key, range.low, range.high);
}

static bool
is_out_of_range(const SstTail *tail, SvSlice key)
{
	return tail->index.count == 0 || sv_slice_compare(key, sst_index_last_key(&tail->index)) > 0;
}

uint32_t
sst_tail_blocks_up_to(const SstTail *tail, SvSlice key)
{
	if (tail->rmi.count == 0)
		return sst_index_rank(&tail->index, key, 0, tail->index.count);
	return rank_in_range(tail, key, sst_rmi_locate(&tail->rmi, key));
}

uint32_t
sst_tail_blocks_below(const SstTail *tail, SvSlice key)
{
	uint32_t	blocks = sst_tail_blocks_up_to(tail, key);

	if (blocks > 0 && sv_slice_equal(sst_index_low_key(&tail->index, blocks - 1), key))
		blocks--;
	return blocks;
}

uint32_t
sst_tail_locate(const SstTail *tail, SvSlice key)
{
	return is_out_of_range(tail, key) ? SST_NO_BLOCK : sst_tail_blocks_up_to(tail, key) - 1;
}

SstRmiProbe
sst_tail_start(const SstTail *tail, SvSlice key)
{
	return sst_rmi_start(&tail->rmi, key);
}

void
sst_tail_aim(const SstTail *tail, const SstRmiProbe *probe)
{
	if (tail->rmi.count > 0)
		sst_rmi_aim(&tail->rmi, probe);
}

uint32_t
sst_tail_finish(const SstTail *tail, const SstRmiProbe *probe, SvSlice key)
{
	if (tail->rmi.count == 0)
		return sst_tail_locate(tail, key);
	if (is_out_of_range(tail, key))
		return SST_NO_BLOCK;
	return rank_in_range(tail, key, sst_rmi_finish(&tail->rmi, probe, key)) - 1;
}
