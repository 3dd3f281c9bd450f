/*
 * sv_alloc.c
 *		The allocator of the C library.
 */
#include "base/sv_alloc.h"

#include <stdlib.h>

/* malloc(0) may return NULL, which here would mean that memory has run out. */
static void *
malloc_allocate(void *state, size_t bytes)
{
	(void) state;
	return malloc(bytes == 0 ? 1 : bytes);
}

/* realloc(ptr, 0) may free ptr. */
static void *
malloc_resize(void *state, void *ptr, size_t bytes)
{
	(void) state;
	return realloc(ptr, bytes == 0 ? 1 : bytes);
}

static void
malloc_release(void *state, void *ptr)
{
	(void) state;
	free(ptr);
}

const SvAlloc sv_malloc_alloc = {
	.allocate = malloc_allocate,
	.resize = malloc_resize,
	.release = malloc_release,
	.state = NULL
};
