/*
 * sv_buffer.c
 *		Growing by doubling.
 */
#include "base/sv_buffer.h"

#define SV_BUFFER_MIN_BYTES 64

void
sv_buffer_init(SvBuffer *buf, const SvAlloc *alloc)
{
	buf->alloc = alloc;
	buf->data = NULL;
	buf->len = 0;
	buf->capacity = 0;
}

void
sv_buffer_free(SvBuffer *buf)
{
	sv_release(buf->alloc, buf->data);
	sv_buffer_init(buf, buf->alloc);
}

SvStatus
sv_buffer_reserve(SvBuffer *buf, size_t more, SvError *err)
{
	size_t		needed;
	size_t		capacity;
	void	   *data;

	if (more <= buf->capacity - buf->len)
		return SV_OK;
	if (more > SIZE_MAX - buf->len)
		return sv_fail(err, SV_NO_MEMORY, "a buffer of %zu bytes cannot grow by %zu bytes",
					   buf->len, more);

	needed = buf->len + more;
	capacity = buf->capacity > SIZE_MAX / 2 ? SIZE_MAX : buf->capacity * 2;
	if (capacity < SV_BUFFER_MIN_BYTES)
		capacity = SV_BUFFER_MIN_BYTES;
	if (capacity < needed)
		capacity = needed;

	data = buf->alloc->resize(buf->alloc->state, buf->data, capacity);
	if (data == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a buffer needs %zu bytes", capacity);
	buf->data = data;
	buf->capacity = capacity;
	return SV_OK;
}

SvStatus
sv_buffer_append_any(SvBuffer *buf, const void *data, size_t len, SvError *err)
{
	SvStatus	status;

	if (len == 0)
		return SV_OK;
	status = sv_buffer_reserve(buf, len, err);
	if (status != SV_OK)
		return status;
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return SV_OK;
}
