/* SHA-256's compression, sixteen lanes in AVX-512. */
#include "cpu.h"
#if CONCORDAT_X86

#include "vector.h"

#include "sha256.h"

/* Three-operand logic of _mm512_ternarylogic_epi32: a ^ b ^ c, a ? b : c, and the majority. */
enum { XOR3 = 0x96, CHOOSE = 0xca, MAJORITY = 0xe8 };

#define ADD(a, b) _mm512_add_epi32(a, b)
#define LOGIC(a, b, c, table) _mm512_ternarylogic_epi32(a, b, c, table)
#define ROTATE(x, n) _mm512_ror_epi32(x, n)
#define SUM(x, i, j, k) LOGIC(ROTATE(x, i), ROTATE(x, j), ROTATE(x, k), XOR3)
#define SPREAD(x, i, j, shift) LOGIC(ROTATE(x, i), ROTATE(x, j), _mm512_srli_epi32(x, shift), XOR3)

/* One round; the next one takes the variables one place further round. */
#define ROUND(a, b, c, d, e, f, g, h, i, j)                                                       \
    do {                                                                                          \
        const __m512i key = _mm512_set1_epi32((int)SHA256_ROUND[(i) + (j)]);                      \
        const __m512i t1 = ADD(ADD(ADD(h, ADD(w[j], key)), LOGIC(e, f, g, CHOOSE)),               \
                               SUM(e, 6, 11, 25));                                                \
        d = ADD(d, t1);                                                                           \
        h = ADD(ADD(t1, LOGIC(a, b, c, MAJORITY)), SUM(a, 2, 13, 22));                            \
        if ((i) < 48) {                                                                           \
            w[j] = ADD(ADD(w[j], w[((j) + 9) & 15]),                                              \
                       ADD(SPREAD(w[((j) + 1) & 15], 7, 18, 3),                                   \
                           SPREAD(w[((j) + 14) & 15], 17, 19, 10)));                              \
        }                                                                                         \
    } while (0)

#define EIGHT_ROUNDS(i, j)                                                                        \
    ROUND(s0, s1, s2, s3, s4, s5, s6, s7, i, j);                                                  \
    ROUND(s7, s0, s1, s2, s3, s4, s5, s6, i, (j) + 1);                                            \
    ROUND(s6, s7, s0, s1, s2, s3, s4, s5, i, (j) + 2);                                            \
    ROUND(s5, s6, s7, s0, s1, s2, s3, s4, i, (j) + 3);                                            \
    ROUND(s4, s5, s6, s7, s0, s1, s2, s3, i, (j) + 4);                                            \
    ROUND(s3, s4, s5, s6, s7, s0, s1, s2, i, (j) + 5);                                            \
    ROUND(s2, s3, s4, s5, s6, s7, s0, s1, i, (j) + 6);                                            \
    ROUND(s1, s2, s3, s4, s5, s6, s7, s0, i, (j) + 7)

#define SIXTEEN_ROUNDS(i)                                                                         \
    EIGHT_ROUNDS(i, 0);                                                                           \
    EIGHT_ROUNDS(i, 8)

static inline void load_words(__m512i w[16], const uint8_t *const blocks[SHA256_LANES])
{
    const __m512i order = _mm512_broadcast_i32x4(
        _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL));
    for (int lane = 0; lane < SHA256_LANES; lane++) {
        w[lane] = _mm512_shuffle_epi8(_mm512_loadu_si512(blocks[lane]), order);
    }
    transpose16(w);
}

void sha256_compress_lanes_avx512(uint32_t states[8][SHA256_LANES],
                                  const uint8_t *const blocks[SHA256_LANES], uint16_t active)
{
    __m512i w[16];
    load_words(w, blocks);
    /* The state has eight names, not an array: compilers keep an array in memory. */
    __m512i s0 = _mm512_loadu_si512(states[0]), s1 = _mm512_loadu_si512(states[1]);
    __m512i s2 = _mm512_loadu_si512(states[2]), s3 = _mm512_loadu_si512(states[3]);
    __m512i s4 = _mm512_loadu_si512(states[4]), s5 = _mm512_loadu_si512(states[5]);
    __m512i s6 = _mm512_loadu_si512(states[6]), s7 = _mm512_loadu_si512(states[7]);
    SIXTEEN_ROUNDS(0);
    SIXTEEN_ROUNDS(16);
    SIXTEEN_ROUNDS(32);
    SIXTEEN_ROUNDS(48);
    const __m512i added[8] = {s0, s1, s2, s3, s4, s5, s6, s7};
    for (int i = 0; i < 8; i++) {
        const __m512i sum = ADD(_mm512_loadu_si512(states[i]), added[i]);
        _mm512_mask_storeu_epi32(states[i], active, sum);
    }
}

#include "target_end.h"

#endif
