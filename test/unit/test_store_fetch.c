/*
 * test_store_fetch.c
 *		Fetches of the S3 driver from a server that answers as a script says: what is
 *		under way while nobody waits, what becomes of it, and how it is counted.
 */
#include <setjmp.h>

#include "cache/disk_tier.h"
#include "store/s3_read.h"
#include "store/store_fault.h"
#include "store/store_tier.h"
#include "unit.h"

#include "s3_case.h"

#define AT_MOST 20				/* steps of 50 ms */

static int	waits;				/* of all begins */

static void
count_wait(void *state, const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	(void) state, (void) fds, (void) nfds, (void) timeout_ms;
	waits++;
}

static StoreFetch *
begin(Case *c, char *dst)
{
	StoreRange	range = {.name = "a/b",.len = 8,.dst = dst,.object_bytes = 100};
	StoreCall	call = call_of(c);
	StoreFetch *fetch;

	call.wait = count_wait;
	memset(dst, 0, 9);
	if (store_fetch_begin(c->store, &range, &fetch, &call, &c->err) != SV_OK)
		abort();
	return fetch;
}

static SvStatus
finish(Case *c, StoreFetch *fetch)
{
	StoreCall	call = call_of(c);

	memset(&c->err, 0, sizeof(c->err));
	return store_fetch_finish(fetch, &call, &c->err);
}

static bool
is_there(const char *dst)
{
	return strcmp(dst, "12345678") == 0;
}

/* Comes while its caller does something else and now and then drives it. */
static void
test_driven(void)
{
	static const ScriptAnswer answers[] = {GOOD};
	StoreFetch *fetch;
	char		dst[9];
	Case		c;

	open_case(&c, answers, COUNT(answers), true, usual);
	fetch = begin(&c, dst);
	CHECK(fetch != NULL && waits == 0, "a fetch begins, which waits for nothing");
	for (int i = 0; i < AT_MOST && !is_there(dst); i++)
	{
		usleep(50000);
		store_fetch_drive(fetch);
	}
	CHECK(is_there(dst) && c.script->nrequests == 1, "and comes while nobody waits for it");
	CHECK(finish(&c, fetch) == SV_OK && c.requests[STORE_GET] == 1 && c.retries == 0, "it ends, and is counted once");

	fetch = begin(&c, dst);
	CHECK(read_some(&c) == SV_OK && is_there(c.read), "another call beside it");
	CHECK(finish(&c, fetch) == SV_OK && is_there(dst) && c.requests[STORE_GET] == 3, "both have what they asked for");

	fetch = begin(&c, dst);
	store_fetch_drop(fetch);
	CHECK(c.requests[STORE_GET] == 4, "what is given up is counted too");
	CHECK(read_some(&c) == SV_OK, "and the store goes on");
	close_case(&c);
}

/* What goes wrong under way is tried again when it is waited for. */
static void
test_tried_again(void)
{
	static const ScriptAnswer answers[] = {DIED, XML("503 Slow Down", "SlowDown"), GOOD};
	static const ScriptAnswer missing[] = {XML("404 Not Found", "NoSuchKey")};
	static const ScriptAnswer silent[] = {SILENT, GOOD};
	static const ScriptAnswer dead[] = {XML("503 Service Unavailable", "ServiceUnavailable")};
	StoreFetch *fetch;
	char		dst[9];
	Case		c;

	open_case(&c, answers, COUNT(answers), true, usual);
	fetch = begin(&c, dst);
	usleep(100000);
	store_fetch_drive(fetch);
	CHECK(finish(&c, fetch) == SV_OK && is_there(dst) && c.retries == 2,
		  "a connection that broke, and a store that is busy");
	close_case(&c);

	open_case(&c, missing, COUNT(missing), true, usual);
	fetch = begin(&c, dst);
	CHECK(finish(&c, fetch) == SV_NOT_FOUND && c.requests[STORE_GET] == 1, "what is not there is not asked for again");
	close_case(&c);

	open_case(&c, silent, COUNT(silent), true, usual);
	fetch = begin(&c, dst);
	usleep(500000);
	CHECK(finish(&c, fetch) == SV_OK && is_there(dst) && c.retries == 1,
		  "one whose time was over before anybody waited for it");
	close_case(&c);

	open_case(&c, dead, COUNT(dead), true, usual);
	fetch = begin(&c, dst);
	CHECK(finish(&c, fetch) == SV_IO && c.requests[STORE_GET] == 1 + usual.max_retries,
		  "a store that never answers well");
	close_case(&c);
}

static void
test_cancelled(void)
{
	static const ScriptAnswer answers[] = {SILENT};
	StoreFetch *fetch;
	char		dst[9];
	Case		c;

	open_case(&c, answers, COUNT(answers), true, usual);
	fetch = begin(&c, dst);
	c.left = 2;
	CHECK(finish(&c, fetch) == SV_CANCELLED, "who waits can be cancelled");
	close_case(&c);
}

static jmp_buf left;

static void
leave(void *state, const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	(void) state, (void) fds, (void) nfds, (void) timeout_ms;
	longjmp(left, 1);
}

/* Whether a wait for it was left. */
static bool
is_left(Case *c, StoreFetch *fetch)
{
	StoreCall	call = call_of(c);

	call.wait = leave;
	if (setjmp(left) != 0)
		return true;
	(void) store_fetch_finish(fetch, &call, &c->err);
	return false;
}

/* As many requests as the store's concurrency, and one of them for those who wait. */
static void
test_concurrency(void)
{
	static const ScriptAnswer answers[] = {SILENT, SILENT, GOOD};
	static const ScriptAnswer good[] = {GOOD};
	StoreS3Options options = usual;
	StoreFetch *fetches[4];
	char		dst[4][9];
	Case		c;

	options.io_concurrency = 3;
	options.timeout_ms = 5000;
	open_case(&c, answers, COUNT(answers), true, options);
	for (int i = 0; i < 4; i++)
		fetches[i] = begin(&c, dst[i]);
	CHECK(fetches[0] != NULL && fetches[1] != NULL && fetches[2] == NULL && fetches[3] == NULL,
		  "one less is under way than may be");
	for (int i = 0; i < AT_MOST && c.script->nrequests < 2; i++)
	{
		usleep(50000);
		store_fetch_drive(fetches[0]);
	}
	CHECK(c.script->nrequests == 2 && read_some(&c) == SV_OK && c.script->nconnections == 3,
		  "and who waits has his own");
	store_fetch_drop(fetches[0]);
	fetches[2] = begin(&c, dst[2]);
	CHECK(fetches[2] != NULL && finish(&c, fetches[2]) == SV_OK && is_there(dst[2]), "one that is given up makes room");
	store_fetch_drop(fetches[1]);
	close_case(&c);

	open_case(&c, good, COUNT(good), true, options);
	for (int i = 0; i < 2; i++)
		fetches[i] = begin(&c, dst[i]);
	for (int i = 0; i < AT_MOST && !(is_there(dst[0]) && is_there(dst[1])); i++)
	{
		usleep(50000);
		store_fetch_drive(fetches[0]);
	}
	CHECK(s3_fetches_running(c.store) == 0, "what has come is not under way any more");
	for (int i = 2; i < 4; i++)
		fetches[i] = begin(&c, dst[i]);
	CHECK(fetches[2] != NULL && fetches[3] != NULL, "and leaves its place to others before anybody takes it");
	for (int i = 0; i < 4; i++)
		CHECK(finish(&c, fetches[i]) == SV_OK && is_there(dst[i]), "each comes");
	close_case(&c);

	options.io_concurrency = 1;
	open_case(&c, answers, COUNT(answers), true, options);
	CHECK(begin(&c, dst[0]) == NULL, "where one at a time is all, none begins");
	close_case(&c);
}

/* The store is closed under them. */
static void
test_closed(void)
{
	static const ScriptAnswer answers[] = {GOOD};
	StoreFetch *fetches[3];
	char		dst[3][9];
	Case		c;

	open_case(&c, answers, COUNT(answers), true, usual);
	for (int i = 0; i < 3; i++)
		fetches[i] = begin(&c, dst[i]);
	CHECK(finish(&c, fetches[1]) == SV_OK && is_there(dst[1]), "one of three");
	store_close(c.store);
	CHECK(c.requests[STORE_GET] == 3, "closing the store ends the others");
	store_fetch_drive(fetches[0]);
	CHECK(finish(&c, fetches[0]) == SV_IO && strstr(c.err.message, "closed") != NULL, "who waits for one is told");
	store_fetch_drop(fetches[2]);
	script_stop(c.script);
}

/* A tier that has some of it is asked when it is needed. */
static void
test_tier(void)
{
	static const ScriptAnswer answers[] = {GOOD, SILENT};
	char		directory[] = "/tmp/skyvault-fetch-XXXXXX";
	uint64_t	budget = 1024 * 1024;
	void	   *region = aligned_alloc(64, (disk_tier_region_bytes(budget) + 63) & ~(size_t) 63);
	DiskTier	tier;
	DiskRange	range = {.number = 0};
	StoreFetch *fetch;
	char		dst[9];
	char		command[64];
	int			counted;
	Case		c;

	if (region == NULL || mkdtemp(directory) == NULL)
		abort();
	open_case(&c, answers, COUNT(answers), true, usual);
	disk_tier_start(&tier, region, budget, directory);
	if (disk_tier_state(&tier) != DISK_TIER_ON || store_tier_open(&c.store, c.store, &tier, "here", &c.err) != SV_OK)
		abort();
	fetch = begin(&c, dst);
	CHECK(fetch != NULL && finish(&c, fetch) == SV_OK && is_there(dst), "what the tier has not is asked of the store");
	range.object = store_tier_object(c.store, "a/b");
	CHECK(!disk_tier_has(&tier, &range), "and not kept");
	disk_tier_write_through(&tier, &range, sv_slice("12345678", 8));
	CHECK(begin(&c, dst) == NULL && c.script->nrequests == 1, "what it has is not");
	disk_tier_clear(&tier);
	fetch = begin(&c, dst);
	CHECK(fetch != NULL, "what it has no more is");
	counted = c.requests[STORE_GET];
	CHECK(is_left(&c, fetch) && c.requests[STORE_GET] == counted, "who waits for it may be ended");
	store_fetch_drop(fetch);
	CHECK(c.requests[STORE_GET] == counted + 1, "and then gives it up, all of it");
	fetch = begin(&c, dst);
	CHECK((store_capabilities(c.store) & STORE_CAN_FETCH_AHEAD) != 0 &&
		  store_fault_open(&c.store, c.store, &c.err) == SV_OK &&
		  (store_capabilities(c.store) & STORE_CAN_FETCH_AHEAD) == 0 && begin(&c, dst) == NULL,
		  "a store before it that cannot begin any says so");
	close_case(&c);
	CHECK(finish(&c, fetch) == SV_IO, "what is begun is over once the store is closed");
	disk_tier_stop(&tier);
	free(region);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	CHECK(system(command) == 0, "cleaned up");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_driven();
	test_tried_again();
	test_cancelled();
	test_concurrency();
	test_closed();
	test_tier();
	return unit_done();
}
