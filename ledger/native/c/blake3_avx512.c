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

/* Transpose sixteen rows of sixteen 32-bit words in place. */
static inline void transpose(__m512i r[16])
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

static inline void load_blocks(__m512i m[16], const uint8_t *const blocks[LANES])
{
    for (int lane = 0; lane < LANES; lane++) {
        m[lane] = _mm512_loadu_si512(blocks[lane]);
    }
    transpose(m);
}

/* Blocks of `length` < 64 bytes, padded with zeros; no byte beyond them is read. */
static inline void load_tails(__m512i m[16], const uint8_t *const blocks[LANES], uint32_t length)
{
    const __mmask64 kept = ((__mmask64)1 << length) - 1;
    for (int lane = 0; lane < LANES; lane++) {
        m[lane] = _mm512_maskz_loadu_epi8(kept, blocks[lane]);
    }
    transpose(m);
}

static inline void store_digests(uint8_t *const out[LANES], const __m512i h[8])
{
    __m512i rows[16];
    for (int i = 0; i < 16; i++) {
        rows[i] = i < 8 ? h[i] : _mm512_setzero_si512();
    }
    transpose(rows);
    for (int lane = 0; lane < LANES; lane++) {
        _mm256_storeu_si256((__m256i *)out[lane], _mm512_castsi512_si256(rows[lane]));
    }
}

#include "blake3_lanes.h"

#include "target_end.h"

#endif
