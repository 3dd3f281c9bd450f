/*
 * lsm_walkey.h
 *		Keys of WAL runs: the table id, big-endian so that bytes sort as
 *		(table, key) does, and then the key.
 */
#ifndef LSM_WALKEY_H
#define LSM_WALKEY_H

#include "base/sv_slice.h"

#define LSM_WALKEY_PREFIX_BYTES 4

static inline void
lsm_walkey_prefix(uint8_t *dst, int32_t table_id)
{
	uint32_t	id = (uint32_t) table_id;

	dst[0] = (uint8_t) (id >> 24);
	dst[1] = (uint8_t) (id >> 16);
	dst[2] = (uint8_t) (id >> 8);
	dst[3] = (uint8_t) id;
}

static inline int32_t
lsm_walkey_table(SvSlice walkey)
{
	return (int32_t) (((uint32_t) walkey.data[0] << 24) | ((uint32_t) walkey.data[1] << 16) |
					  ((uint32_t) walkey.data[2] << 8) | (uint32_t) walkey.data[3]);
}

static inline SvSlice
lsm_walkey_key(SvSlice walkey)
{
	return sv_slice(walkey.data + LSM_WALKEY_PREFIX_BYTES, walkey.len - LSM_WALKEY_PREFIX_BYTES);
}

#endif							/* LSM_WALKEY_H */
