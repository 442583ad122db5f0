/* SHA-512 (FIPS 180-4), one message at a time. */
#ifndef CONCORDAT_SHA512_H
#define CONCORDAT_SHA512_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t state[8];
    uint64_t length; /* bytes taken in so far; below 2^61 */
    uint8_t block[128];
} sha512;

extern const uint64_t SHA512_INITIAL[8];
extern const uint64_t SHA512_ROUND[80];

void sha512_init(sha512 *h);
void sha512_update(sha512 *h, const uint8_t *data, size_t length);
void sha512_final(sha512 *h, uint8_t digest[64]);

#endif
