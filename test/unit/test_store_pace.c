/*
 * test_store_pace.c
 *		How fast the S3 drivers ask: pauses between tries, how many requests are
 *		under way, when a second one goes out beside a slow one.
 */
#include "unit.h"

#include "s3_case.h"
#include "store/store_backoff.h"

#define MANY 12
#define SLOW XML("503 Slow Down", "SlowDown")

/* -------------------------------------------------------------------------
 * The pause itself
 * ------------------------------------------------------------------------- */

#define DRAWS 2000

/* Of many pauses after so many tries: all are between half and all of whole_ms, and reach far into each end of that. */
static bool
pauses_fill(int tries, int longest_ms, int whole_ms, uint64_t *random)
{
	uint64_t	whole = (uint64_t) whole_ms * 1000;
	uint64_t	least = UINT64_MAX;
	uint64_t	most = 0;
	int			repeated = 0;
	uint64_t	before = 0;

	for (int i = 0; i < DRAWS; i++)
	{
		uint64_t	pause = store_backoff_us(tries, longest_ms, random);

		least = pause < least ? pause : least;
		most = pause > most ? pause : most;
		repeated += pause == before;
		before = pause;
	}
	if (least >= whole / 2 && most <= whole && least < whole / 2 + whole / 20 && most > whole - whole / 20 &&
		repeated < DRAWS / 100)
		return true;
	printf("# after %d tries: %llu to %llu us, %d repeated\n", tries, (unsigned long long) least,
		   (unsigned long long) most, repeated);
	return false;
}

static void
test_backoff(void)
{
	uint64_t	random = 0;
	uint64_t	other = 0;
	int			same = 0;
	bool		all = true;

	for (int tries = 1, whole_ms = STORE_FIRST_PAUSE_MS; tries <= 8; tries++, whole_ms *= 2)
		all = all && pauses_fill(tries, 10000, whole_ms, &random);
	CHECK(all, "each pause is twice as long as the one before, with jitter in its second half");
	CHECK(pauses_fill(9, 10000, 10000, &random) && pauses_fill(20, 10000, 10000, &random) &&
		  pauses_fill(INT32_MAX, 10000, 10000, &random) && pauses_fill(7, 100, 100, &random), "up to the longest");
	CHECK(pauses_fill(0, 10000, STORE_FIRST_PAUSE_MS, &random), "without a try it is the first one");
	for (int i = 0; i < DRAWS; i++)
		same += store_backoff_us(5, 10000, &random) == store_backoff_us(5, 10000, &other);
	CHECK(same < DRAWS / 100, "two stores do not draw the same");
}

/* -------------------------------------------------------------------------
 * The drivers
 * ------------------------------------------------------------------------- */

static void
open_driver(Case *c, int driver, const ScriptAnswer *answers, int nanswers, StoreS3Options options)
{
	if (driver == 0)
		open_case(c, answers, nanswers, true, options);
	else
		open_case_v2(c, answers, nanswers, options);
}

/* One call that takes as many requests. */
static SvStatus
read_many(Case *c, int n)
{
	static char names[MANY][16];
	static char bytes[MANY][8];
	StoreRange	ranges[MANY] = {{0}};
	StoreCall	call = call_of(c);
	SvStatus	status;

	for (int i = 0; i < n; i++)
	{
		snprintf(names[i], sizeof(names[i]), "a/%d", i);
		memset(bytes[i], 0, sizeof(bytes[i]));
		ranges[i] = (StoreRange) {.name = names[i],.len = 8,.dst = bytes[i]};
	}
	status = store_get(c->store, ranges, n, NULL, &call, &c->err);
	if (status != SV_OK)
		printf("# %s; %s\n", c->err.message, c->err.detail);
	for (int i = 0; i < n && status == SV_OK; i++)
		if (memcmp(bytes[i], "12345678", 8) != 0)
			return SV_CORRUPT;
	return status;
}

/* The greatest number of requests that were there when one of these came. */
static int
most_in_flight(const Script *script, int first, int last)
{
	int			most = 0;

	for (int i = first; i <= last && i < script->nrequests; i++)
		most = script->in_flight[i] > most ? script->in_flight[i] : most;
	return most;
}

/* Nothing but an answer ends a request. */
static StoreS3Options
patient(int io_concurrency)
{
	StoreS3Options options = usual;

	options.timeout_ms = options.deadline_ms = 100000;
	options.io_concurrency = io_concurrency;
	return options;
}

/* Who is refused again and again waits longer each time: the store sees that. */
static void
test_pauses(int driver)
{
	static const ScriptAnswer answers[] = {SLOW, SLOW, SLOW, SLOW, SLOW, GOOD};
	StoreS3Options options = patient(0);
	bool		all = true;
	Case		c;

	options.max_retries = 5;
	open_driver(&c, driver, answers, COUNT(answers), options);
	all = read_some(&c) == SV_OK && c.script->nrequests == COUNT(answers);
	for (int i = 1; i < COUNT(answers) && all; i++)
		all = c.script->arrived_us[i] - c.script->arrived_us[i - 1] >=
			((uint64_t) STORE_FIRST_PAUSE_MS << (i - 1)) * 500;
	CHECK(all, driver == 0 ? "v4: each pause is longer than the one before" : "v2: so it is");
	close_case(&c);
}

static void
test_retry_after(void)
{
	static const ScriptAnswer answers[] = {{"HTTP/1.1 503 Slow Down\r\nRetry-After: 1", "", THEN_KEEP, false}, GOOD};
	Case		c;

	open_driver(&c, 0, answers, COUNT(answers), patient(0));
	CHECK(read_some(&c) == SV_OK && c.script->nrequests == 2 &&
		  c.script->arrived_us[1] >= c.script->arrived_us[0] + 1000000, "a pause that the store wishes for is made");
	close_case(&c);
}

static void
test_bound(int driver)
{
	static const ScriptAnswer answers[] = {GOOD};

	for (int bound = 1; bound <= 4; bound *= 2)
	{
		Case		c;

		open_driver(&c, driver, answers, 1, patient(bound));
		c.script->gate = bound;
		CHECK(read_many(&c, MANY) == SV_OK && c.script->nrequests == MANY &&
			  most_in_flight(c.script, 0, MANY - 1) == bound,
			  "so many requests are under way as may be, and no more");
		close_case(&c);
	}
}

/* Four are told to slow down, and then the first two again. */
static void
test_slow_down(void)
{
	static const ScriptAnswer answers[] = {SLOW, SLOW, SLOW, SLOW, SLOW, SLOW, GOOD};
	S3Store    *store;
	Case		c;

	open_driver(&c, 0, answers, COUNT(answers), patient(4));
	store = (S3Store *) c.store;
	c.script->gate = 4;
	CHECK(read_many(&c, MANY) == SV_OK && c.script->nrequests == MANY + 6 && c.retries == 6, "all are read in the end");
	CHECK(most_in_flight(c.script, 0, 3) == 4, "four are under way");
	CHECK(most_in_flight(c.script, 4, 5) <= 2, "after SlowDown two at most, those that were refused included");
	CHECK(most_in_flight(c.script, 6, 13) == 1, "after another one at a time");
	CHECK(store->concurrency == 2, "and after eight good answers one more");
	close_case(&c);
}

/* Of the last 64 GETs 59 were fast, one took 300 ms, and four an hour. */
static void
test_hedge_share(void)
{
	static const ScriptAnswer answers[] = {SILENT, GOOD};
	StoreS3Options options = usual;
	uint64_t	begin;
	S3Store    *store;
	Case		c;

	options.timeout_ms = 15000;
	options.hedge_percent = 95;
	open_driver(&c, 0, answers, COUNT(answers), options);
	store = (S3Store *) c.store;
	for (unsigned i = 0; i < S3_LATENCIES; i++)
		store->latencies[i * 37 % S3_LATENCIES] = i < 59 ? 1000 : i == 59 ? 300000 : UINT64_C(3600000000);
	store->nlatencies = S3_LATENCIES;
	begin = store_now_us();
	CHECK(read_some(&c) == SV_OK && c.script->nrequests == 2 && c.hedges == 1 && c.retries == 0 &&
		  c.script->arrived_us[1] >= begin + 300000, "a hedge goes out when 95 of 100 GETs were answered, not sooner");
	close_case(&c);
}

/* -------------------------------------------------------------------------
 * Descriptors
 * ------------------------------------------------------------------------- */

static int	descriptors;
static int	most_descriptors;
static int	may_reserve;

static bool
reserve(void *state)
{
	(void) state;
	if (descriptors >= may_reserve)
		return false;
	if (++descriptors > most_descriptors)
		most_descriptors = descriptors;
	return true;
}

static void
release(void *state)
{
	(void) state;
	descriptors--;
}

/* The client has two for itself.  (That of v2 is in test_store_s3v2.c.) */
static void
test_few_descriptors(void)
{
	static const ScriptAnswer answers[] = {GOOD};
	StoreS3Options options = patient(8);
	bool		all = true;
	Case		c;

	options.http.reserve_fd = reserve;
	options.http.release_fd = release;
	may_reserve = 2 + 3;
	open_driver(&c, 0, answers, COUNT(answers), options);
	c.script->gate = 3;
	for (int i = 0; i < 3; i++)
		all = all && read_many(&c, MANY) == SV_OK;
	CHECK(all && most_in_flight(c.script, 0, 3 * MANY - 1) == 3 && most_descriptors == may_reserve,
		  "where there are descriptors for three connections, three requests are under way");
	CHECK(c.script->nrequests == 3 * MANY && c.requests[STORE_GET] == 3 * MANY,
		  "and those that could not be sent are not counted");
	store_close(c.store);
	CHECK(descriptors == 0, "all are given back");
	script_stop(c.script);

	options.max_retries = 1;
	may_reserve = 2;
	open_driver(&c, 0, answers, COUNT(answers), options);
	CHECK(read_some(&c) == SV_IO && strstr(c.err.message, "too many open files") != NULL &&
		  strstr(c.err.hint, "max_files_per_process") != NULL && c.script->nconnections == 0, "there is none");
	may_reserve = 3;
	CHECK(read_some(&c) == SV_OK && c.script->nrequests == 1, "there is one again");
	close_case(&c);
	CHECK(descriptors == 0, "which is given back");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "*", 1);
	test_backoff();
	for (int driver = 0; driver < 2; driver++)
	{
		test_pauses(driver);
		test_bound(driver);
	}
	test_retry_after();
	test_slow_down();
	test_hedge_share();
	test_few_descriptors();
	return unit_done();
}
