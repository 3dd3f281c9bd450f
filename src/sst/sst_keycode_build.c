/*
 * sst_keycode_build.c
 *		The key code of a set of keys: FORMAT.md, "Learned index".
 */
#include "sst/sst_keycode_build.h"

/* How far behind the prefix an alphabet may look. */
#define MAX_POSITIONS	64

/* So that even a carry out of the first position does not overflow. */
#define MAX_NUMBERS		(UINT64_C(1) << 63)

/* An alphabet with more numbers than this in eight positions is not denser than the bytes. */
#define MAX_DENSE		(UINT64_C(1) << 56)

/* What a sample of so many keys shows decides whether all of them are looked at. */
#define SAMPLE_KEYS		4096

/* Which bytes occur at each position behind the prefix, and whether keys end there. */
typedef struct Occurrences
{
	uint8_t		bytes[MAX_POSITIONS][256];
	uint8_t		ends[MAX_POSITIONS];
} Occurrences;

/* What an alphabet makes of a position. */
typedef struct Position
{
	uint32_t	symbols;
	uint32_t	table;			/* of a digit */
	uint8_t		first;			/* the least byte */
	uint8_t		kind;
} Position;

typedef struct Alphabet
{
	Position	positions[MAX_POSITIONS];
	uint32_t	count;
	uint32_t	tables;
	uint8_t		table_bytes[MAX_POSITIONS][SST_KEYCODE_TABLE_BYTES];
} Alphabet;

static SvSlice
key_of(const SstKeySet *set, uint32_t i)
{
	return set->keys->key(set->keys->state, set->first + i);
}

/* How much all keys share behind the skipped bytes: what the first and the last one share. */
static size_t
shared_prefix(const SstKeySet *set)
{
	SvSlice		low = key_of(set, 0);
	SvSlice		high = key_of(set, set->count - 1);
	size_t		n = set->skip;

	while (n < low.len && n < high.len && low.data[n] == high.data[n])
		n++;
	return n - set->skip;
}

/* Whether eight bytes behind the skipped ones are all that there is of the keys. */
static bool
fits_eight_bytes(const SstKeySet *set)
{
	for (uint32_t i = 0; i < set->count; i++)
	{
		if (key_of(set, i).len > (size_t) set->skip + 8)
			return false;
	}
	return true;
}

static void
count_occurrences(const SstKeySet *set, size_t at, uint32_t step, Occurrences *seen)
{
	memset(seen, 0, sizeof(*seen));
	for (uint64_t i = 0; i < set->count; i += step)
	{
		SvSlice		key = key_of(set, (uint32_t) i);
		size_t		n = key.len - at < MAX_POSITIONS ? key.len - at : MAX_POSITIONS;

		for (size_t j = 0; j < n; j++)
			seen->bytes[j][key.data[at + j]] = 1;
		if (n < MAX_POSITIONS)
			seen->ends[n] = 1;
	}
}

/* The bytes that occur, and the end if that counts: one is a literal, a range of seven bits a run. */
static Position
describe_position(const uint8_t *bytes, bool ends)
{
	Position	position = {0, 0, 0, SST_KEYCODE_DIGIT};
	int			last = 0;

	for (int b = 255; b >= 0; b--)
	{
		if (!bytes[b])
			continue;
		if (position.symbols == 0)
			last = b;
		position.symbols++;
		position.first = (uint8_t) b;
	}
	if (ends)
		position.symbols++;
	else if (position.symbols == 1)
		position.kind = SST_KEYCODE_LITERAL;
	else if (position.first > 0 && last < 128 &&
			 last - position.first + 1 == (int) position.symbols)
		position.kind = SST_KEYCODE_RUN;
	return position;
}

/* A digit for each byte: twice the symbols below it, plus 1 if it is a symbol itself. */
static void
fill_table(const uint8_t *bytes, bool ends, uint8_t *table)
{
	uint16_t	below = ends;

	for (int b = 0; b < 256; b++)
	{
		sv_put_u16(table + 2 * b, (uint16_t) (below << 1 | bytes[b]));
		below += bytes[b];
	}
}

static uint32_t
find_table(Alphabet *alphabet, const uint8_t *table)
{
	uint32_t	i = 0;

	while (i < alphabet->tables &&
		   memcmp(alphabet->table_bytes[i], table, SST_KEYCODE_TABLE_BYTES) != 0)
		i++;
	if (i == alphabet->tables)
		memcpy(alphabet->table_bytes[alphabet->tables++], table, SST_KEYCODE_TABLE_BYTES);
	return i;
}

/*
 * Takes positions as long as the numbers fit.  Answers whether they are
 * denser, or reach further, than eight bytes.
 */
static bool
choose_positions(Alphabet *alphabet, const Occurrences *seen, bool with_ends)
{
	uint64_t	numbers = 1;
	uint64_t	numbers_of_eight = 1;

	alphabet->count = 0;
	alphabet->tables = 0;
	for (uint32_t i = 0; i < MAX_POSITIONS; i++)
	{
		Position   *position = &alphabet->positions[i];
		bool		ends = with_ends && seen->ends[i];
		uint8_t		table[SST_KEYCODE_TABLE_BYTES];

		*position = describe_position(seen->bytes[i], ends);
		if (position->symbols == (uint32_t) ends || numbers > MAX_NUMBERS / position->symbols)
			break;
		numbers *= position->symbols;
		if (i < 8)
			numbers_of_eight = numbers;
		if (position->kind != SST_KEYCODE_LITERAL)
			alphabet->count = i + 1;
		if (position->kind == SST_KEYCODE_DIGIT)
		{
			fill_table(seen->bytes[i], ends, table);
			position->table = find_table(alphabet, table);
		}
	}
	return alphabet->count > 0 && numbers_of_eight <= MAX_DENSE;
}

/* How many positions from i on are one step. */
static uint32_t
step_length(const Alphabet *alphabet, uint32_t i)
{
	const Position *first = &alphabet->positions[i];
	uint32_t	n = 1;

	if (first->kind == SST_KEYCODE_DIGIT)
		return 1;
	while (n < 8 && i + n < alphabet->count && first[n].kind == first->kind &&
		   (first->kind == SST_KEYCODE_LITERAL ||
			(first[n].first == first->first && first[n].symbols == first->symbols)))
		n++;
	return n;
}

static uint32_t
count_steps(const Alphabet *alphabet)
{
	uint32_t	steps = 0;

	for (uint32_t i = 0; i < alphabet->count; i += step_length(alphabet, i))
		steps++;
	return steps;
}

static void
write_step(const Position *positions, uint32_t length, uint64_t weight, uint8_t *step)
{
	uint64_t	literal = 0;

	memset(step, 0, SST_KEYCODE_STEP_BYTES);
	sv_put_u64(step, weight);
	step[SST_KEYCODE_STEP_KIND] = positions->kind;
	step[SST_KEYCODE_STEP_LENGTH] = (uint8_t) length;
	if (positions->kind == SST_KEYCODE_DIGIT)
		sv_put_u16(step + SST_KEYCODE_STEP_TABLE, (uint16_t) positions->table);
	else if (positions->kind == SST_KEYCODE_RUN)
	{
		step[SST_KEYCODE_STEP_FIRST] = positions->first;
		step[SST_KEYCODE_STEP_SYMBOLS] = (uint8_t) positions->symbols;
	}
	else
	{
		for (uint32_t i = 0; i < length; i++)
			literal = literal << 8 | positions[i].first;
		sv_put_u64(step + SST_KEYCODE_STEP_LITERAL, literal);
	}
}

static SvStatus
append_steps(const Alphabet *alphabet, SvBuffer *out, SvError *err)
{
	uint64_t	weights[MAX_POSITIONS];
	uint64_t	weight = 1;
	uint32_t	length;

	for (uint32_t i = alphabet->count; i-- > 0;)
	{
		weights[i] = weight;
		weight *= alphabet->positions[i].symbols;
	}
	for (uint32_t i = 0; i < alphabet->count; i += length)
	{
		uint8_t		step[SST_KEYCODE_STEP_BYTES];
		SvStatus	status;

		length = step_length(alphabet, i);
		write_step(&alphabet->positions[i], length, weights[i + length - 1], step);
		status = sv_buffer_append(out, step, sizeof(step), err);
		if (status != SV_OK)
			return status;
	}
	return SV_OK;
}

static SvStatus
append_padding(SvBuffer *out, size_t start, SvError *err)
{
	static const uint8_t zeroes[16] = {0};

	return sv_buffer_append(out, zeroes, -(out->len - start) & 15, err);
}

/* The alphabet may be NULL: then the code is of bytes. */
static SvStatus
append_code(const SstKeySet *set, size_t prefix, const Alphabet *alphabet, SvBuffer *out,
			SvError *err)
{
	size_t		start = out->len;
	uint8_t		header[SST_KEYCODE_HEADER_BYTES];
	SvStatus	status;

	sst_keycode_write_header(header, set->skip, (uint32_t) prefix,
							 alphabet == NULL ? 0 : (uint16_t) count_steps(alphabet),
							 alphabet == NULL ? 0 : (uint16_t) alphabet->tables);
	status = sv_buffer_append(out, header, sizeof(header), err);
	if (status == SV_OK && alphabet != NULL)
		status = append_steps(alphabet, out, err);
	if (status == SV_OK && alphabet != NULL)
		status = sv_buffer_append(out, alphabet->table_bytes,
								  (size_t) alphabet->tables * SST_KEYCODE_TABLE_BYTES, err);
	if (status == SV_OK && prefix > 0)
		status = sv_buffer_append(out, key_of(set, 0).data + set->skip, prefix, err);
	if (status == SV_OK)
		status = append_padding(out, start, err);
	if (status != SV_OK)
		out->len = start;
	return status;
}

typedef struct AlphabetWork
{
	Occurrences seen;
	Alphabet	alphabet;
} AlphabetWork;

static bool
is_promising(const SstKeySet *set, size_t at, bool with_ends, size_t room, AlphabetWork *work)
{
	const Alphabet *alphabet = &work->alphabet;

	if (set->count > SAMPLE_KEYS)
	{
		count_occurrences(set, at, set->count / SAMPLE_KEYS, &work->seen);
		if (!choose_positions(&work->alphabet, &work->seen, with_ends))
			return false;
	}
	count_occurrences(set, at, 1, &work->seen);
	if (!choose_positions(&work->alphabet, &work->seen, with_ends))
		return false;
	return (size_t) alphabet->tables * SST_KEYCODE_TABLE_BYTES +
		(size_t) count_steps(alphabet) * SST_KEYCODE_STEP_BYTES <= room;
}

SvStatus
sst_keycode_build(const SstKeySet *set, SstKeyCodeKind kind, size_t room, SvBuffer *out,
				  SvError *err)
{
	size_t		prefix = shared_prefix(set);
	AlphabetWork *work;
	SvStatus	status = SV_OK;

	if (prefix > UINT32_MAX - set->skip)
		return sv_fail(err, SV_INVALID, "keys share too long a prefix: %zu bytes", prefix);
	if (kind == SST_KEYCODE_BYTES)
	{
		/* nothing is gained by a prefix then, and comparing it takes time */
		return append_code(set, fits_eight_bytes(set) ? 0 : prefix, NULL, out, err);
	}
	if (room < SST_KEYCODE_STEP_BYTES)
		return SV_OK;
	work = sv_allocate(out->alloc, sizeof(*work));
	if (work == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory");
	if (is_promising(set, set->skip + prefix, kind == SST_KEYCODE_ALPHABET_ENDS, room, work))
		status = append_code(set, prefix, &work->alphabet, out, err);
	sv_release(out->alloc, work);
	return status;
}
