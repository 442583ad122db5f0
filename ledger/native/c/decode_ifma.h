/* Eight encodings to eight points under ZIP-215, two groups at a time to fill the pipeline. */
#ifndef CONCORDAT_DECODE_IFMA_H
#define CONCORDAT_DECODE_IFMA_H

#include "edwards_ifma.h"

/* Points that ge8_decode takes at once. */
enum { DECODE_GROUPS = 2, DECODE_POINTS = DECODE_GROUPS * LANES };

/* Load eight encodings as four vectors of words. */
static inline void load_encodings(u64x8 words[4], const uint8_t *const encodings[LANES])
{
    u64x8 rows[8];
    for (int i = 0; i < LANES; i++) {
        rows[i] = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)encodings[i]));
    }
    transpose8(rows);
    for (int i = 0; i < 4; i++) {
        words[i] = rows[i];
    }
}

/* Square each that often. Taken in turn, in registers: neither waits for the other. */
static inline void fe8_sqr_pair(fe8 t[DECODE_GROUPS], int times)
{
    fe8 a = t[0], b = t[1];
    for (int n = 0; n < times; n++) {
        a = fe8_sqr(&a);
        b = fe8_sqr(&b);
    }
    t[0] = a;
    t[1] = b;
}

static inline void fe8_mul_pair(fe8 t[DECODE_GROUPS], const fe8 by[DECODE_GROUPS])
{
    for (int g = 0; g < DECODE_GROUPS; g++) {
        t[g] = fe8_mul(&t[g], &by[g]);
    }
}

/* The chain of fe_pow_p58 for two groups. */
static inline void fe8_pow_p58_pair(fe8 r[DECODE_GROUPS], const fe8 z[DECODE_GROUPS])
{
    /* Square that often, then multiply by saved[times], then keep the result in saved[keep]:
     * z^2 in saved[0] and z^9 in saved[1]; then the powers 2^5 - 1, 2^10 - 1, 2^20 - 1, 2^50 - 1
     * and 2^100 - 1. The last entry is overwritten. */
    static const struct {
        uint8_t squares, times, keep;
    } steps[] = {{5, 2, 3},  {10, 3, 4}, {20, 4, 7}, {10, 3, 5},
                 {50, 5, 6}, {100, 6, 7}, {50, 5, 7}};
    fe8 saved[8][DECODE_GROUPS], t[DECODE_GROUPS];
    memcpy(t, z, sizeof t);
    fe8_sqr_pair(t, 1);
    memcpy(saved[0], t, sizeof t);
    fe8_sqr_pair(t, 2);
    fe8_mul_pair(t, z);
    memcpy(saved[1], t, sizeof t);
    fe8_mul_pair(t, saved[0]);
    fe8_sqr_pair(t, 1);
    fe8_mul_pair(t, saved[1]);
    memcpy(saved[2], t, sizeof t);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        fe8_sqr_pair(t, steps[i].squares);
        fe8_mul_pair(t, saved[steps[i].times]);
        memcpy(saved[steps[i].keep], t, sizeof t);
    }
    fe8_sqr_pair(t, 2);
    fe8_mul_pair(t, z);
    memcpy(r, t, sizeof t);
}

/* Decode sixteen encodings to points with Z = 1. Return 0 unless all of them decode; valid[g] has
 * the lanes of group g that do, and the other lanes hold no point. */
static inline int ge8_decode(ge8 p[DECODE_GROUPS], __mmask8 valid[DECODE_GROUPS],
                             const uint8_t *const encodings[DECODE_POINTS])
{
    const fe8 d = fe8_splat(&FE_D), one = fe8_splat(&FE_ONE);
    const fe8 sqrt_m1 = fe8_splat(&FE_SQRT_M1);
    fe8 u[DECODE_GROUPS], v[DECODE_GROUPS], uv3[DECODE_GROUPS], t[DECODE_GROUPS];
    u64x8 words[DECODE_GROUPS][4];
    for (int g = 0; g < DECODE_GROUPS; g++) {
        load_encodings(words[g], encodings + g * LANES);
        p[g].y = fe8_from_words(words[g]);
        p[g].z = one;
        const fe8 yy = fe8_sqr(&p[g].y);
        u[g] = fe8_sub(&yy, &one);
        v[g] = fe8_mul(&yy, &d);
        v[g] = fe8_add(&v[g], &one);
        fe8 v3 = fe8_sqr(&v[g]);
        v3 = fe8_mul(&v3, &v[g]);
        uv3[g] = fe8_mul(&v3, &u[g]);
        t[g] = fe8_sqr(&v3);
        t[g] = fe8_mul(&t[g], &v[g]);
        t[g] = fe8_mul(&t[g], &u[g]);
    }
    fe8_pow_p58_pair(t, t);
    for (int g = 0; g < DECODE_GROUPS; g++) {
        fe8 x = fe8_mul(&t[g], &uv3[g]);
        fe8 vxx = fe8_sqr(&x);
        vxx = fe8_mul(&vxx, &v[g]);
        const fe8 difference = fe8_sub(&vxx, &u[g]), sum = fe8_add(&vxx, &u[g]);
        const __mmask8 direct = fe8_is_zero(&difference);
        const fe8 rotated = fe8_mul(&x, &sqrt_m1);
        valid[g] = direct | fe8_is_zero(&sum);
        x = fe8_select(direct, &x, &rotated);
        const fe8 zero = fe8_splat(&FE_ZERO), minus_x = fe8_sub(&zero, &x);
        const __mmask8 sign = _mm512_movepi64_mask(words[g][3]);
        p[g].x = fe8_select(fe8_is_odd(&x) ^ sign, &minus_x, &x);
        p[g].t = fe8_mul(&p[g].x, &p[g].y);
    }
    return (valid[0] & valid[1]) == 0xff;
}

#endif
