/*
 * test_sst_stride.c
 *		Passing over positions: where it costs nothing it is done, where it does it
 *		is not, and what comes out is the block.
 */
#include "sst/sst_format.h"
#include "sst/sst_stride.h"
#include "sst_fixture.h"
#include "unit.h"

#define BLOCK_BYTES (16 * 1024)
#define BLOCKS 300

typedef void (*MakeRow) (uint8_t *row, uint64_t *state);

/* A key, and a value that begins like a hash and goes on like all others. */
#define TEXT_ROW 118

static void
make_text(uint8_t *row, uint64_t *state)
{
	static const char fill[] = "value of a row value of a row value of a row value of a row";

	for (int i = 0; i < 8; i++)
		row[i] = (uint8_t) next_random(state);
	for (int i = 8; i < 60; i++)
		row[i] = (uint8_t) "0123456789abcdef"[next_random(state) % 16];
	memcpy(row + 60, fill, TEXT_ROW - 60);
}

/* Tagged numbers, most of them small. */
#define NUMBERS_ROW 56

static void
make_numbers(uint8_t *row, uint64_t *state)
{
	for (int i = 0; i < 8; i++)
		row[i] = (uint8_t) next_random(state);
	for (int i = 0; i < 8; i++)
	{
		uint32_t	number = (uint32_t) (next_random(state) % 1000);

		row[8 + 6 * i] = (uint8_t) (i + 2);
		row[9 + 6 * i] = 4;
		memcpy(row + 10 + 6 * i, &number, 4);
	}
}

static void
make_block(uint8_t *block, MakeRow make, size_t row_bytes, uint64_t *state)
{
	for (size_t at = 0; at + row_bytes <= BLOCK_BYTES; at += row_bytes)
		make(block + at, state);
}

typedef struct Sums
{
	size_t		plain;
	size_t		stored;
	int			passed_over;	/* blocks that were compressed in another way than the plain one */
	bool		right;
} Sums;

/* Blocks of rows, as long as they are stored as a file's. */
static void
add_blocks(Sums *sums, SstStride *stride, MakeRow make, size_t row_bytes)
{
	static uint8_t block[BLOCK_BYTES];
	static uint8_t back[BLOCK_BYTES];
	size_t		at_most = BLOCK_BYTES - BLOCK_BYTES / 8 - 1;
	SvSlice		raw = sv_slice(block, BLOCK_BYTES);
	uint64_t	state = 5;
	SstCompressor *compressor;
	SstDecompressor *decompressor;
	SvBuffer	out;

	sv_buffer_init(&out, &sv_malloc_alloc);
	sums->right = sst_compressor_create(&compressor, &sv_malloc_alloc, NULL) == SV_OK &&
		sst_decompressor_create(&decompressor, &sv_malloc_alloc, NULL) == SV_OK;
	for (int i = 0; i < BLOCKS && sums->right; i++)
	{
		make_block(block, make, row_bytes, &state);
		sums->right = sst_compress(compressor, 1, false, raw, at_most, &out, NULL) == SV_OK && out.len > 0;
		sums->plain += out.len;
		sums->right = sums->right && sst_stride_compress(stride, compressor, raw, at_most, &out, NULL) == SV_OK &&
			out.len > 0 &&
			sst_decompress(decompressor, false, sv_buffer_slice(&out), back, BLOCK_BYTES, NULL) == SV_OK &&
			memcmp(block, back, BLOCK_BYTES) == 0;
		sums->stored += out.len;
		sums->passed_over += stride->chosen > 0;
	}
	sst_compressor_destroy(compressor);
	sst_decompressor_destroy(decompressor);
	sv_buffer_free(&out);
}

static void
test_rows_alike(void)
{
	SstStride	stride = {0};
	Sums		sums = {0};

	add_blocks(&sums, &stride, make_text, TEXT_ROW);
	CHECK(sums.right, "blocks of rows that are alike come back");
	CHECK(sums.passed_over == BLOCKS, "and positions are passed over in them");
	CHECK(sums.stored <= sums.plain + sums.plain / 50, "for a fiftieth of the bytes at most");
}

static void
test_numbers(void)
{
	SstStride	stride = {0};
	Sums		sums = {0};

	add_blocks(&sums, &stride, make_numbers, NUMBERS_ROW);
	CHECK(sums.right, "blocks of numbers come back");
	CHECK(sums.passed_over == 0 && sums.stored == sums.plain, "as level 1 stores them");
}

static void
test_change(void)
{
	SstStride	stride = {0};
	Sums		text = {0};
	Sums		numbers = {0};

	add_blocks(&text, &stride, make_text, TEXT_ROW);
	add_blocks(&numbers, &stride, make_numbers, NUMBERS_ROW);
	CHECK(text.right && numbers.right, "blocks of a file whose rows change come back");
	CHECK(numbers.passed_over < SST_STRIDE_BLOCKS, "the change is seen at the next sample");
}

/* What does not compress is stored as it is by whoever asks: there the fastest way is as good. */
static void
test_noise(void)
{
	static uint8_t block[BLOCK_BYTES];
	SstStride	stride = {0};
	SstCompressor *compressor;
	uint64_t	state = 9;
	bool		empty = sst_compressor_create(&compressor, &sv_malloc_alloc, NULL) == SV_OK;
	SvBuffer	out;

	sv_buffer_init(&out, &sv_malloc_alloc);
	for (int i = 0; i < SST_STRIDE_BLOCKS && empty; i++)
	{
		for (size_t j = 0; j < BLOCK_BYTES; j++)
			block[j] = (uint8_t) next_random(&state);
		empty = sst_stride_compress(&stride, compressor, sv_slice(block, BLOCK_BYTES),
									BLOCK_BYTES - BLOCK_BYTES / 8 - 1, &out, NULL) == SV_OK && out.len == 0;
	}
	CHECK(empty, "noise is not compressed");
	CHECK(stride.chosen == SST_STRIDE_WAYS - 1, "and given up in the fastest way");
	sst_compressor_destroy(compressor);
	sv_buffer_free(&out);
}

int
main(void)
{
	test_rows_alike();
	test_numbers();
	test_change();
	test_noise();
	return unit_done();
}
