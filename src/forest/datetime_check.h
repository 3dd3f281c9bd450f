/*
 * datetime_check.h
 *		Whether integers read from storage are dates and times that the
 *		server's own functions could have made.
 */
#ifndef DATETIME_CHECK_H
#define DATETIME_CHECK_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/date.h"

static inline bool
datetime_date_is_valid(DateADT date)
{
	return DATE_NOT_FINITE(date) || IS_VALID_DATE(date);
}

static inline bool
datetime_time_is_valid(TimeADT time)
{
	return time >= 0 && time <= USECS_PER_DAY;
}

static inline bool
datetime_zone_is_valid(int32 zone)
{
	return zone > -TZDISP_LIMIT && zone < TZDISP_LIMIT;
}

static inline bool
datetime_timestamp_is_valid(Timestamp timestamp)
{
	return TIMESTAMP_NOT_FINITE(timestamp) || IS_VALID_TIMESTAMP(timestamp);
}

#endif							/* DATETIME_CHECK_H */
