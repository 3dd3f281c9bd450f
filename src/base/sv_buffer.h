/*
 * sv_buffer.h
 *		A growable run of bytes over an SvAlloc.
 *
 * The owner calls sv_buffer_free, or lets the allocator's arena go.  Appending
 * may move data; slices into it are good until the next append.
 */
#ifndef SV_BUFFER_H
#define SV_BUFFER_H

#include "base/sv_alloc.h"
#include "base/sv_slice.h"
#include "base/sv_status.h"

typedef struct SvBuffer
{
	const SvAlloc *alloc;
	uint8_t    *data;
	size_t		len;
	size_t		capacity;
} SvBuffer;

extern void sv_buffer_init(SvBuffer *buf, const SvAlloc *alloc);
extern void sv_buffer_free(SvBuffer *buf);

/* Forgets the content, keeps the memory. */
static inline void
sv_buffer_reset(SvBuffer *buf)
{
	buf->len = 0;
}

/* Makes room for `more` bytes behind len.  SV_NO_MEMORY leaves buf as it was. */
extern SvStatus sv_buffer_reserve(SvBuffer *buf, size_t more, SvError *err);

/* What sv_buffer_append leaves to sv_buffer.c. */
extern SvStatus sv_buffer_append_any(SvBuffer *buf, const void *data, size_t len, SvError *err);

static inline SvStatus
sv_buffer_append(SvBuffer *buf, const void *data, size_t len, SvError *err)
{
	if (len == 0 || len > buf->capacity - buf->len)
		return sv_buffer_append_any(buf, data, len, err);
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return SV_OK;
}

static inline SvSlice
sv_buffer_slice(const SvBuffer *buf)
{
	return sv_slice(buf->data, buf->len);
}

#endif							/* SV_BUFFER_H */
