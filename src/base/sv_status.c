/*
 * sv_status.c
 *		Filling in errors.
 */
#include "base/sv_status.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

SvStatus
sv_fail(SvError *err, SvStatus status, const char *fmt,...)
{
	va_list		args;
	SvError		filled;

	if (err == NULL)
		return status;

	/* Formatted apart: an argument may be the message that err holds now. */
	filled.status = status;
	filled.os_errno = 0;
	filled.detail[0] = filled.hint[0] = '\0';
	va_start(args, fmt);
	vsnprintf(filled.message, sizeof(filled.message), fmt, args);
	va_end(args);
	*err = filled;
	return status;
}

/*
 * The text of an errno value.  strerror() is not safe with threads and the
 * two strerror_r()s differ, so the result of the GNU one is told from the
 * POSIX one by its type.
 */
static const char *
errno_text(int os_errno, char *buf, size_t size)
{
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
	return strerror_r(os_errno, buf, size);
#else
	if (strerror_r(os_errno, buf, size) != 0)
		snprintf(buf, size, "operating system error %d", os_errno);
	return buf;
#endif
}

SvStatus
sv_fail_os(SvError *err, int os_errno, const char *fmt,...)
{
	SvStatus	status = sv_status_of_errno(os_errno);
	va_list		args;
	SvError		filled;
	char		text[128];
	const char *reason;
	size_t		used;
	size_t		room;

	if (err == NULL)
		return status;

	filled.status = status;
	filled.os_errno = os_errno;
	filled.detail[0] = filled.hint[0] = '\0';
	va_start(args, fmt);
	vsnprintf(filled.message, sizeof(filled.message), fmt, args);
	va_end(args);

	/* The reason matters more than the end of a long name: cut the latter. */
	reason = errno_text(os_errno, text, sizeof(text));
	room = strlen(reason) + sizeof(": ");
	used = strlen(filled.message);
	if (used > sizeof(filled.message) - room)
		used = sizeof(filled.message) - room;
	snprintf(filled.message + used, sizeof(filled.message) - used, ": %s", reason);
	*err = filled;
	return status;
}

void
sv_set_detail(SvError *err, const char *fmt,...)
{
	va_list		args;
	char		text[SV_ERROR_DETAIL_BYTES];

	if (err == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	memcpy(err->detail, text, strlen(text) + 1);
}

void
sv_set_hint(SvError *err, const char *fmt,...)
{
	va_list		args;
	char		text[SV_ERROR_HINT_BYTES];

	if (err == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	memcpy(err->hint, text, strlen(text) + 1);
}

SvStatus
sv_status_of_errno(int os_errno)
{
	switch (os_errno)
	{
		case 0:
			return SV_OK;
		case ENOENT:
			return SV_NOT_FOUND;
		case EEXIST:
			return SV_EXISTS;
		case EACCES:
		case EPERM:
		case EROFS:
			return SV_DENIED;
		case ENOSPC:
		case EDQUOT:
		case EFBIG:
			return SV_NO_SPACE;
		case ENOMEM:
			return SV_NO_MEMORY;
		default:
			return SV_IO;
	}
}
