/* SHA-256 (FIPS 180-4) of many messages that each begin with one given byte, as RFC 6962 asks.
 *
 * Two messages run side by side: a processor's SHA unit can start the next round of one while the
 * other waits. Where there are vectors of sixteen words, sixteen messages do.
 */
#ifndef CONCORDAT_SHA256_H
#define CONCORDAT_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BLOCK = 64, SHA256_DIGEST = 32, SHA256_LANES = 16 };

typedef enum { SHA256_PORTABLE = 0, SHA256_SHANI = 1, SHA256_AVX512 = 2 } sha256_path;

typedef struct {
    const uint8_t *data;
    size_t length;
} sha256_item;

extern const uint32_t SHA256_INITIAL[8];
extern const uint32_t SHA256_ROUND[64];

/* Take one block into each of two states; the second may be the first again. */
typedef void sha256_compress_pair(uint32_t first[8], const uint8_t *first_block,
                                  uint32_t second[8], const uint8_t *second_block);
sha256_compress_pair sha256_compress_pair_portable;
sha256_compress_pair sha256_compress_pair_shani;

/* Take one block into each state whose bit is set in `active`; states[i] is word i of all. */
void sha256_compress_lanes_avx512(uint32_t states[8][SHA256_LANES],
                                  const uint8_t *const blocks[SHA256_LANES], uint16_t active);

/* The best path that this processor runs. */
sha256_path sha256_best_path(void);

/* digests[32 i ..] = SHA-256(prefix || items[i]) */
void sha256_many(const sha256_item *items, size_t count, uint8_t prefix, uint8_t *digests,
                 sha256_path path);

/* The same for items of 64 bytes that follow each other. */
void sha256_many_pairs(const uint8_t *pairs, size_t count, uint8_t prefix, uint8_t *digests,
                       sha256_path path);

#endif
