/*
 * run_stream.c
 *		See run_stream.h.
 *
 * Pieces are asked for in order, and left in order.  An error of one that was under
 * way is none: it is read anew when the scan comes to it, and that counts.  What the
 * store did not begin is asked for again whenever the scan comes to the next piece,
 * and read, all of it together, when the scan comes to the first of it.
 */
#include "cache/run_stream.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "cache/disk_files.h"
#include "cache/run_access.h"

/* Scans that have gone through less read windows, which are cached. */
#define FIRST_BYTES ((uint64_t) 1024 * 1024)
/* No piece that is read ahead is smaller. */
#define LEAST_PIECE_BYTES ((size_t) 256 * 1024)
/* So much is read by the scan between two looks at what has come. */
#define DRIVE_BYTES ((size_t) 256 * 1024)
/* Cached blocks between others are read with them, if they are no more than so many. */
#define CACHED_BETWEEN 4
/* Ranges of a disk tier that a piece has a part in, at most. */
#define PIECE_CUTS (RUN_PIECE_BYTES / DISK_RANGE_BYTES + 2)

typedef enum PieceState
{
	PIECE_WANTED,				/* to be read when it is needed */
	PIECE_UNDER_WAY,
	PIECE_THERE
} PieceState;

typedef struct Piece
{
	PieceState	state;
	void	   *fetch;			/* the fetcher's, if it is under way */
	uint32_t	first;			/* blocks, both inclusive */
	uint32_t	last;
	RunRange	range;			/* range.dst is where it goes */
	size_t		room;
} Piece;

typedef struct RunStream
{
	RunScan    *scan;			/* NULL: nobody's */
	bool		waits;			/* leaves nothing under way between calls */
	uint32_t	head;			/* a ring: of the pieces, the first that is in use */
	uint32_t	n;
	uint32_t	next;			/* block to be asked for next; SST_NO_BLOCK: all were */
	size_t		undriven;
	Piece		pieces[RUN_STREAM_PIECES];
} RunStream;

static Piece *
piece_at(RunStream *stream, uint32_t i)
{
	return &stream->pieces[(stream->head + i) % RUN_STREAM_PIECES];
}

/* ------------------------------------------------------------- who has one */

static void
drop_fetch(const RunFetcher *fetcher, Piece *piece)
{
	if (piece->state != PIECE_UNDER_WAY)
		return;
	fetcher->drop(fetcher->state, piece->fetch);
	piece->state = PIECE_WANTED;
}

static void
empty(RunStream *stream)
{
	for (uint32_t i = 0; i < stream->n; i++)
		drop_fetch(stream->scan->fetcher, piece_at(stream, i));
	stream->n = 0;
}

void
run_stream_end(RunScan *scan)
{
	RunStream  *stream = scan->stream;

	if (stream == NULL)
		return;
	empty(stream);
	stream->scan = NULL;
	scan->stream = NULL;
}

void
run_streams_release(RunCaches *caches)
{
	for (int i = 0; i < RUN_STREAMS; i++)
	{
		RunStream  *stream = caches->streams[i];

		if (stream == NULL || stream->scan != NULL)
			continue;
		for (int j = 0; j < RUN_STREAM_PIECES; j++)
			free(stream->pieces[j].range.dst);
		free(stream);
		caches->streams[i] = NULL;
	}
}

void
run_streams_pause(RunCaches *caches)
{
	for (int i = 0; i < RUN_STREAMS; i++)
	{
		RunStream  *stream = caches->streams[i];

		for (uint32_t j = 0; stream != NULL && j < stream->n; j++)
		{
			stream->waits = stream->waits || piece_at(stream, j)->state == PIECE_UNDER_WAY;
			drop_fetch(stream->scan->fetcher, piece_at(stream, j));
		}
	}
}

/* One of the process's streams that nobody has; NULL: there is none. */
static RunStream *
free_stream(RunCaches *caches)
{
	for (int i = 0; i < RUN_STREAMS; i++)
	{
		if (caches->streams[i] == NULL)
			return caches->streams[i] = calloc(1, sizeof(RunStream));
		if (caches->streams[i]->scan == NULL)
			return caches->streams[i];
	}
	return NULL;
}

static void
take_stream(RunScan *scan)
{
	RunStream  *stream = free_stream(scan->caches);

	if (stream == NULL)
		return;
	stream->scan = scan;
	stream->waits = false;
	stream->next = 0;
	scan->stream = stream;
}

/* --------------------------------------------------------- what to ask for */

static bool
is_cached(const RunScan *scan, uint32_t block)
{
	BlockKey	key = run_block_key(&scan->run, block);
	BlockView	view;

	return block_cache_begin(scan->caches->blocks, &key, block_cache_hash(key), BLOCK_CACHE_NONE, &view);
}

/* One that does not fit a piece is not for the stream, nor is one that is cached. */
static bool
is_passed_over(const RunScan *scan, uint32_t block, const SstBlockInfo *info)
{
	return info->stored_bytes > RUN_PIECE_BYTES || is_cached(scan, block);
}

/* Sets the piece's blocks, those from `first` on that end before an offset of the file. */
static void
choose_blocks(const RunScan *scan, Piece *piece, uint32_t first, uint64_t end)
{
	uint32_t	passed_over = 0;
	SstBlockInfo info = sst_index_block(&scan->tail->index, first);

	piece->first = piece->last = first;
	piece->range.offset = info.offset;
	piece->range.len = info.stored_bytes;
	if (end > info.offset + RUN_PIECE_BYTES)
		end = info.offset + RUN_PIECE_BYTES;
	for (uint32_t block = first + 1; block <= scan->ahead.last && passed_over <= CACHED_BETWEEN; block++)
	{
		info = sst_index_block(&scan->tail->index, block);
		if (info.offset + info.stored_bytes > end)
			break;
		if (is_passed_over(scan, block, &info))
		{
			passed_over++;
			continue;
		}
		passed_over = 0;
		piece->last = block;
		piece->range.len = (size_t) (info.offset + info.stored_bytes - piece->range.offset);
	}
}

/*
 * The blocks of a further piece, if the scan is at a block; false: there is none, or
 * not yet, since what is asked for is as much as the scan has gone through.
 */
static bool
choose_piece(RunStream *stream, Piece *piece, uint32_t at)
{
	const RunScan *scan = stream->scan;
	const SstIndex *index = &scan->tail->index;
	uint64_t	end = sst_index_block(index, at).offset + scan->went;
	uint32_t	first = stream->next;
	SstBlockInfo info;

	if (first == SST_NO_BLOCK)
		return false;
	for (; first <= scan->ahead.last; first++)
	{
		info = sst_index_block(index, first);
		if (first != at && info.offset + LEAST_PIECE_BYTES > end)
		{
			/* Those before it were passed over, and need not be looked at again. */
			stream->next = first;
			return false;
		}
		if (!is_passed_over(scan, first, &info))
			break;
	}
	stream->next = SST_NO_BLOCK;
	if (first > scan->ahead.last)
		return false;
	choose_blocks(scan, piece, first, end);
	if (piece->last < scan->ahead.last)
		stream->next = piece->last + 1;
	return true;
}

/*
 * A piece is as large as a huge page: to get it from the system page by page takes
 * longer than to fill it.
 */
static bool
make_room(Piece *piece)
{
	size_t		room = (piece->range.len + RUN_PIECE_BYTES - 1) / RUN_PIECE_BYTES * RUN_PIECE_BYTES;

	if (piece->room >= piece->range.len)
		return true;
	free(piece->range.dst);
	piece->range.dst = aligned_alloc(RUN_PIECE_BYTES, room);
	piece->room = piece->range.dst != NULL ? room : 0;
#ifdef MADV_HUGEPAGE
	if (piece->room > 0)
		(void) madvise(piece->range.dst, room, MADV_HUGEPAGE);
#endif
	return piece->room > 0;
}

static void
begin_piece(RunStream *stream, Piece *piece)
{
	const RunFetcher *fetcher = stream->scan->fetcher;
	SvError		unwanted;

	if (piece->state == PIECE_WANTED &&
		fetcher->begin(fetcher->state, &piece->range, &piece->fetch, &unwanted) == SV_OK && piece->fetch != NULL)
		piece->state = PIECE_UNDER_WAY;
}

/* Adds as many pieces as there may be, and asks for them unless the stream waits. */
static SvStatus
extend(RunStream *stream, uint32_t block, SvError *err)
{
	while (stream->n < RUN_STREAM_PIECES)
	{
		Piece	   *piece = piece_at(stream, stream->n);

		if (!choose_piece(stream, piece, block))
			break;
		piece->state = PIECE_WANTED;
		piece->range.run = &stream->scan->run;
		piece->range.there = NULL;
		if (!make_room(piece))
			return sv_fail(err, SV_NO_MEMORY, "out of memory for reading object \"%s\"",
						   stream->scan->run.source.name);
		stream->n++;
		if (!stream->waits)
			begin_piece(stream, piece);
	}
	return SV_OK;
}

/* ------------------------------------------------------------- what is there */

/*
 * Cut where ranges of a disk tier end: it has each of them or not, and one that it
 * has not is no reason to ask the store for all.  Who reads joins those again.
 */
static uint32_t
cut_piece(const Piece *piece, RunRange *ranges)
{
	uint32_t	n = 0;

	for (size_t done = 0; done < piece->range.len; n++)
	{
		uint64_t	offset = piece->range.offset + done;
		size_t		len = (size_t) (DISK_RANGE_BYTES - offset % DISK_RANGE_BYTES);

		if (len > piece->range.len - done)
			len = piece->range.len - done;
		ranges[n] = piece->range;
		ranges[n].offset = offset;
		ranges[n].len = len;
		ranges[n].dst = piece->range.dst + done;
		done += len;
	}
	return n;
}

/* All that could not be asked for ahead, side by side: to read one after the other takes as many times as long. */
static SvStatus
read_wanted(RunStream *stream, SvError *err)
{
	static const RunReading reading = {.passing = true};
	const RunFetcher *fetcher = stream->scan->fetcher;
	RunRange	ranges[RUN_STREAM_PIECES * PIECE_CUTS];
	uint32_t	n = 0;
	SvStatus	status;

	for (uint32_t i = 0; i < stream->n; i++)
		if (piece_at(stream, i)->state == PIECE_WANTED)
			n += cut_piece(piece_at(stream, i), ranges + n);
	status = fetcher->read(fetcher->state, ranges, n, &reading, err);
	for (uint32_t i = 0; i < stream->n && status == SV_OK; i++)
		if (piece_at(stream, i)->state == PIECE_WANTED)
			piece_at(stream, i)->state = PIECE_THERE;
	return status;
}

/* Waits for a piece, or reads it. */
static SvStatus
bring(RunStream *stream, Piece *piece, SvError *err)
{
	const RunFetcher *fetcher = stream->scan->fetcher;
	SvStatus	status = SV_IO;

	if (piece->state == PIECE_THERE)
		return SV_OK;
	if (piece->state == PIECE_UNDER_WAY)
	{
		status = fetcher->finish(fetcher->state, piece->fetch, err);
		/* Not before: a process that ends while it waits still has to drop it. */
		piece->state = status == SV_OK ? PIECE_THERE : PIECE_WANTED;
		if (status == SV_CANCELLED)
			return status;
	}
	/* What has ended since has left its place to others. */
	for (uint32_t i = 0; i < stream->n; i++)
		if (piece_at(stream, i) != piece)
			begin_piece(stream, piece_at(stream, i));
	return status == SV_OK ? SV_OK : read_wanted(stream, err);
}

/* All that were asked for, side by side. */
static SvStatus
bring_all(RunStream *stream, SvError *err)
{
	SvStatus	status = SV_OK;

	for (uint32_t i = 0; i < stream->n; i++)
		begin_piece(stream, piece_at(stream, i));
	for (uint32_t i = 0; i < stream->n && status == SV_OK; i++)
		status = bring(stream, piece_at(stream, i), err);
	for (uint32_t i = 0; i < stream->n; i++)
		drop_fetch(stream->scan->fetcher, piece_at(stream, i));
	return status;
}

/* So that who sends can go on. */
static void
drive(RunStream *stream, size_t bytes)
{
	stream->undriven += bytes;
	if (stream->undriven < DRIVE_BYTES)
		return;
	stream->undriven = 0;
	for (uint32_t i = 0; i < stream->n; i++)
	{
		Piece	   *piece = piece_at(stream, i);

		if (piece->state != PIECE_UNDER_WAY)
			continue;
		stream->scan->fetcher->drive(stream->scan->fetcher->state, piece->fetch);
		return;
	}
}

/* The stored bytes of a block, in a piece that is there; SV_NOT_FOUND: in none. */
static SvStatus
find_block(RunStream *stream, uint32_t block, SvSlice *stored, SvError *err)
{
	SstBlockInfo info = sst_index_block(&stream->scan->tail->index, block);
	Piece	   *piece;
	SvStatus	status;

	while (stream->n > 0 && piece_at(stream, 0)->last < block)
	{
		drop_fetch(stream->scan->fetcher, piece_at(stream, 0));
		stream->head = (stream->head + 1) % RUN_STREAM_PIECES;
		stream->n--;
	}
	if (stream->n == 0 && stream->next < block)
		stream->next = block;
	stream->waits = stream->waits || !stream->scan->caches->may_leave_under_way;
	piece = piece_at(stream, 0);
	/* A stream that waits asks when it has come to what is not there. */
	if (!stream->waits || stream->n == 0 || (piece->first <= block && piece->state != PIECE_THERE))
	{
		status = extend(stream, block, err);
		if (status != SV_OK)
			return status;
	}
	if (stream->n == 0 || piece->first > block)
		return SV_NOT_FOUND;
	status = stream->waits && piece->state != PIECE_THERE ? bring_all(stream, err) : bring(stream, piece, err);
	if (status != SV_OK)
		return status;
	drive(stream, info.stored_bytes);
	*stored = sv_slice(piece->range.dst + (info.offset - piece->range.offset), info.stored_bytes);
	return SV_OK;
}

/* -------------------------------------------------------------------- blocks */

static bool
has_stream(RunScan *scan)
{
	if (scan->stream == NULL && scan->passing && scan->fetcher->begin != NULL && !scan->ahead.backward &&
		scan->went >= FIRST_BYTES)
		take_stream(scan);
	return scan->stream != NULL;
}

SvStatus
run_stream_fetch(RunScan *scan, uint32_t block, SvBuffer *raw, SstBlock *parsed, SvError *err)
{
	SstBlockInfo info = sst_index_block(&scan->tail->index, block);
	SvStatus	status = has_stream(scan) ? SV_OK : SV_NOT_FOUND;
	const char *problem;
	SvSlice		stored;
	SvSlice		walked;

	if (status == SV_OK)
		status = find_block(scan->stream, block, &stored, err);
	sv_buffer_reset(raw);
	if (status == SV_OK)
		status = run_caches_need_loader(scan->caches, err);
	if (status == SV_OK)
		cache_guard_count(scan->caches->guard, scan->caches->slot, CACHE_BLOCK_STREAMED, 1);
	if (status == SV_OK && (info.flags & SST_BLOCK_ZSTD) != 0)
		status = sv_buffer_reserve(raw, info.raw_bytes, err);
	if (status != SV_OK)
		return status;
	status = sst_load_raw(scan->caches->loader, scan->tail, scan->run.source.name, block, stored, raw->data, &walked,
						  err);
	if (status != SV_OK)
		return status;
	problem = sst_block_parse(parsed, walked);
	return problem == NULL ? SV_OK : sst_block_damaged(scan->tail, scan->run.source.name, block, problem, err);
}
