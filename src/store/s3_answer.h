/*
 * s3_answer.h
 *		What an answer of S3 means, and how to say what went wrong.  Private to
 *		the S3 driver.
 */
#ifndef S3_ANSWER_H
#define S3_ANSWER_H

#include "store/s3_op.h"

/* The store's own words. */
typedef struct S3Fault
{
	bool		is_xml;			/* else the body was no error of S3 */
	char		code[64];
	char		message[160];
	char		request_id[96];
	char		region[64];		/* where the bucket is, if it says so */
	char		key[STORE_MAX_NAME_BYTES];	/* of a removal among many */
} S3Fault;

/* Parses the body of an error, or of one inside another answer. */
extern void s3_fault_parse(S3Fault *fault, const S3Attempt *attempt);

/*
 * Fills in err: "could not read object "x" in bucket "b": <reason>".  The
 * answer's HTTP status, code and request id go to the detail.
 */
extern SvStatus s3_fail(const S3Attempt *attempt, const S3Fault *fault, SvStatus status, const char *reason,
						const char *hint, SvError *err);

/* Something else answers in the store's place. */
extern SvStatus s3_fail_stranger(const S3Attempt *attempt, SvError *err);

/*
 * Judges a try that has ended, and sets *status: with S3_DONE to SV_OK, or to
 * what is an answer too (SV_NOT_FOUND, SV_EXISTS...).  *pause_ms is how long the
 * store wants to be left alone, 0 if it does not say; *slow_down that it is
 * asked too much.
 */
extern S3Verdict s3_judge(S3Attempt *attempt, SvStatus *status, int *pause_ms, bool *slow_down, SvError *err);

/* For answers that are XML: parses all of it.  False, and err filled in, if that is not well formed. */
extern bool s3_answer_parse(const S3Attempt *attempt,
							bool (*callback) (void *state, const char *path, const char *text), void *state,
							SvStatus *status, SvError *err);

/* S3_DONE if what arrived is what was sent, of this MD5; or if the store's ETag does not tell. */
extern S3Verdict s3_check_md5(const S3Attempt *attempt, const uint8_t md5[S3_MD5_BYTES],
							  SvStatus *status, SvError *err);

#endif							/* S3_ANSWER_H */
