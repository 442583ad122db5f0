/* Individual verdicts: one signature (single.c), or eight at once (single_ifma.c). */
#ifndef CONCORDAT_SINGLE_H
#define CONCORDAT_SINGLE_H

#include "ed25519.h"
#include "edwards.h"
#include "scalar.h"

/* Is it valid? */
int ed25519_verify_one(const ed25519_item *item);

/* The same for decoded A and R and canonical s. */
int ed25519_judge(const ge *key, const ge *r, const scalar *s, const scalar *challenge);

/* Odd multiples of a key and of 2^127 times it. */
enum { KEY_ODD = 32 };
typedef struct {
    ge_cached low[KEY_ODD], high[KEY_ODD];
} key_table;

void ed25519_fill_key_table(key_table *table, const ge *key);

/* As ed25519_judge, with half the additions. */
int ed25519_judge_keyed(const key_table *table, const ge *r, const scalar *s,
                        const scalar *challenge);

/* Fill the tables of multiples of B that ed25519_verify_eight_ifma reads. */
void ed25519_init_ifma(void);

/* Judge 1..8 signatures. */
void ed25519_verify_eight_ifma(const ed25519_item *items, size_t count, uint8_t *verdicts);

#endif
