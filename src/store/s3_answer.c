/*
 * s3_answer.c
 *		Statuses of HTTP and codes of S3, turned into what to do and what to say.
 */
#include "store/s3_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/s3_xml.h"

/* A server whose clock is further away than this is told so. */
#define SKEW_S 300
#define MAX_PAUSE_MS 20000

/* -------------------------------------------------------------------------
 * The store's words
 * ------------------------------------------------------------------------- */

static void
copy_word(char *to, size_t size, const char *from)
{
	size_t		len = 0;

	/* What a store says goes into a log: one line of printable characters. */
	for (; *from != '\0' && len + 1 < size; from++)
		to[len++] = (unsigned char) *from < ' ' || *from == 0x7f ? ' ' : *from;
	to[len] = '\0';
}

static bool
take_fault(void *state, const char *path, const char *text)
{
	S3Fault    *fault = state;
	const char *name = strrchr(path, '/');

	name = name != NULL ? name + 1 : path;
	if (strcmp(path, "Error") == 0)
		fault->is_xml = true;
	else if (strcmp(name, "Code") == 0)
		copy_word(fault->code, sizeof(fault->code), text);
	else if (strcmp(name, "Message") == 0)
		copy_word(fault->message, sizeof(fault->message), text);
	else if (strcmp(name, "RequestId") == 0)
		copy_word(fault->request_id, sizeof(fault->request_id), text);
	else if (strcmp(name, "Region") == 0)
		copy_word(fault->region, sizeof(fault->region), text);
	return true;
}

/* What a header says, if the body did not. */
static void
take_header_word(const S3Attempt *attempt, const char *name, char *word, size_t size)
{
	if (word[0] != '\0')
		return;
	(void) http_header(&attempt->http, name, word, size);
	copy_word(word, size, word);
}

void
s3_fault_parse(S3Fault *fault, const S3Attempt *attempt)
{
	memset(fault, 0, sizeof(*fault));
	if (attempt->answer.len > 0 &&
		s3_xml_parse(sv_buffer_slice(&attempt->answer), take_fault, fault) != S3_XML_OK)
		fault->is_xml = false;
	if (!fault->is_xml)
		fault->code[0] = fault->message[0] = '\0';
	take_header_word(attempt, "x-amz-request-id", fault->request_id, sizeof(fault->request_id));
	take_header_word(attempt, "x-amz-bucket-region", fault->region, sizeof(fault->region));
}

/* -------------------------------------------------------------------------
 * Saying it
 * ------------------------------------------------------------------------- */

static const char *
verb_of(const S3Op *op)
{
	switch (op->operation)
	{
		case STORE_GET:
			return "read object";
		case STORE_PUT:
			return "write object";
		case STORE_HEAD:
			return "look at object";
		case STORE_REMOVE:
			return op->is_bucket ? "remove objects such as" : "remove object";
		case STORE_LIST:
			break;
	}
	return "list objects that begin with";
}

static void
set_detail(const S3Attempt *attempt, const S3Fault *fault, SvError *err)
{
	const HttpRequest *http = &attempt->http;
	char		tries[48] = "";

	if (attempt->op->tries > 1)
		snprintf(tries, sizeof(tries), " after %d tries", attempt->op->tries);
	if (http->status == 0)
		sv_set_detail(err, "No answer from %s%s.", attempt->store->host, tries);
	else if (fault == NULL || (fault->code[0] == '\0' && fault->request_id[0] == '\0'))
		sv_set_detail(err, "HTTP status %d from %s%s.", http->status, attempt->store->host, tries);
	else
		sv_set_detail(err, "HTTP status %d from %s%s%s%s%s%s%s%s.", http->status, attempt->store->host, tries,
					  fault->code[0] != '\0' ? ", code " : "", fault->code,
					  fault->message[0] != '\0' ? ": " : "", fault->message,
					  fault->request_id[0] != '\0' ? ", request id " : "", fault->request_id);
}

SvStatus
s3_fail(const S3Attempt *attempt, const S3Fault *fault, SvStatus status, const char *reason,
		const char *hint, SvError *err)
{
	const S3Op *op = attempt->op;

	sv_fail(err, status, "could not %s \"%s\" in bucket \"%s\": %s", verb_of(op), op->name,
			attempt->store->bucket, reason);
	set_detail(attempt, fault, err);
	if (hint != NULL)
		sv_set_hint(err, "%s", hint);
	return status;
}

SvStatus
s3_fail_stranger(const S3Attempt *attempt, SvError *err)
{
	return s3_fail(attempt, NULL, SV_IO, "the answer is not what S3 sends",
				   "Check the endpoint: it seems to be no S3 server, or something answers in its place.", err);
}

bool
s3_answer_parse(const S3Attempt *attempt, bool (*callback) (void *state, const char *path, const char *text),
				void *state, SvStatus *status, SvError *err)
{
	if (s3_xml_parse(sv_buffer_slice(&attempt->answer), callback, state) != S3_XML_BAD)
		return true;
	*status = s3_fail_stranger(attempt, err);
	return false;
}

/* Whether an ETag is the MD5 of a body, as far as the answer tells. */
static bool
etag_is_md5(const S3Attempt *attempt, const char *etag)
{
	char		encryption[32];

	/* Of what the store encrypts with keys of KMS or the client, the ETag is something else. */
	if (http_header(&attempt->http, "x-amz-server-side-encryption-customer-algorithm", encryption,
					sizeof(encryption)) ||
		(http_header(&attempt->http, "x-amz-server-side-encryption", encryption, sizeof(encryption)) &&
		 strcmp(encryption, "AES256") != 0))
		return false;
	return strlen(etag) == 2 * S3_MD5_BYTES && strspn(etag, "0123456789abcdef") == 2 * S3_MD5_BYTES;
}

/* -------------------------------------------------------------------------
 * Refusals
 * ------------------------------------------------------------------------- */

typedef struct Refusal
{
	const char *code;
	SvStatus	status;
	const char *reason;
	const char *hint;
} Refusal;

static const Refusal refusals[] = {
	{"InvalidAccessKeyId", SV_DENIED, "the store does not know the access key id",
	"Check the access key id, and that it belongs to this store."},
	{"SignatureDoesNotMatch", SV_DENIED, "the secret access key is wrong",
	"Check the secret access key; if it is right, check the region and that no proxy changes requests."},
	{"ExpiredToken", SV_DENIED, "the session token has expired", "Renew the temporary credentials."},
	{"ExpiredTokenException", SV_DENIED, "the session token has expired", "Renew the temporary credentials."},
	{"TokenRefreshRequired", SV_DENIED, "the session token has expired", "Renew the temporary credentials."},
	{"InvalidToken", SV_DENIED, "the session token is not valid",
	"Check the session token, and that it belongs to the access key."},
	{"AccessDenied", SV_DENIED, "access is denied",
	"Allow these credentials to read, write, list and delete objects in the bucket."},
	{"AllAccessDisabled", SV_DENIED, "all access to the bucket is disabled", "Enable access to the bucket."},
	{"NoSuchBucket", SV_IO, "the bucket does not exist",
	"Create the bucket, or correct its name, the endpoint or the region."},
	{"InvalidBucketName", SV_IO, "the bucket's name is not valid", "Correct the bucket's name."},
	{"QuotaExceeded", SV_NO_SPACE, "a quota is exceeded", NULL},
	{"XMinioStorageFull", SV_NO_SPACE, "the store is full", NULL},
	{"EntityTooLarge", SV_NO_SPACE, "the store takes no objects so large", NULL},
	{"NotImplemented", SV_UNSUPPORTED, "the store does not know this operation",
	"Turn the server's option conditional_puts off if the store knows no conditional writes."},
	{"XAmzContentSHA256Mismatch", SV_IO, "the bytes were changed on their way",
	"Check what lies between this server and the store."},
	{"BadDigest", SV_IO, "the bytes were changed on their way",
	"Check what lies between this server and the store."},
	{"InvalidRange", SV_CORRUPT, "it is shorter than what was asked for",
	"Restore the object from a copy of the store; other objects are not affected."}
};

static const Refusal *
find_refusal(const char *code)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (strcmp(refusals[i].code, code) == 0)
			return &refusals[i];
	return NULL;
}

static bool
is_expired(const S3Fault *fault)
{
	return strncmp(fault->code, "ExpiredToken", 12) == 0 || strcmp(fault->code, "TokenRefreshRequired") == 0 ||
		strcmp(fault->code, "InvalidToken") == 0 || strcmp(fault->code, "InvalidAccessKeyId") == 0;
}

/* Another region, or another host, is responsible. */
static S3Verdict
judge_elsewhere(S3Attempt *attempt, const S3Fault *fault, SvStatus *status, SvError *err)
{
	*status = s3_fail(attempt, fault, SV_IO, "the bucket is not in this region, or not at this endpoint",
					  "Correct the endpoint and the region of the server.", err);
	if (fault->region[0] != '\0')
		sv_set_hint(err, "The bucket is in region \"%s\": set the server's option region to that, and option endpoint, "
					"if there is one, to the endpoint of that region.", fault->region);
	return S3_FAIL;
}

/* The store's clock is not ours: take its time, once. */
static S3Verdict
judge_skew(S3Attempt *attempt, const S3Fault *fault, SvStatus *status, SvError *err)
{
	S3Op	   *op = attempt->op;
	char		date[64];
	int64_t		theirs = -1;
	int64_t		offset;

	if (http_header(&attempt->http, "date", date, sizeof(date)))
		theirs = http_date(date);
	offset = theirs < 0 ? 0 : theirs - (int64_t) time(NULL);
	*status = s3_fail(attempt, fault, SV_IO, "this server's clock and the store's differ too much",
					  "Set the clocks, for example by NTP.", err);
	if (offset > SKEW_S || offset < -SKEW_S)
		sv_set_hint(err, "The store's clock is %lld seconds %s that of this server: set the clocks, "
					"for example by NTP.", (long long) (offset < 0 ? -offset : offset),
					offset < 0 ? "behind" : "ahead of");
	if (theirs < 0 || op->adjusted_clock)
		return S3_FAIL;
	op->adjusted_clock = true;
	attempt->store->clock_offset_s = offset;
	return S3_RETRY;
}

/* Keys that may have others by now. */
static S3Verdict
judge_keys(S3Attempt *attempt)
{
	S3Store    *store = attempt->store;
	S3Op	   *op = attempt->op;

	if (!s3_credentials_reject(store->credentials, attempt->access_key_id) || op->rejected_keys)
		return S3_FAIL;
	op->rejected_keys = true;
	return S3_RETRY;
}

static S3Verdict
judge_refusal(S3Attempt *attempt, const S3Fault *fault, SvStatus *status, SvError *err)
{
	int			http_status = attempt->http.status;
	const Refusal *refusal = find_refusal(fault->code);
	char		reason[128];

	if (refusal == NULL && !fault->is_xml)
		refusal = http_status == 416 ? find_refusal("InvalidRange")
			: http_status == 501 ? find_refusal("NotImplemented")
			: http_status == 403 ? find_refusal("AccessDenied")
			: http_status == 507 ? find_refusal("XMinioStorageFull") : NULL;
	snprintf(reason, sizeof(reason), "the store refused the request%s%s",
			 fault->code[0] != '\0' ? ": " : "", fault->code);
	if (refusal == NULL)
		*status = s3_fail(attempt, fault, SV_IO, reason,
						  fault->is_xml ? NULL : "Check the endpoint: it seems to be no S3 server.", err);
	else
		*status = s3_fail(attempt, fault, refusal->status, refusal->reason, refusal->hint, err);
	if (refusal != NULL && refusal->status == SV_DENIED && err != NULL)
	{
		size_t		used = strlen(err->detail);

		snprintf(err->detail + used, sizeof(err->detail) - used, " The credentials are from %s.",
				 s3_credentials_source(attempt->store->credentials));
	}
	return is_expired(fault) ? judge_keys(attempt) : S3_FAIL;
}

/* -------------------------------------------------------------------------
 * Judging
 * ------------------------------------------------------------------------- */

static bool
is_transient(int http_status, const S3Fault *fault)
{
	return http_status == 429 || http_status == 500 || http_status == 502 || http_status == 503 ||
		http_status == 504 ||
		strcmp(fault->code, "ConditionalRequestConflict") == 0 || strcmp(fault->code, "OperationAborted") == 0 ||
		strcmp(fault->code, "RequestTimeout") == 0 || strcmp(fault->code, "SlowDown") == 0 ||
		strcmp(fault->code, "InternalError") == 0;
}

static S3Verdict
judge_transient(S3Attempt *attempt, const S3Fault *fault, SvStatus *status, int *pause_ms, bool *slow_down,
				SvError *err)
{
	int			http_status = attempt->http.status;
	char		after[16];

	*slow_down = http_status == 429 || http_status == 503;
	if (http_header(&attempt->http, "retry-after", after, sizeof(after)))
	{
		long		seconds = strtol(after, NULL, 10);

		*pause_ms = seconds <= 0 ? 0 : seconds > MAX_PAUSE_MS / 1000 ? MAX_PAUSE_MS : (int) seconds * 1000;
	}
	*status = s3_fail(attempt, fault, SV_IO, *slow_down ? "the store is asked too much, or not available" :
					  "the store failed", "Check the store's health; the request can be repeated.", err);
	return S3_RETRY;
}

static S3Verdict
judge_error(S3Attempt *attempt, SvStatus *status, int *pause_ms, bool *slow_down, SvError *err)
{
	int			http_status = attempt->http.status;
	S3Fault		fault;

	s3_fault_parse(&fault, attempt);
	if (http_status == 404 && strcmp(fault.code, "NoSuchBucket") != 0 && !attempt->op->is_bucket &&
		(fault.is_xml || attempt->op->method == HTTP_HEAD))
	{
		*status = SV_NOT_FOUND;
		return S3_DONE;
	}
	if (http_status == 412)
	{
		*status = sv_fail(err, SV_EXISTS, "object \"%s\" exists already, or has changed", attempt->op->name);
		return S3_DONE;
	}
	if (http_status == 301 || http_status == 302 || http_status == 307 || http_status == 308 ||
		strcmp(fault.code, "AuthorizationHeaderMalformed") == 0 ||
		strcmp(fault.code, "IllegalLocationConstraintException") == 0)
		return judge_elsewhere(attempt, &fault, status, err);
	if (strcmp(fault.code, "RequestTimeTooSkewed") == 0)
		return judge_skew(attempt, &fault, status, err);
	if (is_transient(http_status, &fault))
		return judge_transient(attempt, &fault, status, pause_ms, slow_down, err);
	return judge_refusal(attempt, &fault, status, err);
}

/* No answer, or none that was read to its end. */
static S3Verdict
judge_unanswered(S3Attempt *attempt, SvStatus *status, SvError *err)
{
	HttpRequest *http = &attempt->http;
	SvError		reason;
	bool		again = http->outcome == HTTP_REFUSED || http->outcome == HTTP_LOST ||
		http->outcome == HTTP_TIMED_OUT || http->outcome == HTTP_NO_DESCRIPTOR;

	if (attempt->problem_text[0] != '\0')
	{
		*status = s3_fail(attempt, NULL, attempt->problem_status, attempt->problem_text,
						  attempt->problem_status == SV_IO ?
						  "Check what lies between this server and the store." : NULL, err);
		return attempt->problem;
	}
	http_client_fail(http, attempt->op->name, &reason);
	*status = s3_fail(attempt, NULL, SV_IO, http->reason, reason.hint[0] != '\0' ? reason.hint : NULL, err);
	return again ? S3_RETRY : S3_FAIL;
}

static void
keep_etag(S3Attempt *attempt)
{
	S3Op	   *op = attempt->op;
	char		etag[STORE_ETAG_BYTES];
	size_t		len;

	if (!http_header(&attempt->http, "etag", etag, sizeof(etag)))
		etag[0] = '\0';
	len = strlen(etag);
	if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"')
	{
		memmove(etag, etag + 1, len - 2);
		etag[len - 2] = '\0';
	}
	memcpy(op->etag, etag, sizeof(etag));
	op->content_length = attempt->http.content_length;
}

S3Verdict
s3_check_md5(const S3Attempt *attempt, const uint8_t md5[S3_MD5_BYTES], SvStatus *status, SvError *err)
{
	S3Op	   *op = attempt->op;
	char		hex[S3_MD5_HEX_BYTES];

	s3_hex(md5, S3_MD5_BYTES, hex);
	if (!etag_is_md5(attempt, op->etag) || strcmp(op->etag, hex) == 0)
		return S3_DONE;
	*status = s3_fail(attempt, NULL, SV_IO, "the store has other bytes than were sent (by its ETag)",
					  "Check what lies between this server and the store.", err);
	/* On a condition it would now meet itself. */
	return op->nextra > 0 ? S3_FAIL : S3_RETRY;
}

static S3Verdict
judge_md5(S3Attempt *attempt, SvStatus *status, SvError *err)
{
	if (!attempt->md5_failed && s3_md5_finish(attempt->md5, attempt->op->md5))
		return s3_check_md5(attempt, attempt->op->md5, status, err);
	*status = s3_fail(attempt, NULL, SV_NO_MEMORY, "MD5 is not available", NULL, err);
	return S3_FAIL;
}

/*
 * What answers in the store's place, a portal or a filter on the way, may say 200 to
 * anything, with a page.  S3 confirms a PUT by the object's ETag, and neither a PUT
 * nor a DELETE with a body.  Who believed that page would lose what it was asked to keep.
 */
static bool
is_confirmed(const S3Attempt *attempt)
{
	const S3Op *op = attempt->op;

	if (op->method == HTTP_PUT)
		return op->etag[0] != '\0' && attempt->answer.len == 0;
	return op->method != HTTP_DELETE || attempt->answer.len == 0;
}

S3Verdict
s3_judge(S3Attempt *attempt, SvStatus *status, int *pause_ms, bool *slow_down, SvError *err)
{
	S3Op	   *op = attempt->op;
	S3Verdict	verdict = S3_DONE;

	*pause_ms = 0;
	*slow_down = false;
	*status = SV_OK;
	if (attempt->http.outcome != HTTP_ANSWERED)
		return judge_unanswered(attempt, status, err);
	if (attempt->http.status < 200 || attempt->http.status >= 300)
		return judge_error(attempt, status, pause_ms, slow_down, err);
	keep_etag(attempt);
	if (!is_confirmed(attempt))
	{
		*status = s3_fail_stranger(attempt, err);
		return S3_FAIL;
	}
	if (op->want_md5)
		verdict = judge_md5(attempt, status, err);
	if (verdict == S3_DONE && op->check != NULL)
		verdict = op->check(op, attempt, status, err);
	return verdict;
}
