/* SHA-512 of eight messages in eight lanes. Lanes whose message has ended keep their state. */
#include "cpu.h"
#if CONCORDAT_X86

#include "vector.h"

#include "bytes.h"
#include "sha512.h"

static inline u64x8 xor3(u64x8 a, u64x8 b, u64x8 c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

static inline void one_round(u64x8 s[8], u64x8 key_plus_word)
{
    const u64x8 sum1 = xor3(_mm512_ror_epi64(s[4], 14), _mm512_ror_epi64(s[4], 18),
                            _mm512_ror_epi64(s[4], 41));
    const u64x8 choice = _mm512_ternarylogic_epi64(s[4], s[5], s[6], 0xca);
    const u64x8 t1 = _mm512_add_epi64(_mm512_add_epi64(s[7], key_plus_word),
                                      _mm512_add_epi64(sum1, choice));
    const u64x8 sum0 = xor3(_mm512_ror_epi64(s[0], 28), _mm512_ror_epi64(s[0], 34),
                            _mm512_ror_epi64(s[0], 39));
    const u64x8 majority = _mm512_ternarylogic_epi64(s[0], s[1], s[2], 0xe8);
    s[7] = s[6];
    s[6] = s[5];
    s[5] = s[4];
    s[4] = _mm512_add_epi64(s[3], t1);
    s[3] = s[2];
    s[2] = s[1];
    s[1] = s[0];
    s[0] = _mm512_add_epi64(t1, _mm512_add_epi64(sum0, majority));
}

static inline u64x8 next_word(const u64x8 w[16], int j)
{
    const u64x8 a = w[(j + 1) & 15], b = w[(j + 14) & 15];
    const u64x8 small0 =
        xor3(_mm512_ror_epi64(a, 1), _mm512_ror_epi64(a, 8), _mm512_srli_epi64(a, 7));
    const u64x8 small1 =
        xor3(_mm512_ror_epi64(b, 19), _mm512_ror_epi64(b, 61), _mm512_srli_epi64(b, 6));
    return _mm512_add_epi64(_mm512_add_epi64(w[j], small0),
                            _mm512_add_epi64(w[(j + 9) & 15], small1));
}

static void compress(u64x8 state[8], u64x8 w[16], __mmask8 active)
{
    u64x8 s[8];
    for (int i = 0; i < 8; i++) {
        s[i] = state[i];
    }
    for (int i = 0; i < 80; i += 16) {
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++) {
            one_round(s, _mm512_add_epi64(splat(SHA512_ROUND[i + j]), w[j]));
            w[j] = next_word(w, j);
        }
    }
    for (int i = 0; i < 8; i++) {
        state[i] = _mm512_mask_add_epi64(state[i], active, state[i], s[i]);
    }
}

/* Where one lane stands in its message. */
typedef struct {
    const sha512_input *input;
    uint64_t length; /* of the whole message */
    size_t part, offset;
    uint64_t blocks, done;
} reader;

static reader reader_open(const sha512_input *input)
{
    reader r = {input, 0, 0, 0, 0, 0};
    for (int part = 0; part < 3; part++) {
        r.length += input->length[part];
    }
    r.blocks = (r.length + 17 + 127) / 128;
    return r;
}

/* Write the next 128 bytes of the padded message. */
static void next_block(reader *r, uint8_t block[128])
{
    size_t filled = 0;
    while (filled < 128 && r->part < 3) {
        const size_t left = r->input->length[r->part] - r->offset;
        const size_t take = left < 128 - filled ? left : 128 - filled;
        if (take != 0) {
            memcpy(block + filled, r->input->part[r->part] + r->offset, take);
        }
        filled += take;
        r->offset += take;
        if (take == left) {
            r->part++;
            r->offset = 0;
        }
    }
    if (filled < 128) {
        memset(block + filled, 0, 128 - filled);
    }
    /* The end mark stands right behind the message, which may fill the block before. */
    if (r->length / 128 == r->done) {
        block[r->length % 128] = 0x80;
    }
    if (r->done == r->blocks - 1) {
        store64_be(block + 120, r->length * 8);
    }
    r->done++;
}

static inline u64x8 swap_bytes(u64x8 x)
{
    const u64x8 order = _mm512_broadcast_i32x4(
        _mm_set_epi64x(0x08090a0b0c0d0e0fLL, 0x0001020304050607LL));
    return _mm512_shuffle_epi8(x, order);
}

static void load_blocks(u64x8 w[16], uint8_t blocks[8][128])
{
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < LANES; i++) {
            w[8 * half + i] = swap_bytes(_mm512_loadu_si512(blocks[i] + 64 * half));
        }
        transpose8(w + 8 * half);
    }
}

void sha512_eight_ifma(uint8_t digests[8][64], const sha512_input inputs[8])
{
    reader readers[LANES];
    uint8_t blocks[LANES][128];
    u64x8 state[8], w[16];
    uint64_t longest = 0;
    memset(blocks, 0, sizeof blocks);
    for (int i = 0; i < LANES; i++) {
        state[i] = splat(SHA512_INITIAL[i]);
        readers[i] = reader_open(&inputs[i]);
        longest = readers[i].blocks > longest ? readers[i].blocks : longest;
    }
    for (uint64_t step = 0; step < longest; step++) {
        unsigned active = 0;
        for (int i = 0; i < LANES; i++) {
            if (step < readers[i].blocks) {
                next_block(&readers[i], blocks[i]);
                active |= 1U << i;
            }
        }
        load_blocks(w, blocks);
        compress(state, w, (__mmask8)active);
    }
    transpose8(state);
    for (int i = 0; i < LANES; i++) {
        _mm512_storeu_si512(digests[i], swap_bytes(state[i]));
    }
}

#include "target_end.h"

#endif
