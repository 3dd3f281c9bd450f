/*
 * api_admin.h
 *		What functions for administrators have in common.
 */
#ifndef API_ADMIN_H
#define API_ADMIN_H

#include "postgres.h"

/*
 * Flushes a vault, or all if vault_id is 0, and waits; the number of entries
 * written.  Errors and warnings are those of skyvault_flush().
 */
extern int64 api_flush(int32 vault_id);

#endif							/* API_ADMIN_H */
