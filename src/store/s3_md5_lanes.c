/*
 * s3_md5_lanes.c
 *		RFC 1321, with a vector of eight words where it has a word.
 *
 * Compiled for the vectors that every processor has, and on x86-64 for AVX2 as
 * well; which one runs is chosen when it does.
 */
#include "store/s3_md5_lanes.h"

#include <string.h>

#define BLOCK_BYTES 64
#define WORDS 16

typedef uint32_t Words __attribute__((vector_size(4 * S3_MD5_LANES)));

typedef struct Lanes
{
	Words		a;
	Words		b;
	Words		c;
	Words		d;
} Lanes;

/* Where a body is read, and what of its end is padded. */
typedef struct Reader
{
	const SvSlice *parts;
	int			nparts;
	int			part;
	size_t		offset;
	uint64_t	bytes;			/* of the whole body */
	bool		padded;			/* the byte 0x80 has been given */
	bool		ended;
	uint8_t		block[BLOCK_BYTES];	/* for a block that lies in several parts, or has padding */
} Reader;

/* -------------------------------------------------------------------------
 * One block of each lane
 * ------------------------------------------------------------------------- */

#define F(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define G(x, y, z) ((y) ^ ((z) & ((x) ^ (y))))
#define H(x, y, z) ((x) ^ (y) ^ (z))
#define I(x, y, z) ((y) ^ ((x) | ~(z)))
#define STEP(f, a, b, c, d, i, s, k) \
	do { \
		a += f(b, c, d) + w[i] + (uint32_t) (k); \
		a = (a << (s)) | (a >> (32 - (s))); \
		a += b; \
	} while (0)

static inline uint32_t
word_at(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

static inline __attribute__((always_inline)) void
compress(Lanes *lanes, const uint8_t *const blocks[S3_MD5_LANES])
{
	Words		a = lanes->a;
	Words		b = lanes->b;
	Words		c = lanes->c;
	Words		d = lanes->d;
	Words		w[WORDS];

	for (int i = 0; i < WORDS; i++)
		w[i] = (Words) {
			word_at(blocks[0] + 4 * i), word_at(blocks[1] + 4 * i), word_at(blocks[2] + 4 * i),
			word_at(blocks[3] + 4 * i), word_at(blocks[4] + 4 * i), word_at(blocks[5] + 4 * i),
			word_at(blocks[6] + 4 * i), word_at(blocks[7] + 4 * i)
		};
	STEP(F, a, b, c, d,  0,  7, 0xd76aa478);
	STEP(F, d, a, b, c,  1, 12, 0xe8c7b756);
	STEP(F, c, d, a, b,  2, 17, 0x242070db);
	STEP(F, b, c, d, a,  3, 22, 0xc1bdceee);
	STEP(F, a, b, c, d,  4,  7, 0xf57c0faf);
	STEP(F, d, a, b, c,  5, 12, 0x4787c62a);
	STEP(F, c, d, a, b,  6, 17, 0xa8304613);
	STEP(F, b, c, d, a,  7, 22, 0xfd469501);
	STEP(F, a, b, c, d,  8,  7, 0x698098d8);
	STEP(F, d, a, b, c,  9, 12, 0x8b44f7af);
	STEP(F, c, d, a, b, 10, 17, 0xffff5bb1);
	STEP(F, b, c, d, a, 11, 22, 0x895cd7be);
	STEP(F, a, b, c, d, 12,  7, 0x6b901122);
	STEP(F, d, a, b, c, 13, 12, 0xfd987193);
	STEP(F, c, d, a, b, 14, 17, 0xa679438e);
	STEP(F, b, c, d, a, 15, 22, 0x49b40821);
	STEP(G, a, b, c, d,  1,  5, 0xf61e2562);
	STEP(G, d, a, b, c,  6,  9, 0xc040b340);
	STEP(G, c, d, a, b, 11, 14, 0x265e5a51);
	STEP(G, b, c, d, a,  0, 20, 0xe9b6c7aa);
	STEP(G, a, b, c, d,  5,  5, 0xd62f105d);
	STEP(G, d, a, b, c, 10,  9, 0x02441453);
	STEP(G, c, d, a, b, 15, 14, 0xd8a1e681);
	STEP(G, b, c, d, a,  4, 20, 0xe7d3fbc8);
	STEP(G, a, b, c, d,  9,  5, 0x21e1cde6);
	STEP(G, d, a, b, c, 14,  9, 0xc33707d6);
	STEP(G, c, d, a, b,  3, 14, 0xf4d50d87);
	STEP(G, b, c, d, a,  8, 20, 0x455a14ed);
	STEP(G, a, b, c, d, 13,  5, 0xa9e3e905);
	STEP(G, d, a, b, c,  2,  9, 0xfcefa3f8);
	STEP(G, c, d, a, b,  7, 14, 0x676f02d9);
	STEP(G, b, c, d, a, 12, 20, 0x8d2a4c8a);
	STEP(H, a, b, c, d,  5,  4, 0xfffa3942);
	STEP(H, d, a, b, c,  8, 11, 0x8771f681);
	STEP(H, c, d, a, b, 11, 16, 0x6d9d6122);
	STEP(H, b, c, d, a, 14, 23, 0xfde5380c);
	STEP(H, a, b, c, d,  1,  4, 0xa4beea44);
	STEP(H, d, a, b, c,  4, 11, 0x4bdecfa9);
	STEP(H, c, d, a, b,  7, 16, 0xf6bb4b60);
	STEP(H, b, c, d, a, 10, 23, 0xbebfbc70);
	STEP(H, a, b, c, d, 13,  4, 0x289b7ec6);
	STEP(H, d, a, b, c,  0, 11, 0xeaa127fa);
	STEP(H, c, d, a, b,  3, 16, 0xd4ef3085);
	STEP(H, b, c, d, a,  6, 23, 0x04881d05);
	STEP(H, a, b, c, d,  9,  4, 0xd9d4d039);
	STEP(H, d, a, b, c, 12, 11, 0xe6db99e5);
	STEP(H, c, d, a, b, 15, 16, 0x1fa27cf8);
	STEP(H, b, c, d, a,  2, 23, 0xc4ac5665);
	STEP(I, a, b, c, d,  0,  6, 0xf4292244);
	STEP(I, d, a, b, c,  7, 10, 0x432aff97);
	STEP(I, c, d, a, b, 14, 15, 0xab9423a7);
	STEP(I, b, c, d, a,  5, 21, 0xfc93a039);
	STEP(I, a, b, c, d, 12,  6, 0x655b59c3);
	STEP(I, d, a, b, c,  3, 10, 0x8f0ccc92);
	STEP(I, c, d, a, b, 10, 15, 0xffeff47d);
	STEP(I, b, c, d, a,  1, 21, 0x85845dd1);
	STEP(I, a, b, c, d,  8,  6, 0x6fa87e4f);
	STEP(I, d, a, b, c, 15, 10, 0xfe2ce6e0);
	STEP(I, c, d, a, b,  6, 15, 0xa3014314);
	STEP(I, b, c, d, a, 13, 21, 0x4e0811a1);
	STEP(I, a, b, c, d,  4,  6, 0xf7537e82);
	STEP(I, d, a, b, c, 11, 10, 0xbd3af235);
	STEP(I, c, d, a, b,  2, 15, 0x2ad7d2bb);
	STEP(I, b, c, d, a,  9, 21, 0xeb86d391);
	lanes->a += a;
	lanes->b += b;
	lanes->c += c;
	lanes->d += d;
}

static void
compress_anywhere(Lanes *lanes, const uint8_t *const blocks[S3_MD5_LANES])
{
	compress(lanes, blocks);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void
compress_avx2(Lanes *lanes, const uint8_t *const blocks[S3_MD5_LANES])
{
	compress(lanes, blocks);
}
#endif

/* -------------------------------------------------------------------------
 * Bodies
 * ------------------------------------------------------------------------- */

static void
begin(Reader *reader, const S3Md5Lane *lane)
{
	*reader = (Reader) {.parts = lane->parts,.nparts = lane->nparts};
	for (int i = 0; i < lane->nparts; i++)
		reader->bytes += lane->parts[i].len;
}

/* Copies what is left, up to a block; the number of bytes. */
static size_t
gather(Reader *reader)
{
	size_t		got = 0;

	while (got < BLOCK_BYTES && reader->part < reader->nparts)
	{
		const SvSlice *from = &reader->parts[reader->part];
		size_t		step = from->len - reader->offset;

		if (step > BLOCK_BYTES - got)
			step = BLOCK_BYTES - got;
		if (step > 0)
			memcpy(reader->block + got, from->data + reader->offset, step);
		got += step;
		reader->offset += step;
		if (reader->offset == from->len)
		{
			reader->part++;
			reader->offset = 0;
		}
	}
	return got;
}

/* The next block, with the padding at the end; NULL when there is none. */
static const uint8_t *
next_block(Reader *reader)
{
	size_t		got;

	if (reader->part < reader->nparts && reader->parts[reader->part].len - reader->offset >= BLOCK_BYTES)
	{
		const uint8_t *block = reader->parts[reader->part].data + reader->offset;

		reader->offset += BLOCK_BYTES;
		return block;
	}
	if (reader->ended)
		return NULL;
	got = gather(reader);
	if (got == BLOCK_BYTES)
		return reader->block;
	memset(reader->block + got, 0, BLOCK_BYTES - got);
	if (!reader->padded)
		reader->block[got++] = 0x80;
	reader->padded = true;
	if (got <= BLOCK_BYTES - 8)
	{
		for (int i = 0; i < 8; i++)
			reader->block[BLOCK_BYTES - 8 + i] = (uint8_t) (reader->bytes * 8 >> 8 * i);
		reader->ended = true;
	}
	return reader->block;
}

static void
store_word(uint8_t *to, uint32_t word)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t) (word >> 8 * i);
}

static void
finish(S3Md5Lane *lane, const Lanes *lanes, int i)
{
	store_word(lane->md5, lanes->a[i]);
	store_word(lane->md5 + 4, lanes->b[i]);
	store_word(lane->md5 + 8, lanes->c[i]);
	store_word(lane->md5 + 12, lanes->d[i]);
}

void
s3_md5_lanes(S3Md5Lane *lanes, int n)
{
	static const uint8_t nothing[BLOCK_BYTES];
	void		(*step) (Lanes *, const uint8_t *const *) = compress_anywhere;
	Reader		readers[S3_MD5_LANES];
	const uint8_t *blocks[S3_MD5_LANES];
	bool		running[S3_MD5_LANES] = {false};
	int			nrunning = n;
	Lanes		state = {
		(Words) {0} + 0x67452301u, (Words) {0} + 0xefcdab89u, (Words) {0} + 0x98badcfeu, (Words) {0} + 0x10325476u
	};

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		step = compress_avx2;
#endif
	for (int i = 0; i < S3_MD5_LANES; i++)
	{
		blocks[i] = nothing;
		running[i] = i < n;
		if (running[i])
			begin(&readers[i], &lanes[i]);
	}
	for (;;)
	{
		for (int i = 0; i < n; i++)
		{
			const uint8_t *block = running[i] ? next_block(&readers[i]) : nothing;

			/* What has ended goes on with nothing, and is looked at no more. */
			if (block == NULL)
			{
				finish(&lanes[i], &state, i);
				running[i] = false;
				nrunning--;
				block = nothing;
			}
			blocks[i] = block;
		}
		if (nrunning == 0)
			return;
		step(&state, blocks);
	}
}
