/* Integers modulo l = 2^252 + 27742317777372353535851937790883648493, four 64-bit words each.
 *
 * Owns: canonicality of s, reduction of a SHA-512 digest, products and sums. Variable time:
 * verification handles no secret.
 */
#ifndef CONCORDAT_SCALAR_H
#define CONCORDAT_SCALAR_H

#include <stddef.h>

#include "bytes.h"

/* Words, least significant first; below l unless a comment says otherwise. */
typedef struct {
    uint64_t w[4];
} scalar;

/* Load 32 bytes; the value may be l or more. */
scalar scalar_load(const uint8_t bytes[32]);

void scalar_store(uint8_t bytes[32], const scalar *a);

/* Is a < l? */
int scalar_is_canonical(const scalar *a);

/* A 512-bit little-endian number modulo l. */
scalar scalar_reduce512(const uint8_t bytes[64]);

/* a b + c modulo l; a and b may be any 256-bit numbers whose product is below 2^512 - l. */
scalar scalar_mul_add(const scalar *a, const scalar *b, const scalar *c);

scalar scalar_negate(const scalar *a);

/* Write a (any 256-bit number) as sum of digits[i] 2^(width i) with |digit| <= 2^(width-1).
 * `count` digits are written; the last takes what remains, so width * count must exceed a's bits
 * for it to stay within the same bound. */
void scalar_digits(int16_t *digits, size_t stride, const scalar *a, int width, int count);

#endif
