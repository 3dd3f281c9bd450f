/*
 * forest_filter.c
 *		A filter over the keys of the delta, in shared memory.
 *
 * The memory is an array of pairs of generations, and beside it an array that
 * says which database has which pair.  A pair is taken with compare-and-swap;
 * no lock is needed, because only a database's scheduler takes one for it.
 *
 * A generation is a Bloom filter of cache lines: a key's hash chooses one, and
 * one bit in each of its eight words.  With 12 bits a key less than 1 % of
 * other keys pass.
 */
#include "postgres.h"

#include "forest/forest_filter.h"

#include "access/xact.h"
#include "base/sv_hash.h"
#include "base/sv_prefetch.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "port/pg_bitutils.h"
#include "server/pg_compat.h"
#include "server/pg_settings.h"
#include "server/stop_point.h"
#include "sst/sst_entry.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/snapmgr.h"

/* So many keys have their lines on the way together. */
#define EXCLUDE_WIDTH 64

#define GENERATION_MAX_BYTES (1024 * 1024)

#define LINE_WORDS 8

typedef struct FilterLine
{
	pg_atomic_uint64 words[LINE_WORDS];
} FilterLine;

/* The lowest 16 bits of a hash choose the line, 6 more each the bit of a word. */
#define HASH_LINE_BITS	16
#define HASH_WORD_BITS	6

StaticAssertDecl(GENERATION_MAX_BYTES / sizeof(FilterLine) <= (1 << HASH_LINE_BITS), "every line has a hash");
StaticAssertDecl(HASH_LINE_BITS + LINE_WORDS * HASH_WORD_BITS <= 64, "a hash has bits for each word");

/* The word of a state: phase, which generation is the newest, and the number of transitions so far. */
#define STATE_PHASE_MASK	UINT64CONST(3)
#define STATE_NEWEST		UINT64CONST(4)
#define STATE_TRANSITION	UINT64CONST(8)

typedef struct FilterPair
{
	pg_atomic_uint64 state;
	char		pad[PG_CACHE_LINE_SIZE - sizeof(pg_atomic_uint64)];

	/* Apart from what all readers read. */
	pg_atomic_uint64 checks;
	pg_atomic_uint64 negatives;
	char		pad2[PG_CACHE_LINE_SIZE - 2 * sizeof(pg_atomic_uint64)];
} FilterPair;

/* Constant after start-up, except for what the arrays hold. */
typedef struct FilterShared
{
	int			npairs;
	uint32		lines;			/* of a generation: a power of two */
} FilterShared;

static FilterShared *shared = NULL;
static pg_atomic_uint32 *owners = NULL; /* database of each pair, InvalidOid: free */
static FilterPair *pairs = NULL;
static FilterLine *lines = NULL;	/* pair 0's generations 0 and 1, pair 1's, and so on */

/* Where this database's pair was found last; only a guess. */
static int	own_pair_guess = 0;

/* What this process has not yet added to the shared numbers. */
#define COUNTS_KEPT 1000

static int64 unsent_checks = 0;
static int64 unsent_negatives = 0;
static bool exit_callback_registered = false;

static Size
generation_bytes(void)
{
	Size		limit = Min((Size) setting_delta_filter_size_kb * 1024 / 2, GENERATION_MAX_BYTES);
	Size		bytes = sizeof(FilterLine);

	while (bytes * 2 <= limit)
		bytes *= 2;
	return bytes;
}

static int
pair_count(void)
{
	return (Size) setting_delta_filter_size_kb * 1024 / (2 * generation_bytes());
}

static Size
header_bytes(void)
{
	return CACHELINEALIGN(sizeof(FilterShared)) +
		CACHELINEALIGN(pair_count() * sizeof(pg_atomic_uint32)) +
		pair_count() * sizeof(FilterPair);
}

static Size
shared_bytes(void)
{
	return add_size(header_bytes(), mul_size(pair_count(), 2 * generation_bytes()));
}

void
forest_filter_request(void)
{
	RequestAddinShmemSpace(CACHELINEALIGN(shared_bytes()));
}

void
forest_filter_startup(void)
{
	bool		found;
	char	   *at;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("skyvault delta filter", shared_bytes(), &found);
	at = (char *) shared + CACHELINEALIGN(sizeof(FilterShared));
	owners = (pg_atomic_uint32 *) at;
	at += CACHELINEALIGN(pair_count() * sizeof(pg_atomic_uint32));
	pairs = (FilterPair *) at;
	lines = (FilterLine *) ((char *) shared + header_bytes());
	if (!found)
	{
		shared->npairs = pair_count();
		shared->lines = generation_bytes() / sizeof(FilterLine);
		for (int i = 0; i < shared->npairs; i++)
		{
			pg_atomic_init_u32(&owners[i], InvalidOid);
			pg_atomic_init_u64(&pairs[i].state, FILTER_UNKNOWN);
			pg_atomic_init_u64(&pairs[i].checks, 0);
			pg_atomic_init_u64(&pairs[i].negatives, 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

/* -1 if the database has none. */
static int
find_pair(Oid dboid)
{
	for (int i = 0; i < shared->npairs; i++)
		if (pg_atomic_read_u32(&owners[i]) == dboid)
			return i;
	return -1;
}

/* Of this database; -1 if it has none at the moment. */
static inline int
own_pair(void)
{
	int			pair = own_pair_guess;

	if (likely(pair < shared->npairs && pg_atomic_read_u32(&owners[pair]) == MyDatabaseId))
		return pair;
	pair = find_pair(MyDatabaseId);
	if (pair >= 0)
		own_pair_guess = pair;
	return pair;
}

static inline int
newest_of(FilterState state)
{
	return (state & STATE_NEWEST) != 0 ? 1 : 0;
}

FilterPhase
forest_filter_phase(FilterState state)
{
	return (FilterPhase) (state & STATE_PHASE_MASK);
}

static FilterState
state_after(FilterState state, FilterPhase phase, int newest)
{
	return ((state & ~(STATE_PHASE_MASK | STATE_NEWEST)) + STATE_TRANSITION) |
		(newest == 1 ? STATE_NEWEST : 0) | phase;
}

static inline FilterLine *
generation(int pair, int which)
{
	return lines + ((Size) pair * 2 + which) * shared->lines;
}

static uint64
hash_key(int32 table_id, SvSlice key)
{
	uint8		walkey[LSM_WALKEY_PREFIX_BYTES + SST_MAX_KEY_BYTES];

	if (key.len > SST_MAX_KEY_BYTES)
		return 0;				/* nobody looks for it */
	lsm_walkey_prefix(walkey, table_id);
	if (key.len > 0)
		memcpy(walkey + LSM_WALKEY_PREFIX_BYTES, key.data, key.len);
	return sv_hash64(sv_slice(walkey, LSM_WALKEY_PREFIX_BYTES + key.len));
}

/* What stands for a table that has keys: no key's hash but by chance. */
static uint64
hash_table(int32 table_id)
{
	return ~hash_key(table_id, sv_slice(NULL, 0));
}

static inline FilterLine *
line_of(int pair, int which, uint64 hash)
{
	return &generation(pair, which)[hash & (shared->lines - 1)];
}

static inline uint64
word_bit(uint64 hash, int word)
{
	return UINT64CONST(1) << ((hash >> (HASH_LINE_BITS + word * HASH_WORD_BITS)) & 63);
}

static inline bool
line_has(FilterLine *line, uint64 hash)
{
	for (int i = 0; i < LINE_WORDS; i++)
		if ((pg_atomic_read_u64(&line->words[i]) & word_bit(hash, i)) == 0)
			return false;
	return true;
}

static void
add_hash(FilterLine *line, uint64 hash)
{
	for (int i = 0; i < LINE_WORDS; i++)
		if ((pg_atomic_read_u64(&line->words[i]) & word_bit(hash, i)) == 0)
			pg_atomic_fetch_or_u64(&line->words[i], word_bit(hash, i));
}

/*
 * The state is read after this transaction got its virtual xid, with full
 * barriers in between (it has locked the delta): so a scheduler that has
 * published a generation which is not seen here yet finds this transaction
 * running.  If the pair changes hands meanwhile, another database has bits too
 * many.
 */
void
forest_filter_add(int32 table_id, SvSlice key)
{
	int			pair = own_pair();
	FilterState state;
	uint64		hash;

	if (pair < 0)
		return;
	state = pg_atomic_read_u64(&pairs[pair].state);
	if (forest_filter_phase(state) == FILTER_UNKNOWN)
		return;
	hash = hash_key(table_id, key);
	add_hash(line_of(pair, newest_of(state), hash), hash);
	hash = hash_table(table_id);
	add_hash(line_of(pair, newest_of(state), hash), hash);
}

bool
forest_filter_serves(Snapshot snapshot)
{
	return snapshot->snapshot_type == SNAPSHOT_MVCC && !snapshot->takenDuringRecovery &&
		!IsolationIsSerializable() && !compat_old_snapshot_threshold_active();
}

static void
send_counts(int pair)
{
	pg_atomic_fetch_add_u64(&pairs[pair].checks, unsent_checks);
	pg_atomic_fetch_add_u64(&pairs[pair].negatives, unsent_negatives);
	unsent_checks = 0;
	unsent_negatives = 0;
}

static void
send_counts_at_exit(int code, Datum arg)
{
	int			pair = own_pair();

	if (pair >= 0)
		send_counts(pair);
}

static inline void
count_checks(int pair, int checks, int negatives)
{
	if (unlikely(!exit_callback_registered))
	{
		before_shmem_exit(send_counts_at_exit, (Datum) 0);
		exit_callback_registered = true;
	}
	unsent_negatives += negatives;
	unsent_checks += checks;
	if (unlikely(unsent_checks >= COUNTS_KEPT))
		send_counts(pair);
}

/*
 * Why it is right.  Let v be a row version of the key that a snapshot S sees
 * which was taken before, W the transaction that inserted it, and s the state
 * that is read here.
 *
 * W added the key to the generation that was the newest one when its trigger
 * read the state, if there was one.  If s does not name that generation, s names
 * one, B, that was published later and is complete.  So W was running when B was
 * published, or had ended before (if it began later, it saw B, or what came
 * after); in both cases it had ended, or was prepared, when the scheduler looked
 * through the heap for B, and v was there.  It was not dead to all: not if S was
 * taken before that, because S still sees it; nor if S was taken after, because
 * then its deleter had not committed.  So B has the key.
 *
 * If v is of this very transaction, which is still running: what was published
 * since it began is not complete.
 *
 * The order of accesses: S was taken before s is read; the owner is read after
 * s, so that s is not another database's; bits are read after s, and the state
 * again after the bits, so that what is cleared meanwhile is not believed.
 */
static inline bool
begin_look(int pair, FilterState *state)
{
	FilterPhase phase;

	if (pair < 0)
		return false;
	pg_read_barrier();
	*state = pg_atomic_read_u64(&pairs[pair].state);
	phase = forest_filter_phase(*state);
	if (phase != FILTER_COMPLETE && phase != FILTER_BOTH)
		return false;
	pg_read_barrier();
	if (pg_atomic_read_u32(&owners[pair]) != MyDatabaseId)
		return false;
	STOP_POINT("delta-filter-state-read");
	return true;
}

static inline bool
has_bits(int pair, FilterState state, uint64 hash)
{
	return line_has(line_of(pair, newest_of(state), hash), hash) ||
		(forest_filter_phase(state) == FILTER_BOTH && line_has(line_of(pair, 1 - newest_of(state), hash), hash));
}

/* Whether what was read of the bits since begin_look counts. */
static inline bool
end_look(int pair, FilterState state)
{
	pg_read_barrier();
	return pg_atomic_read_u64(&pairs[pair].state) == state;
}

static inline bool
excludes(int pair, uint64 hash, bool *asked)
{
	FilterState state;
	bool		found;

	*asked = false;
	if (!begin_look(pair, &state))
		return false;
	found = has_bits(pair, state, hash);
	*asked = end_look(pair, state);
	return *asked && !found;
}

bool
forest_filter_excludes(int32 table_id, SvSlice key)
{
	int			pair = own_pair();
	bool		asked;
	bool		result = excludes(pair, hash_key(table_id, key), &asked);

	if (asked)
		count_checks(pair, 1, result);
	return result;
}

/* The same reasoning: what is said there of the key holds of the table's mark, which is added with each key. */
bool
forest_filter_excludes_table(int32 table_id)
{
	bool		asked;

	return excludes(own_pair(), hash_table(table_id), &asked);
}

/*
 * Some keys, each hashed once, and their lines asked for before the first is looked
 * at.  Of the argument above nothing changes by reading the bits of many keys
 * between the two looks at the state.  False: nothing can be said.
 */
static bool
exclude_some(int32 table_id, const SvSlice *keys, int n, bool *excluded)
{
	int			pair = own_pair();
	uint64		hashes[EXCLUDE_WIDTH];
	FilterState state;
	int			negatives = 0;

	if (!begin_look(pair, &state))
		return false;
	for (int i = 0; i < n; i++)
	{
		hashes[i] = hash_key(table_id, keys[i]);
		sv_prefetch(line_of(pair, newest_of(state), hashes[i]));
	}
	for (int i = 0; i < n; i++)
		excluded[i] = !has_bits(pair, state, hashes[i]);
	if (!end_look(pair, state))
		return false;
	for (int i = 0; i < n; i++)
		negatives += excluded[i];
	/* The others are asked for once more, one by one. */
	count_checks(pair, negatives, negatives);
	return true;
}

void
forest_filter_exclude(int32 table_id, const SvSlice *keys, int n, bool *excluded)
{
	if (forest_filter_excludes_table(table_id))
	{
		count_checks(own_pair(), n, n);
		memset(excluded, true, n);
		return;
	}
	for (int done = 0; done < n; done += EXCLUDE_WIDTH)
	{
		int			width = Min(n - done, EXCLUDE_WIDTH);

		if (!exclude_some(table_id, keys + done, width, excluded + done))
			memset(excluded + done, false, width);
	}
}

/* A guess at the generation is enough: what is asked for is not used. */
void
forest_filter_prefetch(int32 table_id, SvSlice key)
{
	int			pair = own_pair();

	if (pair >= 0)
		sv_prefetch(line_of(pair, newest_of(pg_atomic_read_u64(&pairs[pair].state)),
								   hash_key(table_id, key)));
}

bool
forest_filter_claim(void)
{
	if (own_pair() >= 0)
		return true;
	for (int i = 0; i < shared->npairs; i++)
	{
		uint32		free = InvalidOid;

		if (pg_atomic_compare_exchange_u32(&owners[i], &free, MyDatabaseId))
		{
			pg_atomic_write_u64(&pairs[i].checks, 0);
			pg_atomic_write_u64(&pairs[i].negatives, 0);
			return true;
		}
	}
	return false;
}

FilterState
forest_filter_state(void)
{
	int			pair = own_pair();

	Assert(pair >= 0);
	return pg_atomic_read_u64(&pairs[pair].state);
}

static bool
change_state(int pair, FilterState state, FilterPhase phase, int newest)
{
	return pg_atomic_compare_exchange_u64(&pairs[pair].state, &state, state_after(state, phase, newest));
}

/* Compare-and-swap is a full barrier: who sees the new state sees the cleared bits. */
bool
forest_filter_publish(FilterState state)
{
	int			pair = own_pair();
	int			which = 1 - newest_of(state);
	FilterPhase phase = forest_filter_phase(state);

	Assert(phase == FILTER_UNKNOWN || phase == FILTER_COMPLETE);
	if (pair < 0 || pg_atomic_read_u64(&pairs[pair].state) != state)
		return false;
	pg_memory_barrier();
	memset(generation(pair, which), 0, shared->lines * sizeof(FilterLine));
	return change_state(pair, state, phase == FILTER_UNKNOWN ? FILTER_FILLING : FILTER_BOTH, which);
}

bool
forest_filter_complete(FilterState state)
{
	int			pair = own_pair();

	Assert(forest_filter_phase(state) == FILTER_FILLING || forest_filter_phase(state) == FILTER_BOTH);
	return pair >= 0 && change_state(pair, state, FILTER_COMPLETE, newest_of(state));
}

bool
forest_filter_is_empty(FilterState state)
{
	int			pair = own_pair();
	FilterLine *newest;

	if (pair < 0)
		return true;
	newest = generation(pair, newest_of(state));
	for (uint32 i = 0; i < shared->lines; i++)
		if (pg_atomic_read_u64(&newest[i].words[0]) != 0)
			return false;
	return true;
}

static void
forget_pair(int pair)
{
	FilterState state = pg_atomic_read_u64(&pairs[pair].state);

	while (!change_state(pair, state, FILTER_UNKNOWN, newest_of(state)))
		state = pg_atomic_read_u64(&pairs[pair].state);
}

void
forest_filter_forget(void)
{
	int			pair = own_pair();

	if (pair >= 0)
		forget_pair(pair);
}

void
forest_filter_release(Oid dboid)
{
	int			pair = find_pair(dboid);
	uint32		owner = dboid;

	if (pair < 0)
		return;
	forget_pair(pair);
	(void) pg_atomic_compare_exchange_u32(&owners[pair], &owner, InvalidOid);
}

static double
share_of_bits(int pair, int which)
{
	FilterLine *first = generation(pair, which);
	uint64		set = 0;

	for (uint32 i = 0; i < shared->lines; i++)
		for (int word = 0; word < LINE_WORDS; word++)
			set += pg_popcount64(pg_atomic_read_u64(&first[i].words[word]));
	return (double) set / ((double) shared->lines * sizeof(FilterLine) * BITS_PER_BYTE);
}

FilterStats
forest_filter_stats(void)
{
	FilterStats stats = {.phase = FILTER_UNKNOWN};
	int			pair = own_pair();
	FilterState state;

	if (pair < 0)
		return stats;
	send_counts(pair);
	state = pg_atomic_read_u64(&pairs[pair].state);
	stats.phase = forest_filter_phase(state);
	stats.generations = stats.phase == FILTER_UNKNOWN ? 0 : stats.phase == FILTER_BOTH ? 2 : 1;
	if (stats.generations > 0)
		stats.bits_set = share_of_bits(pair, newest_of(state));
	stats.checks = pg_atomic_read_u64(&pairs[pair].checks);
	stats.negatives = pg_atomic_read_u64(&pairs[pair].negatives);
	return stats;
}
