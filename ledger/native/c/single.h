/* Eight signatures at once; see single_ifma.c. */
#ifndef CONCORDAT_SINGLE_H
#define CONCORDAT_SINGLE_H

#include "ed25519.h"

/* Fill the table of multiples of B that ed25519_verify_eight_ifma reads. */
void ed25519_init_ifma(void);

/* Judge 1..8 signatures. */
void ed25519_verify_eight_ifma(const ed25519_item *items, size_t count, uint8_t *verdicts);

#endif
