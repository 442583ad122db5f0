/* BLAKE3's compression, eight lanes in AVX2. */
#include "cpu.h"
#if CONCORDAT_X86

#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#include <immintrin.h>
#endif

#define LANES 8
typedef __m256i lane_vector;

#define SPLAT(x) _mm256_set1_epi32((int)(x))
#define ADD(a, b) _mm256_add_epi32(a, b)
#define XOR(a, b) _mm256_xor_si256(a, b)
#define ROTATE16(x) _mm256_shuffle_epi8(x, rotation(0x0504070601000302LL, 0x0d0c0f0e09080b0aLL))
#define ROTATE12(x) _mm256_or_si256(_mm256_srli_epi32(x, 12), _mm256_slli_epi32(x, 20))
#define ROTATE8(x) _mm256_shuffle_epi8(x, rotation(0x0407060500030201LL, 0x0c0f0e0d080b0a09LL))
#define ROTATE7(x) _mm256_or_si256(_mm256_srli_epi32(x, 7), _mm256_slli_epi32(x, 25))
#define LOAD(p) _mm256_load_si256((const __m256i *)(p))
#define SELECT(mask, a, b) _mm256_blendv_epi8(b, a, mask)
#define GROUP blake3_group_avx2
#define ALIKE blake3_alike_avx2

#include <string.h>

#include "blake3.h"

static inline __m256i rotation(long long low, long long high)
{
    return _mm256_set_epi64x(high, low, high, low);
}

/* Transpose eight rows of eight 32-bit words in place. */
static inline void transpose(__m256i r[8])
{
    __m256i a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        r[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

static inline void load_blocks(__m256i m[16], const uint8_t *const blocks[LANES])
{
    for (int half = 0; half < 2; half++) {
        for (int lane = 0; lane < LANES; lane++) {
            m[8 * half + lane] =
                _mm256_loadu_si256((const __m256i *)(blocks[lane] + 32 * half));
        }
        transpose(m + 8 * half);
    }
}

/* Blocks of `length` < 64 bytes, padded with zeros. */
static inline void load_tails(__m256i m[16], const uint8_t *const blocks[LANES], uint32_t length)
{
    uint8_t rooms[LANES][BLAKE3_BLOCK];
    const uint8_t *padded[LANES];
    memset(rooms, 0, sizeof rooms);
    for (int lane = 0; lane < LANES; lane++) {
        if (length != 0) {
            memcpy(rooms[lane], blocks[lane], length);
        }
        padded[lane] = rooms[lane];
    }
    load_blocks(m, padded);
}

static inline void store_digests(uint8_t *const out[LANES], const __m256i h[8])
{
    __m256i rows[8];
    for (int i = 0; i < 8; i++) {
        rows[i] = h[i];
    }
    transpose(rows);
    for (int lane = 0; lane < LANES; lane++) {
        _mm256_storeu_si256((__m256i *)out[lane], rows[lane]);
    }
}

#include "blake3_lanes.h"

#include "target_end.h"

#endif
