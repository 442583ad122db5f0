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

/* The chain of fe_pow_p58 for two groups, whose steps do not wait for each other. */
static inline void fe8_pow_p58_pair(fe8 r[DECODE_GROUPS], const fe8 z[DECODE_GROUPS])
{
    static const struct {
        uint8_t squares, times; /* square that often, then multiply by saved[times] */
    } steps[] = {{5, 2}, {10, 3}, {20, 4}, {10, 3}, {50, 5}, {100, 6}, {50, 5}};
    fe8 saved[7][DECODE_GROUPS], t[DECODE_GROUPS];
    for (int g = 0; g < DECODE_GROUPS; g++) {
        saved[0][g] = fe8_sqr(&z[g]);
        t[g] = fe8_sqr(&saved[0][g]);
        t[g] = fe8_sqr(&t[g]);
        saved[1][g] = fe8_mul(&t[g], &z[g]); /* z^9 */
        t[g] = fe8_mul(&saved[1][g], &saved[0][g]);
        t[g] = fe8_sqr(&t[g]);
        t[g] = fe8_mul(&t[g], &saved[1][g]); /* 2^5 - 1 */
        saved[2][g] = t[g];
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        for (int n = 0; n < steps[i].squares; n++) {
            for (int g = 0; g < DECODE_GROUPS; g++) {
                t[g] = fe8_sqr(&t[g]);
            }
        }
        for (int g = 0; g < DECODE_GROUPS; g++) {
            t[g] = fe8_mul(&t[g], &saved[steps[i].times][g]);
            /* 2^10 - 1, 2^20 - 1, (2^40 - 1), 2^50 - 1, 2^100 - 1 */
            if (i == 0 || i == 1) {
                saved[3 + i][g] = t[g];
            } else if (i == 3 || i == 4) {
                saved[2 + i][g] = t[g];
            }
        }
    }
    for (int g = 0; g < DECODE_GROUPS; g++) {
        t[g] = fe8_sqr(&t[g]);
        t[g] = fe8_sqr(&t[g]);
        r[g] = fe8_mul(&t[g], &z[g]);
    }
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
