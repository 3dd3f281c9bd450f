/*
 * s3_credentials_file.h
 *		Keys from the environment and from the shared credentials file.  Private to the credentials.
 */
#ifndef S3_CREDENTIALS_FILE_H
#define S3_CREDENTIALS_FILE_H

#include "store/s3_credentials_source.h"

extern SvStatus s3_from_environment(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
									const StoreCall *call, SvError *err);
extern SvStatus s3_from_file(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
							 const StoreCall *call, SvError *err);

/* What other sources need of both. */

/* A variable of the environment; NULL also if it is empty. */
extern const char *s3_environment(const char *name);

/* Copies a value without surrounding blanks; false if it does not fit or has other characters than printable ASCII. */
extern bool s3_copy_value(char *to, size_t size, SvSlice value);

/*
 * The content of a small file in memory of its own, which s3_free_secret frees.
 * SV_NOT_FOUND if there is none; SV_DENIED if it cannot be read, is no ordinary
 * file or has more than max_bytes.
 */
extern SvStatus s3_read_file(const char *path, size_t max_bytes, SvSlice *content, SvError *err);
extern void s3_free_secret(SvSlice *content);

#endif							/* S3_CREDENTIALS_FILE_H */
