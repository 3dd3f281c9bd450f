/*
 * sv_alloc.h
 *		Where the server-free layers get their memory.
 *
 * allocate returns NULL when there is none: it never longjmps, so that a
 * function of these layers can always clean up behind itself.  Memory need
 * not be zeroed.  release(NULL) is allowed.
 */
#ifndef SV_ALLOC_H
#define SV_ALLOC_H

#include <stddef.h>

typedef struct SvAlloc
{
	void	   *(*allocate) (void *state, size_t bytes);
	/* ptr may be NULL; if the result is NULL, ptr is untouched */
	void	   *(*resize) (void *state, void *ptr, size_t bytes);
	void		(*release) (void *state, void *ptr);
	void	   *state;
} SvAlloc;

/* malloc, realloc and free */
extern const SvAlloc sv_malloc_alloc;

static inline void *
sv_allocate(const SvAlloc *alloc, size_t bytes)
{
	return alloc->allocate(alloc->state, bytes);
}

static inline void
sv_release(const SvAlloc *alloc, void *ptr)
{
	alloc->release(alloc->state, ptr);
}

#endif							/* SV_ALLOC_H */
