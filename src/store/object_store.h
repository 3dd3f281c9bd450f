/*
 * object_store.h
 *		Named objects, bytes only: one interface, several drivers.
 *
 * Names are relative paths of [A-Za-z0-9._-] parts joined by '/'; no part is
 * empty, "." or "..".  An object appears whole or not at all, and once a put
 * has returned SV_OK it survives a crash of this machine (directory) or is as
 * durable as the store makes it.
 *
 * Every call is synchronous, but for store_fetch_begin, and uses malloc only;
 * nothing longjmps.  One handle is used by one process and one thread.  No lock is
 * kept between calls.
 *
 * Ownership: names, parts and destinations stay the caller's and need to be
 * good only until the call returns.  What a call answers by value is the
 * caller's.
 *
 * Waiting: a call asks its StoreCall's cancel callback between steps and at
 * least every 100 ms, and whenever it waits for sockets or a pause it does so by
 * the wait callback, which may return early when the process has something else
 * to do.  SV_CANCELLED when the cancel callback says stop; SV_IO when a time
 * limit has passed.  A file system call cannot be cut short: time limits do not
 * hold for directories.
 *
 * Retries: drivers for remote stores try again, with a jittered pause that
 * doubles, what may succeed the next time (429, 500, 502, 503, 504, time-outs,
 * lost connections, 409 of a conditional put), up to the deadline; never other
 * 4xx.  Only what is idempotent is tried again: reads, removals, listings,
 * uploads of parts, puts (the same bytes under the same name).  A put_if_absent
 * whose reply was lost and which then finds the name taken compares what is
 * there (length and checksum) with what it wrote: names are never reused, so the
 * same bytes are its own and SV_OK is right.
 *
 * A put that ended with anything but SV_OK may or may not have left an object
 * under its name: names are never reused, so it is an orphan for garbage
 * collection, never half an object.
 *
 * Statuses: SV_NOT_FOUND for an object that is not there; SV_EXISTS for
 * put_if_absent on a name that is taken, and for a put_if_match whose object has
 * changed; SV_UNSUPPORTED for what the store cannot do (store_capabilities);
 * SV_IO, SV_DENIED, SV_NO_SPACE from the store with the object and the reason in
 * the message, and the store's own words and an advice in err->detail and
 * err->hint if there are any; SV_INVALID for bad names or ranges (a range past
 * the end is SV_CORRUPT: the registry knows the length).  No message holds a
 * secret.
 */
#ifndef OBJECT_STORE_H
#define OBJECT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sv_buffer.h"
#include "base/sv_slice.h"
#include "base/sv_status.h"

typedef struct ObjectStore ObjectStore;

/* -------------------------------------------------------------------------
 * What every call takes
 * ------------------------------------------------------------------------- */

/* On whose behalf: for accounts. */
typedef enum StoreCaller
{
	STORE_FOREGROUND,
	STORE_FLUSH,
	STORE_LOAD,
	STORE_COMPACTION,
	STORE_GC,
	STORE_SNAPSHOT
} StoreCaller;

#define STORE_CALLERS (STORE_SNAPSHOT + 1)

/* Kinds of requests as a store bills them; each request of a multipart upload is a PUT, its abort a REMOVE. */
typedef enum StoreOperation
{
	STORE_GET,
	STORE_PUT,
	STORE_HEAD,
	STORE_REMOVE,
	STORE_LIST
} StoreOperation;

#define STORE_OPERATIONS (STORE_LIST + 1)

/* A request that ended, retries and hedges too.  A directory's are calls on one object, or listings. */
typedef struct StoreRequest
{
	StoreOperation operation;
	StoreCaller caller;
	SvStatus	status;
	bool		retry;			/* not the first try */
	bool		hedge;			/* a second request beside a slow one */
	uint64_t	bytes_in;		/* of bodies, as far as they came */
	uint64_t	bytes_out;
	uint64_t	latency_us;
} StoreRequest;

/* A descriptor to wait for. */
typedef struct StoreWaitFd
{
	int			fd;
	bool		read;
	bool		write;
} StoreWaitFd;

/* NULL stands for all zero. */
typedef struct StoreCall
{
	/* Whether to stop; NULL: never. */
	bool		(*cancelled) (void *state);
	/* A call begins; what it is about to ask for; NULL: nobody wants to know. */
	void		(*begin) (void *state, StoreOperation operation);
	/* Waits until one of fds (maybe none) is ready or timeout_ms (never negative) passed, or less; NULL: poll(2). */
	void		(*wait) (void *state, const StoreWaitFd *fds, int nfds, int timeout_ms);
	/* Called for each request that left this process; NULL: nobody counts. */
	void		(*account) (void *state, const StoreRequest *request);
	void	   *state;			/* of all four */
	StoreCaller caller;
	int			timeout_ms;		/* for one request; 0: the store's default */
	int			deadline_ms;	/* for the whole call with its retries; 0: the store's default */

	/* For uploads: memory that one may take, but for what the store needs at least; 0: what it likes. */
	size_t		upload_bytes;

	/* For store_get. */
	bool		passing;		/* what is read is read once, by who reads much: a disk tier adds none of it */
	/* Called while others are under way, when ranges may be there; must not use the store.  NULL: nobody asks. */
	void		(*progress) (void *state);
	void	   *progress_state;
} StoreCall;

/* -------------------------------------------------------------------------
 * What a store can do
 * ------------------------------------------------------------------------- */

/* Without it put_if_absent is a look and a put: two writers of one name at once are not told apart. */
#define STORE_CAN_PUT_IF_ABSENT	0x01
#define STORE_CAN_PUT_IF_MATCH	0x02
/* Requests take milliseconds and cost money: merge, read ahead, keep a disk tier. */
#define STORE_IS_REMOTE			0x04
/* Without it store_fetch_begin never begins anything. */
#define STORE_CAN_FETCH_AHEAD	0x08

extern unsigned store_capabilities(const ObjectStore *store);

/* Ranges of one object with fewer bytes between them are read as one; 0: never. */
extern size_t store_merge_gap(const ObjectStore *store);

/* -------------------------------------------------------------------------
 * Putting
 * ------------------------------------------------------------------------- */

#define STORE_ETAG_BYTES 128

/*
 * Writes a new object from nparts buffers, in order.  SV_EXISTS if the name is
 * taken.  Large ones go up in parts, concurrently.
 */
extern SvStatus store_put_if_absent(ObjectStore *store, const char *name,
									const SvSlice *parts, int nparts,
									const StoreCall *call, SvError *err);

/*
 * Replaces an object if it still is what etag says; with etag "" makes one if
 * there is none.  SV_EXISTS if not.  The new etag goes to new_etag (may be
 * NULL).  For small objects that are never removed.  The reply may be lost here
 * too: SV_EXISTS after a retry whose bytes are not there, SV_OK if they are.
 */
extern SvStatus store_put_if_match(ObjectStore *store, const char *name, SvSlice bytes, const char *etag,
								   char new_etag[STORE_ETAG_BYTES], const StoreCall *call, SvError *err);

/*
 * Streaming: an object that is written front to back while it is made.  append
 * copies, and may wait while too much is under way.  Exactly one of finish and
 * abort ends it, whatever append answered; both free it.  finish is as
 * put_if_absent, and fails if an append did.
 */
typedef struct StoreUpload StoreUpload;

extern SvStatus store_upload_begin(ObjectStore *store, const char *name, StoreUpload **upload,
								   const StoreCall *call, SvError *err);
extern SvStatus store_upload_append(StoreUpload *upload, const void *data, size_t len,
									const StoreCall *call, SvError *err);
extern SvStatus store_upload_finish(StoreUpload *upload, const StoreCall *call, SvError *err);
extern void store_upload_abort(StoreUpload *upload, const StoreCall *call);

/* -------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------- */

/* One range of a get: len bytes at offset of an object, into dst. */
typedef struct StoreRange
{
	const char *name;
	uint64_t	offset;
	size_t		len;
	void	   *dst;
	uint64_t	object_bytes;	/* of the whole object; 0: not known, and a disk tier reads no more than the range */
	bool	   *there;			/* is set when all of it is in dst, maybe before the get ends; NULL: nobody asks */
} StoreRange;

/*
 * Reads ranges of any objects in any order, all of them or an error; they may
 * overlap, their destinations not.  Ranges of one object that lie closer than
 * store_merge_gap are read with one request; all requests run concurrently, as
 * many as the store's io_concurrency.  On an error *failed (may be NULL) is the
 * index of a range that met it, or -1 if that was none of them.
 *
 * Who has much to do with what he reads need not wait for all of it: a driver may
 * set `there` of ranges whose bytes have come, in any order, and call the call's
 * progress callback between its waits.  The caller uses such a range then, while
 * the network goes on with the others.  Its bytes stay what they are (a retry
 * writes the same ones again), dst has to stay until the get returns, and what
 * was told is true even if the get fails in the end.  A driver that tells nothing
 * is right, too: after SV_OK all ranges are there.  Nothing is under way once the
 * get has returned, whatever it answered.
 */
extern SvStatus store_get(ObjectStore *store, const StoreRange *ranges, int nranges, int *failed,
						  const StoreCall *call, SvError *err);

/*
 * A range that is asked for before it is needed, by who knows what he will read
 * next: it is on its way while the caller does something else.  *fetch is NULL,
 * with SV_OK, if it was not begun: the store has it at hand, has as much under way
 * as its io_concurrency allows, or does not know how; store_get reads it then.
 *
 * begin waits for nothing but keys that have to be renewed, and drive for nothing
 * at all; it takes what has come, so that the sender can go on.  So does every
 * other call of the store.  finish waits for the rest, with retries and time limits
 * of its own call, which begin with it.  A fetch ends with exactly one finish or
 * drop, which free it.  Until then name and dst stay where they are, and the store
 * may write to dst; the state of begin's call is used for accounts.
 *
 * That a store is closed ends its fetches: finish answers SV_IO then.  Whoever
 * gets anything but SV_OK and SV_CANCELLED from a fetch may ask anew with store_get,
 * of which the answer counts: a fetch that was long under way meets what is long over.
 */
typedef struct StoreFetch StoreFetch;

extern SvStatus store_fetch_begin(ObjectStore *store, const StoreRange *range, StoreFetch **fetch,
								  const StoreCall *call, SvError *err);
extern void store_fetch_drive(StoreFetch *fetch);
extern SvStatus store_fetch_finish(StoreFetch *fetch, const StoreCall *call, SvError *err);
extern void store_fetch_drop(StoreFetch *fetch);	/* NULL is allowed */

typedef struct StoreObject
{
	uint64_t	bytes;
	char		etag[STORE_ETAG_BYTES]; /* changes whenever the object does; "" if the store has none */
} StoreObject;

extern SvStatus store_head(ObjectStore *store, const char *name, StoreObject *object,
						   const StoreCall *call, SvError *err);

/*
 * The whole of a small object, appended to content; object (may be NULL) is what
 * was read.  SV_CORRUPT if it has more than max_bytes.
 */
extern SvStatus store_get_small(ObjectStore *store, const char *name, size_t max_bytes, SvBuffer *content,
								StoreObject *object, const StoreCall *call, SvError *err);

/* -------------------------------------------------------------------------
 * Removing, listing
 * ------------------------------------------------------------------------- */

/* Removing what is not there is SV_OK. */
extern SvStatus store_remove(ObjectStore *store, const char *name, const StoreCall *call, SvError *err);

/* Stops at the first error; the first *removed names (may be NULL) are gone for sure. */
extern SvStatus store_remove_many(ObjectStore *store, const char *const *names, int n, int *removed,
								  const StoreCall *call, SvError *err);

typedef struct StoreListed
{
	const char *name;			/* good until the callback returns */
	uint64_t	bytes;
	int64_t		modified_s;		/* seconds since 1970, 0: unknown */
} StoreListed;

/* Called once per object in ascending name order; returns false to end the listing early. */
typedef bool (*StoreListCallback) (void *state, const StoreListed *object);

/* All objects whose name begins with prefix and is greater than after (NULL: from the start), page by page. */
extern SvStatus store_list(ObjectStore *store, const char *prefix, const char *after,
						   StoreListCallback callback, void *state,
						   const StoreCall *call, SvError *err);

/*
 * Removes what puts have left that never ended, as their process has died: what no
 * listing shows.  Below a prefix that is empty or ends in '/'; what was written to
 * in the last min_age_s stays, and *left says how much that is.  What may not be
 * removed stays as well, without a word.  A put that lives and has been idle for so long
 * fails then.  Where nothing is left, or the store has rules
 * of its own for it (uploads to a bucket), this does nothing and asks for nothing.
 */
extern SvStatus store_sweep(ObjectStore *store, const char *prefix, int min_age_s, int *left,
							const StoreCall *call, SvError *err);

extern void store_close(ObjectStore *store);

#endif							/* OBJECT_STORE_H */
