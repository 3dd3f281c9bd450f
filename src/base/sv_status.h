/*
 * sv_status.h
 *		Outcome of an operation in the server-free layers.
 *
 * Kinds are few and say what the caller should do, not what went wrong in
 * detail; the detail is the message.  Exactly one file (server/pg_status.c)
 * turns them into SQLSTATEs.
 *
 * A function that can fail returns an SvStatus and takes an SvError * as its
 * last argument.  On SV_OK and SV_NOT_FOUND the SvError is left alone; on
 * every other status it has been filled in by sv_fail().  An SvError is plain
 * memory, owns nothing, and may be reused.
 */
#ifndef SV_STATUS_H
#define SV_STATUS_H

typedef enum SvStatus
{
	SV_OK = 0,
	SV_NOT_FOUND,				/* no such key, entry, or object; or the end of an iteration */
	SV_EXISTS,					/* put-if-absent found an object of that name */
	SV_CORRUPT,					/* bytes are not what was written */
	SV_UNSUPPORTED,				/* well-formed, but of a version or kind this build does not know */
	SV_INVALID,					/* the caller broke the contract */
	SV_IO,						/* the device or the store failed; trying again may help */
	SV_DENIED,					/* permission denied or read-only; an administrator has to act */
	SV_NO_SPACE,				/* full, or over quota; somebody has to make room */
	SV_NO_MEMORY,
	SV_CANCELLED				/* the cancel callback asked to stop */
} SvStatus;

#define SV_ERROR_MESSAGE_BYTES 512
#define SV_ERROR_DETAIL_BYTES 384
#define SV_ERROR_HINT_BYTES 384

typedef struct SvError
{
	SvStatus	status;
	int			os_errno;		/* 0 if no system call failed */
	char		message[SV_ERROR_MESSAGE_BYTES];	/* in Postgres style: lower case, no period */
	char		detail[SV_ERROR_DETAIL_BYTES];	/* whole sentences, or "" */
	char		hint[SV_ERROR_HINT_BYTES];	/* what to do, in whole sentences, or "" */
} SvError;

/*
 * Fills in *err (which may be NULL) and returns status, so that a failure is
 * one statement: return sv_fail(err, SV_CORRUPT, "...", ...).  Longer
 * messages are cut.  sv_fail_os also records os_errno and appends its text.
 * Both leave detail and hint empty.
 */
extern SvStatus sv_fail(SvError *err, SvStatus status, const char *fmt,...)
			__attribute__((format(printf, 3, 4)));
extern SvStatus sv_fail_os(SvError *err, int os_errno, const char *fmt,...)
			__attribute__((format(printf, 3, 4)));

/* Add to an error that was filled in; err may be NULL. */
extern void sv_set_detail(SvError *err, const char *fmt,...) __attribute__((format(printf, 2, 3)));
extern void sv_set_hint(SvError *err, const char *fmt,...) __attribute__((format(printf, 2, 3)));

/* The status that an errno value stands for: ENOSPC and EDQUOT are SV_NO_SPACE, and so on. */
extern SvStatus sv_status_of_errno(int os_errno);

#endif							/* SV_STATUS_H */
