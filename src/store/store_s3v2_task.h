/*
 * store_s3v2_task.h
 *		One request by libs3, and what came of it.  Private to the driver.
 *
 * The driver fills in what to ask, s3v2_run asks until it is answered for good.
 */
#ifndef STORE_S3V2_TASK_H
#define STORE_S3V2_TASK_H

#include "store/s3_credentials.h"
#include "store/store_driver.h"
#include "store/store_s3v2_library.h"

/* "" must fit too; the prefix and its slash included. */
#define S3V2_KEY_BYTES 1025

typedef struct S3V2Store
{
	ObjectStore base;
	const S3V2Library *library;
	S3RequestContext *context;	/* NULL while there is none */
	S3CredentialsProvider *credentials;
	S3BucketContext bucket;		/* its keys are set for each call */
	char	   *host;
	char	   *bucket_name;
	char	   *prefix;			/* "" or "a/b/" */
	int			io_concurrency;
	int			timeout_ms;
	int			deadline_ms;
	bool		(*reserve_fd) (void *state);	/* or NULL */
	void		(*release_fd) (void *state);
	void	   *fd_state;
	int			reserved;		/* descriptors: the context's own, and as many as requests have run at a time */
	uint64_t	random;			/* for jitter */
} S3V2Store;

/* What one page of a listing holds: the names, each with its NUL, one after another. */
typedef struct S3V2Listed
{
	size_t		name;			/* offset in names */
	uint64_t	bytes;
	int64_t		modified_s;
} S3V2Listed;

typedef struct S3V2Page
{
	SvBuffer	names;
	S3V2Listed *objects;
	int			nobjects;
	int			capacity;
} S3V2Page;

typedef struct S3V2Task
{
	/* What to ask.  key has the store's prefix; name is for messages. */
	StoreOperation operation;
	const char *name;
	char		key[S3V2_KEY_BYTES];
	const StoreRead *read;		/* of a GET: a range and where it goes; or NULL, and: */
	SvBuffer   *content;		/* all of the object is appended here, at most */
	size_t		max_bytes;		/* so much */
	const SvSlice *parts;		/* of a PUT */
	int			nparts;
	uint64_t	bytes;			/* of all parts; or of the range */
	const char *md5;			/* of a PUT: base64, or NULL */
	S3V2Page   *page;			/* of a LIST: what begins with key, and is greater than */
	char		after[S3V2_KEY_BYTES];

	/* What came: good when status is SV_OK, or as far as the status lets it be. */
	SvStatus	status;
	uint64_t	received;		/* bytes of the body */
	uint64_t	length;			/* Content-Length; 0 also if there was none */
	char		etag[STORE_ETAG_BYTES]; /* without its quotes */
	bool		is_object;		/* an ETag came, or the type of what has no other */
	S3Status	answer;			/* libs3's account of it */
	char		detail[SV_ERROR_DETAIL_BYTES];	/* the store's own words */
	bool		overflow;		/* more came than was asked for */
	bool		short_range;	/* a range got an answer that is whole, but shorter */

	/* While it runs. */
	S3V2Store  *store;
	enum
	{
		S3V2_WAITING,			/* for its turn, at retry_us */
		S3V2_RUNNING,
		S3V2_ANSWERED,			/* to be looked at */
		S3V2_DONE
	}			phase;
	int			tries;
	uint64_t	retry_us;
	uint64_t	started_us;
	uint64_t	moved_us;		/* when something came or went last */
	size_t		content_before; /* length of content before */
	int			part;			/* of parts: what goes next */
	size_t		part_offset;
} S3V2Task;

/* Starts one try, in the store's context; the task is S3V2_RUNNING, or S3V2_ANSWERED at once. */
extern void s3v2_task_begin(S3V2Task *task);

typedef enum S3V2Verdict
{
	S3V2_VERDICT_GOOD,
	S3V2_VERDICT_AGAIN,			/* another try may do better */
	S3V2_VERDICT_FAILED
} S3V2Verdict;

/* Of a task that is S3V2_ANSWERED. */
extern S3V2Verdict s3v2_task_judge(S3V2Task *task);

/* Fills in err for an answer that is no good; SV_NOT_FOUND, or err's status. */
extern SvStatus s3v2_task_fail(const S3V2Task *task, SvError *err);

#endif							/* STORE_S3V2_TASK_H */
