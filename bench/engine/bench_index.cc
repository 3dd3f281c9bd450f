/*
 * bench_index.cc
 *		From a key to its place among sorted keys: the learned index, a B-tree,
 *		and two ways of binary search.
 *
 *	bench_index MAX_KEYS [SET [LOOKUPS [KEYS_PER_LEAF]]] > index.csv
 *
 * For 1 million, 10 million, ... keys up to MAX_KEYS, in each set or the one
 * named.  All contenders answer the same question: the position of the key, or
 * that it is missing; their answers are compared.  index.md says more.
 */
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"

#include "engine_data.h"
#include "index_memory.h"

extern "C"
{
#include "sst/sst_rmi.h"
#include "sst/sst_rmi_build.h"
}

static const uint32_t ROUNDS = 5;
static const uint32_t BATCH = 64;

static volatile uint32_t always_zero = 0;

/* -------------------------------------------------------------------- keys */

/*
 * What only prefetches has no effect that gcc knows of: it deletes calls of it,
 * unless it had been made part of the caller by then.
 */
#define PREFETCHES	inline __attribute__((always_inline)) void

/*
 * Keys of eight bytes are kept as numbers, in the machine's order of bytes.
 * What is beyond the last one is above all keys, so that windows may end there.
 */
struct Numbers
{
	typedef uint64_t Key;
	typedef uint64_t TreeKey;

	uint64_t   *keys;
	uint32_t	count;
	size_t		mapped;

	Numbers(const uint8_t *bytes, uint32_t n, uint32_t) : count(n), mapped((n + 64) * sizeof(uint64_t))
	{
		keys = static_cast<uint64_t *>(map_memory(mapped));
		for (uint32_t i = 0; i < n; i++)
			keys[i] = sst_keycode_big_endian(bytes + (size_t) i * 8);
		std::fill(keys + n, keys + n + 64, UINT64_MAX);
	}
	~Numbers() { munmap(keys, mapped); }

	Key			key(uint32_t i) const { return keys[i]; }
	size_t		room() const { return 0; }
	Key			copy(uint32_t i, uint8_t *) const { return keys[i]; }
	TreeKey		tree_key(Key key) const { return key; }
	bool		below(uint32_t i, Key key) const { return keys[i] < key; }
	bool		equal(uint32_t i, Key key) const { return keys[i] == key; }

	/* The bytes of a key, in a room that the caller has. */
	SvSlice
	slice(Key key, uint8_t *room) const
	{
		uint64_t	swapped = __builtin_bswap64(key);

		memcpy(room, &swapped, 8);
		return sv_slice(room, 8);
	}

	/*
	 * The answer is somewhere near: not in this line, but mostly behind the same
	 * page tables, to read which takes as long as to read the line.
	 */
	PREFETCHES
	point_at(uint32_t guess) const
	{
		__builtin_prefetch(keys + guess);
	}

	/* What search begins with.  It is seldom at more than these two lines. */
	PREFETCHES
	prefetch(SstRmiRange range) const
	{
		__builtin_prefetch(keys + range.low + 3);
		__builtin_prefetch(keys + range.low + 11);
	}

	/* How many keys are below key, given the range of that. */
	uint32_t
	search(SstRmiRange range, Key key) const
	{
		uint32_t	low = range.low;
		uint32_t	n = range.high - range.low;
		const uint64_t *base;

		while (__builtin_expect(n > 15, 0))
		{
			uint32_t	half = (n + 1) / 2;

			low += (keys[low + half - 1] < key) * half;
			n /= 2;
		}

		/*
		 * Always as many steps, none mispredicted: keys behind the range are
		 * not below.  Each step compares three keys, whose lines come at the
		 * same time.
		 */
		base = keys + low;
		low += ((base[3] < key) + (base[7] < key) + (base[11] < key)) * 4;
		base = keys + low;
		return low + (base[0] < key) + (base[1] < key) + (base[2] < key);
	}
};

struct Strings
{
	typedef const uint8_t *Key;
	typedef std::string_view TreeKey;

	uint8_t    *keys;
	uint32_t	count;
	uint32_t	width;
	size_t		mapped;

	Strings(const uint8_t *bytes, uint32_t n, uint32_t key_bytes) :
		count(n), width(key_bytes), mapped((size_t) n * key_bytes)
	{
		keys = static_cast<uint8_t *>(map_memory(mapped));
		memcpy(keys, bytes, mapped);
	}
	~Strings() { munmap(keys, mapped); }

	Key			key(uint32_t i) const { return keys + (size_t) i * width; }
	size_t		room() const { return width; }
	Key			copy(uint32_t i, uint8_t *to) const { memcpy(to, key(i), width); return to; }
	TreeKey		tree_key(Key key) const { return TreeKey(reinterpret_cast<const char *>(key), width); }
	bool		below(uint32_t i, Key k) const { return memcmp(key(i), k, width) < 0; }
	bool		equal(uint32_t i, Key k) const { return memcmp(key(i), k, width) == 0; }
	SvSlice		slice(Key key, uint8_t *) const { return sv_slice(key, width); }

	PREFETCHES
	point_at(uint32_t guess) const
	{
		__builtin_prefetch(key(guess));
	}

	PREFETCHES
	prefetch(SstRmiRange range) const
	{
		for (const uint8_t *at = key(range.low); at < key(range.high); at += 64)
			__builtin_prefetch(at);
	}

	uint32_t
	search(SstRmiRange range, Key k) const
	{
		uint32_t	low = range.low;
		uint32_t	n = range.high - range.low;

		while (n > 0)
		{
			uint32_t	half = n / 2;

			if (memcmp(key(low + half), k, width) < 0)
			{
				low += half + 1;
				n -= half + 1;
			}
			else
				n = half;
		}
		return low;
	}
};

/* -------------------------------------------------------------- contenders */

/*
 * Each answers the number of keys below a key, and MISSING besides if the key
 * is missing: so the answer depends on the search even then.
 */
static const uint32_t MISSING = UINT32_C(1) << 31;

template <class Keys>
static inline uint32_t
answer_of(const Keys &keys, uint32_t position, typename Keys::Key key)
{
	return position < keys.count && keys.equal(position, key) ? position : position | MISSING;
}

template <class Keys>
struct StandardSearch
{
	const Keys &keys;

	static const char *name() { return "std::lower_bound"; }
	double		bytes() const { return 0; }
	uint32_t	find(typename Keys::Key key) const;
};

template <>
uint32_t
StandardSearch<Numbers>::find(uint64_t key) const
{
	const uint64_t *at = std::lower_bound(keys.keys, keys.keys + keys.count, key);

	return answer_of(keys, at - keys.keys, key);
}

/* std::lower_bound needs something to iterate over: here positions. */
struct PositionIterator
{
	uint32_t	at;

	uint32_t	operator*() const { return at; }
	PositionIterator &operator++() { at++; return *this; }
	PositionIterator &operator--() { at--; return *this; }
	PositionIterator &operator+=(ptrdiff_t n) { at += n; return *this; }
	ptrdiff_t	operator-(const PositionIterator &o) const { return (ptrdiff_t) at - o.at; }
};

template <>
struct std::iterator_traits<PositionIterator>
{
	typedef std::random_access_iterator_tag iterator_category;
	typedef uint32_t value_type;
	typedef ptrdiff_t difference_type;
	typedef const uint32_t *pointer;
	typedef uint32_t reference;
};

template <>
uint32_t
StandardSearch<Strings>::find(const uint8_t *key) const
{
	PositionIterator first = {0};
	PositionIterator last = {keys.count};
	PositionIterator at = std::lower_bound(first, last, key, [this](uint32_t i, const uint8_t *k)
										   {
											   return keys.below(i, k);
										   });

	return answer_of(keys, at.at, key);
}

template <class Keys>
struct BranchlessSearch
{
	const Keys &keys;

	static const char *name() { return "branchless binary search"; }
	double		bytes() const { return 0; }

	uint32_t
	find(typename Keys::Key key) const
	{
		uint32_t	low = 0;
		uint32_t	n = keys.count;

		while (n > 1)
		{
			uint32_t	half = n / 2;

			low += keys.below(low + half - 1, key) * half;
			n -= half;
		}
		low += keys.below(low, key);
		return answer_of(keys, low, key);
	}
};

template <class Keys>
struct Tree
{
	typedef std::pair<const typename Keys::TreeKey, uint32_t> Entry;
	typedef absl::btree_map<typename Keys::TreeKey, uint32_t, std::less<typename Keys::TreeKey>,
							ArenaAllocator<Entry>> Map;
	const Keys &keys;
	Arena		arena;
	Map			map;

	static const char *name() { return "absl::btree_map"; }
	double		bytes() const { return arena.total; }

	explicit Tree(const Keys &k) : keys(k), map(ArenaAllocator<Entry>(&arena))
	{
		for (uint32_t i = 0; i < k.count; i++)
			map.emplace_hint(map.end(), k.tree_key(k.key(i)), i);
	}

	uint32_t
	find(typename Keys::Key key) const
	{
		auto		it = map.lower_bound(keys.tree_key(key));

		if (it == map.end())
			return keys.count | MISSING;
		return it->first == keys.tree_key(key) ? it->second : it->second | MISSING;
	}
};

template <class Keys>
struct Learned
{
	const Keys &keys;
	SvBuffer	out;
	uint8_t    *index;
	SstRmi		rmi;
	mutable uint8_t rooms[4][8];	/* for the keys of which the builder asks */
	mutable uint32_t room = 0;

	static const char *name() { return "learned index"; }
	double		bytes() const { return rmi.len; }

	static SvSlice
	build_key(const void *state, uint32_t i)
	{
		const Learned *self = static_cast<const Learned *>(state);

		return self->keys.slice(self->keys.key(i), self->rooms[self->room++ % 4]);
	}

	Learned(const Keys &k, uint32_t keys_per_leaf) : keys(k)
	{
		SstRmiKeys	source = {build_key, this, k.count};
		SstRmiOptions options = {keys_per_leaf, false};
		SstRmiStats stats;
		SvError		err;
		const char *wrong;
		auto		start = std::chrono::steady_clock::now();

		sv_buffer_init(&out, &sv_malloc_alloc);
		if (sst_rmi_build(&source, &options, &out, &err) != SV_OK)
			engine_die("%s", err.message);
		index = static_cast<uint8_t *>(map_memory(out.len));
		memcpy(index, out.data, out.len);
		wrong = sst_rmi_parse(&rmi, sv_slice(index, out.len), k.count);
		if (wrong != nullptr)
			engine_die("%s", wrong);
		sst_rmi_stats(&rmi, &stats);
		fprintf(stderr, "%u keys: built in %.1f s; %s over %s, %u nodes, %u leaves, depth %u, "
				"%.3f bytes a key, error mean %.1f, at most %u, searched %.4f, %.2f steps\n",
				k.count, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
				stats.root_kind, stats.code_kind, stats.nodes, stats.leaves, stats.depth,
				(double) stats.bytes / k.count, stats.mean_error, stats.max_error,
				stats.fallback_share, stats.probes);
	}

	~Learned()
	{
		munmap(index, out.len);
		sv_buffer_free(&out);
	}

	inline __attribute__((always_inline)) uint32_t
	find(typename Keys::Key key) const
	{
		uint8_t		bytes[8];
		SvSlice		slice = keys.slice(key, bytes);
		SstRmiProbe probe = sst_rmi_probe(&rmi, slice);
		SstRmiRange range;

		keys.point_at(sst_rmi_guess(&rmi, &probe));
		range = sst_rmi_finish(&rmi, &probe, slice);
		keys.prefetch(range);
		return answer_of(keys, keys.search(range, key), key);
	}

	/* Up to BATCH keys, one step for all of them after the other. */
	uint64_t
	find_batch(const typename Keys::Key *wanted, uint32_t n) const
	{
		uint8_t		bytes[BATCH][8];
		SvSlice		slices[BATCH];
		SstRmiProbe probes[BATCH];
		SstRmiRange ranges[BATCH];
		uint64_t	sum = 0;

		for (uint32_t i = 0; i < n; i++)
		{
			slices[i] = keys.slice(wanted[i], bytes[i]);
			probes[i] = sst_rmi_start(&rmi, slices[i]);
		}
		for (uint32_t i = 0; i < n; i++)
		{
			ranges[i] = sst_rmi_finish(&rmi, &probes[i], slices[i]);
			keys.prefetch(ranges[i]);
		}
		for (uint32_t i = 0; i < n; i++)
			sum += answer_of(keys, keys.search(ranges[i], wanted[i]), wanted[i]);
		return sum;
	}
};

/* --------------------------------------------------------------- measuring */

struct Figure
{
	const char *contender;
	const char *mode;
	double		bytes_per_key;
	std::vector<double> ns;
};

/* Nanoseconds that this process has run: not those in which others did. */
static double
own_time()
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		engine_die("there is no clock of the process's own time");
	return t.tv_sec * 1e9 + t.tv_nsec;
}

template <class Work>
static void
measure(Figure &figure, uint32_t lookups, uint64_t expected, Work work)
{
	double		start = own_time();
	uint64_t	sum = work();
	double		ns = own_time() - start;

	if (sum != expected)
		engine_die("%s, %s: wrong answers", figure.contender, figure.mode);
	figure.ns.push_back(ns / lookups);
}

/* The keys to look up in a round, one behind the other, so that reading them misses nothing. */
template <class Keys>
struct Queries
{
	std::vector<typename Keys::Key> keys;
	std::vector<uint8_t> bytes;

	explicit Queries(size_t n, const Keys &from) : keys(n), bytes(n * from.room()) {}
	void		set(size_t i, const Keys &from, uint32_t at) { keys[i] = from.copy(at, bytes.data() + i * from.room()); }
};

template <class Keys, class Contender>
static void
measure_both(const Contender &contender, const std::vector<typename Keys::Key> &wanted, uint64_t expected,
			 Figure *figures)
{
	uint32_t	n = wanted.size();

	measure(figures[0], n, expected, [&]
			{
				uint64_t	sum = 0;

				for (uint32_t i = 0; i < n; i++)
					sum += contender.find(wanted[i]);
				return sum;
			});
	measure(figures[1], n, expected, [&]
			{
				uint64_t	sum = 0;
				uint32_t	answer = 0;
				uint32_t	zero = always_zero;

				/* which key comes next is known when the answer is */
				for (uint32_t i = 0; i < n; i++)
				{
					answer = contender.find(wanted[i + (answer & zero)]);
					sum += answer;
				}
				return sum;
			});
}

static void
print_figure(const char *set, uint32_t keys, const char *kind, Figure &figure)
{
	std::sort(figure.ns.begin(), figure.ns.end());
	printf("%s,%u,%s,%s,%s,%.1f,%.1f,%.1f,%.4f\n", set, keys, kind, figure.mode, figure.contender,
		   figure.ns[figure.ns.size() / 2], figure.ns.front(), figure.ns.back(), figure.bytes_per_key);
	fflush(stdout);
}

template <class Keys>
struct Contest
{
	const EngineData &data;
	Keys		keys;
	StandardSearch<Keys> standard;
	BranchlessSearch<Keys> branchless;
	Tree<Keys>	tree;
	Learned<Keys> learned;

	Contest(const EngineData &d, uint32_t keys_per_leaf) :
		data(d), keys(d.keys, d.count, d.key_bytes), standard{keys}, branchless{keys}, tree(keys),
		learned(keys, keys_per_leaf) {}

	/* Of a round: other keys than in those before, as far as there are enough. */
	Queries<Keys>
	choose(const Keys &from, bool hits, uint32_t round, uint32_t lookups) const
	{
		Queries<Keys> wanted(lookups, from);

		for (uint32_t i = 0; i < lookups; i++)
		{
			uint32_t	at = ((uint64_t) round * lookups + i) % from.count;

			wanted.set(i, from, hits ? data.order[at] : at);
		}
		return wanted;
	}

	uint64_t
	expect(const std::vector<typename Keys::Key> &wanted) const
	{
		uint64_t	sum = 0;

		for (typename Keys::Key key : wanted)
			sum += standard.find(key);
		return sum;
	}

	void
	add(std::vector<Figure> &figures, const char *name, double bytes, bool batch) const
	{
		figures.push_back(Figure{name, "independent", bytes / data.count, {}});
		figures.push_back(Figure{name, "dependent", bytes / data.count, {}});
		if (batch)
			figures.push_back(Figure{name, "batch", bytes / data.count, {}});
	}

	void
	run(const Keys &from, bool hits, uint32_t lookups) const
	{
		std::vector<Figure> figures;

		add(figures, standard.name(), standard.bytes(), false);
		add(figures, branchless.name(), branchless.bytes(), false);
		add(figures, tree.name(), tree.bytes(), false);
		add(figures, learned.name(), learned.bytes(), true);
		for (uint32_t round = 0; round < ROUNDS; round++)
		{
			Queries<Keys> queries = choose(from, hits, round, lookups);
			const std::vector<typename Keys::Key> &wanted = queries.keys;
			uint64_t	expected = expect(wanted);

			measure_both<Keys>(standard, wanted, expected, &figures[0]);
			measure_both<Keys>(branchless, wanted, expected, &figures[2]);
			measure_both<Keys>(tree, wanted, expected, &figures[4]);
			measure_both<Keys>(learned, wanted, expected, &figures[6]);
			measure(figures[8], lookups, expected, [&]
					{
						uint64_t	sum = 0;

						for (uint32_t i = 0; i < lookups; i += BATCH)
							sum += learned.find_batch(&wanted[i], std::min(BATCH, lookups - i));
						return sum;
					});
		}
		for (Figure &figure : figures)
			print_figure(data.name, data.count, hits ? "hit" : "miss", figure);
	}
};

template <class Keys>
static void
run_contest(const EngineData &data, uint32_t lookups, uint32_t keys_per_leaf)
{
	Contest<Keys> contest(data, keys_per_leaf);

	contest.run(contest.keys, true, lookups);
	if (data.missing_count > 0)
	{
		Keys		missing(data.missing, data.missing_count, data.key_bytes);

		contest.run(missing, false, lookups);
	}
}

static void
run_set(EngineSet set, uint32_t keys, uint32_t lookups, uint32_t keys_per_leaf)
{
	EngineData	data;

	engine_data_make(&data, set, keys, 1);
	fprintf(stderr, "%s, ", data.name);
	if (set == ENGINE_STRINGS)
		run_contest<Strings>(data, lookups, keys_per_leaf);
	else
		run_contest<Numbers>(data, lookups, keys_per_leaf);
	engine_data_free(&data);
}

static uint32_t
number(const char *text, uint32_t least)
{
	char	   *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || n < least || n > UINT32_MAX)
		engine_die("not a number from %u on: \"%s\"", least, text);
	return static_cast<uint32_t>(n);
}

int
main(int argc, char **argv)
{
	if (argc < 2 || argc > 5)
		engine_die("usage: bench_index MAX_KEYS [SET [LOOKUPS [KEYS_PER_LEAF]]]");

	uint32_t	max_keys = number(argv[1], 1000);
	const char *only = argc > 2 ? argv[2] : "all";
	uint32_t	lookups = argc > 3 ? number(argv[3], 1000) : 1000 * 1000;
	uint32_t	keys_per_leaf = argc > 4 ? number(argv[4], 0) : 0;
	uint32_t	first = std::min(max_keys, 1000u * 1000);

	printf("keyset,keys,kind,mode,contender,ns_median,ns_min,ns_max,bytes_per_key\n");
	for (int set = 0; set < ENGINE_SETS; set++)
	{
		const char *name = engine_set_name(static_cast<EngineSet>(set));

		if (strcmp(only, "all") != 0 && strcmp(only, name) != 0)
			continue;
		for (uint64_t keys = first; keys <= max_keys; keys *= 10)
			run_set(static_cast<EngineSet>(set), static_cast<uint32_t>(keys), lookups, keys_per_leaf);
	}
	return 0;
}
