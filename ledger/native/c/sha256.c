/* SHA-256 of many prefixed messages, and the compression in plain C; see sha256.h. */
#include "sha256.h"

#include <string.h>

#include "bytes.h"
#include "cpu.h"

const uint32_t SHA256_INITIAL[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

const uint32_t SHA256_ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static inline void one_round(uint32_t s[8], uint32_t key_plus_word)
{
    const uint32_t sum1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
    const uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
    const uint32_t t1 = s[7] + sum1 + choice + key_plus_word;
    const uint32_t sum0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
    const uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    s[7] = s[6];
    s[6] = s[5];
    s[5] = s[4];
    s[4] = s[3] + t1;
    s[3] = s[2];
    s[2] = s[1];
    s[1] = s[0];
    s[0] = t1 + sum0 + majority;
}

static void compress(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[16], s[8];
    for (int i = 0; i < 8; i++) {
        const uint64_t pair = load64_be(block + 8 * i);
        w[2 * i] = (uint32_t)(pair >> 32);
        w[2 * i + 1] = (uint32_t)pair;
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i += 16) {
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++) {
            one_round(s, SHA256_ROUND[i + j] + w[j]);
            const uint32_t a = w[(j + 1) & 15], b = w[(j + 14) & 15];
            w[j] += (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[(j + 9) & 15] +
                    (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
    }
    for (int i = 0; i < 8; i++) {
        state[i] += s[i];
    }
}

void sha256_compress_pair_portable(uint32_t first[8], const uint8_t *first_block,
                                   uint32_t second[8], const uint8_t *second_block)
{
    compress(first, first_block);
    if (second != first) {
        compress(second, second_block);
    }
}

sha256_path sha256_best_path(void)
{
    if (!cpu_has_sha()) {
        return SHA256_PORTABLE;
    }
    return cpu_has_avx512ifma() ? SHA256_AVX512 : SHA256_SHANI;
}

static sha256_compress_pair *compress_of(sha256_path path)
{
#if CONCORDAT_X86
    if (path != SHA256_PORTABLE) {
        return sha256_compress_pair_shani;
    }
#endif
    (void)path;
    return sha256_compress_pair_portable;
}

/* A message that is being cut into blocks. */
typedef struct {
    const uint8_t *data;
    size_t length; /* of data; the message has one byte more */
    size_t blocks; /* with padding */
    uint8_t room[SHA256_BLOCK];
    uint8_t prefix;
} message;

static size_t blocks_of(const sha256_item *item)
{
    return (item->length + 1 + 9 + SHA256_BLOCK - 1) / SHA256_BLOCK;
}

static void message_open(message *m, const sha256_item *item, uint8_t prefix)
{
    m->data = item->data;
    m->length = item->length;
    m->blocks = blocks_of(item);
    m->prefix = prefix;
}

/* Point at a block of the padded message. */
static const uint8_t *block_at(message *m, size_t index)
{
    const size_t total = m->length + 1, offset = index * SHA256_BLOCK;
    if (index > 0 && offset + SHA256_BLOCK <= total) {
        return m->data + offset - 1;
    }
    memset(m->room, 0, sizeof m->room);
    if (offset < total) {
        /* Byte i of the message is byte i - 1 of the data; the first block has the prefix first. */
        const size_t skip = index == 0 ? 1 : 0, from = offset + skip - 1;
        const size_t left = m->length - from, room = SHA256_BLOCK - skip;
        m->room[0] = m->prefix;
        if (left != 0) {
            memcpy(m->room + skip, m->data + from, left < room ? left : room);
        }
    }
    if (offset <= total && total < offset + SHA256_BLOCK) {
        m->room[total - offset] = 0x80;
    }
    if (index == m->blocks - 1) {
        store64_be(m->room + SHA256_BLOCK - 8, (uint64_t)total * 8);
    }
    return m->room;
}

static void write_digest(uint8_t digest[SHA256_DIGEST], const uint32_t state[8])
{
    for (int i = 0; i < 4; i++) {
        store64_be(digest + 8 * i, (uint64_t)state[2 * i] << 32 | state[2 * i + 1]);
    }
}

static void run_alone(const sha256_item *item, uint8_t prefix, uint8_t *digest,
                      sha256_compress_pair *compress_pair)
{
    message m;
    uint32_t state[8];
    message_open(&m, item, prefix);
    memcpy(state, SHA256_INITIAL, sizeof state);
    for (size_t i = 0; i < m.blocks; i++) {
        const uint8_t *block = block_at(&m, i);
        compress_pair(state, block, state, block);
    }
    write_digest(digest, state);
}

/* Run two messages side by side as long as both last. */
static void run_pair(const sha256_item items[2], uint8_t prefix, uint8_t *digests,
                     sha256_compress_pair *compress_pair)
{
    message m[2];
    uint32_t states[2][8];
    for (int i = 0; i < 2; i++) {
        message_open(&m[i], &items[i], prefix);
        memcpy(states[i], SHA256_INITIAL, sizeof states[i]);
    }
    const int longer = m[0].blocks < m[1].blocks;
    for (size_t i = 0; i < m[!longer].blocks; i++) {
        compress_pair(states[0], block_at(&m[0], i), states[1], block_at(&m[1], i));
    }
    for (size_t i = m[!longer].blocks; i < m[longer].blocks; i++) {
        const uint8_t *block = block_at(&m[longer], i);
        compress_pair(states[longer], block, states[longer], block);
    }
    for (int i = 0; i < 2; i++) {
        write_digest(digests + i * SHA256_DIGEST, states[i]);
    }
}

static void run_pairs(const sha256_item *items, size_t count, uint8_t prefix, uint8_t *digests,
                      sha256_compress_pair *compress_pair)
{
    size_t i = 0;
    for (; i + 1 < count; i += 2) {
        run_pair(items + i, prefix, digests + i * SHA256_DIGEST, compress_pair);
    }
    if (i < count) {
        run_alone(items + i, prefix, digests + i * SHA256_DIGEST, compress_pair);
    }
}

#if CONCORDAT_X86

/* Are the lanes busy enough? All of them take as long as some five messages in pairs. */
static int fills_lanes(const sha256_item items[SHA256_LANES])
{
    size_t all = 0, longest = 0;
    for (int lane = 0; lane < SHA256_LANES; lane++) {
        const size_t blocks = blocks_of(&items[lane]);
        all += blocks;
        longest = longest < blocks ? blocks : longest;
    }
    return all / longest >= 6;
}

/* Take block `index` of all lanes whose message has one; an ended lane keeps its state. */
static void step_any(message m[SHA256_LANES], size_t index, uint32_t states[8][SHA256_LANES])
{
    const uint8_t *blocks[SHA256_LANES];
    uint16_t active = 0;
    for (int lane = 0; lane < SHA256_LANES; lane++) {
        const int ended = index >= m[lane].blocks;
        blocks[lane] = ended ? m[lane].room : block_at(&m[lane], index);
        active |= (uint16_t)(!ended << lane);
    }
    sha256_compress_lanes_avx512(states, blocks, active);
}

/* Take the blocks from `first` to before `end`, which are all data in every lane. */
static void steps_inside(const message m[SHA256_LANES], size_t first, size_t end,
                         uint32_t states[8][SHA256_LANES])
{
    const uint8_t *blocks[SHA256_LANES];
    for (int lane = 0; lane < SHA256_LANES; lane++) {
        blocks[lane] = m[lane].data + first * SHA256_BLOCK - 1;
    }
    for (size_t i = first; i < end; i++) {
        sha256_compress_lanes_avx512(states, blocks, UINT16_MAX);
        for (int lane = 0; lane < SHA256_LANES; lane++) {
            blocks[lane] += SHA256_BLOCK;
        }
    }
}

/* Run sixteen messages side by side. */
static void run_lanes(const sha256_item items[SHA256_LANES], uint8_t prefix, uint8_t *digests)
{
    message m[SHA256_LANES];
    uint32_t states[8][SHA256_LANES], state[8];
    size_t inside = SIZE_MAX, longest = 0;
    for (int lane = 0; lane < SHA256_LANES; lane++) {
        message_open(&m[lane], &items[lane], prefix);
        const size_t full = (m[lane].length + 1) / SHA256_BLOCK;
        inside = inside < full ? inside : full;
        longest = longest < m[lane].blocks ? m[lane].blocks : longest;
        for (int word = 0; word < 8; word++) {
            states[word][lane] = SHA256_INITIAL[word];
        }
    }
    step_any(m, 0, states);
    if (inside > 1) {
        steps_inside(m, 1, inside, states);
    }
    for (size_t i = inside > 1 ? inside : 1; i < longest; i++) {
        step_any(m, i, states);
    }
    for (int lane = 0; lane < SHA256_LANES; lane++) {
        for (int word = 0; word < 8; word++) {
            state[word] = states[word][lane];
        }
        write_digest(digests + lane * SHA256_DIGEST, state);
    }
}

#endif

void sha256_many(const sha256_item *items, size_t count, uint8_t prefix, uint8_t *digests,
                 sha256_path path)
{
    sha256_compress_pair *compress_pair = compress_of(path);
#if CONCORDAT_X86
    while (path == SHA256_AVX512 && count >= SHA256_LANES) {
        if (fills_lanes(items)) {
            run_lanes(items, prefix, digests);
        } else {
            run_pairs(items, SHA256_LANES, prefix, digests, compress_pair);
        }
        items += SHA256_LANES;
        digests += SHA256_LANES * SHA256_DIGEST;
        count -= SHA256_LANES;
    }
#endif
    run_pairs(items, count, prefix, digests, compress_pair);
}

void sha256_many_pairs(const uint8_t *pairs, size_t count, uint8_t prefix, uint8_t *digests,
                       sha256_path path)
{
    enum { PAIR = 2 * SHA256_DIGEST };
    sha256_item taken[SHA256_LANES];
    for (size_t i = 0; i < count; i += SHA256_LANES) {
        const size_t size = count - i < SHA256_LANES ? count - i : SHA256_LANES;
        for (size_t j = 0; j < size; j++) {
            taken[j].data = pairs + (i + j) * PAIR;
            taken[j].length = PAIR;
        }
        sha256_many(taken, size, prefix, digests + i * SHA256_DIGEST, path);
    }
}
