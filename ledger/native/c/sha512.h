/* SHA-512 (FIPS 180-4), one message at a time or eight side by side. */
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

/* A message in up to three pieces. */
typedef struct {
    const uint8_t *part[3];
    size_t length[3];
} sha512_input;

/* Digest eight messages of any lengths. */
typedef void sha512_eight(uint8_t digests[8][64], const sha512_input inputs[8]);
sha512_eight sha512_eight_portable;
sha512_eight sha512_eight_ifma;

#endif
