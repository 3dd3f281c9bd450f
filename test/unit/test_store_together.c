/*
 * test_store_together.c
 *		Gets of several stores at once: one wait for all, each with its own tries, errors
 *		and accounts; also by way of a disk tier, and with a store that knows no steps.
 */
#include "cache/disk_tier.h"
#include "store/store_call.h"
#include "store/store_fault.h"
#include "store/store_tier.h"
#include "store/store_together.h"
#include "unit.h"

#include "s3_case.h"

#define STORES 3

/* What is asked of each store: one range of 8 bytes. */
typedef struct Asked
{
	StoreCall	calls[STORES];
	StoreRange	ranges[STORES];
	StoreGet	gets[STORES];
	char		read[STORES][9];
	bool		there[STORES];
	int			which;
	int			failed;
	SvError		err;
} Asked;

static int	most_watched;
static int	seen_there;

/* Waits, and keeps how many sockets that was for. */
static void
watch(void *state, const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	(void) state;
	if (nfds > most_watched)
		most_watched = nfds;
	store_wait(NULL, fds, nfds, timeout_ms);
}

static void
look(void *state)
{
	const Asked *asked = state;

	for (int i = 0; i < STORES; i++)
		seen_there += asked->there[i] && strcmp(asked->read[i], "12345678") != 0;
}

static SvStatus
ask(Asked *asked, Case *cases, int n)
{
	memset(asked, 0, sizeof(*asked));
	most_watched = seen_there = 0;
	for (int i = 0; i < n; i++)
	{
		asked->calls[i] = call_of(&cases[i]);
		asked->calls[i].wait = watch;
		asked->calls[i].progress = look;
		asked->calls[i].progress_state = asked;
		asked->ranges[i] = (StoreRange) {
			.name = "a/b",.len = 8,.dst = asked->read[i],.object_bytes = 8,.there = &asked->there[i]
		};
		asked->gets[i] = (StoreGet) {cases[i].store, &asked->ranges[i], 1, &asked->calls[i]};
	}
	return store_get_together(asked->gets, n, &asked->which, &asked->failed, &asked->err);
}

static bool
has_all(const Asked *asked, int n)
{
	bool		all = true;

	for (int i = 0; i < n; i++)
		all = all && strcmp(asked->read[i], "12345678") == 0;
	return all;
}

static void
test_at_once(void)
{
	static const ScriptAnswer good[] = {GOOD};
	static const ScriptAnswer slow[] = {SILENT, GOOD};
	static const ScriptAnswer bad_days[] = {DIED, XML("503 Slow Down", "SlowDown"), GOOD};
	Case		cases[STORES];
	Asked		asked;

	for (int i = 0; i < STORES; i++)
		open_case(&cases[i], i == 1 ? bad_days : good, i == 1 ? COUNT(bad_days) : COUNT(good), true, usual);
	CHECK(ask(&asked, cases, STORES) == SV_OK && has_all(&asked, STORES), "three stores, of which one has a bad day");
	CHECK(seen_there == 0, "what is said to be there is there");
	CHECK(cases[0].requests[STORE_GET] == 1 && cases[1].retries == 2 && cases[2].requests[STORE_GET] == 1,
		  "each has its own tries and accounts");
	CHECK(ask(&asked, cases, 1) == SV_OK && has_all(&asked, 1), "one store is several, too");
	for (int i = 0; i < STORES; i++)
		close_case(&cases[i]);

	for (int i = 0; i < STORES; i++)
		open_case(&cases[i], slow, COUNT(slow), true, usual);
	CHECK(ask(&asked, cases, STORES) == SV_OK && has_all(&asked, STORES) && most_watched == STORES,
		  "one wait is for the sockets of all");
	for (int i = 0; i < STORES; i++)
		close_case(&cases[i]);
}

static void
test_errors(void)
{
	static const ScriptAnswer good[] = {GOOD};
	static const ScriptAnswer missing[] = {XML("404 Not Found", "NoSuchKey")};
	static const ScriptAnswer denied[] = {XML("403 Forbidden", "AccessDenied")};
	static const ScriptAnswer silent[] = {SILENT};
	Case		cases[STORES];
	Asked		asked;

	open_case(&cases[0], silent, COUNT(silent), true, usual);
	open_case(&cases[1], good, COUNT(good), true, usual);
	open_case(&cases[2], denied, COUNT(denied), true, usual);
	CHECK(ask(&asked, cases, STORES) == SV_DENIED && asked.which == 2 && asked.failed == 0,
		  "one that may not be read ends all, and is named");
	CHECK(cases[0].requests[STORE_GET] == 1, "what was under way is given up, and counted");
	CHECK(read_some(&cases[1]) == SV_OK, "the others go on");
	close_case(&cases[2]);

	open_case(&cases[2], missing, COUNT(missing), true, usual);
	CHECK(ask(&asked, &cases[1], 2) == SV_NOT_FOUND && asked.which == 1 && asked.failed == 0,
		  "an object that is not there");
	cases[1].left = 3;
	CHECK(ask(&asked, cases, 2) == SV_CANCELLED && asked.failed == -1, "a cancel, which any of them may see");
	for (int i = 0; i < STORES; i++)
		close_case(&cases[i]);
}

/* A store without steps reads among others. */
static void
test_no_steps(void)
{
	static const ScriptAnswer good[] = {GOOD};
	StoreFault	fault = {.kind = STORE_FAULT_FAIL,.operation = STORE_GET,.first = 2,.last = 2,.status = SV_IO};
	Case		cases[STORES];
	Asked		asked;

	for (int i = 0; i < STORES; i++)
		open_case(&cases[i], good, COUNT(good), true, usual);
	if (store_fault_open(&cases[0].store, cases[0].store, &asked.err) != SV_OK ||
		store_fault_add(cases[0].store, &fault, &asked.err) != SV_OK)
		abort();
	CHECK(ask(&asked, cases, STORES) == SV_OK && has_all(&asked, STORES), "one that knows no steps");
	CHECK(ask(&asked, cases, STORES) == SV_IO && asked.which == 0 && asked.failed == 0, "and may fail");
	for (int i = 0; i < STORES; i++)
		close_case(&cases[i]);
}

/* By way of a disk tier that two of them share, as if they were one store. */
static void
test_tier(void)
{
	static const ScriptAnswer good[] = {GOOD};
	static const ScriptAnswer denied[] = {XML("403 Forbidden", "AccessDenied"), GOOD};
	static const char *const places[STORES] = {"here", "here", "there"};
	char		directory[] = "/tmp/skyvault-together-XXXXXX";
	uint64_t	budget = 1024 * 1024;
	void	   *region = aligned_alloc(64, (disk_tier_region_bytes(budget) + 63) & ~(size_t) 63);
	char		command[64];
	Case		cases[STORES];
	DiskTier	tier;
	Asked		asked;

	if (region == NULL || mkdtemp(directory) == NULL)
		abort();
	disk_tier_start(&tier, region, budget, directory);
	for (int i = 0; i < STORES; i++)
	{
		open_case(&cases[i], i == 2 ? denied : good, i == 2 ? COUNT(denied) : COUNT(good), true, usual);
		if (store_tier_open(&cases[i].store, cases[i].store, &tier, places[i], &asked.err) != SV_OK)
			abort();
	}
	CHECK(ask(&asked, cases, STORES) == SV_DENIED && asked.which == 2 && asked.failed == 0,
		  "one that fails behind a tier");
	CHECK(ask(&asked, cases, STORES) == SV_OK && has_all(&asked, STORES), "has left no claim behind");
	CHECK(cases[1].script->nrequests == 0, "who wants what another one fetches waits for it");
	CHECK(ask(&asked, cases, STORES) == SV_OK && has_all(&asked, STORES) && most_watched == 0,
		  "and then the tier has all");
	for (int i = 0; i < STORES; i++)
		close_case(&cases[i]);
	disk_tier_stop(&tier);
	free(region);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	CHECK(system(command) == 0, "cleaned up");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_at_once();
	test_errors();
	test_no_steps();
	test_tier();
	return unit_done();
}
