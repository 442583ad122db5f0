/* BLAKE3's compression, sixteen lanes in AVX-512. */
#include "cpu.h"
#if CONCORDAT_X86

#include "vector.h"

#undef LANES /* vector.h counts 64-bit lanes */
#define LANES 16
typedef __m512i lane_vector;

#define SPLAT(x) _mm512_set1_epi32((int)(x))
#define ADD(a, b) _mm512_add_epi32(a, b)
#define XOR(a, b) _mm512_xor_si512(a, b)
#define ROTATE16(x) _mm512_ror_epi32(x, 16)
#define ROTATE12(x) _mm512_ror_epi32(x, 12)
#define ROTATE8(x) _mm512_ror_epi32(x, 8)
#define ROTATE7(x) _mm512_ror_epi32(x, 7)
#define LOAD(p) _mm512_load_si512(p)
#define SELECT(mask, a, b) _mm512_mask_mov_epi32(b, _mm512_movepi32_mask(mask), a)
#define GROUP blake3_group_avx512
#define ALIKE blake3_alike_avx512

#include "blake3.h"

static inline void load_blocks(__m512i m[16], const uint8_t *const blocks[LANES])
{
    for (int lane = 0; lane < LANES; lane++) {
        m[lane] = _mm512_loadu_si512(blocks[lane]);
    }
    transpose16(m);
}

/* Blocks of `length` < 64 bytes, padded with zeros; no byte beyond them is read. */
static inline void load_tails(__m512i m[16], const uint8_t *const blocks[LANES], uint32_t length)
{
    const __mmask64 kept = ((__mmask64)1 << length) - 1;
    for (int lane = 0; lane < LANES; lane++) {
        m[lane] = _mm512_maskz_loadu_epi8(kept, blocks[lane]);
    }
    transpose16(m);
}

static inline void store_digests(uint8_t *const out[LANES], const __m512i h[8])
{
    __m512i rows[16];
    for (int i = 0; i < 16; i++) {
        rows[i] = i < 8 ? h[i] : _mm512_setzero_si512();
    }
    transpose16(rows);
    for (int lane = 0; lane < LANES; lane++) {
        _mm256_storeu_si256((__m256i *)out[lane], _mm512_castsi512_si256(rows[lane]));
    }
}

#include "blake3_lanes.h"

#include "target_end.h"

#endif
