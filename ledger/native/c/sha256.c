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
    return cpu_has_sha() ? SHA256_SHANI : SHA256_PORTABLE;
}

static sha256_compress_pair *compress_of(sha256_path path)
{
#if CONCORDAT_X86
    if (path == SHA256_SHANI) {
        return sha256_compress_pair_shani;
    }
#endif
    (void)path;
    return sha256_compress_pair_portable;
}

/* One message on its way through. */
typedef struct {
    const uint8_t *data;
    size_t length; /* of data; the message has one byte more */
    size_t blocks; /* with padding */
    uint32_t state[8];
    uint8_t room[SHA256_BLOCK];
    uint8_t prefix;
} message;

static void message_open(message *m, const uint8_t *data, size_t length, uint8_t prefix)
{
    m->data = data;
    m->length = length;
    m->blocks = (length + 1 + 9 + SHA256_BLOCK - 1) / SHA256_BLOCK;
    memcpy(m->state, SHA256_INITIAL, sizeof m->state);
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

static void message_close(const message *m, uint8_t digest[SHA256_DIGEST])
{
    for (int i = 0; i < 4; i++) {
        store64_be(digest + 8 * i, (uint64_t)m->state[2 * i] << 32 | m->state[2 * i + 1]);
    }
}

/* Run two messages side by side as long as both last. */
static void run_pair(message *a, message *b, sha256_compress_pair *compress_pair)
{
    const size_t both = a->blocks < b->blocks ? a->blocks : b->blocks;
    message *longer = a->blocks < b->blocks ? b : a;
    for (size_t i = 0; i < both; i++) {
        compress_pair(a->state, block_at(a, i), b->state, block_at(b, i));
    }
    for (size_t i = both; i < longer->blocks; i++) {
        const uint8_t *block = block_at(longer, i);
        compress_pair(longer->state, block, longer->state, block);
    }
}

static void run_alone(message *m, sha256_compress_pair *compress_pair)
{
    for (size_t i = 0; i < m->blocks; i++) {
        const uint8_t *block = block_at(m, i);
        compress_pair(m->state, block, m->state, block);
    }
}

void sha256_many(const sha256_item *items, size_t count, uint8_t prefix, uint8_t *digests,
                 sha256_path path)
{
    sha256_compress_pair *compress_pair = compress_of(path);
    message a, b;
    for (size_t i = 0; i < count; i += 2) {
        message_open(&a, items[i].data, items[i].length, prefix);
        if (i + 1 < count) {
            message_open(&b, items[i + 1].data, items[i + 1].length, prefix);
            run_pair(&a, &b, compress_pair);
            message_close(&b, digests + (i + 1) * SHA256_DIGEST);
        } else {
            run_alone(&a, compress_pair);
        }
        message_close(&a, digests + i * SHA256_DIGEST);
    }
}

void sha256_many_pairs(const uint8_t *pairs, size_t count, uint8_t prefix, uint8_t *digests,
                       sha256_path path)
{
    enum { PAIR = 2 * SHA256_DIGEST };
    sha256_item two[2];
    for (size_t i = 0; i < count; i += 2) {
        const size_t taken = count - i < 2 ? 1 : 2;
        for (size_t j = 0; j < taken; j++) {
            two[j].data = pairs + (i + j) * PAIR;
            two[j].length = PAIR;
        }
        sha256_many(two, taken, prefix, digests + i * SHA256_DIGEST, path);
    }
}
