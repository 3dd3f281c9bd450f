/*
 * api_vault.h
 *		Arguments that name a vault.
 */
#ifndef API_VAULT_H
#define API_VAULT_H

#include "postgres.h"

/* The vault of a server by name; 0 if nothing was ever written to it. 42704, 42809. */
extern int32 api_vault_id(Name server_name);

#endif							/* API_VAULT_H */
