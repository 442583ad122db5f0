/* SHA-256's compression with the SHA extensions of x86-64, two blocks side by side. */
#include "cpu.h"
#if CONCORDAT_X86

#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("sha,sse4.1,ssse3"))), apply_to = function)
#else
#pragma GCC target("sha,sse4.1,ssse3")
#include <immintrin.h>
#endif

#include "sha256.h"

/* The unit keeps a state as two vectors: words a, b, e, f and words c, d, g, h. */
typedef struct {
    __m128i abef, cdgh, w[4];
} stream;

static inline stream stream_open(const uint32_t state[8], const uint8_t *block)
{
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    const __m128i *words = (const __m128i *)state, *from = (const __m128i *)block;
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
    stream s;
    s.abef = _mm_alignr_epi8(badc, hgfe, 8);
    s.cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
    for (int i = 0; i < 4; i++) {
        s.w[i] = _mm_shuffle_epi8(_mm_loadu_si128(from + i), order);
    }
    return s;
}

static inline void stream_close(const stream *s, uint32_t state[8])
{
    __m128i *words = (__m128i *)state;
    const __m128i feba = _mm_shuffle_epi32(s->abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(s->cdgh, 0xb1);
    const __m128i abcd = _mm_blend_epi16(feba, dchg, 0xf0);
    const __m128i efgh = _mm_alignr_epi8(dchg, feba, 8);
    _mm_storeu_si128(words, _mm_add_epi32(_mm_loadu_si128(words), abcd));
    _mm_storeu_si128(words + 1, _mm_add_epi32(_mm_loadu_si128(words + 1), efgh));
}

/* Rounds 4 i .. 4 i + 3, and the words of rounds 4 i + 16 .. 4 i + 19. */
static inline void four_rounds(stream *s, int i)
{
    const __m128i *keys = (const __m128i *)(SHA256_ROUND + 4 * i);
    const __m128i sum = _mm_add_epi32(s->w[i & 3], _mm_loadu_si128(keys));
    s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, sum);
    s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(sum, 0x0e));
    if (i < 12) {
        const __m128i last = s->w[(i + 3) & 3];
        const __m128i middle = _mm_alignr_epi8(last, s->w[(i + 2) & 3], 4);
        const __m128i first = _mm_sha256msg1_epu32(s->w[i & 3], s->w[(i + 1) & 3]);
        s->w[i & 3] = _mm_sha256msg2_epu32(_mm_add_epi32(first, middle), last);
    }
}

void sha256_compress_pair_shani(uint32_t first[8], const uint8_t *first_block, uint32_t second[8],
                                const uint8_t *second_block)
{
    stream a = stream_open(first, first_block);
    if (second == first) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            four_rounds(&a, i);
        }
    } else {
        stream b = stream_open(second, second_block);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            four_rounds(&a, i);
            four_rounds(&b, i);
        }
        stream_close(&b, second);
    }
    stream_close(&a, first);
}

#include "target_end.h"

#endif
