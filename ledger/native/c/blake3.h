/* BLAKE3 of many inputs in one call: chunks and parents of all of them fill lanes side by side.
 *
 * Written from the specification. Re-entrant; never given a secret key (its key is a context's).
 */
#ifndef CONCORDAT_BLAKE3_H
#define CONCORDAT_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

enum { BLAKE3_BLOCK = 64, BLAKE3_CHUNK = 1024, BLAKE3_DIGEST = 32 };

enum {
    BLAKE3_CHUNK_START = 1,
    BLAKE3_CHUNK_END = 2,
    BLAKE3_PARENT = 4,
    BLAKE3_ROOT = 8,
    BLAKE3_DERIVE_KEY_CONTEXT = 32,
    BLAKE3_DERIVE_KEY_MATERIAL = 64,
};

typedef enum { BLAKE3_PORTABLE = 0, BLAKE3_AVX2 = 1, BLAKE3_AVX512 = 2 } blake3_path;

typedef struct {
    const uint8_t *data;
    size_t length;
} blake3_item;

enum { BLAKE3_LANES_MAX = 16 };

/* Up to 16 chunks or parents, each a chain of 1..16 compressions that ends in 32 bytes. */
typedef struct {
    uint32_t length[BLAKE3_LANES_MAX];     /* 0..1024 bytes */
    uint32_t last_flags[BLAKE3_LANES_MAX]; /* added on the last block */
    uint32_t counter_low[BLAKE3_LANES_MAX];
    uint32_t counter_high[BLAKE3_LANES_MAX]; /* the chunk's number; 0 for a parent */
    const uint8_t *data[BLAKE3_LANES_MAX];
    uint8_t *out[BLAKE3_LANES_MAX];
    uint32_t flags;       /* of every block of every lane */
    uint32_t first_flags; /* added on first blocks */
} __attribute__((aligned(64))) blake3_lanes;

/* Compressions that so many bytes take. */
static inline uint32_t blake3_blocks(uint32_t length)
{
    return length <= BLAKE3_BLOCK ? 1 : (length + BLAKE3_BLOCK - 1) / BLAKE3_BLOCK;
}

static const uint32_t BLAKE3_IV[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* Which message word each round takes where: the specification's permutation, repeated. */
static const uint8_t BLAKE3_ORDER[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

/* Run the first lanes side by side: 1, 8 or 16. Lanes to spare repeat another. */
typedef void blake3_group(const blake3_lanes *lanes, const uint32_t key[8]);
blake3_group blake3_group_portable;
blake3_group blake3_group_avx2;
blake3_group blake3_group_avx512;

/* Up to 16 whole inputs of one length, at most a chunk: nothing differs between the lanes but data. */
typedef struct {
    const uint8_t *data[BLAKE3_LANES_MAX];
    uint8_t *out[BLAKE3_LANES_MAX];
    uint32_t length; /* 0..1024 bytes */
    uint32_t flags;  /* of every block */
} blake3_alike;

typedef void blake3_alike_group(const blake3_alike *lanes, const uint32_t key[8]);
blake3_alike_group blake3_alike_portable;
blake3_alike_group blake3_alike_avx2;
blake3_alike_group blake3_alike_avx512;

/* The best path that this processor runs. */
blake3_path blake3_best_path(void);

/* The key of a context, for blake3_many. Return 0 when memory is short. */
int blake3_context_key(uint32_t key[8], const uint8_t *context, size_t length);

/* digests[32 i ..] = the digest of items[i] in derive-key mode under that key, or in plain mode when
 * `key` is null. Memory: at most a twelfth of the longest item, or 64 KiB. Return 0 when it is
 * short. */
int blake3_many(const blake3_item *items, size_t count, const uint32_t *key, uint8_t *digests,
                blake3_path path);

/* The same for records of `size` bytes that follow each other. */
int blake3_records(const uint8_t *records, size_t size, size_t count, const uint32_t *key,
                   uint8_t *digests, blake3_path path);

#endif
