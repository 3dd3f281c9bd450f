/*
 * store_call.h
 *		What drivers do with a StoreCall: cancelling, waiting, accounts.
 *		Private to the store layer.  call may be NULL everywhere.
 */
#ifndef STORE_CALL_H
#define STORE_CALL_H

#include "store/object_store.h"

/* SV_CANCELLED if the call is to stop, else SV_OK.  name is for the message. */
extern SvStatus store_check_cancel(const StoreCall *call, const char *name, SvError *err);

/* The call's wait callback, or poll(2); for at most 100 ms, after which the caller asks whether to stop. */
extern void store_wait(const StoreCall *call, const StoreWaitFd *fds, int nfds, int timeout_ms);

/* Lets time pass.  SV_CANCELLED if the call is to stop meanwhile. */
extern SvStatus store_pause(const StoreCall *call, const char *name, int pause_ms, SvError *err);

/* Calls the call's progress callback, if it has one. */
extern void store_progress(const StoreCall *call);

/* Microseconds of a clock that only goes forward. */
extern uint64_t store_now_us(void);

/* Tells the call's account of a request that began at started_us (store_now_us) and ends now. */
extern void store_account(const StoreCall *call, StoreOperation operation, uint64_t started_us,
						  SvStatus status, uint64_t bytes_in, uint64_t bytes_out);

#endif							/* STORE_CALL_H */
