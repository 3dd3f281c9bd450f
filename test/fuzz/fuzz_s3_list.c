/*
 * fuzz_s3_list.c
 *		Any bytes as pages of a listing: names that are told are valid, are below
 *		what was asked for and ascend, and a listing ends.
 *
 * The pages are what is between zero bytes of the input, the last of them again
 * and again.  The source of listings is compiled in here, with pages in place of
 * requests.
 */
#define s3_list fuzz_list
#define s3_run answer_with_page
#include "store/s3_list.c"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_PAGES 1000

typedef struct Heard
{
	char		last[STORE_MAX_NAME_BYTES + 1];
	int			names;
	int			enough;
} Heard;

static SvSlice pages;			/* what is left of them */
static SvSlice page;			/* the last one */
static int	asked;

static void
require(bool holds)
{
	if (!holds)
		abort();
}

SvStatus
answer_with_page(S3Store *store, S3Op *op, const StoreCall *call, SvError *err)
{
	S3Attempt	attempt = {.op = op,.store = store};
	SvStatus	status = SV_OK;
	S3Verdict	verdict;

	(void) call;
	require(++asked <= MAX_PAGES);
	require(op->query != NULL && strstr(op->query, "prefix=root%2Fa") != NULL);
	if (pages.len > 0)
	{
		const uint8_t *end = memchr(pages.data, '\0', pages.len);

		page = sv_slice(pages.data, end != NULL ? (size_t) (end - pages.data) : pages.len);
		pages = sv_slice(page.data + page.len + (end != NULL), pages.len - page.len - (end != NULL));
	}
	attempt.http.status = 200;
	sv_buffer_init(&attempt.answer, &sv_malloc_alloc);
	if (page.len > 0)
		require(sv_buffer_append(&attempt.answer, page.data, page.len, NULL) == SV_OK);
	verdict = op->check(op, &attempt, &status, err);
	require((verdict == S3_DONE) == (status == SV_OK) && verdict != S3_RETRY);
	sv_buffer_free(&attempt.answer);
	return status;
}

static bool
hear(void *state, const StoreListed *object)
{
	Heard	   *heard = state;
	size_t		len = strlen(object->name);

	require(len > 0 && len <= STORE_MAX_NAME_BYTES && object->name[0] != '/' && object->name[len - 1] != '/');
	require(strcmp(object->name, heard->last) > 0 && object->name[0] == 'a');
	memcpy(heard->last, object->name, len + 1);
	return ++heard->names != heard->enough;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static S3Store store = {.host = (char *) "store.test",.bucket = (char *) "bucket",.prefix = (char *) "root/"};

	for (int enough = 0; enough < 3; enough++)
	{
		Heard		heard = {.last = "a/b",.enough = enough};
		SvError		err = {0};
		SvStatus	status;

		pages = sv_slice(data, size);
		page = sv_slice(NULL, 0);
		asked = 0;
		status = fuzz_list(&store.base, "a", "a/b", hear, &heard, NULL, &err);
		require(status == SV_OK || (status == SV_IO && err.message[0] != '\0'));
		require(enough == 0 || heard.names <= enough);
	}
	return 0;
}
