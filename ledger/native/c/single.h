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

/* Fill the tables of multiples of B that ed25519_verify_eight_ifma reads. */
void ed25519_init_ifma(void);

/* Judge 1..8 signatures. */
void ed25519_verify_eight_ifma(const ed25519_item *items, size_t count, uint8_t *verdicts);

#endif
