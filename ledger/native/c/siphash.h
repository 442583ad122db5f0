/* SipHash-2-4: a keyed hash of short values whose collisions nobody can choose without the key. */
#ifndef CONCORDAT_SIPHASH_H
#define CONCORDAT_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bytes.h"

static inline uint64_t sip_rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_rounds(uint64_t v[4], int count)
{
    for (; count > 0; count--) {
        v[0] += v[1];
        v[1] = sip_rotate(v[1], 13) ^ v[0];
        v[0] = sip_rotate(v[0], 32);
        v[2] += v[3];
        v[3] = sip_rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = sip_rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = sip_rotate(v[1], 17) ^ v[2];
        v[2] = sip_rotate(v[2], 32);
    }
}

static inline uint64_t siphash(const uint8_t *data, size_t length, const uint8_t key[16])
{
    const uint64_t k0 = load64_le(key), k1 = load64_le(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    const uint64_t total = (uint64_t)length << 56;
    for (; length >= 8; data += 8, length -= 8) {
        const uint64_t word = load64_le(data);
        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    uint8_t last[8] = {0};
    memcpy(last, data, length);
    const uint64_t word = load64_le(last) | total;
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
