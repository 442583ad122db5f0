/* Turns on AVX-512 with IFMA for the file that includes it first, and names 8x64-bit vectors.
 *
 * Only files whose name ends in _ifma.c or _avx512.c include it, and end with target_end.h; nothing they define may run before
 * cpu_has_avx512ifma() said yes.
 */
#ifndef CONCORDAT_VECTOR_H
#define CONCORDAT_VECTOR_H

#include <stdint.h>
#include <string.h>

#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(                                                                     \
    __attribute__((target("avx512f,avx512ifma,avx512vl,avx512dq,avx512bw,bmi2"))),                \
    apply_to = function)
#else
#pragma GCC target("avx512f,avx512ifma,avx512vl,avx512dq,avx512bw,bmi2")
#include <immintrin.h>
#endif

typedef __m512i u64x8;

#define LANES 8

/* For reading and writing single lanes of vectors in memory. */
typedef uint64_t __attribute__((may_alias)) lane_word;

static inline u64x8 splat(uint64_t x)
{
    return _mm512_set1_epi64((long long)x);
}

/* Transpose eight rows of eight words in place. */
static inline __attribute__((always_inline)) void transpose8(u64x8 r[8])
{
    u64x8 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        b[i] = _mm512_shuffle_i64x2(a[i], a[i + 2], 0x88);
        b[i + 2] = _mm512_shuffle_i64x2(a[i], a[i + 2], 0xdd);
        b[i + 4] = _mm512_shuffle_i64x2(a[i + 4], a[i + 6], 0x88);
        b[i + 6] = _mm512_shuffle_i64x2(a[i + 4], a[i + 6], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i64x2(b[i], b[i + 4], 0x88);
        r[i + 4] = _mm512_shuffle_i64x2(b[i], b[i + 4], 0xdd);
    }
}

/* Transpose sixteen rows of sixteen 32-bit words in place. */
static inline __attribute__((always_inline)) void transpose16(__m512i r[16])
{
    __m512i a[16], b[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    /* b[4 q + c] holds, in its 128-bit part p, word 4 p + c of rows 4 q .. 4 q + 3. */
    for (int c = 0; c < 4; c++) {
        a[c] = _mm512_shuffle_i64x2(b[c], b[c + 4], 0x88);
        a[c + 4] = _mm512_shuffle_i64x2(b[c], b[c + 4], 0xdd);
        a[c + 8] = _mm512_shuffle_i64x2(b[c + 8], b[c + 12], 0x88);
        a[c + 12] = _mm512_shuffle_i64x2(b[c + 8], b[c + 12], 0xdd);
    }
    for (int c = 0; c < 4; c++) {
        r[c] = _mm512_shuffle_i64x2(a[c], a[c + 8], 0x88);
        r[c + 8] = _mm512_shuffle_i64x2(a[c], a[c + 8], 0xdd);
        r[c + 4] = _mm512_shuffle_i64x2(a[c + 4], a[c + 12], 0x88);
        r[c + 12] = _mm512_shuffle_i64x2(a[c + 4], a[c + 12], 0xdd);
    }
}

#endif
