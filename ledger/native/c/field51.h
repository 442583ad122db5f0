/* The field GF(2^255 - 19) in five limbs of radix 2^51, for machines with a 64x64->128 multiply.
 *
 * Owns: representation, carries and bounds. Must never see a secret: exponentiation and
 * comparison leak nothing by chance, but no caller may rely on that.
 *
 * Invariants ("reduced" = every limb < 2^51 + 2^13):
 *   fe_mul, fe_sqr   take limbs < 2^54, give reduced limbs;
 *   fe_add           gives limbs < the sum of the inputs' bounds, without a carry;
 *   fe_sub           takes a subtrahend with limbs < 2^53 - 76 (4p per limb), adds 4p, gives no carry.
 * docs/native.md derives each bound.
 */
#ifndef CONCORDAT_FIELD51_H
#define CONCORDAT_FIELD51_H

#include "bytes.h"

typedef unsigned __int128 u128;

typedef struct {
    uint64_t v[5];
} fe;

#define FE_MASK ((1ULL << 51) - 1)

static const fe FE_ZERO = {{0, 0, 0, 0, 0}};
static const fe FE_ONE = {{1, 0, 0, 0, 0}};
static const fe FE_D = {
    {0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff}};
static const fe FE_2D = {
    {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff}};
static const fe FE_SQRT_M1 = {
    {0x61b274a0ea0b0, 0x0d5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d}};

static inline fe fe_add(const fe *a, const fe *b)
{
    fe r;
    for (int i = 0; i < 5; i++) {
        r.v[i] = a->v[i] + b->v[i];
    }
    return r;
}

static inline fe fe_sub(const fe *a, const fe *b)
{
    fe r;
    r.v[0] = a->v[0] + 4 * (FE_MASK - 18) - b->v[0];
    for (int i = 1; i < 5; i++) {
        r.v[i] = a->v[i] + 4 * FE_MASK - b->v[i];
    }
    return r;
}

/* Carry five 128-bit columns (< 2^115 each) into reduced limbs. */
static inline fe fe_carry_wide(u128 r0, u128 r1, u128 r2, u128 r3, u128 r4)
{
    fe r;
    r1 += (uint64_t)(r0 >> 51);
    r2 += (uint64_t)(r1 >> 51);
    r3 += (uint64_t)(r2 >> 51);
    r4 += (uint64_t)(r3 >> 51);
    u128 low = (u128)((uint64_t)r0 & FE_MASK) + (u128)(uint64_t)(r4 >> 51) * 19;
    r.v[0] = (uint64_t)low & FE_MASK;
    r.v[1] = ((uint64_t)r1 & FE_MASK) + (uint64_t)(low >> 51);
    r.v[2] = (uint64_t)r2 & FE_MASK;
    r.v[3] = (uint64_t)r3 & FE_MASK;
    r.v[4] = (uint64_t)r4 & FE_MASK;
    return r;
}

static inline fe fe_mul(const fe *a, const fe *b)
{
    const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
    const uint64_t b0 = b->v[0], b1 = b->v[1], b2 = b->v[2], b3 = b->v[3], b4 = b->v[4];
    const uint64_t c1 = 19 * b1, c2 = 19 * b2, c3 = 19 * b3, c4 = 19 * b4;
    return fe_carry_wide(
        (u128)a0 * b0 + (u128)a1 * c4 + (u128)a2 * c3 + (u128)a3 * c2 + (u128)a4 * c1,
        (u128)a0 * b1 + (u128)a1 * b0 + (u128)a2 * c4 + (u128)a3 * c3 + (u128)a4 * c2,
        (u128)a0 * b2 + (u128)a1 * b1 + (u128)a2 * b0 + (u128)a3 * c4 + (u128)a4 * c3,
        (u128)a0 * b3 + (u128)a1 * b2 + (u128)a2 * b1 + (u128)a3 * b0 + (u128)a4 * c4,
        (u128)a0 * b4 + (u128)a1 * b3 + (u128)a2 * b2 + (u128)a3 * b1 + (u128)a4 * b0);
}

static inline fe fe_sqr(const fe *a)
{
    const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
    const uint64_t d0 = 2 * a0, d1 = 2 * a1, d2 = 2 * a2;
    const uint64_t c3 = 19 * a3, c4 = 19 * a4;
    return fe_carry_wide((u128)a0 * a0 + (u128)d1 * c4 + (u128)d2 * c3,
                         (u128)d0 * a1 + (u128)d2 * c4 + (u128)a3 * c3,
                         (u128)d0 * a2 + (u128)a1 * a1 + (u128)(2 * a3) * c4,
                         (u128)d0 * a3 + (u128)d1 * a2 + (u128)a4 * c4,
                         (u128)d0 * a4 + (u128)d1 * a3 + (u128)a2 * a2);
}

static inline fe fe_sqr_times(fe a, int times)
{
    for (int i = 0; i < times; i++) {
        a = fe_sqr(&a);
    }
    return a;
}

/* Decode 255 bits; bit 255 is dropped and values of p or more are taken modulo p (ZIP-215). */
static inline fe fe_from_bytes(const uint8_t b[32])
{
    const uint64_t w0 = load64_le(b), w1 = load64_le(b + 8);
    const uint64_t w2 = load64_le(b + 16), w3 = load64_le(b + 24);
    fe r;
    r.v[0] = w0 & FE_MASK;
    r.v[1] = (w0 >> 51 | w1 << 13) & FE_MASK;
    r.v[2] = (w1 >> 38 | w2 << 26) & FE_MASK;
    r.v[3] = (w2 >> 25 | w3 << 39) & FE_MASK;
    r.v[4] = (w3 >> 12) & FE_MASK;
    return r;
}

/* The one representative below p, in limbs < 2^51. Takes limbs < 2^63. */
static inline fe fe_canonical(const fe *a)
{
    fe r = *a;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            r.v[i + 1] += r.v[i] >> 51;
            r.v[i] &= FE_MASK;
        }
        r.v[0] += 19 * (r.v[4] >> 51);
        r.v[4] &= FE_MASK;
    }
    /* Now the value is below 2^255 + 2^15; q counts how often p fits (0, 1). */
    uint64_t q = (r.v[0] + 19) >> 51;
    for (int i = 1; i < 5; i++) {
        q = (r.v[i] + q) >> 51;
    }
    r.v[0] += 19 * q;
    for (int i = 0; i < 4; i++) {
        r.v[i + 1] += r.v[i] >> 51;
        r.v[i] &= FE_MASK;
    }
    r.v[4] &= FE_MASK;
    return r;
}

static inline int fe_is_zero(const fe *a)
{
    const fe c = fe_canonical(a);
    return (c.v[0] | c.v[1] | c.v[2] | c.v[3] | c.v[4]) == 0;
}

static inline int fe_is_odd(const fe *a)
{
    const fe c = fe_canonical(a);
    return (int)(c.v[0] & 1);
}

/* z^(2^252 - 3), the power that turns u/v into a square root. */
static inline fe fe_pow_p58(const fe *z)
{
    fe t = fe_sqr(z);
    fe z9 = fe_sqr_times(t, 2);
    z9 = fe_mul(&z9, z);
    fe z11 = fe_mul(&z9, &t);
    fe x5 = fe_sqr(&z11);
    x5 = fe_mul(&x5, &z9); /* 2^5 - 1 */
    t = fe_sqr_times(x5, 5);
    fe x10 = fe_mul(&t, &x5);
    t = fe_sqr_times(x10, 10);
    fe x20 = fe_mul(&t, &x10);
    t = fe_sqr_times(x20, 20);
    t = fe_mul(&t, &x20);
    t = fe_sqr_times(t, 10);
    fe x50 = fe_mul(&t, &x10);
    t = fe_sqr_times(x50, 50);
    fe x100 = fe_mul(&t, &x50);
    t = fe_sqr_times(x100, 100);
    t = fe_mul(&t, &x100);
    t = fe_sqr_times(t, 50);
    t = fe_mul(&t, &x50);
    t = fe_sqr_times(t, 2);
    return fe_mul(&t, z);
}

#endif
