/*
 * test_s3_sign.c
 *		AWS's published vectors of Signature Version 4: those of the test suite
 *		"aws4_testsuite" and of the S3 developer guide.
 */
#include "unit.h"

#include <stdlib.h>

#include "store/s3_md5_lanes.h"
#include "store/s3_sign.h"

#define HOST {"host", "example.amazonaws.com"}
#define DATE {"x-amz-date", "20150830T123600Z"}
#define TOKEN \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRq" \
	"TflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75Y" \
	"U9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9K" \
	"SYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

typedef struct Vector
{
	const char *name;
	const char *method;
	const char *path;
	const char *query;
	S3Header	headers[6];
	const char *payload_sha256;
	const char *signed_headers;
	const char *signature;
} Vector;

static const Vector vectors[] = {
	{"get-vanilla", "GET", "/", "", {HOST, DATE}, S3_EMPTY_SHA256, "host;x-amz-date",
	"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-vanilla-query-order-key-case", "GET", "/", "Param1=value1&Param2=value2", {HOST, DATE}, S3_EMPTY_SHA256,
		"host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"get-vanilla-empty-query-key", "GET", "/", "Param1=value1", {HOST, DATE}, S3_EMPTY_SHA256,
		"host;x-amz-date", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
	{"get-vanilla-query-unreserved", "GET", "/",
		"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz", {HOST, DATE}, S3_EMPTY_SHA256,
		"host;x-amz-date", "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
	{"get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "",
		{HOST, DATE}, S3_EMPTY_SHA256, "host;x-amz-date",
	"07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
	{"get-utf8", "GET", "/%E1%88%B4", "", {HOST, DATE}, S3_EMPTY_SHA256, "host;x-amz-date",
	"8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
	{"get-header-key-duplicate", "GET", "/", "",
		{DATE, {"my-header1", "value2"}, HOST, {"my-header1", "value2"}, {"my-header1", "value1"}},
		S3_EMPTY_SHA256, "host;my-header1;x-amz-date",
	"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
	{"get-header-value-order", "GET", "/", "",
		{HOST, {"my-header1", "value4"}, {"my-header1", "value1"}, {"my-header1", "value3"},
			{"my-header1", "value2"}, DATE},
		S3_EMPTY_SHA256, "host;my-header1;x-amz-date",
	"08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
	{"get-header-value-trim", "GET", "/", "",
		{HOST, {"my-header1", " value1"}, {"my-header2", " \"a   b   c\" "}, DATE},
		S3_EMPTY_SHA256, "host;my-header1;my-header2;x-amz-date",
	"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"post-vanilla", "POST", "/", "", {HOST, DATE}, S3_EMPTY_SHA256, "host;x-amz-date",
	"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	{"post-sts-header-before", "POST", "/", "", {HOST, DATE, {"x-amz-security-token", TOKEN}}, S3_EMPTY_SHA256,
		"host;x-amz-date;x-amz-security-token",
	"85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
	{"post-x-www-form-urlencoded", "POST", "/", "",
		{{"content-type", "application/x-www-form-urlencoded"}, HOST, DATE},
		"9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e", "content-type;host;x-amz-date",
	"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"}
};

static const Vector s3_vectors[] = {
	{"GET Object", "GET", "/test.txt", "",
		{{"host", "examplebucket.s3.amazonaws.com"}, {"range", "bytes=0-9"},
			{"x-amz-content-sha256", S3_EMPTY_SHA256}, {"x-amz-date", "20130524T000000Z"}},
		S3_EMPTY_SHA256, "host;range;x-amz-content-sha256;x-amz-date",
	"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	{"PUT Object", "PUT", "/test%24file.text", "",
		{{"host", "examplebucket.s3.amazonaws.com"}, {"date", "Fri, 24 May 2013 00:00:00 GMT"},
			{"x-amz-date", "20130524T000000Z"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
			{"x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}},
		"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
		"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
	{"GET Bucket Lifecycle", "GET", "/", "lifecycle=",
		{{"host", "examplebucket.s3.amazonaws.com"}, {"x-amz-date", "20130524T000000Z"},
			{"x-amz-content-sha256", S3_EMPTY_SHA256}},
		S3_EMPTY_SHA256, "host;x-amz-content-sha256;x-amz-date",
	"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	{"GET Bucket", "GET", "/", "max-keys=2&prefix=J",
		{{"host", "examplebucket.s3.amazonaws.com"}, {"x-amz-date", "20130524T000000Z"},
			{"x-amz-content-sha256", S3_EMPTY_SHA256}},
		S3_EMPTY_SHA256, "host;x-amz-content-sha256;x-amz-date",
	"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"}
};

static bool
signs(const Vector *vector, const char *service, const char *key_id, const char *secret, S3SigningKey *key)
{
	S3SignInput input = {
		.method = vector->method,.path = vector->path,.query = vector->query,.headers = vector->headers,
		.payload_sha256 = vector->payload_sha256,.region = "us-east-1",.service = service,
		.access_key_id = key_id,.secret_access_key = secret
	};
	char		expected[512];
	char	   *authorization;
	bool		same;
	SvError		err;

	while (input.nheaders < 6 && vector->headers[input.nheaders].name != NULL)
	{
		if (strcmp(vector->headers[input.nheaders].name, "x-amz-date") == 0)
			input.date = vector->headers[input.nheaders].value;
		input.nheaders++;
	}
	snprintf(expected, sizeof(expected), "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, "
			 "SignedHeaders=%s, Signature=%s", key_id, input.date, service, vector->signed_headers, vector->signature);
	if (s3_sign(&input, key, &authorization, &err) != SV_OK)
		return false;
	same = strcmp(authorization, expected) == 0;
	if (!same)
		printf("# %s\n# %s\n", authorization, expected);
	free(authorization);
	return same;
}

static void
test_vectors(void)
{
	S3SigningKey key = {0};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		CHECK(signs(&vectors[i], "service", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &key),
			  vectors[i].name);
	/* The key is kept, and derived anew for another service, day and secret. */
	for (size_t i = 0; i < sizeof(s3_vectors) / sizeof(s3_vectors[0]); i++)
		CHECK(signs(&s3_vectors[i], "s3", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &key),
			  s3_vectors[i].name);
	CHECK(!signs(&s3_vectors[0], "s3", "AKIAIOSFODNN7EXAMPLE", "another secret", &key) &&
		  signs(&vectors[0], "service", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &key),
		  "another secret signs otherwise");
}

static void
test_small_things(void)
{
	SvSlice		parts[2] = {sv_slice("a", 1), sv_slice("bc", 2)};
	uint8_t		md5[S3_MD5_BYTES];
	char		hex[S3_SHA256_HEX_BYTES];
	char		base64[S3_MD5_BASE64_BYTES];
	char		date[S3_DATE_BYTES];
	char	   *escaped = s3_escape("a/b c~%\xc3\xa4+=", false);
	char	   *path = s3_escape("a/b c", true);
	S3Md5	   *pieces = s3_md5_create();

	CHECK(s3_sha256_hex(NULL, 0, hex) && strcmp(hex, S3_EMPTY_SHA256) == 0, "SHA-256 of nothing");
	CHECK(s3_sha256_hex(parts, 2, hex) &&
		  strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0, "SHA-256 of \"abc\"");
	CHECK(s3_md5(parts, 2, md5), "MD5");
	s3_hex(md5, sizeof(md5), hex);
	s3_md5_base64(md5, base64);
	CHECK(strcmp(hex, "900150983cd24fb0d6963f7d28e17f72") == 0 &&
		  strcmp(base64, "kAFQmDzST7DWlj99KOF/cg==") == 0, "MD5 of \"abc\" in hex and base 64");
	memset(md5, 0, sizeof(md5));
	CHECK(s3_md5_restart(pieces) && s3_md5_add(pieces, "x", 1) && s3_md5_restart(pieces) &&
		  s3_md5_add(pieces, "a", 1) && s3_md5_add(pieces, "bc", 2) && s3_md5_finish(pieces, md5), "MD5 in pieces");
	s3_hex(md5, sizeof(md5), hex);
	CHECK(strcmp(hex, "900150983cd24fb0d6963f7d28e17f72") == 0, "after a restart");
	s3_md5_free(pieces);
	s3_sign_date(1369353600, date);
	CHECK(strcmp(date, "20130524T000000Z") == 0, "a date");
	CHECK(strcmp(escaped, "a%2Fb%20c~%25%C3%A4%2B%3D") == 0 && strcmp(path, "a/b%20c") == 0, "escapes");
	free(escaped);
	free(path);
}

/* Bodies of all lengths around a block, in one piece and in several, against OpenSSL's. */
static void
test_md5_lanes(void)
{
	enum { ROUNDS = 60 };
	static uint8_t bytes[4096];
	bool		same = true;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t) (i * 2654435761u >> 11);
	for (int round = 0; round < ROUNDS; round++)
	{
		int			n = 1 + round % S3_MD5_LANES;
		S3Md5Lane	lanes[S3_MD5_LANES] = {0};
		SvSlice		parts[S3_MD5_LANES][3];
		uint8_t		expected[S3_MD5_BYTES];

		for (int i = 0; i < n; i++)
		{
			size_t		len = (size_t) (round < 20 ? round * 7 + i : (round * 977 + i * 331) % 3000);
			size_t		cut = len * (size_t) (round % 4) / 4;

			parts[i][0] = sv_slice(bytes + i, cut);
			parts[i][1] = sv_slice(NULL, 0);
			parts[i][2] = sv_slice(bytes + i + cut, len - cut);
			lanes[i].parts = parts[i];
			lanes[i].nparts = 3;
		}
		s3_md5_lanes(lanes, n);
		for (int i = 0; i < n; i++)
			same = same && s3_md5(parts[i], 3, expected) && memcmp(expected, lanes[i].md5, S3_MD5_BYTES) == 0;
	}
	CHECK(same, "MD5 of several bodies side by side");
}

static void
test_refusals(void)
{
	S3Header	headers[S3_MAX_SIGNED_HEADERS + 1];
	S3SignInput input = {"GET", "/", "", headers, 1, S3_EMPTY_SHA256, "20130524T000000Z", "r", "s3", "k", "s"};
	S3SigningKey key = {0};
	char		region[128];
	char	   *authorization;
	SvError		err;

	for (int i = 0; i <= S3_MAX_SIGNED_HEADERS; i++)
		headers[i] = (S3Header) {"a", "b"};
	CHECK(s3_sign(&input, &key, &authorization, &err) == SV_OK, "one header");
	free(authorization);
	input.nheaders = S3_MAX_SIGNED_HEADERS + 1;
	CHECK(s3_sign(&input, &key, &authorization, &err) == SV_INVALID && authorization == NULL, "too many headers");
	memset(region, 'r', sizeof(region));
	region[sizeof(region) - 1] = '\0';
	input.nheaders = 1;
	input.region = region;
	CHECK(s3_sign(&input, &key, &authorization, &err) == SV_INVALID, "a region too long");
}

int
main(void)
{
	test_vectors();
	test_small_things();
	test_md5_lanes();
	test_refusals();
	return unit_done();
}
