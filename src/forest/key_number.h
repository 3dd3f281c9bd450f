/*
 * key_number.h
 *		Order-preserving bytes for the numbers that have several spellings:
 *		numeric (1.0 and 1.00), interval (1 day and 24:00) and the floats
 *		(0 and -0).
 *
 * Equal values give equal bytes.  What is decoded is the canonical spelling:
 * numeric without trailing zeros, interval as days and time, plus zero.
 * ..._is_exact says whether a datum is spelled like that.
 */
#ifndef KEY_NUMBER_H
#define KEY_NUMBER_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "lib/stringinfo.h"

#define KEY_INTERVAL_BYTES 16

extern void key_numeric_encode(Datum numeric, StringInfo out);
extern bool key_numeric_is_exact(Datum numeric);

/* Length of the encoding that `bytes` begins with, or 0 if it begins with none. */
extern size_t key_numeric_length(SvSlice bytes);

/* `bytes` is exactly one encoding's length; false if it is not one. */
extern bool key_numeric_decode(SvSlice bytes, Datum *numeric);

extern void key_interval_encode(Datum interval, StringInfo out);
extern bool key_interval_is_exact(Datum interval);
extern bool key_interval_decode(SvSlice bytes, Datum *interval);

/* The bits whose order as unsigned integers is the order of the floats, NaN last. */
extern uint32 key_float4_bits(float4 value);
extern uint64 key_float8_bits(float8 value);
extern float4 key_float4_of_bits(uint32 bits);
extern float8 key_float8_of_bits(uint64 bits);

#endif							/* KEY_NUMBER_H */
