/*
 * peer_skyvault.c
 *		The engine without a server: runs in files, read through the shared
 *		caches.
 *
 * Its runs are what a level of a forest is: disjoint by key, each cut at 64 MiB,
 * and the one to ask is found by binary search over their first keys.  The
 * caches live in one region, mapped the way the server's shared memory is.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sv_hash.h"
#include "cache/run_fetch.h"
#include "peer.h"
#include "sst/sst_writer.h"

/* Little data makes smaller runs, so that there is a level to search in. */
#define MAX_RUN_BYTES ((uint64_t) 64 * 1024 * 1024)
#define LEAST_RUNS 8

#define HUGE_PAGE_BYTES ((size_t) 2 * 1024 * 1024)

/* Bits of a variant. */
#define ONE_RUN		1
#define SMALL_PAGES	2

typedef struct StoreRun
{
	RunReader	reader;
	int			fd;
	char		name[32];
} StoreRun;

struct EngineStore
{
	StoreRun   *runs;
	SvSlice    *first_keys;		/* of the data, which outlives the store */
	uint32_t	run_count;
	void	   *region;
	size_t		region_bytes;
	CacheGuard *guard;
	BlockCache *blocks;
	TailCache  *tails;
	uint32_t	sessions;		/* slots of the guard given out */
};

struct EngineSession
{
	EngineStore *store;
	RunCaches	caches;
	SvBuffer	values;
	RunAnswer	answers[ENGINE_MAX_BATCH];
	const RunReader *readers[ENGINE_MAX_BATCH];
};

static void
check(SvStatus status, const SvError *err)
{
	if (status != SV_OK)
		engine_die("skyvault: %s", err->message);
}

/* Where a run is being written. */
typedef struct RunFile
{
	int			fd;
	uint64_t	bytes;
} RunFile;

static SvStatus
append_to_file(void *state, const void *data, size_t len, SvError *err)
{
	RunFile    *file = state;
	const char *at = data;

	file->bytes += len;
	while (len > 0)
	{
		ssize_t		written = write(file->fd, at, len);

		if (written < 0)
			return sv_fail_os(err, errno, "could not write a run");
		at += written;
		len -= (size_t) written;
	}
	return SV_OK;
}

static SvStatus
read_file(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	const StoreRun *run = state;
	char	   *at = dst;

	while (len > 0)
	{
		ssize_t		got = pread(run->fd, at, len, (off_t) offset);

		if (got <= 0)
			return sv_fail_os(err, got < 0 ? errno : EIO, "could not read \"%s\"", run->name);
		at += got;
		offset += (uint64_t) got;
		len -= (size_t) got;
	}
	return SV_OK;
}

static StoreRun *
add_run(EngineStore *store, SvSlice first_key, const char *directory)
{
	size_t		count = store->run_count + 1;
	StoreRun   *run;
	char		path[4096];

	store->runs = realloc(store->runs, count * sizeof(StoreRun));
	store->first_keys = realloc(store->first_keys, count * sizeof(SvSlice));
	if (store->runs == NULL || store->first_keys == NULL)
		engine_die("out of memory");
	store->first_keys[store->run_count] = first_key;
	run = &store->runs[store->run_count++];
	snprintf(run->name, sizeof(run->name), "run-%zu.sst", count);
	snprintf(path, sizeof(path), "%s/%s", directory, run->name);
	run->fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (run->fd < 0)
		engine_die("could not create \"%s\": %s", path, strerror(errno));
	return run;
}

/* Writes one run, from position `next` on; the answer is where the following one begins. */
static uint32_t
write_run(EngineStore *store, const EngineData *data, uint32_t next, uint64_t run_bytes,
		  const char *directory)
{
	StoreRun   *run = add_run(store, engine_key(data, next), directory);
	RunFile		file = {run->fd, 0};
	SstSink		sink = {append_to_file, &file};
	SstWriterOptions options = SST_WRITER_DEFAULTS;
	uint8_t		value[ENGINE_VALUE_BYTES];
	SstWriter  *writer;
	SstSummary	summary;
	SvError		err;

	check(sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, &err), &err);
	for (; next < data->count && file.bytes < run_bytes; next++)
	{
		SstEntry	entry = {
			.key = engine_key(data, next),.expires_at = SST_NEVER_EXPIRES,.kind = SST_VALUE
		};

		engine_value(entry.key, value);
		entry.value = sv_slice(value, sizeof(value));
		check(sst_writer_add(writer, &entry, &err), &err);
	}
	check(sst_writer_finish(writer, &summary, &err), &err);
	sst_writer_destroy(writer);
	run->reader.file_bytes = summary.file_bytes;
	run->reader.tail_bytes = summary.tail_bytes;
	return next;
}

/* How many blocks a run has, from its tail. */
static uint32_t
count_blocks(const StoreRun *run)
{
	size_t		bytes = (size_t) run->reader.tail_bytes;
	uint8_t    *memory = aligned_alloc(64, (bytes + 63) & ~(size_t) 63);
	SstTail		tail;
	SvError		err;
	uint32_t	blocks;

	if (memory == NULL)
		engine_die("out of memory for a tail of %zu bytes", bytes);
	check(read_file((void *) run, run->reader.file_bytes - bytes, bytes, memory, &err), &err);
	check(sst_tail_parse(&tail, sv_slice(memory, bytes), run->reader.file_bytes, run->name, &err), &err);
	blocks = tail.index.count;
	free(memory);
	return blocks;
}

/*
 * Postgres has its shared memory in huge pages if the system has reserved
 * some.  Otherwise huge pages of private memory stand in for them: threads
 * share it just as well.
 */
static void *
map_region(size_t *bytes, bool huge)
{
	int			protection = PROT_READ | PROT_WRITE;
	void	   *region;

	*bytes = (*bytes + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);
	if (!huge)
		region = mmap(NULL, *bytes, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	else
	{
		region = mmap(NULL, *bytes, protection, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		if (region == MAP_FAILED)
		{
			region = mmap(NULL, *bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (region != MAP_FAILED && madvise(region, *bytes, MADV_HUGEPAGE) != 0)
				fprintf(stderr, "skyvault: this system has no huge pages\n");
		}
	}
	if (region == MAP_FAILED)
		engine_die("could not map %zu bytes: %s", *bytes, strerror(errno));
	return region;
}

static size_t
round_to_page(size_t bytes)
{
	return (bytes + 4095) & ~(size_t) 4095;
}

/* A third more frames than blocks, since shards do not fill alike. */
static void
make_caches(EngineStore *store, bool huge)
{
	size_t		tails = TAIL_CACHE_MIN_BYTES;
	size_t		blocks = 0;
	size_t		guard_bytes = round_to_page(cache_guard_bytes(ENGINE_MAX_THREADS + 2));
	size_t		tails_bytes;
	uint8_t    *at;

	for (uint32_t i = 0; i < store->run_count; i++)
	{
		blocks += count_blocks(&store->runs[i]);
		tails += round_to_page((size_t) store->runs[i].reader.tail_bytes) * 2;
	}
	blocks = BLOCK_CACHE_MIN_BYTES + blocks * SST_FRAME_BYTES / 3 * 4;
	tails_bytes = round_to_page(tail_cache_region_bytes(tails));
	store->region_bytes = guard_bytes + tails_bytes + block_cache_region_bytes(blocks);
	store->region = map_region(&store->region_bytes, huge);
	at = store->region;
	store->guard = cache_guard_init(at, ENGINE_MAX_THREADS + 2);
	store->tails = tail_cache_init(at + guard_bytes, tails, store->guard, NULL);
	store->blocks = block_cache_init(at + guard_bytes + tails_bytes, blocks, NULL);
}

static void
wait_nothing(void *state, uint32_t channel)
{
	(void) state;
	(void) channel;
}

static SvStatus
wait_yield(void *state, uint32_t channel, SvError *err)
{
	(void) state;
	(void) channel;
	(void) err;
	sched_yield();
	return SV_OK;
}

static EngineSession *
begin(EngineStore *store)
{
	EngineSession *session = engine_allocate(sizeof(*session));

	session->store = store;
	session->caches = (RunCaches)
	{
		.guard = store->guard,
		.slot = store->sessions++ % (ENGINE_MAX_THREADS + 2),
		.blocks = store->blocks,
		.tails = store->tails,
		.waiter = {wait_nothing, wait_yield, wait_nothing, wait_nothing, NULL},
	};
	run_caches_init(&session->caches);
	sv_buffer_init(&session->values, &sv_malloc_alloc);
	return session;
}

static void
end(EngineSession *session)
{
	run_caches_release(&session->caches);
	sv_buffer_free(&session->values);
	free(session);
}

/* Stored bytes at which a run is cut. */
static uint64_t
choose_run_bytes(const EnginePeer *peer, const EngineData *data)
{
	uint64_t	share = (uint64_t) data->count * ENGINE_VALUE_BYTES / 2 / LEAST_RUNS;

	if ((peer->variant & ONE_RUN) != 0)
		return UINT64_MAX;
	return share < MAX_RUN_BYTES ? share : MAX_RUN_BYTES;
}

/* Loads every block; answers how many were not there. */
static uint64_t
warm(EngineStore *store)
{
	EngineSession *session = begin(store);
	uint64_t	missed = 0;
	SvError		err;

	for (uint32_t i = 0; i < store->run_count; i++)
	{
		RunScan		scan;

		check(run_scan_open(&scan, &session->caches, &store->runs[i].reader, &err), &err);
		for (uint32_t block = 0; block < scan.tail->index.count; block++)
		{
			bool		loaded;

			check(run_scan_warm(&scan, block, &loaded, &err), &err);
			missed += loaded;
		}
		run_scan_close(&scan);
	}
	end(session);
	return missed;
}

static EngineStore *
load(const EnginePeer *peer, const EngineData *data, const char *directory)
{
	EngineStore *store = calloc(1, sizeof(*store));
	uint64_t	run_bytes = choose_run_bytes(peer, data);

	if (store == NULL)
		engine_die("out of memory");
	for (uint32_t next = 0; next < data->count;)
		next = write_run(store, data, next, run_bytes, directory);
	for (uint32_t i = 0; i < store->run_count; i++)
	{
		StoreRun   *run = &store->runs[i];

		run->reader.id.lo = sv_hash64(sv_slice(run->name, strlen(run->name)));
		run->reader.id.hi = ~run->reader.id.lo;
		run->reader.source = (SstSource) {read_file, run, run->name};
	}
	make_caches(store, (peer->variant & SMALL_PAGES) == 0);
	(void) warm(store);
	if (warm(store) > 0)
		engine_die("skyvault: the cache does not hold everything");
	return store;
}

static void
close_store(EngineStore *store)
{
	for (uint32_t i = 0; i < store->run_count; i++)
		close(store->runs[i].fd);
	munmap(store->region, store->region_bytes);
	free(store->runs);
	free(store->first_keys);
	free(store);
}

static uint64_t
disk_bytes(EngineStore *store)
{
	uint64_t	bytes = 0;

	for (uint32_t i = 0; i < store->run_count; i++)
		bytes += store->runs[i].reader.file_bytes;
	return bytes;
}

static uint64_t
index_bytes(EngineStore *store)
{
	uint64_t	bytes = 0;

	for (uint32_t i = 0; i < store->run_count; i++)
		bytes += store->runs[i].reader.tail_bytes;
	return bytes;
}

/* How many runs begin at or before the key. */
static uint32_t
runs_up_to(const EngineStore *store, SvSlice key)
{
	uint32_t	low = 0;
	uint32_t	high = store->run_count;

	while (low < high)
	{
		uint32_t	middle = (low + high) / 2;

		if (sv_slice_compare(store->first_keys[middle], key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static SvSlice
answered(const EngineSession *session, const RunAnswer *answer)
{
	if (answer->kind == RUN_ABSENT)
		return sv_slice(NULL, 0);
	return sv_slice(session->values.data + answer->value_at, answer->value_len);
}

static bool
get(EngineSession *session, SvSlice key, SvSlice *value)
{
	uint32_t	up_to = runs_up_to(session->store, key);
	RunAnswer	answer = {.kind = RUN_ABSENT};
	SvError		err;

	sv_buffer_reset(&session->values);
	if (up_to > 0)
		check(run_reader_get(&session->caches, &session->store->runs[up_to - 1].reader, key,
							 &session->values, &answer, &err), &err);
	*value = answered(session, &answer);
	return answer.kind != RUN_ABSENT;
}

/* Keys below the first run's are asked of it as well, and are not there. */
static void
get_many(EngineSession *session, const SvSlice *keys, uint32_t n, SvSlice *values)
{
	EngineStore *store = session->store;
	uint32_t	uncached;
	SvError		err;

	sv_buffer_reset(&session->values);
	for (uint32_t at = 0; at < n;)
	{
		uint32_t	up_to = runs_up_to(store, keys[at]);

		do
			session->readers[at++] = &store->runs[up_to == 0 ? 0 : up_to - 1].reader;
		while (at < n && (up_to == store->run_count ||
						  sv_slice_compare(keys[at], store->first_keys[up_to]) < 0));
	}
	check(run_reader_get_many(&session->caches, session->readers, keys, n, &session->values,
							  session->answers, &uncached, &err), &err);
	if (uncached > 0)
		check(run_fetch_many(&session->caches, &run_fetch_singly, session->readers, keys, n, &session->values,
							 session->answers, &err), &err);
	for (uint32_t i = 0; i < n; i++)
		values[i] = answered(session, &session->answers[i]);
}

#define SKYVAULT(peer_name, peer_variant) \
	{ \
		.name = (peer_name), .variant = (peer_variant), .load = load, .close = close_store, \
		.disk_bytes = disk_bytes, .index_bytes = index_bytes, .begin = begin, .end = end, \
		.get = get, .get_many = get_many \
	}

const EnginePeer engine_skyvault = SKYVAULT("skyvault", 0);
const EnginePeer engine_skyvault_one_run = SKYVAULT("skyvault-1run", ONE_RUN);
const EnginePeer engine_skyvault_small_pages = SKYVAULT("skyvault-4kpages", SMALL_PAGES);
