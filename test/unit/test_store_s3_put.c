/*
 * test_store_s3_put.c
 *		Writing by the S3 driver to servers that refuse, fail, lie or lose
 *		answers.
 */
#include "unit.h"

#include "s3_case.h"

static SvStatus
write_text(Case *c, const char *text)
{
	SvSlice		part = sv_slice(text, strlen(text));
	StoreCall	call = call_of(c);

	memset(&c->err, 0, sizeof(c->err));
	return store_put_if_absent(c->store, "a/b", &part, 1, &call, &c->err);
}

/* MD5 of "abc" */
#define ABC_ETAG "\"900150983cd24fb0d6963f7d28e17f72\""
#define PUT_ABC {"HTTP/1.1 200 OK\r\nETag: " ABC_ETAG, NULL, THEN_KEEP, false}
#define HEAD_ABC {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: " ABC_ETAG, NULL, THEN_KEEP, true}
#define TAKEN XML("412 Precondition Failed", "PreconditionFailed")
#define PAGE "<html><body><p>This site is blocked.<br></body></html>"

static void
test_put(void)
{
	static const ScriptAnswer good[] = {PUT_ABC};
	static const ScriptAnswer wrong[] = {
		{"HTTP/1.1 200 OK\r\nETag: \"00000000000000000000000000000000\"", NULL, THEN_KEEP, false}
	};
	static const ScriptAnswer kms[] = {
		{"HTTP/1.1 200 OK\r\nx-amz-server-side-encryption: aws:kms\r\nETag: \"00000000000000000000000000000000\"", NULL,
		THEN_KEEP, false}
	};
	static const ScriptAnswer conflict[] = {XML("409 Conflict", "ConditionalRequestConflict"), PUT_ABC};
	static const ScriptAnswer changed[] = {XML("400 Bad Request", "XAmzContentSHA256Mismatch")};
	Case		c;

	open_case(&c, good, 1, true, usual);
	CHECK(write_text(&c, "abc") == SV_OK && c.script->nrequests == 1 &&
		  strncmp(c.script->heads[0], "PUT /bucket/pre/fix/a/b ", 24) == 0 && strcmp(c.script->bodies[0], "abc") == 0 &&
		  strstr(c.script->heads[0], "\r\nif-none-match: *\r\n") != NULL &&
		  strstr(c.script->heads[0], "\r\nx-amz-content-sha256: "
				 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\r\n") != NULL, "a put");
	close_case(&c);
	open_case(&c, wrong, 1, true, usual);
	CHECK(write_text(&c, "abc") == SV_IO && tells(&c.err, "other bytes than were sent", "200", "between"),
		  "a wrong ETag");
	close_case(&c);
	open_case(&c, kms, 1, true, usual);
	CHECK(write_text(&c, "abc") == SV_OK, "an ETag that is no MD5");
	close_case(&c);
	open_case(&c, conflict, 2, false, usual);
	CHECK(write_text(&c, "abc") == SV_OK && c.retries == 1, "a conflict of conditions is tried again");
	close_case(&c);
	open_case(&c, changed, 1, true, usual);
	CHECK(write_text(&c, "abc") == SV_IO && c.script->nrequests == 1 && tells(&c.err, "on their way", "400", "between"),
		  "bytes that were changed on their way");
	close_case(&c);
}

static void
test_lost_answers(void)
{
	static const ScriptAnswer own[] = {DIED, TAKEN, HEAD_ABC};
	static const ScriptAnswer other[] = {
		DIED, TAKEN, {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: \"x\"", NULL, THEN_KEEP, true}
	};
	static const ScriptAnswer no_md5[] = {
		DIED, TAKEN, {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"x\"", NULL, THEN_KEEP, true},
		{"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-2/3", "abc", THEN_KEEP, false}
	};
	Case		c;

	open_case(&c, own, 3, false, usual);
	CHECK(write_text(&c, "abc") == SV_OK && c.requests[STORE_PUT] == 2 && c.requests[STORE_HEAD] == 1,
		  "a put that was done and whose answer was lost");
	close_case(&c);
	open_case(&c, other, 3, false, usual);
	CHECK(write_text(&c, "abc") == SV_EXISTS && c.err.status == SV_EXISTS, "a name that somebody else has taken");
	close_case(&c);
	open_case(&c, no_md5, 4, false, usual);
	CHECK(write_text(&c, "abc") == SV_OK && c.requests[STORE_GET] == 1, "bytes are compared if the ETag does not tell");
	close_case(&c);
}

static void
test_no_conditions(void)
{
	static const ScriptAnswer answers[] = {XML("501 Not Implemented", "NotImplemented"), XML("404 Not Found",
		"NoSuchKey"), PUT_ABC};
	StoreS3Options options = usual;
	Case		c;

	open_case(&c, answers, 3, false, options);
	CHECK(write_text(&c, "abc") == SV_OK && strstr(c.script->heads[2], "if-none-match") == NULL &&
		  store_capabilities(c.store) == (STORE_IS_REMOTE | STORE_CAN_FETCH_AHEAD),
		  "a store without conditions is looked at before");
	close_case(&c);
	options.conditional_puts = STORE_S3_CONDITIONAL_ON;
	open_case(&c, answers, 3, false, options);
	CHECK(write_text(&c, "abc") == SV_UNSUPPORTED && tells(&c.err, "does not know", "501", "conditional_puts"),
		  "unless it has to know them");
	close_case(&c);
}

#define INITIATED {"HTTP/1.1 200 OK", "<InitiateMultipartUploadResult><UploadId>up/1</UploadId>" \
	"</InitiateMultipartUploadResult>", THEN_KEEP, false}
#define ABSENT XML("404 Not Found", "NoSuchKey")
#define PART(tag) {"HTTP/1.1 200 OK\r\nETag: \"" tag "\"", NULL, THEN_KEEP, false}
#define COMPLETED {"HTTP/1.1 200 OK", "<CompleteMultipartUploadResult><ETag>&quot;x-3&quot;</ETag>" \
	"</CompleteMultipartUploadResult>", THEN_KEEP, false}

#define LARGE_BYTES ((size_t) 17 * 1024 * 1024)
static uint8_t *large;

/* A large put, one request at a time so that their order is known; how many there were. */
static int
put_large(const ScriptAnswer *answers, int n, SvStatus expected, Case *c)
{
	StoreS3Options options = usual;
	SvSlice		parts[2] = {{large, 5}, {large + 5, LARGE_BYTES - 5}};
	StoreCall	call;
	SvStatus	status;

	options.io_concurrency = 1;
	options.timeout_ms = 10000;
	open_case(c, answers, n, false, options);
	call = call_of(c);
	status = store_put_if_absent(c->store, "a/b", parts, 2, &call, &c->err);
	if (status != expected)
		printf("# status %d: %s; %s\n", status, c->err.message, c->err.detail);
	return status == expected ? c->script->nrequests : -1;
}

static void
test_multipart(void)
{
	static const ScriptAnswer good[] = {ABSENT, INITIATED, PART("p1"), PART("p2"), PART("p3"), COMPLETED};
	static const ScriptAnswer wrong_part[] = {
		ABSENT, INITIATED, PART("00000000000000000000000000000000"), PART("p1"), PART("p2"), PART("p3"), COMPLETED
	};
	static const ScriptAnswer late_error[] = {
		ABSENT, INITIATED, PART("p1"), PART("p2"), PART("p3"), XML("200 OK", "InternalError"), COMPLETED
	};
	static const ScriptAnswer refused[] = {ABSENT, INITIATED, PART("p1"), XML("403 Forbidden", "AccessDenied"), DONE};
	static const ScriptAnswer taken[] = {
		{"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/100", "1", THEN_KEEP, false}
	};
	static const ScriptAnswer aborted[] = {ABSENT, INITIATED, PART("p1"), XML("404 Not Found", "NoSuchUpload"),
		PART("p3"), DONE};
	static const ScriptAnswer not_whole[] = {
		ABSENT, INITIATED, PART("p1"), PART("p2"), PART("p3"),
		{"HTTP/1.1 200 OK", "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>",
			THEN_KEEP, false},
		HEAD_ABC, DONE
	};
	Case		c;

	CHECK(put_large(good, COUNT(good), SV_OK, &c) == 6, "a large put");
	CHECK(strstr(c.script->heads[1], "POST /bucket/pre/fix/a/b?uploads= ") != NULL &&
		  strstr(c.script->heads[2], "?partNumber=1&uploadId=up%2F1 ") != NULL &&
		  strstr(c.script->heads[2], "\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n") != NULL &&
		  c.script->body_bytes[2] + c.script->body_bytes[3] + c.script->body_bytes[4] == LARGE_BYTES &&
		  memcmp(c.script->bodies[2], large, SCRIPT_BODY_BYTES - 1) == 0 &&
		  memcmp(c.script->bodies[3], large + c.script->body_bytes[2], SCRIPT_BODY_BYTES - 1) == 0,
		  "goes up in parts");
	CHECK(strstr(c.script->heads[5], "\r\nif-none-match: *\r\n") != NULL &&
		  strstr(c.script->bodies[5], "<Part><PartNumber>3</PartNumber><ETag>\"p3\"</ETag></Part>") != NULL,
		  "that are put together on condition");
	close_case(&c);
	CHECK(put_large(wrong_part, COUNT(wrong_part), SV_OK, &c) == 7 && c.retries == 1 &&
		  strstr(c.script->heads[3], "?partNumber=1&") != NULL, "a part's wrong ETag is noticed");
	close_case(&c);
	CHECK(put_large(late_error, COUNT(late_error), SV_OK, &c) == 7 && c.retries == 1, "an error behind a 200");
	close_case(&c);
	CHECK(put_large(refused, COUNT(refused), SV_DENIED, &c) == 5 &&
		  strstr(c.script->heads[4], "DELETE /bucket/pre/fix/a/b?uploadId=up%2F1 ") != NULL,
			"a failure aborts the upload");
	close_case(&c);
	CHECK(put_large(taken, COUNT(taken), SV_EXISTS, &c) == 1, "a name that is taken is no upload");
	close_case(&c);
	CHECK(put_large(aborted, COUNT(aborted), SV_IO, &c) == 6 && strstr(c.err.message, "aborted") != NULL,
		  "an upload that somebody aborts");
	close_case(&c);
	CHECK(put_large(not_whole, COUNT(not_whole), SV_IO, &c) == 8 && strstr(c.err.message,
		  "not what was uploaded") != NULL,
		  "an object of another length");
	close_case(&c);
}

/* -------------------------------------------------------------------------
 * What answers in the store's place
 * ------------------------------------------------------------------------- */

#define A_PAGE {"HTTP/1.1 200 OK", PAGE, THEN_KEEP, false}
#define A_TAGGED_PAGE {"HTTP/1.1 200 OK\r\nETag: \"5e2-61f\"", PAGE, THEN_KEEP, false}

static bool
is_stranger(const Case *c)
{
	return tells(&c->err, "not what S3 sends", "200", "no S3 server");
}

static void
test_pages_for_puts(void)
{
	static const ScriptAnswer page[] = {A_PAGE};
	static const ScriptAnswer tagged[] = {A_TAGGED_PAGE};
	static const ScriptAnswer nothing[] = {DONE};
	static const ScriptAnswer *const answers[] = {page, tagged, nothing};
	static const char *const what[] = {"a page", "a page that has an ETag", "nothing at all"};
	Case		c;

	for (int i = 0; i < COUNT(answers); i++)
	{
		open_case(&c, answers[i], 1, true, usual);
		CHECK(write_text(&c, "abc") == SV_IO && c.script->nrequests == 1 && is_stranger(&c), what[i]);
		memset(&c.err, 0, sizeof(c.err));
		CHECK(store_put_if_match(c.store, "a/b", sv_slice("abc", 3), "x", NULL, NULL, &c.err) == SV_IO &&
			  c.script->nrequests == 2 && is_stranger(&c), "is not taken for a replacement's success either");
		close_case(&c);
	}
}

static void
test_pages_for_parts(void)
{
	static const ScriptAnswer begun[] = {ABSENT, A_PAGE};
	static const ScriptAnswer sent[] = {ABSENT, INITIATED, A_TAGGED_PAGE, DONE};
	static const ScriptAnswer completed[] = {
		ABSENT, INITIATED, PART("p1"), PART("p2"), PART("p3"), {"HTTP/1.1 200 OK", "<html></html>", THEN_KEEP, false},
		DONE
	};
	Case		c;

	CHECK(put_large(begun, COUNT(begun), SV_IO, &c) == 2 && is_stranger(&c), "a page begins no upload");
	close_case(&c);
	CHECK(put_large(sent, COUNT(sent), SV_IO, &c) == 4 && is_stranger(&c) &&
		  strncmp(c.script->heads[3], "DELETE ", 7) == 0, "takes no part, so that the upload is aborted");
	close_case(&c);
	CHECK(put_large(completed, COUNT(completed), SV_IO, &c) == 7 && is_stranger(&c) &&
		  strncmp(c.script->heads[6], "DELETE ", 7) == 0, "and puts none together");
	close_case(&c);
}

static void
test_pages_for_others(void)
{
	static const ScriptAnswer page[] = {A_PAGE};
	static const char *const names[] = {"a", "b"};
	StoreObject object;
	SvBuffer	content;
	int			removed;
	Case		c;

	open_case(&c, page, 1, true, usual);
	CHECK(store_remove(c.store, "a/b", NULL, &c.err) == SV_IO && is_stranger(&c), "a page removes nothing");
	memset(&c.err, 0, sizeof(c.err));
	CHECK(store_remove_many(c.store, names, 2, &removed, NULL, &c.err) == SV_IO && removed == 0 && is_stranger(&c),
		  "nor many");
	memset(&c.err, 0, sizeof(c.err));
	CHECK(store_head(c.store, "a/b", &object, NULL, &c.err) == SV_IO, "is not what a HEAD is about");
	memset(&c.err, 0, sizeof(c.err));
	sv_buffer_init(&content, &sv_malloc_alloc);
	CHECK(store_get_small(c.store, "a/b", 1000, &content, &object, NULL, &c.err) == SV_IO && content.len == 0 &&
		  is_stranger(&c), "nor an object");
	sv_buffer_free(&content);
	close_case(&c);
}

/* One that no buffer for answers holds. */
static void
test_long_pages(void)
{
	static char body[70 * 1024];
	static const ScriptAnswer page[] = {{"HTTP/1.1 200 OK\r\nContent-Type: text/html", body, THEN_KEEP, false}};
	StoreObject object;
	SvBuffer	content;
	Case		c;

	memset(body, 'x', sizeof(body) - 1);
	sv_buffer_init(&content, &sv_malloc_alloc);
	open_case(&c, page, 1, true, usual);
	CHECK(write_text(&c, "abc") == SV_IO && strstr(c.err.message, "not what S3 sends") != NULL,
		  "a long page is no PUT");
	CHECK(store_remove(c.store, "a/b", NULL, &c.err) == SV_IO, "and no DELETE");
	CHECK(store_get_small(c.store, "a/b", 1000, &content, &object, NULL, &c.err) == SV_IO, "nor a damaged object");
	close_case(&c);
	open_case_v2(&c, page, 1, usual);
	CHECK(store_get_small(c.store, "a/b", 1000, &content, &object, NULL, &c.err) == SV_IO &&
		  strstr(c.err.message, "not what S3 sends") != NULL, "by signature v2 either");
	close_case(&c);
	sv_buffer_free(&content);
}

/* Gateways spell headers as they like, and add many. */
static void
test_gateways(void)
{
	static const ScriptAnswer spelled[] = {
		{"HTTP/1.1 200 OK\r\nContent-Type: binary/octet-stream\r\nEtag: \"0a\"", "abc", THEN_KEEP, false}
	};
	static const ScriptAnswer bare[] = {{"HTTP/1.1 200 OK\r\nContent-Type: text/html", "abc", THEN_KEEP, false}};
	static char head[5000];
	static const ScriptAnswer crowded[] = {{head, "abc", THEN_KEEP, false}};
	StoreObject object;
	SvBuffer	content;
	size_t		len;
	Case		c;

	sv_buffer_init(&content, &sv_malloc_alloc);
	open_case_v2(&c, spelled, 1, usual);
	CHECK(store_get_small(c.store, "a/b", 1000, &content, &object, NULL, &c.err) == SV_OK && content.len == 3,
		  "by signature v2 an object is one whose ETag is spelled otherwise");
	close_case(&c);
	sv_buffer_reset(&content);
	open_case_v2(&c, bare, 1, usual);
	CHECK(store_get_small(c.store, "a/b", 1000, &content, &object, NULL, &c.err) == SV_IO && content.len == 0,
		  "but no page");
	close_case(&c);
	len = (size_t) snprintf(head, sizeof(head), "HTTP/1.1 200 OK");
	for (int i = 0; i < 45; i++)
		len += (size_t) snprintf(head + len, sizeof(head) - len, "\r\nX-Padding-%d: %080d", i, i);
	snprintf(head + len, sizeof(head) - len, "\r\nETag: \"0a\"");
	open_case(&c, crowded, 1, true, usual);
	CHECK(store_get_small(c.store, "a/b", 1000, &content, &object, NULL, &c.err) == SV_OK &&
		  strcmp(object.etag, "0a") == 0,
		  "an ETag behind 4 kB of other headers is seen");
	close_case(&c);
	sv_buffer_free(&content);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "*", 1);
	large = malloc(LARGE_BYTES);
	for (size_t i = 0; i < LARGE_BYTES; i++)
		large[i] = (uint8_t) (i * 2654435761u >> 13 | 1);
	test_put();
	test_lost_answers();
	test_no_conditions();
	test_multipart();
	test_pages_for_puts();
	test_pages_for_parts();
	test_pages_for_others();
	test_long_pages();
	test_gateways();
	free(large);
	return unit_done();
}
