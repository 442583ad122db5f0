/* Eight elements of GF(2^255 - 19) at once: five vectors of radix-2^51 limbs, one element a lane.
 *
 * Owns: representation, carries and bounds for vpmadd52, which ignores bits 52 and above of its
 * factors. Must never see a secret.
 *
 * Invariants ("reduced" = every limb < 2^51 + 2^13):
 *   fe8_mul, fe8_sqr          take a factor with limbs < 2^52 and a reduced one, give reduced limbs;
 *   fe8_add, fe8_sub          take limbs < 2^53, fe8_sub's right one reduced; give reduced limbs;
 *   fe8_negate_loose          takes reduced limbs, gives limbs < 2^52: a factor, nothing else.
 * docs/native.md derives each bound.
 */
#ifndef CONCORDAT_FIELD_IFMA_H
#define CONCORDAT_FIELD_IFMA_H

#include "vector.h"

#include "field51.h"

typedef struct {
    u64x8 v[5];
} fe8;

#define MADD_LOW(sum, a, b) _mm512_madd52lo_epu64(sum, a, b)
#define MADD_HIGH(sum, a, b) _mm512_madd52hi_epu64(sum, a, b)

static inline fe8 fe8_splat(const fe *a)
{
    fe8 r;
    for (int i = 0; i < 5; i++) {
        r.v[i] = splat(a->v[i]);
    }
    return r;
}

/* One parallel carry; limbs < 2^60 become reduced. */
static inline __attribute__((always_inline)) fe8 fe8_carry(const fe8 *a)
{
    const u64x8 mask = splat(FE_MASK);
    fe8 r;
    r.v[0] = MADD_LOW(_mm512_and_si512(a->v[0], mask), _mm512_srli_epi64(a->v[4], 51), splat(19));
    for (int i = 1; i < 5; i++) {
        r.v[i] = _mm512_add_epi64(_mm512_and_si512(a->v[i], mask),
                                  _mm512_srli_epi64(a->v[i - 1], 51));
    }
    return r;
}

static inline fe8 fe8_add(const fe8 *a, const fe8 *b)
{
    fe8 r;
    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_add_epi64(a->v[i], b->v[i]);
    }
    return fe8_carry(&r);
}

/* 2p - a, without a carry. */
static inline fe8 fe8_negate_loose(const fe8 *a)
{
    fe8 r;
    r.v[0] = _mm512_sub_epi64(splat(2 * (FE_MASK - 18)), a->v[0]);
    for (int i = 1; i < 5; i++) {
        r.v[i] = _mm512_sub_epi64(splat(2 * FE_MASK), a->v[i]);
    }
    return r;
}

/* 2a without a carry: a summand, the left one in fe8_sub. */
static inline fe8 fe8_twice_loose(const fe8 *a)
{
    fe8 r;
    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_add_epi64(a->v[i], a->v[i]);
    }
    return r;
}

static inline fe8 fe8_sub(const fe8 *a, const fe8 *b)
{
    fe8 r = fe8_negate_loose(b);
    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_add_epi64(r.v[i], a->v[i]);
    }
    return fe8_carry(&r);
}

/* a in the lanes of the mask, b elsewhere. */
static inline fe8 fe8_select(__mmask8 mask, const fe8 *a, const fe8 *b)
{
    fe8 r;
    for (int i = 0; i < 5; i++) {
        r.v[i] = _mm512_mask_mov_epi64(b->v[i], mask, a->v[i]);
    }
    return r;
}

/* A constant that the compiler does not know. It would turn a product by a known one into shifts
 * and additions, which take longer than the one instruction where units are busy. */
static inline u64x8 opaque(uint64_t x)
{
    u64x8 r = splat(x);
    __asm__("" : "+v"(r));
    return r;
}

static inline u64x8 twice(u64x8 x)
{
    return _mm512_add_epi64(x, x);
}

/* Products are summed by column: column k takes the low halves of a_i b_j, i + j = k, and twice the
 * high halves, i + j = k - 1, because a high half counts in units of 2^52 = 2 * 2^51. Column k + 5
 * counts 19 times in column k. Each sum starts from what it continues (high halves doubled, then
 * columns 5..9 times 19), which saves the additions of separate sums. Column 9 has high halves only,
 * and is doubled by taking it 38 times. */
static inline __attribute__((always_inline)) fe8 fe8_mul(const fe8 *a, const fe8 *b)
{
    const u64x8 fold = opaque(19), fold_twice = opaque(38);
    u64x8 c[10];
    for (int k = 0; k < 10; k++) {
        c[k] = _mm512_setzero_si512();
    }
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
#pragma GCC unroll 5
        for (int j = 0; j < 5; j++) {
            c[i + j + 1] = MADD_HIGH(c[i + j + 1], a->v[i], b->v[j]);
        }
    }
#pragma GCC unroll 9
    for (int k = 1; k < 9; k++) {
        c[k] = twice(c[k]);
    }
#pragma GCC unroll 5
    for (int i = 1; i < 5; i++) {
#pragma GCC unroll 5
        for (int j = 5 - i; j < 5; j++) {
            c[i + j] = MADD_LOW(c[i + j], a->v[i], b->v[j]);
        }
    }
    fe8 r;
#pragma GCC unroll 5
    for (int k = 0; k < 5; k++) {
        const u64x8 folded = _mm512_mullo_epi64(c[k + 5], k == 4 ? fold_twice : fold);
        r.v[k] = _mm512_add_epi64(c[k], folded);
    }
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
#pragma GCC unroll 5
        for (int j = 0; j < 5 - i; j++) {
            r.v[i + j] = MADD_LOW(r.v[i + j], a->v[i], b->v[j]);
        }
    }
    return fe8_carry(&r);
}

/* As fe8_mul. A product with i != j occurs twice: its high half counts fourfold, its low half and
 * the high half of a square twice, the low half of a square once. So odd columns, which have no low
 * half of a square, count twice as a whole; columns 5, 7 and 9 are doubled by taking them 38 times. */
static inline __attribute__((always_inline)) fe8 fe8_sqr(const fe8 *a)
{
    const u64x8 fold = opaque(19), fold_twice = opaque(38);
    u64x8 c[10];
    for (int k = 0; k < 10; k++) {
        c[k] = _mm512_setzero_si512();
    }
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
#pragma GCC unroll 5
        for (int j = i + 1; j < 5; j++) {
            c[i + j + 1] = MADD_HIGH(c[i + j + 1], a->v[i], a->v[j]);
        }
    }
#pragma GCC unroll 10
    for (int k = 2; k < 9; k++) {
        c[k] = twice(c[k]);
    }
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
        c[2 * i + 1] = MADD_HIGH(c[2 * i + 1], a->v[i], a->v[i]);
#pragma GCC unroll 5
        for (int j = i + 1; j < 5; j++) {
            c[i + j] = MADD_LOW(c[i + j], a->v[i], a->v[j]);
        }
    }
#pragma GCC unroll 10
    for (int k = 1; k < 10; k++) {
        if (k < 5 || k % 2 == 0) {
            c[k] = twice(c[k]);
        }
    }
#pragma GCC unroll 5
    for (int i = 3; i < 5; i++) {
        c[2 * i] = MADD_LOW(c[2 * i], a->v[i], a->v[i]);
    }
    fe8 r;
#pragma GCC unroll 5
    for (int k = 0; k < 5; k++) {
        const u64x8 folded = _mm512_mullo_epi64(c[k + 5], k % 2 == 0 ? fold_twice : fold);
        r.v[k] = _mm512_add_epi64(c[k], folded);
    }
#pragma GCC unroll 5
    for (int i = 0; i < 3; i++) {
        r.v[2 * i] = MADD_LOW(r.v[2 * i], a->v[i], a->v[i]);
    }
    return fe8_carry(&r);
}

/* Decode 255 bits a lane from four vectors of words; bit 255 is dropped. */
static inline fe8 fe8_from_words(const u64x8 w[4])
{
    const u64x8 mask = splat(FE_MASK);
    fe8 r;
    r.v[0] = _mm512_and_si512(w[0], mask);
    for (int i = 1; i < 4; i++) {
        const unsigned shift = 64 - 13 * (unsigned)i; /* limb i begins at bit 51 i */
        r.v[i] = _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64(w[i - 1], shift),
                                                  _mm512_slli_epi64(w[i], 64 - shift)),
                                  mask);
    }
    r.v[4] = _mm512_and_si512(_mm512_srli_epi64(w[3], 12), mask);
    return r;
}

/* The representatives below p. */
static inline fe8 fe8_canonical(const fe8 *a)
{
    const u64x8 mask = splat(FE_MASK);
    fe8 r = *a;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            r.v[i + 1] = _mm512_add_epi64(r.v[i + 1], _mm512_srli_epi64(r.v[i], 51));
            r.v[i] = _mm512_and_si512(r.v[i], mask);
        }
        r.v[0] = MADD_LOW(r.v[0], _mm512_srli_epi64(r.v[4], 51), splat(19));
        r.v[4] = _mm512_and_si512(r.v[4], mask);
    }
    u64x8 q = _mm512_srli_epi64(_mm512_add_epi64(r.v[0], splat(19)), 51);
    for (int i = 1; i < 5; i++) {
        q = _mm512_srli_epi64(_mm512_add_epi64(r.v[i], q), 51);
    }
    r.v[0] = MADD_LOW(r.v[0], q, splat(19));
    for (int i = 0; i < 4; i++) {
        r.v[i + 1] = _mm512_add_epi64(r.v[i + 1], _mm512_srli_epi64(r.v[i], 51));
        r.v[i] = _mm512_and_si512(r.v[i], mask);
    }
    r.v[4] = _mm512_and_si512(r.v[4], mask);
    return r;
}

static inline __mmask8 fe8_is_zero(const fe8 *a)
{
    const fe8 c = fe8_canonical(a);
    u64x8 any = c.v[0];
    for (int i = 1; i < 5; i++) {
        any = _mm512_or_si512(any, c.v[i]);
    }
    return _mm512_cmpeq_epi64_mask(any, _mm512_setzero_si512());
}

static inline __mmask8 fe8_is_odd(const fe8 *a)
{
    const fe8 c = fe8_canonical(a);
    return _mm512_test_epi64_mask(c.v[0], splat(1));
}

#endif
