/*
 * index_memory.h
 *		Memory of bench_index: large pages where there are any, for all
 *		contenders alike, and an arena of them for the B-tree.  All that fails
 *		ends the program.
 */
#ifndef INDEX_MEMORY_H
#define INDEX_MEMORY_H

#include <sys/mman.h>

#include <cstddef>
#include <vector>

#include "engine_data.h"

/* Pages as large as there are, for all contenders alike. */
static inline void *
map_memory(size_t bytes)
{
	void	   *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
							  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		engine_die("out of memory for %zu bytes", bytes);
	madvise(memory, bytes, MADV_HUGEPAGE);
	return memory;
}

static const size_t ARENA_BYTES = 64 * 1024 * 1024;

/* Where the B-tree's nodes are: nothing is freed before all of it. */
struct Arena
{
	std::vector<void *> chunks;
	size_t		used = ARENA_BYTES;
	size_t		total = 0;

	void *
	allocate(size_t bytes)
	{
		bytes = (bytes + 63) / 64 * 64;
		if (used + bytes > ARENA_BYTES)
		{
			chunks.push_back(map_memory(ARENA_BYTES));
			used = 0;
		}
		used += bytes;
		total += bytes;
		return static_cast<char *>(chunks.back()) + used - bytes;
	}

	~Arena()
	{
		for (void *chunk : chunks)
			munmap(chunk, ARENA_BYTES);
	}
};

template <class T>
struct ArenaAllocator
{
	typedef T	value_type;
	Arena	   *arena;

	explicit ArenaAllocator(Arena *a) : arena(a) {}
	template <class U> ArenaAllocator(const ArenaAllocator<U> &other) : arena(other.arena) {}
	T		   *allocate(size_t n) { return static_cast<T *>(arena->allocate(n * sizeof(T))); }
	void		deallocate(T *, size_t) {}
	template <class U> bool operator==(const ArenaAllocator<U> &o) const { return arena == o.arena; }
	template <class U> bool operator!=(const ArenaAllocator<U> &o) const { return arena != o.arena; }
};

#endif
