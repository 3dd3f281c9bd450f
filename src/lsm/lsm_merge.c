/*
 * lsm_merge.c
 *		A binary heap of the streams' current entries.
 *
 * The heap orders by key in the direction of the merge and, for equal keys,
 * by source index; so its root is always the entry to hand out, and entries
 * that it hides sit at the top of the rest.  The root stays where it is while
 * the caller uses its entry; the next call first passes over what it hid and
 * then advances it, so every step costs one sift of the root.
 */
#include "lsm/lsm_merge.h"

typedef struct MergeStream
{
	LsmSource	source;
	SstEntry	entry;			/* current entry; good while the stream is in the heap */
} MergeStream;

/*
 * A stream that has an entry, and its key's first eight bytes as a number, zeros
 * where it ends: they mostly tell which key is less, and lie beside each other.
 */
typedef struct MergeItem
{
	uint64_t	head;
	int			stream;
} MergeItem;

typedef enum MergeState
{
	MERGE_NEW,					/* no stream has been asked yet */
	MERGE_ENTRY_OUT,			/* the caller has the root's entry */
	MERGE_FAILED				/* a stream failed: where the others stand means nothing now */
} MergeState;

struct LsmMerge
{
	const SvAlloc *alloc;
	MergeState	state;
	bool		backward;
	int			nstreams;
	int			heap_len;
	MergeItem  *heap;
	MergeStream streams[];
};

SvStatus
lsm_merge_open(LsmMerge **merge, const LsmSource *sources, int nsources,
			   bool backward, const SvAlloc *alloc, SvError *err)
{
	LsmMerge   *opened;
	size_t		streams_bytes;

	*merge = NULL;
	if (nsources < 0)
		return sv_fail(err, SV_INVALID, "a merge cannot have %d sources", nsources);

	streams_bytes = sizeof(MergeStream) * (size_t) nsources;
	opened = sv_allocate(alloc, sizeof(LsmMerge) + streams_bytes + sizeof(MergeItem) * (size_t) nsources);
	if (opened == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a merge of %d sources", nsources);

	opened->alloc = alloc;
	opened->state = MERGE_NEW;
	opened->backward = backward;
	opened->nstreams = nsources;
	opened->heap_len = 0;
	opened->heap = (MergeItem *) ((char *) opened->streams + streams_bytes);
	for (int i = 0; i < nsources; i++)
		opened->streams[i].source = sources[i];
	*merge = opened;
	return SV_OK;
}

void
lsm_merge_close(LsmMerge *merge)
{
	if (merge != NULL)
		sv_release(merge->alloc, merge);
}

static inline uint64_t
head_of(SvSlice key)
{
	uint8_t		filled[sizeof(uint64_t)] = {0};

	if (key.len >= sizeof(filled))
		return sv_slice_head(key);
	if (key.len > 0)
		memcpy(filled, key.data, key.len);
	return sv_slice_head(sv_slice(filled, sizeof(filled)));
}

/* Equal heads do not mean equal keys. */
static inline bool
comes_before(const LsmMerge *merge, MergeItem a, MergeItem b)
{
	int			c;

	if (a.head != b.head)
		return (a.head < b.head) != merge->backward;
	c = sv_slice_compare(merge->streams[a.stream].entry.key, merge->streams[b.stream].entry.key);
	if (c == 0)
		return a.stream < b.stream;
	return merge->backward ? c > 0 : c < 0;
}

/* Restores the heap below position after the entry there has become later. */
static void
sift_down(LsmMerge *merge, int position)
{
	MergeItem  *heap = merge->heap;
	MergeItem	moving = heap[position];

	for (;;)
	{
		int			child = 2 * position + 1;

		if (child >= merge->heap_len)
			break;
		if (child + 1 < merge->heap_len && comes_before(merge, heap[child + 1], heap[child]))
			child++;
		if (comes_before(merge, moving, heap[child]))
			break;
		heap[position] = heap[child];
		position = child;
	}
	heap[position] = moving;
}

static SvStatus
fetch(LsmMerge *merge, int stream, SvError *err)
{
	MergeStream *s = &merge->streams[stream];
	SvStatus	status = s->source.next(s->source.state, &s->entry, err);

	if (status != SV_OK && status != SV_NOT_FOUND)
		merge->state = MERGE_FAILED;
	return status;
}

/*
 * Moves the stream at this heap position to its next entry.  The position is
 * the root or a child of it, so whatever takes its place can only sink.
 */
static SvStatus
advance(LsmMerge *merge, int position, SvError *err)
{
	MergeItem  *item = &merge->heap[position];
	SvStatus	status = fetch(merge, item->stream, err);

	if (status == SV_OK)
		item->head = head_of(merge->streams[item->stream].entry.key);
	else if (status == SV_NOT_FOUND)
		*item = merge->heap[--merge->heap_len];
	else
		return status;
	if (position < merge->heap_len)
		sift_down(merge, position);
	return SV_OK;
}

static SvStatus
fill_heap(LsmMerge *merge, SvError *err)
{
	for (int i = 0; i < merge->nstreams; i++)
	{
		SvStatus	status = fetch(merge, i, err);

		if (status == SV_OK)
			merge->heap[merge->heap_len++] = (MergeItem) {head_of(merge->streams[i].entry.key), i};
		else if (status != SV_NOT_FOUND)
			return status;
	}
	for (int position = merge->heap_len / 2 - 1; position >= 0; position--)
		sift_down(merge, position);
	return SV_OK;
}

/*
 * Passes over the entries that the root's hides, then over the root's own.
 * In this order, because the root's key is needed to know the others and is
 * gone once its stream has moved.
 */
static SvStatus
pass_over_root(LsmMerge *merge, SvError *err)
{
	while (merge->heap_len > 1)
	{
		MergeItem  *heap = merge->heap;
		int			first = 1;
		SvStatus	status;

		if (merge->heap_len > 2 && comes_before(merge, heap[2], heap[1]))
			first = 2;
		if (heap[first].head != heap[0].head ||
			!sv_slice_equal(merge->streams[heap[first].stream].entry.key,
							merge->streams[heap[0].stream].entry.key))
			break;
		status = advance(merge, first, err);
		if (status != SV_OK)
			return status;
	}
	return advance(merge, 0, err);
}

/* Of the only stream that is left: nothing is hidden, and nothing compared. */
static SvStatus
next_of_last(LsmMerge *merge, SstEntry *entry, int *source, SvError *err)
{
	int			stream = merge->heap[0].stream;
	SvStatus	status = merge->streams[stream].source.next(merge->streams[stream].source.state, entry, err);

	if (source != NULL)
		*source = stream;
	if (status == SV_NOT_FOUND)
		merge->heap_len = 0;
	else if (status != SV_OK)
		merge->state = MERGE_FAILED;
	return status;
}

SvStatus
lsm_merge_next(LsmMerge *merge, SstEntry *entry, int *source, SvError *err)
{
	SvStatus	status = SV_OK;

	if (merge->state == MERGE_FAILED)
		return sv_fail(err, SV_INVALID, "merge cannot go on after one of its sources has failed");
	if (merge->state == MERGE_NEW)
		status = fill_heap(merge, err);
	else if (merge->heap_len == 1)
		return next_of_last(merge, entry, source, err);
	else if (merge->heap_len > 0)
		status = pass_over_root(merge, err);
	if (status != SV_OK)
		return status;

	merge->state = MERGE_ENTRY_OUT;
	if (merge->heap_len == 0)
		return SV_NOT_FOUND;
	*entry = merge->streams[merge->heap[0].stream].entry;
	if (source != NULL)
		*source = merge->heap[0].stream;
	return SV_OK;
}

bool
lsm_merge_sole(const LsmMerge *merge, LsmSource *source)
{
	if (merge->state != MERGE_ENTRY_OUT || merge->heap_len != 1)
		return false;
	*source = merge->streams[merge->heap[0].stream].source;
	return true;
}
