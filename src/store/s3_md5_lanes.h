/*
 * s3_md5_lanes.h
 *		MD5 of several bodies at once, side by side in vector registers.
 *
 * MD5 is a chain in which each step waits for the one before, so one body keeps
 * a processor busy with little: eight together take hardly longer.  An upload in
 * parts has as many bodies as parts, and MD5 was what it spent most time on.
 */
#ifndef S3_MD5_LANES_H
#define S3_MD5_LANES_H

#include "store/s3_digest.h"

#define S3_MD5_LANES 8

typedef struct S3Md5Lane
{
	const SvSlice *parts;		/* the body, in order */
	int			nparts;
	uint8_t		md5[S3_MD5_BYTES];	/* the answer */
} S3Md5Lane;

/* At most S3_MD5_LANES; best if all are of about the same length. */
extern void s3_md5_lanes(S3Md5Lane *lanes, int n);

#endif							/* S3_MD5_LANES_H */
