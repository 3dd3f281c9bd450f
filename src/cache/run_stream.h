/*
 * run_stream.h
 *		A long scan's blocks on their way: pieces of its run, of which some are
 *		asked for while the caller works on the one before.
 *
 * For forward scans of more than their share of the cache, which they go by: a block
 * is verified, decompressed and walked over where it lies, once, and no other process
 * gets it.  No block is claimed.
 *
 * A process has at most RUN_STREAMS of them, of at most RUN_STREAM_PIECES pieces
 * each; the memory of both goes when its last scan that reads ahead is closed.  A scan
 * that finds none free reads windows (run_ahead.h).
 *
 * What is under way or unread never is more than what the scan has gone through,
 * so one that stops early has asked for less than twice what it needed, and a piece.
 *
 * Memory is malloc's; nothing longjmps.
 */
#ifndef RUN_STREAM_H
#define RUN_STREAM_H

#include "cache/run_fetch.h"

#define RUN_STREAM_PIECES 4
#define RUN_PIECE_BYTES ((size_t) 2 * 1024 * 1024)

/*
 * A block that the scan has come to, walked to be: *parsed is good until the next
 * call for this scan, and may point into raw.  SV_NOT_FOUND, without a message: the
 * stream is not for this block.
 */
extern SvStatus run_stream_fetch(RunScan *scan, uint32_t block, SvBuffer *raw, SstBlock *parsed, SvError *err);

/* The scan is over. */
extern void run_stream_end(RunScan *scan);

/*
 * Gives up whatever is under way in this process, and what was asked for is asked
 * anew when it is needed.  Scans that had something under way ask for nothing any
 * more that they do not wait for.
 */
extern void run_streams_pause(RunCaches *caches);

/* Frees the streams that no scan has. */
extern void run_streams_release(RunCaches *caches);

#endif							/* RUN_STREAM_H */
