/*
 * fuzz_rmi.c
 *		Any bytes as a learned index: nothing may crash or run for ever, and
 *		every answer is low <= high <= count.
 *
 * The input is the index, behind four bytes that say where in it the keys to
 * look up begin; they are also taken from the index itself.  It is parsed with
 * the count of keys that it names.
 *
 * clang: -fsanitize=fuzzer,address,undefined.  With -DFUZZ_MAIN and any
 * compiler it reads the files that are its arguments instead.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sst/sst_rmi.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PREFIX_BYTES	4
#define MAX_KEYS		64

static void
locate(const SstRmi *rmi, SvSlice key)
{
	SstRmiRange range = sst_rmi_locate(rmi, key);
	SstRmiProbe probe = sst_rmi_start(rmi, key);
	SstRmiRange again;

	sst_rmi_aim(rmi, &probe);
	again = sst_rmi_finish(rmi, &probe, key);
	if (range.low > range.high || range.high > rmi->count ||
		again.low != range.low || again.high != range.high)
		abort();
}

/* Keys are cut out of the input: the length of each is its first byte, modulo 48. */
static void
locate_all(const SstRmi *rmi, const uint8_t *data, size_t size)
{
	size_t		at = 0;

	for (int i = 0; i < MAX_KEYS && at < size; i++)
	{
		size_t		len = data[at++] % 48;

		if (len > size - at)
			len = size - at;
		locate(rmi, sv_slice(data + at, len));
		at += len;
	}
	locate(rmi, sv_slice(NULL, 0));
	locate(rmi, sv_slice(data, size));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SvSlice		index;
	size_t		keys_at;
	SstRmi		rmi;
	SstRmiStats stats;

	if (size < PREFIX_BYTES + SST_RMI_HEADER_BYTES)
		return 0;
	index = sv_slice(data + PREFIX_BYTES, size - PREFIX_BYTES);
	keys_at = sv_get_u32(data) % index.len;
	if (sst_rmi_parse(&rmi, index, sv_get_u32(index.data + SST_RMI_HEADER_COUNT)) != NULL)
		return 0;
	locate_all(&rmi, index.data + keys_at, index.len - keys_at);
	locate_all(&rmi, index.data, index.len);
	sst_rmi_stats(&rmi, &stats);
	return 0;
}

#ifdef FUZZ_MAIN
int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		FILE	   *file = fopen(argv[i], "rb");
		uint8_t    *data = malloc(1 << 20);
		size_t		size;

		if (file == NULL || data == NULL)
			return 1;
		size = fread(data, 1, 1 << 20, file);
		fclose(file);
		LLVMFuzzerTestOneInput(data, size);
		free(data);
	}
	return 0;
}
#endif
