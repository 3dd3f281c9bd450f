/*
 * sst_format.c
 *		Footer and properties of an SST, to and from bytes.
 */
#include "sst/sst_format.h"

#include "base/sv_coding.h"
#include "base/sv_hash.h"

#define HANDLE_BYTES		16

/* Offsets in the footer. */
#define FOOTER_FILTER			0
#define FOOTER_LEARNED_INDEX	16
#define FOOTER_DICTIONARY		32
#define FOOTER_BLOCK_INDEX		48
#define FOOTER_PROPERTIES		64
#define FOOTER_VERSION			80
#define FOOTER_LENGTH			84
#define FOOTER_CHECKSUM			88
#define FOOTER_MAGIC			96

/* The checksum covers what is before it, so all but this. */
#define UNCHECKED_BYTES		(SST_FOOTER_BYTES - FOOTER_CHECKSUM)

_Static_assert(FOOTER_PROPERTIES + HANDLE_BYTES == FOOTER_VERSION, "handles end at the trailer");
_Static_assert(FOOTER_VERSION + SST_TRAILER_BYTES == SST_FOOTER_BYTES, "trailer ends the footer");
_Static_assert(FOOTER_MAGIC + SST_MAGIC_BYTES == SST_FOOTER_BYTES, "magic ends the footer");
_Static_assert(sizeof(SST_MAGIC) - 1 == SST_MAGIC_BYTES, "length of the magic");

static void
put_handle(uint8_t *dst, SstHandle handle)
{
	sv_put_u64(dst, handle.offset);
	sv_put_u64(dst + 8, handle.length);
}

/* How many bytes are missing to a multiple of SST_PART_ALIGN. */
static size_t
padding(uint64_t at)
{
	return (size_t) (-at % SST_PART_ALIGN);
}

SvStatus
sst_tail_align(SvBuffer *tail, SvError *err)
{
	static const uint8_t zeroes[SST_PART_ALIGN];

	return sv_buffer_append(tail, zeroes, padding(tail->len), err);
}

SvStatus
sst_footer_append(SvBuffer *tail, const SstFooter *footer, SvError *err)
{
	uint8_t    *dst;
	SvStatus	status = sv_buffer_reserve(tail, SST_FOOTER_BYTES, err);

	if (status != SV_OK)
		return status;
	dst = tail->data + tail->len;
	put_handle(dst + FOOTER_FILTER, footer->filter);
	put_handle(dst + FOOTER_LEARNED_INDEX, footer->learned_index);
	put_handle(dst + FOOTER_DICTIONARY, footer->dictionary);
	put_handle(dst + FOOTER_BLOCK_INDEX, footer->block_index);
	put_handle(dst + FOOTER_PROPERTIES, footer->properties);
	sv_put_u32(dst + FOOTER_VERSION, SST_VERSION);
	sv_put_u32(dst + FOOTER_LENGTH, SST_FOOTER_BYTES);
	sv_put_u64(dst + FOOTER_CHECKSUM,
			   sv_hash64(sv_slice(tail->data, tail->len + FOOTER_CHECKSUM)));
	memcpy(dst + FOOTER_MAGIC, SST_MAGIC, SST_MAGIC_BYTES);
	tail->len += SST_FOOTER_BYTES;
	return SV_OK;
}

const char *
sst_tail_check(SvSlice tail, uint32_t *version)
{
	const uint8_t *trailer;
	uint64_t	checksum;

	if (tail.len < SST_TRAILER_BYTES)
		return "tail is too short";
	trailer = tail.data + tail.len - SST_TRAILER_BYTES;
	if (memcmp(trailer + FOOTER_MAGIC - FOOTER_VERSION, SST_MAGIC, SST_MAGIC_BYTES) != 0)
		return "magic number does not match";
	checksum = sv_get_u64(trailer + FOOTER_CHECKSUM - FOOTER_VERSION);
	if (checksum != sv_hash64(sv_slice(tail.data, tail.len - UNCHECKED_BYTES)))
		return "checksum does not match";
	*version = sv_get_u32(trailer);
	if (*version == 0)
		return "version is zero";
	return NULL;
}

/* The parts of a tail, one after the other. */
typedef struct PartCursor
{
	SvSlice		tail;
	SvCursor	handles;
	uint64_t	tail_offset;
	size_t		at;				/* in the tail: where the part before ends */
	size_t		end;			/* where the footer begins */
} PartCursor;

/* Reads the next handle, whose part has to begin where the one before ends, but for padding. */
static const char *
next_part(PartCursor *c, SstHandle *handle)
{
	size_t		padded = c->at + padding(c->at);

	if (!sv_cursor_u64(&c->handles, &handle->offset) ||
		!sv_cursor_u64(&c->handles, &handle->length) ||
		padded > c->end || handle->offset != c->tail_offset + padded ||
		handle->length > c->end - padded)
		return "parts do not fill the tail";
	for (; c->at < padded; c->at++)
		if (c->tail.data[c->at] != 0)
			return "bytes between parts are not zero";
	c->at += (size_t) handle->length;
	return NULL;
}

const char *
sst_footer_decode(SvSlice tail, uint64_t tail_offset, SstFooter *footer)
{
	SstHandle  *parts[] = {
		&footer->filter, &footer->learned_index, &footer->dictionary, &footer->block_index,
		&footer->properties
	};
	PartCursor	c = {.tail = tail,.tail_offset = tail_offset};

	if (tail.len < SST_FOOTER_BYTES)
		return "tail is too short";
	c.end = tail.len - SST_FOOTER_BYTES;
	c.handles = sv_cursor(sv_slice(tail.data + c.end, SST_FOOTER_BYTES));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
	{
		const char *problem = next_part(&c, parts[i]);

		if (problem != NULL)
			return problem;
	}
	if (c.at != c.end)
		return "parts do not fill the tail";
	if (sv_get_u32(tail.data + c.end + FOOTER_LENGTH) != SST_FOOTER_BYTES)
		return "wrong length of the footer";
	return NULL;
}

SvStatus
sst_properties_append(SvBuffer *tail, const SstProperties *properties, SvError *err)
{
	uint8_t		bytes[SST_PROPERTIES_BYTES];

	sv_put_u64(bytes, properties->entries);
	sv_put_u64(bytes + 8, properties->tombstones);
	sv_put_u64(bytes + 16, properties->raw_bytes);
	return sv_buffer_append(tail, bytes, sizeof(bytes), err);
}

/* What follows the three numbers is of a later minor addition, and passed over. */
const char *
sst_properties_decode(SvSlice bytes, SstProperties *properties)
{
	SvCursor	c = sv_cursor(bytes);

	if (!sv_cursor_u64(&c, &properties->entries) ||
		!sv_cursor_u64(&c, &properties->tombstones) ||
		!sv_cursor_u64(&c, &properties->raw_bytes))
		return "properties are too short";
	if (properties->tombstones > properties->entries)
		return "properties count more tombstones than entries";
	return NULL;
}
