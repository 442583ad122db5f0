/* One batch equation: sum z_i R_i + sum_j (sum z_i k_i) A_j - (sum z_i s_i) B must have small order.
 *
 * Owns what every path shares: which scalar multiplies which point. Terms of one public key are
 * merged, so a batch under few keys costs little more than its R points.
 */
#ifndef CONCORDAT_BATCH_H
#define CONCORDAT_BATCH_H

#include "ed25519.h"
#include "scalar.h"

/* Up to ED25519_CHUNK signatures and the scalars of their equation. */
typedef struct {
    const ed25519_item *items;
    size_t count;
    size_t keys;           /* distinct public keys, 1..count */
    scalar *s;             /* count: the second half of each signature */
    scalar *challenge;     /* count: k_i */
    scalar *coefficient;   /* count: z_i < 2^128 */
    const uint8_t **key;   /* keys: the encodings */
    scalar *key_scalar;    /* keys: sum of z_i k_i */
    uint32_t *slots;       /* the hash table that finds a key's index */
    scalar base_scalar;    /* -(sum z_i s_i) */
} batch;

/* Allocate for `count` (1..ED25519_CHUNK) items. Return 0 when memory is short. */
int batch_open(batch *b, const ed25519_item *items, size_t count);
void batch_close(batch *b);

/* Compute s and the challenges, one message at a time. Return 0 when some s is not below l. */
int batch_hash_portable(batch *b);

/* With s and challenges known: draw the coefficients, merge terms per key, sum the scalars. */
void batch_combine(batch *b, const uint8_t seed[32]);

/* Decode the points and evaluate the equation. */
ed25519_result batch_evaluate_portable(const batch *b);

/* k = SHA-512(R || A || M) modulo l. */
scalar ed25519_challenge(const ed25519_item *item);

#endif
