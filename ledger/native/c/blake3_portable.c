/* BLAKE3's compression, one lane in plain C. */
#include <stdint.h>

#define LANES 1
typedef uint32_t lane_vector;

#define SPLAT(x) (x)
#define ADD(a, b) ((a) + (b))
#define XOR(a, b) ((a) ^ (b))
#define ROTATE16(x) rotate(x, 16)
#define ROTATE12(x) rotate(x, 12)
#define ROTATE8(x) rotate(x, 8)
#define ROTATE7(x) rotate(x, 7)
#define LOAD(p) (*(p))
#define SELECT(mask, a, b) (((a) & (mask)) | ((b) & ~(mask)))
#define GROUP blake3_group_portable
#define ALIKE blake3_alike_portable

#include <string.h>

#include "blake3.h"
#include "bytes.h"

static inline uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static inline void load_blocks(uint32_t m[16], const uint8_t *const blocks[1])
{
    for (int i = 0; i < 8; i++) {
        const uint64_t pair = load64_le(blocks[0] + 8 * i);
        m[2 * i] = (uint32_t)pair;
        m[2 * i + 1] = (uint32_t)(pair >> 32);
    }
}

/* Blocks of `length` < 64 bytes, padded with zeros. */
static inline void load_tails(uint32_t m[16], const uint8_t *const blocks[LANES], uint32_t length)
{
    uint8_t rooms[LANES][BLAKE3_BLOCK];
    const uint8_t *padded[LANES];
    memset(rooms, 0, sizeof rooms);
    for (int lane = 0; lane < LANES; lane++) {
        if (length != 0) {
            memcpy(rooms[lane], blocks[lane], length);
        }
        padded[lane] = rooms[lane];
    }
    load_blocks(m, padded);
}

static inline void store_digests(uint8_t *const out[1], const uint32_t h[8])
{
    for (int i = 0; i < 4; i++) {
        store64_le(out[0] + 8 * i, h[2 * i] | (uint64_t)h[2 * i + 1] << 32);
    }
}

#include "blake3_lanes.h"
