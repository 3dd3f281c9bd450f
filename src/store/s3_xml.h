/*
 * s3_xml.h
 *		The XML of S3's answers: strict, bounded, pure.
 *
 * Understood are elements, text with the five named entities and numeric ones,
 * attributes (which are passed over), comments and a declaration.  Not
 * understood, and so refused, are document types, CDATA and whatever is not well
 * formed.  Why not libxml2: S3's answers are six kinds of nested elements, and a
 * library that can load external entities would be one more to keep from doing so.
 */
#ifndef S3_XML_H
#define S3_XML_H

#include "base/sv_slice.h"

#define S3_XML_MAX_DEPTH 8
#define S3_XML_PATH_BYTES 256
#define S3_XML_TEXT_BYTES 4096

/*
 * Called at the end of each element, with the names of those around it and its
 * own joined by '/', as "Error/Code", and its text ("" if it has elements).
 * Both are good until it returns; false ends the parsing.
 */
typedef bool (*S3XmlCallback) (void *state, const char *path, const char *text);

typedef enum S3XmlResult
{
	S3_XML_OK,
	S3_XML_ENDED,				/* the callback returned false */
	S3_XML_BAD					/* not well formed, or beyond a bound */
} S3XmlResult;

extern S3XmlResult s3_xml_parse(SvSlice bytes, S3XmlCallback callback, void *state);

#endif							/* S3_XML_H */
