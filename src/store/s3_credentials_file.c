/*
 * s3_credentials_file.c
 *		Keys from the environment and from the shared credentials file.
 *
 * The file is an INI file: "[profile]", then "name = value" lines; lines that
 * begin with '#' or ';' say nothing, what else has neither form is skipped, as
 * AWS's tools do.
 */
#include "store/s3_credentials_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILE_BYTES ((size_t) 1024 * 1024)

const char *
s3_environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static SvSlice
trimmed(SvSlice s)
{
	while (s.len > 0 && is_blank(s.data[0]))
		s = sv_slice(s.data + 1, s.len - 1);
	while (s.len > 0 && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

bool
s3_copy_value(char *to, size_t size, SvSlice value)
{
	value = trimmed(value);
	if (value.len >= size)
		return false;
	for (size_t i = 0; i < value.len; i++)
	{
		if (value.data[i] <= ' ' || value.data[i] >= 0x7F)
			return false;
	}
	/* value may lie in to */
	if (value.len > 0)
		memmove(to, value.data, value.len);
	to[value.len] = '\0';
	return true;
}

SvStatus
s3_from_environment(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
					const StoreCall *call, SvError *err)
{
	const char *id = s3_environment("AWS_ACCESS_KEY_ID");
	const char *secret = s3_environment("AWS_SECRET_ACCESS_KEY");
	const char *token = s3_environment("AWS_SESSION_TOKEN");

	(void) input;
	(void) call;
	snprintf(where->name, sizeof(where->name), "the environment");
	if (id == NULL || secret == NULL)
	{
		snprintf(where->missing, sizeof(where->missing), "The environment has no %s.",
				 id == NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
		return SV_NOT_FOUND;
	}
	if (!s3_copy_value(credentials->access_key_id, S3_KEY_BYTES, sv_slice(id, strlen(id))) ||
		!s3_copy_value(credentials->secret_access_key, S3_KEY_BYTES, sv_slice(secret, strlen(secret))) ||
		(token != NULL && !s3_copy_value(credentials->session_token, S3_TOKEN_BYTES, sv_slice(token, strlen(token)))))
		return sv_fail(err, SV_DENIED, "the keys for the object store from the environment are too long or have"
					   " characters that no key has");
	return SV_OK;
}

/* -------------------------------------------------------------------------
 * Files
 * ------------------------------------------------------------------------- */

void
s3_free_secret(SvSlice *content)
{
	if (content->data != NULL)
	{
		explicit_bzero((void *) content->data, content->len);
		free((void *) content->data);
	}
	*content = sv_slice(NULL, 0);
}

/* Reads up to size bytes; the number, or -1 with errno. */
static ssize_t
read_up_to(int fd, uint8_t *to, size_t size)
{
	size_t		done = 0;

	while (done < size)
	{
		ssize_t		got = read(fd, to + done, size - done);

		if (got < 0 && errno != EINTR)
			return -1;
		if (got == 0)
			break;
		done += got > 0 ? (size_t) got : 0;
	}
	return (ssize_t) done;
}

static SvStatus
read_open_file(int fd, const char *path, size_t max_bytes, SvSlice *content, SvError *err)
{
	struct stat st;
	uint8_t    *bytes;
	ssize_t		got;

	if (fstat(fd, &st) != 0)
		return sv_fail_os(err, errno, "could not read file \"%s\"", path);
	if (!S_ISREG(st.st_mode))
		return sv_fail(err, SV_DENIED, "\"%s\" is no ordinary file", path);
	if (st.st_size < 0 || (uint64_t) st.st_size > max_bytes)
		return sv_fail(err, SV_DENIED, "file \"%s\" has more than %zu bytes", path, max_bytes);
	/* one more, to notice that it has grown; never none */
	bytes = malloc((size_t) st.st_size + 1);
	if (bytes == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory");
	got = read_up_to(fd, bytes, (size_t) st.st_size + 1);
	*content = sv_slice(bytes, got > 0 ? (size_t) got : 0);
	if (got >= 0 && got <= st.st_size)
		return SV_OK;
	content->len = (size_t) st.st_size + 1;
	s3_free_secret(content);
	if (got < 0)
		return sv_fail_os(err, errno, "could not read file \"%s\"", path);
	return sv_fail(err, SV_IO, "file \"%s\" changed while it was read", path);
}

SvStatus
s3_read_file(const char *path, size_t max_bytes, SvSlice *content, SvError *err)
{
	/* without O_NONBLOCK a named pipe would keep us here */
	int			fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	SvStatus	status;

	*content = sv_slice(NULL, 0);
	if (fd < 0)
	{
		if (errno == ENOENT || errno == ENOTDIR)
			return SV_NOT_FOUND;
		status = sv_fail_os(err, errno, "could not open file \"%s\"", path);
		if (status == SV_DENIED)
			sv_set_hint(err, "The user whom the database server runs as has to be allowed to read it.");
		return status;
	}
	status = read_open_file(fd, path, max_bytes, content, err);
	close(fd);
	return status;
}

/* -------------------------------------------------------------------------
 * The credentials file
 * ------------------------------------------------------------------------- */

/* The next line of *rest, without its end; false when there is none. */
static bool
next_line(SvSlice *rest, SvSlice *line)
{
	const uint8_t *end;

	if (rest->len == 0)
		return false;
	end = memchr(rest->data, '\n', rest->len);
	*line = sv_slice(rest->data, end != NULL ? (size_t) (end - rest->data) : rest->len);
	*rest = end != NULL ? sv_slice(end + 1, rest->len - line->len - 1) : sv_slice(NULL, 0);
	*line = trimmed(*line);
	return true;
}

static bool
equals(SvSlice s, const char *text)
{
	return sv_slice_equal(s, sv_slice(text, strlen(text)));
}

/* "[name]": true, with the name. */
static bool
is_section(SvSlice line, SvSlice *name)
{
	if (line.len < 2 || line.data[0] != '[' || line.data[line.len - 1] != ']')
		return false;
	*name = trimmed(sv_slice(line.data + 1, line.len - 2));
	return true;
}

/* A line of the profile; false if its value is no key. */
static bool
take_line(SvSlice line, S3Credentials *credentials)
{
	const uint8_t *equal = line.len > 0 ? memchr(line.data, '=', line.len) : NULL;
	SvSlice		name;
	SvSlice		value;

	if (equal == NULL || line.data[0] == '#' || line.data[0] == ';')
		return true;
	name = trimmed(sv_slice(line.data, (size_t) (equal - line.data)));
	value = sv_slice(equal + 1, line.len - (size_t) (equal - line.data) - 1);
	if (equals(name, "aws_access_key_id"))
		return s3_copy_value(credentials->access_key_id, S3_KEY_BYTES, value);
	if (equals(name, "aws_secret_access_key"))
		return s3_copy_value(credentials->secret_access_key, S3_KEY_BYTES, value);
	if (equals(name, "aws_session_token"))
		return s3_copy_value(credentials->session_token, S3_TOKEN_BYTES, value);
	return true;
}

/* SV_NOT_FOUND if there is no such profile, or no key in it. */
static SvStatus
find_profile(SvSlice content, const char *profile, S3Credentials *credentials, const char *path, SvError *err)
{
	SvSlice		line;
	SvSlice		section;
	bool		ours = false;
	unsigned	number = 0;

	while (next_line(&content, &line))
	{
		number++;
		if (is_section(line, &section))
			ours = equals(section, profile);
		else if (ours && !take_line(line, credentials))
			return sv_fail(err, SV_DENIED, "line %u of file \"%s\" has a value that is too long or has characters"
						   " that no key has", number, path);
	}
	return credentials->access_key_id[0] == '\0' && credentials->secret_access_key[0] == '\0' ? SV_NOT_FOUND : SV_OK;
}

/* AWS_SHARED_CREDENTIALS_FILE, or .aws/credentials in the server's user's home. */
static bool
credentials_path(char *path, size_t size)
{
	const char *named = s3_environment("AWS_SHARED_CREDENTIALS_FILE");
	const char *home = s3_environment("HOME");
	int			len;

	if (named != NULL)
		len = snprintf(path, size, "%s", named);
	else
	{
		struct passwd *user = home == NULL ? getpwuid(geteuid()) : NULL;

		if (user != NULL)
			home = user->pw_dir;
		len = snprintf(path, size, "%s/.aws/credentials", home != NULL ? home : "");
	}
	return len > 0 && (size_t) len < size;
}

SvStatus
s3_from_file(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
			 const StoreCall *call, SvError *err)
{
	const char *named = input->profile != NULL ? input->profile : s3_environment("AWS_PROFILE");
	const char *profile = named != NULL ? named : "default";
	char		path[4096];
	SvSlice		content;
	SvStatus	status;

	(void) call;
	if (!credentials_path(path, sizeof(path)))
		return sv_fail(err, SV_DENIED, "the path of the shared credentials file is too long");
	snprintf(where->name, sizeof(where->name), "profile \"%.60s\" of file \"%.150s\"", profile, path);
	status = s3_read_file(path, MAX_FILE_BYTES, &content, err);
	if (status == SV_OK)
	{
		status = find_profile(content, profile, credentials, path, err);
		s3_free_secret(&content);
		snprintf(where->missing, sizeof(where->missing), "File \"%.150s\" has no keys for profile \"%.60s\".",
				 path, profile);
	}
	else
		snprintf(where->missing, sizeof(where->missing), "There is no file \"%.150s\".", path);

	/* Who names a profile does not want the next source's keys. */
	if (status == SV_NOT_FOUND && named != NULL)
	{
		status = sv_fail(err, SV_DENIED, "there are no keys for the object store in %s", where->name);
		sv_set_hint(err, "Add aws_access_key_id and aws_secret_access_key to the profile, or name another.");
	}
	return status;
}
