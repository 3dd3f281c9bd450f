/*
 * forest_swap.h
 *		Two foreign tables exchange their contents.
 *
 * All that is stored is stored by table id, so the rows of skyvault."table" say
 * which relation has which content, and exchanging them costs the same whatever
 * the tables hold.  It is part of the user's transaction: a ROLLBACK, also of a
 * savepoint, takes it back, and PREPARE TRANSACTION carries it along.
 */
#ifndef FOREST_SWAP_H
#define FOREST_SWAP_H

#include "postgres.h"

#include "utils/relcache.h"

/*
 * The caller owns both relations, which are different ones, and has locked them in
 * AccessExclusive, in the order of their oids.  Takes the table locks of both in
 * AccessExclusive.  42809 if one is none of ours; 22023 if they are of different
 * vaults; 55006 if this session is in the middle of using one; 55000 if another
 * database writes the vault; 0A000 for partitions, and under SERIALIZABLE; 42804 if
 * rows of the one would not be rows of the other; 40001 under REPEATABLE READ if
 * another has done it since the snapshot.
 */
extern void forest_swap(Relation a, Relation b);

/*
 * What forest_swap would say of them, but for locks: for who is about to fill one
 * of them first.
 */
extern void forest_swap_check(Relation a, Relation b);

/* 0A000 under SERIALIZABLE: what readers have looked at is not where a swap writes. */
extern void forest_swap_check_isolation(void);

#endif							/* FOREST_SWAP_H */
