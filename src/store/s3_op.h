/*
 * s3_op.h
 *		A request to S3, as often as it takes; and one try of it.  Private to the
 *		S3 driver.
 */
#ifndef S3_OP_H
#define S3_OP_H

#include "store/s3_store.h"

/* Bodies of errors, and of other answers that are told by few words. */
#define S3_ANSWER_BYTES ((size_t) 64 * 1024)
#define S3_MAX_EXTRA_HEADERS 4
#define S3_MAX_LINES 12
#define S3_UNSIGNED "UNSIGNED-PAYLOAD"

/* What an answer means. */
typedef enum S3Verdict
{
	S3_DONE,					/* the op has ended, with SV_OK or what else is an answer */
	S3_RETRY,					/* the next try may have more luck */
	S3_FAIL						/* no try will */
} S3Verdict;

typedef enum S3OpState
{
	S3_QUEUED,
	S3_PAUSED,					/* until next_us, then it is tried again */
	S3_RUNNING,
	S3_ENDED
} S3OpState;

typedef struct S3Op
{
	/* What to ask.  Zero it first; what it points to stays the caller's. */
	StoreOperation operation;
	HttpMethod	method;
	const char *name;			/* of an object; for the bucket (is_bucket) only for messages */
	bool		is_bucket;
	const char *query;			/* escaped and sorted; NULL: none */
	S3Header	extra[S3_MAX_EXTRA_HEADERS];	/* to be signed, too */
	int			nextra;
	const SvSlice *body;
	int			nbody;
	const char *payload_sha256; /* NULL: of no bytes */
	bool		want_md5;		/* have md5 computed from what is sent */
	size_t		expected_bytes; /* of the answer */
	size_t		max_answer;		/* of a body that is collected; 0: S3_ANSWER_BYTES */
	/* Gets the body of a 2xx answer piece by piece; false ends the try (attempt->problem).  NULL: it is collected. */
	bool		(*take) (S3Attempt *attempt, const void *data, size_t len);
	/* Judges a whole 2xx answer; for S3_FAIL and S3_RETRY with s3_fail.  NULL: all are well. */
	S3Verdict	(*check) (struct S3Op *op, S3Attempt *attempt, SvStatus *status, SvError *err);
	void	   *state;			/* for the two */
	bool		may_hedge;

	/* How it ended. */
	S3OpState	run_state;
	SvStatus	status;
	int			tries;			/* hedges not counted */
	uint8_t		md5[S3_MD5_BYTES];	/* of the body, if want_md5 and SV_OK */
	char		etag[STORE_ETAG_BYTES]; /* of the answer, without quotes; "" if it has none */
	int64_t		content_length; /* of the answer */

	/* The batch's. */
	struct S3Op *next;
	S3Attempt  *attempts[2];	/* the second is a hedge */
	uint64_t	next_us;
	bool		hedged;			/* this try has had a hedge, whatever became of that */
	bool		adjusted_clock; /* once is enough */
	bool		rejected_keys;
} S3Op;

/* One try. */
struct S3Attempt
{
	HttpRequest http;
	S3Attempt  *next;			/* in the store's list of unused ones */
	S3Store    *store;
	S3Op	   *op;
	char	   *url;
	char	   *lines[S3_MAX_LINES];	/* of headers */
	int			nlines;
	char		access_key_id[S3_KEY_BYTES];	/* that it was signed with */
	SvBuffer	answer;			/* what is collected */
	uint64_t	received;		/* by op->take */
	S3Verdict	problem;		/* why take ended it, if problem_text is not "" */
	SvStatus	problem_status;
	char		problem_text[160];
	S3Md5	   *md5;
	bool		md5_failed;
	bool		is_hedge;
};

/* Signs and starts a try.  timeout_ms is what is left for it. */
extern SvStatus s3_attempt_start(S3Store *store, S3Op *op, bool is_hedge, int timeout_ms,
								 const StoreCall *call, S3Attempt **started, SvError *err);

/* Accounts for it, drops it if it still runs, and keeps its memory for the next one. */
extern void s3_attempt_end(S3Attempt *attempt, SvStatus status, const StoreCall *call);

/* Frees unused ones. */
extern void s3_attempt_free_spare(S3Store *store);

/* For take: says why it ends the try.  Returns false. */
extern bool s3_attempt_stop(S3Attempt *attempt, S3Verdict verdict, SvStatus status, const char *fmt,...)
			__attribute__((format(printf, 4, 5)));

#endif							/* S3_OP_H */
