/*
 * load_sort.c
 *		See load_sort.h.
 *
 * Entries lie one behind the other in one piece of memory, which is full when
 * they and what sorting them takes are; then they are sorted and written to a
 * file.  Files are merged as soon as there are as many of one kind (made by as
 * many merges) as memory has buffers for, so that their number stays bounded
 * and each entry is written a logarithmic number of times.  They are kept in
 * the order of their entries' coming: the newer hides the older.
 */
#include "postgres.h"

#include "forest/load_sort.h"

#include <sys/mman.h>

#include "base/sv_prefetch.h"
#include "forest/key_sort.h"
#include "forest/load_spill.h"
#include "lsm/lsm_merge.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* What goes before an entry's key; its value comes behind the key. */
typedef struct EntryHeader
{
	uint32		key_len;
	uint32		value_len;
	int64		expires_at;
} EntryHeader;

#define ENTRY_ALIGN 8

/* What sorting takes for each entry. */
#define SIDE_BYTES (sizeof(SvSlice) + sizeof(int) + 2 * sizeof(KeySortItem))

/* A share of memory for the buffers of files, and the fewest files to be merged at once. */
#define SPILL_SHARE 4
#define FEWEST_SPILLS 4

/*
 * What goes to each file after the first.  Whoever gives entries waits while they are
 * sorted and written: not for so little, as a queue takes as much meanwhile.  With
 * every so many files it grows, lest there be too many to be merged at once.
 */
#define LATER_BYTES ((Size) 16 * 1024 * 1024)
#define LATER_FILES 64

/* So many entries ahead, what lies anywhere in memory is asked for; where it lies, as many before that. */
#define ENTRIES_AHEAD 16

/* Between two looks for interrupts, where they would cost; a power of 2. */
#define LOOK_ENTRIES (1 << 16)

#define HUGE_PAGE_BYTES ((Size) 2 * 1024 * 1024)
#define CACHE_LINE 64
#define LINES_AHEAD 3

typedef struct SortedFile
{
	LoadSpill  *spill;
	int			merges;			/* that it has come through */
} SortedFile;

/* One of the streams that are merged. */
typedef struct SortStream
{
	LoadSort   *sort;
	LoadSpill  *spill;			/* NULL: what is in memory */
	bool		has_entry;
	SstEntry	entry;
} SortStream;

struct LoadSort
{
	MemoryContext context;
	ResourceOwner owner;		/* of the files */
	SvAlloc		alloc;
	Size		room;
	Size		spill_bytes;	/* for buffers of files */
	int			most_files;		/* of one kind */
	LoadDuplicate duplicate;
	void	   *duplicate_state;

	uint8	   *memory;			/* entries from its beginning; NULL until there is one */
	Size		used;
	int			n;
	Size		last_at;		/* of the last entry */
	bool		is_ascending;	/* n of memory, nothing in files */

	/* Once what is in memory is sorted: the n keys in order. */
	SvSlice    *keys;
	int		   *order;
	int			next;

	SortedFile *files;			/* oldest first */
	int			nfiles;
	int			files_room;

	/* While files are merged. */
	LsmMerge   *merge;
	SortStream *streams;
	SstEntry	handed_out;
	bool		has_handed_out;
};

LoadSort *
load_sort_begin(Size memory_bytes, LoadDuplicate duplicate, void *duplicate_state)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault load sort",
												  ALLOCSET_DEFAULT_SIZES);
	LoadSort   *sort = MemoryContextAllocZero(context, sizeof(LoadSort));

	sort->context = context;
	sort->owner = CurrentResourceOwner;
	sort->alloc = pg_status_alloc(context);
	sort->spill_bytes = memory_bytes / SPILL_SHARE;
	sort->room = memory_bytes - sort->spill_bytes;
	sort->most_files = Max(sort->spill_bytes / LOAD_SPILL_MIN_BYTES, FEWEST_SPILLS + 1) - 1;
	sort->duplicate = duplicate;
	sort->duplicate_state = duplicate_state;
	sort->is_ascending = true;
	return sort;
}

bool
load_sort_is_ascending(const LoadSort *sort)
{
	return sort->is_ascending;
}

Size
load_sort_bytes(const LoadSort *sort)
{
	return sort->used;
}

void
load_sort_reset(LoadSort *sort)
{
	sort->used = 0;
	sort->n = 0;
	sort->is_ascending = true;
	sort->keys = NULL;
	sort->next = 0;
}

void
load_sort_end(LoadSort *sort)
{
	lsm_merge_close(sort->merge);
	for (int i = 0; i < sort->nfiles; i++)
		load_spill_close(sort->files[i].spill);
	MemoryContextDelete(sort->context);
}

static void
report_duplicate(LoadSort *sort, SvSlice key)
{
	if (sort->duplicate != NULL)
		sort->duplicate(sort->duplicate_state, key);
}

/* ---- in memory ---- */

static inline Size
entry_bytes(const SstEntry *entry)
{
	return TYPEALIGN(ENTRY_ALIGN, sizeof(EntryHeader) + entry->key.len + entry->value.len);
}

static inline SvSlice
key_at(const LoadSort *sort, Size at)
{
	const EntryHeader *header = (const EntryHeader *) (sort->memory + at);

	return sv_slice(header + 1, header->key_len);
}

static void
entry_of_key(SvSlice key, SstEntry *entry)
{
	const EntryHeader *header = (const EntryHeader *) key.data - 1;

	entry->key = key;
	entry->value = sv_slice(key.data + key.len, header->value_len);
	entry->expires_at = header->expires_at;
	entry->kind = SST_VALUE;
}

/* What this needs lies behind the entries. */
static void
sort_memory(LoadSort *sort)
{
	Size		at = TYPEALIGN(ENTRY_ALIGN, sort->used);
	KeySortItem *items;

	if (sort->n == 0)
		return;
	sort->keys = (SvSlice *) (sort->memory + at);
	items = (KeySortItem *) (sort->keys + sort->n);
	sort->order = (int *) (items + 2 * (Size) sort->n);
	at = 0;
	for (int i = 0; i < sort->n; i++)
	{
		const EntryHeader *header = (const EntryHeader *) (sort->memory + at);

		if (unlikely((i & (LOOK_ENTRIES - 1)) == LOOK_ENTRIES - 1))
			CHECK_FOR_INTERRUPTS();
		sort->keys[i] = sv_slice(header + 1, header->key_len);
		sort->order[i] = i;
		at += TYPEALIGN(ENTRY_ALIGN, sizeof(EntryHeader) + header->key_len + (Size) header->value_len);
	}
	key_sort(sort->keys, sort->order, sort->n, items);
	sort->next = 0;
}

/* Of what is read in the order of keys, which is anywhere in memory. */
SV_PREFETCHES
ask_ahead(const LoadSort *sort)
{
	const int  *ahead = &sort->order[sort->next + ENTRIES_AHEAD];
	const uint8 *entry;

	if (sort->next + 2 * ENTRIES_AHEAD >= sort->n)
		return;
	sv_prefetch(&sort->keys[ahead[ENTRIES_AHEAD]]);
	entry = sort->keys[*ahead].data - sizeof(EntryHeader);
	for (int i = 0; i < LINES_AHEAD; i++)
		sv_prefetch(entry + i * CACHE_LINE);
}

/*
 * Of equal keys, which are in the order of their coming, the last one.  They are
 * looked for here and not when all are sorted, since keys are read here anyway.
 */
static bool
next_in_memory(LoadSort *sort, SstEntry *entry)
{
	SvSlice		key;

	if (sort->next >= sort->n)
		return false;
	key = sort->keys[sort->order[sort->next]];
	for (;;)
	{
		ask_ahead(sort);
		sort->next++;
		if (sort->next >= sort->n || !sv_slice_equal(key, sort->keys[sort->order[sort->next]]))
			break;
		CHECK_FOR_INTERRUPTS();
		report_duplicate(sort, key);
		key = sort->keys[sort->order[sort->next]];
	}
	entry_of_key(key, entry);
	return true;
}

/* ---- files ---- */

/* Of each of so many files that are written or read at once. */
static Size
buffer_bytes(const LoadSort *sort, int nfiles)
{
	return Min(Max(sort->spill_bytes / nfiles, LOAD_SPILL_MIN_BYTES), LOAD_SPILL_MAX_BYTES);
}

/* One of so many. */
static LoadSpill *
create_file(LoadSort *sort, int nfiles)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext old = MemoryContextSwitchTo(sort->context);
	LoadSpill  *spill;

	CurrentResourceOwner = sort->owner;
	spill = load_spill_create(buffer_bytes(sort, nfiles));
	CurrentResourceOwner = owner;
	if (sort->nfiles == sort->files_room)
	{
		int			room = sort->files_room == 0 ? 16 : sort->files_room * 2;
		SortedFile *files = palloc(room * sizeof(SortedFile));

		if (sort->nfiles > 0)
			memcpy(files, sort->files, sort->nfiles * sizeof(SortedFile));
		sort->files = files;
		sort->files_room = room;
	}
	MemoryContextSwitchTo(old);
	return spill;
}

static void
add_file(LoadSort *sort, LoadSpill *spill, int merges)
{
	load_spill_end_write(spill);
	sort->files[sort->nfiles++] = (SortedFile) {.spill = spill,.merges = merges};
}

/*
 * A key that is in several streams is hidden in all but the newest, which has
 * been handed out when the others go on.
 */
static SvStatus
stream_next(void *state, SstEntry *entry, SvError *err)
{
	SortStream *stream = state;
	LoadSort   *sort = stream->sort;

	if (sort->duplicate != NULL && stream->has_entry && sort->has_handed_out &&
		stream->entry.key.data != sort->handed_out.key.data &&
		sv_slice_equal(stream->entry.key, sort->handed_out.key))
		report_duplicate(sort, stream->entry.key);
	stream->has_entry = stream->spill != NULL ? load_spill_read(stream->spill, &stream->entry) :
		next_in_memory(sort, &stream->entry);
	if (!stream->has_entry)
		return SV_NOT_FOUND;
	*entry = stream->entry;
	return SV_OK;
}

/* Of the newest n files, and of what is in memory, sorted, which is newer than all. */
static void
merge_begin(LoadSort *sort, int n, bool with_memory)
{
	MemoryContext old = MemoryContextSwitchTo(sort->context);
	LsmSource  *sources = palloc((n + 1) * sizeof(LsmSource));
	int			nstreams = 0;
	SvError		err;

	sort->streams = palloc0((n + 1) * sizeof(SortStream));
	if (with_memory)
		sort->streams[nstreams++].sort = sort;
	for (int i = 0; i < n; i++)
	{
		LoadSpill  *spill = sort->files[sort->nfiles - 1 - i].spill;

		load_spill_begin_read(spill, buffer_bytes(sort, n + 1));
		sort->streams[nstreams++] = (SortStream) {.sort = sort,.spill = spill};
	}
	for (int i = 0; i < nstreams; i++)
		sources[i] = (LsmSource) {.next = stream_next,.state = &sort->streams[i]};
	sort->has_handed_out = false;
	PG_STATUS_CHECK(lsm_merge_open(&sort->merge, sources, nstreams, false, &sort->alloc, &err), &err);
	pfree(sources);
	MemoryContextSwitchTo(old);
}

static bool
merge_next(LoadSort *sort, SstEntry *entry)
{
	SvError		err;
	SvStatus	status = lsm_merge_next(sort->merge, entry, NULL, &err);

	if (status == SV_NOT_FOUND)
		return false;
	if (status != SV_OK)
		pg_status_report(ERROR, &err);
	sort->handed_out = *entry;
	sort->has_handed_out = true;
	return true;
}

static void
merge_end(LoadSort *sort)
{
	lsm_merge_close(sort->merge);
	sort->merge = NULL;
	pfree(sort->streams);
}

/* The newest n files become one. */
static void
merge_files(LoadSort *sort, int n)
{
	int			merges = sort->files[sort->nfiles - 1].merges + 1;
	LoadSpill  *merged = create_file(sort, n + 1);
	SstEntry	entry;

	merge_begin(sort, n, false);
	while (merge_next(sort, &entry))
	{
		CHECK_FOR_INTERRUPTS();
		load_spill_write(merged, &entry);
	}
	merge_end(sort);
	for (int i = 0; i < n; i++)
		load_spill_close(sort->files[--sort->nfiles].spill);
	add_file(sort, merged, merges);
}

/* How many of the newest files have come through as many merges as the newest. */
static int
newest_of_a_kind(const LoadSort *sort)
{
	int			n = 0;

	while (n < sort->nfiles &&
		   sort->files[sort->nfiles - 1 - n].merges == sort->files[sort->nfiles - 1].merges)
		n++;
	return n;
}

static void
merge_full_kinds(LoadSort *sort)
{
	while (newest_of_a_kind(sort) >= sort->most_files)
		merge_files(sort, newest_of_a_kind(sort));
}

static void
spill_memory(LoadSort *sort)
{
	LoadSpill  *spill = create_file(sort, 1);
	SstEntry	entry;

	sort_memory(sort);
	while (next_in_memory(sort, &entry))
	{
		CHECK_FOR_INTERRUPTS();
		load_spill_write(spill, &entry);
	}
	load_sort_reset(sort);
	sort->is_ascending = false;
	add_file(sort, spill, 0);
	merge_full_kinds(sort);
}

/* An entry that is larger than all memory. */
static void
spill_entry(LoadSort *sort, const SstEntry *entry)
{
	LoadSpill  *spill = create_file(sort, 1);

	load_spill_write(spill, entry);
	sort->is_ascending = false;
	add_file(sort, spill, 0);
	merge_full_kinds(sort);
}

/* ---- adding, and taking ---- */

#ifdef __linux__
/* Of the huge pages that are whole between the two. */
static void
advise(uint8 *from, uint8 *to, int advice)
{
	uint8	   *begin = (uint8 *) TYPEALIGN(HUGE_PAGE_BYTES, from);
	uint8	   *end = (uint8 *) TYPEALIGN_DOWN(HUGE_PAGE_BYTES, to);

	if (begin < end)
		(void) madvise(begin, end - begin, advice);
}
#endif

/* Sorted entries are read in any order: in small pages, the processor would have to look up each. */
static void
want_huge_pages(LoadSort *sort)
{
#ifdef __linux__
	advise(sort->memory, sort->memory + sort->room, MADV_HUGEPAGE);
#endif
}

/*
 * The first entries filled all of memory, the last ones are fewer.  What is behind
 * them goes back to the system, as runs are built beside the merge.
 */
static void
give_back_rest(LoadSort *sort)
{
#ifdef __linux__
	if (sort->memory != NULL)
		advise(sort->n > 0 ? (uint8 *) (sort->order + sort->n) : sort->memory, sort->memory + sort->room,
			   MADV_DONTNEED);
#endif
}

static void
take_memory(LoadSort *sort)
{
	sort->memory = MemoryContextAllocHuge(sort->context, sort->room);
	want_huge_pages(sort);
}

/* Until it is known that not all entries fit, memory takes as many as it can. */
static inline Size
room_now(const LoadSort *sort)
{
	if (sort->nfiles == 0)
		return sort->room;
	return Min(sort->room, LATER_BYTES * (1 + sort->nfiles / LATER_FILES));
}

void
load_sort_add(LoadSort *sort, const SstEntry *entry)
{
	Size		bytes = entry_bytes(entry);
	EntryHeader *header;

	if (unlikely(sort->used + bytes + ((Size) sort->n + 1) * SIDE_BYTES > room_now(sort) || sort->n == INT_MAX / 4))
	{
		if (sort->n > 0)
			spill_memory(sort);
		if (bytes + SIDE_BYTES > sort->room)
		{
			spill_entry(sort, entry);
			return;
		}
	}
	if (unlikely(sort->memory == NULL))
		take_memory(sort);
	if (sort->is_ascending && sort->n > 0)
		sort->is_ascending = sv_slice_compare(key_at(sort, sort->last_at), entry->key) < 0;
	header = (EntryHeader *) (sort->memory + sort->used);
	*header = (EntryHeader) {entry->key.len, entry->value.len, entry->expires_at};
	memcpy(header + 1, entry->key.data, entry->key.len);
	if (entry->value.len > 0)
		memcpy((uint8 *) (header + 1) + entry->key.len, entry->value.data, entry->value.len);
	sort->last_at = sort->used;
	sort->used += bytes;
	sort->n++;
}

void
load_sort_perform(LoadSort *sort)
{
	sort_memory(sort);
	if (sort->nfiles == 0)
		return;
	give_back_rest(sort);
	merge_begin(sort, sort->nfiles, sort->n > 0);
}

bool
load_sort_next(LoadSort *sort, SstEntry *entry)
{
	return sort->merge != NULL ? merge_next(sort, entry) : next_in_memory(sort, entry);
}
