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

/* l itself. */
scalar scalar_order(void);

/* Find u and v, both below 2^127 and v not zero, with u = v k modulo l, where v is to be negated
 * when *negative. Return 0 when this fails, which takes a rare k. */
int scalar_halve(scalar *u, scalar *v, int *negative, const scalar *k);

/* Euclid's algorithm goes on until the remainder has no more bits than this. */
enum { SCALAR_HALF_BITS = 126 };

/* A number modulo l taken nearest to zero is below 2^251 + 2^124 in magnitude. */
enum { SCALAR_SIGNED_BITS = 252 };

/* Numbers written as sum of digit[i] 2^(width i), i < count; width count <= 256. */
typedef struct {
    int width, count;
    scalar offset; /* sum of 2^(width - 1) 2^(width i): makes every digit unsigned */
} radix;

radix scalar_radix(int width, int count);

/* Write a modulo l with -2^(width-1) <= digit <= 2^(width-1); count = ceil(252 / width). */
void scalar_digits(int16_t *digits, const scalar *a, const radix *radix);

/* The same for any a < 2^(width count - 1), whatever the count, and not modulo l. */
void scalar_digits_plain(int16_t *digits, const scalar *a, const radix *radix);

/* Take the low `width count` <= 192 bits of `random` as digits in [-2^(width-1), 2^(width-1)) and
 * return the number modulo l that they write: uniform among 2^(width count) numbers. */
scalar scalar_from_random_digits(int16_t *digits, const uint64_t random[3], const radix *radix);

#endif
