/*
 * s3_put.c
 *		PUT, with a condition where the store knows them.
 */
#include "store/s3_put.h"

#include <string.h>

#include "store/s3_answer.h"
#include "store/s3_batch.h"
#include "store/s3_multipart.h"
#include "store/s3_read.h"

/* Read at a time when bytes are compared. */
#define COMPARE_BYTES ((size_t) 256 * 1024)

bool
s3_is_conditional(const S3Store *store)
{
	return store->conditional_puts != STORE_S3_CONDITIONAL_OFF;
}

bool
s3_give_up_conditional(S3Store *store)
{
	if (store->conditional_puts != STORE_S3_CONDITIONAL_AUTO)
		return false;
	store->conditional_puts = STORE_S3_CONDITIONAL_OFF;
	store->base.capabilities &= ~(unsigned) (STORE_CAN_PUT_IF_ABSENT | STORE_CAN_PUT_IF_MATCH);
	return true;
}

SvStatus
s3_exists(const char *name, SvError *err)
{
	return sv_fail(err, SV_EXISTS, "object \"%s\" exists already", name);
}

SvStatus
s3_check_absent(S3Store *store, const char *name, const StoreCall *call, SvError *err)
{
	char		byte;
	StoreRange	range = {.name = name,.len = 1,.dst = &byte};
	const StoreRange *ranges[1] = {&range};
	StoreRead	read = {name, 0, 1, ranges, 1};
	int			failed;
	/* Not by HEAD, whose answer does not tell a missing object from a missing bucket. */
	SvStatus	status = s3_get(&store->base, &read, 1, &failed, call, err);

	if (status == SV_NOT_FOUND)
		return SV_OK;
	return status == SV_OK || status == SV_CORRUPT ? s3_exists(name, err) : status;
}

/* -------------------------------------------------------------------------
 * A lost answer
 * ------------------------------------------------------------------------- */

/* Whether the object has these bytes at offset; *same is set with SV_OK. */
static SvStatus
compare_bytes(S3Store *store, const char *name, uint64_t offset, SvSlice bytes, bool *same,
			  const StoreCall *call, SvError *err)
{
	SvBuffer	there;
	StoreRange	range = {.name = name,.offset = offset,.len = bytes.len};
	const StoreRange *ranges[1] = {&range};
	StoreRead	read = {name, offset, bytes.len, ranges, 1};
	int			failed;
	SvStatus	status;

	sv_buffer_init(&there, &sv_malloc_alloc);
	status = sv_buffer_reserve(&there, bytes.len, err);
	range.dst = there.data;
	if (status == SV_OK)
		status = s3_get(&store->base, &read, 1, &failed, call, err);
	*same = status == SV_OK && memcmp(there.data, bytes.data, bytes.len) == 0;
	sv_buffer_free(&there);
	return status;
}

static SvStatus
compare_parts(S3Store *store, const char *name, const SvSlice *parts, int nparts, bool *same,
			  const StoreCall *call, SvError *err)
{
	uint64_t	offset = 0;
	SvStatus	status = SV_OK;

	*same = true;
	for (int i = 0; i < nparts && *same && status == SV_OK; i++)
	{
		for (size_t done = 0; done < parts[i].len && *same && status == SV_OK;)
		{
			size_t		step = parts[i].len - done < COMPARE_BYTES ? parts[i].len - done : COMPARE_BYTES;

			status = compare_bytes(store, name, offset, sv_slice(parts[i].data + done, step), same, call, err);
			done += step;
			offset += step;
		}
	}
	return status;
}

/*
 * A name that should have been free is taken: by these very bytes, if the answer
 * to an earlier try was lost?  SV_OK if so, SV_EXISTS if not.
 */
static SvStatus
check_own(S3Store *store, const char *name, const SvSlice *parts, int nparts,
		  const StoreCall *call, SvError *err)
{
	StoreObject object;
	uint64_t	bytes = 0;
	uint8_t		md5[S3_MD5_BYTES];
	char		hex[S3_MD5_HEX_BYTES];
	bool		same = false;
	SvStatus	status = s3_head(&store->base, name, &object, call, err);

	for (int i = 0; i < nparts; i++)
		bytes += parts[i].len;
	if (status != SV_OK || object.bytes != bytes)
		return status == SV_OK || status == SV_NOT_FOUND ? s3_exists(name, err) : status;
	if (s3_md5(parts, nparts, md5))
	{
		s3_hex(md5, sizeof(md5), hex);
		if (strcmp(object.etag, hex) == 0)
			return SV_OK;
	}
	status = compare_parts(store, name, parts, nparts, &same, call, err);
	if (status != SV_OK && status != SV_NOT_FOUND)
		return status;
	return same && status == SV_OK ? SV_OK : s3_exists(name, err);
}

/* -------------------------------------------------------------------------
 * PUT
 * ------------------------------------------------------------------------- */

/* A PUT, with a condition if there is one: header NULL for none.  op is for its etag. */
static SvStatus
put(S3Store *store, S3Op *op, const char *name, const SvSlice *parts, int nparts, const char *header,
	const char *value, const StoreCall *call, SvError *err)
{
	char		sha256[S3_SHA256_HEX_BYTES];

	*op = (S3Op) {
		.operation = STORE_PUT,.method = HTTP_PUT,.name = name,.extra = {{header, value}},
		.nextra = header != NULL ? 1 : 0,.body = parts,.nbody = nparts,.payload_sha256 = sha256,.want_md5 = true
	};
	if (!s3_sha256_hex(parts, nparts, sha256))
		return sv_fail(err, SV_NO_MEMORY, "SHA-256 is not available");
	return s3_run(store, op, call, err);
}

SvStatus
s3_put_if_absent(ObjectStore *base, const char *name, const SvSlice *parts, int nparts,
				 const StoreCall *call, SvError *err)
{
	S3Store    *store = (S3Store *) base;
	uint64_t	bytes = 0;
	bool		conditional = s3_is_conditional(store);
	SvStatus	status;
	S3Op		op;

	for (int i = 0; i < nparts; i++)
		bytes += parts[i].len;
	if (bytes > S3_SINGLE_BYTES)
		return s3_multipart_put(store, name, parts, nparts, bytes, call, err);
	if (!conditional)
	{
		status = s3_check_absent(store, name, call, err);
		if (status != SV_OK)
			return status;
	}
	status = put(store, &op, name, parts, nparts, conditional ? "if-none-match" : NULL, "*", call, err);
	if (status == SV_UNSUPPORTED && conditional && s3_give_up_conditional(store))
		return s3_put_if_absent(base, name, parts, nparts, call, err);
	return status == SV_EXISTS ? check_own(store, name, parts, nparts, call, err) : status;
}

static SvStatus
etag_of(S3Store *store, const char *name, const S3Op *op, char *etag, const StoreCall *call, SvError *err)
{
	StoreObject object;
	SvStatus	status;

	if (op != NULL && op->etag[0] != '\0')
	{
		memcpy(etag, op->etag, STORE_ETAG_BYTES);
		return SV_OK;
	}
	status = s3_head(&store->base, name, &object, call, err);
	if (status == SV_OK)
		memcpy(etag, object.etag, STORE_ETAG_BYTES);
	return status;
}

/*
 * The etag goes without quotes: Ceph 16 finds no match for one in quotes, and
 * others take both.
 */
SvStatus
s3_put_if_match(ObjectStore *base, const char *name, SvSlice bytes, const char *etag,
				char new_etag[STORE_ETAG_BYTES], const StoreCall *call, SvError *err)
{
	S3Store    *store = (S3Store *) base;
	S3Op		op;
	SvStatus	status = put(store, &op, name, &bytes, 1, etag[0] != '\0' ? "if-match" : "if-none-match",
							 etag[0] != '\0' ? etag : "*", call, err);

	if (status == SV_OK)
		return etag_of(store, name, &op, new_etag, call, err);
	if (status == SV_UNSUPPORTED)
	{
		(void) s3_give_up_conditional(store);
		return status;
	}
	if (status == SV_NOT_FOUND)
		return sv_fail(err, SV_EXISTS, "object \"%s\" is no longer there", name);
	if (status != SV_EXISTS)
		return status;
	status = check_own(store, name, &bytes, 1, call, err);
	if (status == SV_OK)
		return etag_of(store, name, NULL, new_etag, call, err);
	return status == SV_EXISTS ? sv_fail(err, SV_EXISTS, "object \"%s\" has changed", name) : status;
}
