/*
 * s3_json.h
 *		Reads strings out of a JSON object that came from outside.
 */
#ifndef S3_JSON_H
#define S3_JSON_H

#include "base/sv_slice.h"

typedef enum S3JsonResult
{
	S3_JSON_FOUND,
	S3_JSON_MISSING,			/* no such member; or it is null */
	S3_JSON_BAD					/* no JSON object, or the member is no string, or one that does not fit */
} S3JsonResult;

/*
 * The string member `name` of the object that json is, as bytes of UTF-8 in
 * value (size with the final NUL).  Members of objects inside do not count; of
 * equal ones the last does.  The whole of json is checked, down to 32 levels.
 * A string with U+0000 in it does not fit.  value is "" unless it was found.
 */
extern S3JsonResult s3_json_string(SvSlice json, const char *name, char *value, size_t size);

#endif							/* S3_JSON_H */
