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
#define FOOTER_BLOCK_INDEX		32
#define FOOTER_PROPERTIES		48
#define FOOTER_VERSION			64
#define FOOTER_LENGTH			68
#define FOOTER_CHECKSUM			72
#define FOOTER_MAGIC			80

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

/* Reads the next handle, of the part that has to begin at *offset. */
static bool
next_part(SvCursor *c, uint64_t *offset, uint64_t end, SstHandle *handle)
{
	if (!sv_cursor_u64(c, &handle->offset) || !sv_cursor_u64(c, &handle->length))
		return false;
	if (handle->offset != *offset || handle->length > end - *offset)
		return false;
	*offset += handle->length;
	return true;
}

const char *
sst_footer_decode(SvSlice tail, uint64_t tail_offset, SstFooter *footer)
{
	SvCursor	c;
	uint64_t	offset = tail_offset;
	uint64_t	end;

	if (tail.len < SST_FOOTER_BYTES)
		return "tail is too short";
	end = tail_offset + tail.len - SST_FOOTER_BYTES;
	c = sv_cursor(sv_slice(tail.data + tail.len - SST_FOOTER_BYTES, SST_FOOTER_BYTES));
	if (!next_part(&c, &offset, end, &footer->filter) ||
		!next_part(&c, &offset, end, &footer->learned_index) ||
		!next_part(&c, &offset, end, &footer->block_index) ||
		!next_part(&c, &offset, end, &footer->properties) ||
		offset != end)
		return "parts do not fill the tail";
	if (sv_get_u32(tail.data + tail.len - SST_FOOTER_BYTES + FOOTER_LENGTH) != SST_FOOTER_BYTES)
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
