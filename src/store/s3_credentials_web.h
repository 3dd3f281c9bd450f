/*
 * s3_credentials_web.h
 *		Keys of a role, for a token of an identity provider.  Private to the credentials.
 */
#ifndef S3_CREDENTIALS_WEB_H
#define S3_CREDENTIALS_WEB_H

#include "store/s3_credentials_source.h"

extern SvStatus s3_from_web_identity(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
									 const StoreCall *call, SvError *err);

#endif							/* S3_CREDENTIALS_WEB_H */
