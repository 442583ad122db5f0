/* The compression function over LANES lanes; a template for the blake3_<path>.c files.
 *
 * Before including, define LANES; `lane_vector` (LANES 32-bit words); SPLAT, ADD, XOR, ROTATE16,
 * ROTATE12, ROTATE8, ROTATE7; LOAD(aligned uint32_t *);
 * SELECT(mask vector, a, b); load_blocks, load_tails (of blocks shorter than 64 bytes) and
 * store_digests, which transpose; and GROUP and ALIKE, the names of the functions to define.
 */
#include "blake3.h"
#include "bytes.h"

/* The order of additions in `mix` is chosen for latency: keep it. */
#pragma GCC optimize("no-tree-reassoc")

static inline __attribute__((always_inline)) void mix(lane_vector *a, lane_vector *b,
                                                      lane_vector *c, lane_vector *d,
                                                      lane_vector x, lane_vector y)
{
    *a = ADD(ADD(*a, x), *b); /* b is ready last */
    *d = ROTATE16(XOR(*d, *a));
    *c = ADD(*c, *d);
    *b = ROTATE12(XOR(*b, *c));
    *a = ADD(ADD(*a, y), *b);
    *d = ROTATE8(XOR(*d, *a));
    *c = ADD(*c, *d);
    *b = ROTATE7(XOR(*b, *c));
}

#define WORD(round, i) m[BLAKE3_ORDER[round][i]]
#define ROUND(round)                                                                              \
    mix(&v0, &v4, &v8, &v12, WORD(round, 0), WORD(round, 1));                                     \
    mix(&v1, &v5, &v9, &v13, WORD(round, 2), WORD(round, 3));                                     \
    mix(&v2, &v6, &v10, &v14, WORD(round, 4), WORD(round, 5));                                    \
    mix(&v3, &v7, &v11, &v15, WORD(round, 6), WORD(round, 7));                                    \
    mix(&v0, &v5, &v10, &v15, WORD(round, 8), WORD(round, 9));                                    \
    mix(&v1, &v6, &v11, &v12, WORD(round, 10), WORD(round, 11));                                  \
    mix(&v2, &v7, &v8, &v13, WORD(round, 12), WORD(round, 13));                                   \
    mix(&v3, &v4, &v9, &v14, WORD(round, 14), WORD(round, 15))

/* The chaining value after h; `tail` is counter, length and flags. The state has sixteen names, not
 * an array: compilers keep an array in memory, and its stores take longer than all the rest. */
static inline __attribute__((always_inline)) void mix_all(lane_vector out[8],
                                                          const lane_vector h[8],
                                                          const lane_vector m[16],
                                                          const lane_vector tail[4])
{
    lane_vector v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3];
    lane_vector v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7];
    lane_vector v8 = SPLAT(BLAKE3_IV[0]), v9 = SPLAT(BLAKE3_IV[1]);
    lane_vector v10 = SPLAT(BLAKE3_IV[2]), v11 = SPLAT(BLAKE3_IV[3]);
    lane_vector v12 = tail[0], v13 = tail[1], v14 = tail[2], v15 = tail[3];
    ROUND(0);
    ROUND(1);
    ROUND(2);
    ROUND(3);
    ROUND(4);
    ROUND(5);
    ROUND(6);
    out[0] = XOR(v0, v8);
    out[1] = XOR(v1, v9);
    out[2] = XOR(v2, v10);
    out[3] = XOR(v3, v11);
    out[4] = XOR(v4, v12);
    out[5] = XOR(v5, v13);
    out[6] = XOR(v6, v14);
    out[7] = XOR(v7, v15);
}

/* What a compression takes besides the message, lane by lane. */
typedef struct {
    uint32_t counter_low[LANES], counter_high[LANES], length[LANES], flags[LANES];
    uint32_t active[LANES]; /* all ones where the job has not ended */
} __attribute__((aligned(64))) lane_words;

static inline void compress(lane_vector h[8], const lane_vector m[16], const lane_words *words)
{
    const lane_vector tail[4] = {LOAD(words->counter_low), LOAD(words->counter_high),
                                 LOAD(words->length), LOAD(words->flags)};
    lane_vector next[8];
    mix_all(next, h, m, tail);
    const lane_vector active = LOAD(words->active);
    for (int i = 0; i < 8; i++) {
        h[i] = SELECT(active, next[i], h[i]);
    }
}

/* Point at the step-th block of a lane, padded in `room` when it is short. */
static inline const uint8_t *block_at(const blake3_lanes *lanes, int lane, uint32_t step,
                                      uint8_t *room, uint32_t *length)
{
    const uint32_t offset = step * BLAKE3_BLOCK, whole = lanes->length[lane];
    const uint32_t left = whole > offset ? whole - offset : 0;
    if (left >= BLAKE3_BLOCK) {
        *length = BLAKE3_BLOCK;
        return lanes->data[lane] + offset;
    }
    *length = left;
    memset(room, 0, BLAKE3_BLOCK);
    if (left != 0) {
        memcpy(room, lanes->data[lane] + offset, left);
    }
    return room;
}

/* One compression in which any lane may be at its last block or beyond. */
static inline void step_any(lane_vector h[8], const blake3_lanes *lanes, uint32_t step,
                            lane_words *words)
{
    uint8_t rooms[LANES][BLAKE3_BLOCK];
    const uint8_t *blocks[LANES];
    lane_vector m[16];
    const uint32_t flags = lanes->flags | (step == 0 ? lanes->first_flags : 0);
    for (int lane = 0; lane < LANES; lane++) {
        const uint32_t count = blake3_blocks(lanes->length[lane]);
        blocks[lane] = block_at(lanes, lane, step, rooms[lane], &words->length[lane]);
        words->flags[lane] = flags | (step == count - 1 ? lanes->last_flags[lane] : 0);
        words->active[lane] = step < count ? UINT32_MAX : 0;
    }
    load_blocks(m, blocks);
    compress(h, m, words);
}

/* The compressions before any lane's last block: all blocks are full. */
static inline void steps_before(lane_vector h[8], const blake3_lanes *lanes, uint32_t end,
                                lane_words *words)
{
    const uint8_t *blocks[LANES];
    lane_vector m[16];
    for (int lane = 0; lane < LANES; lane++) {
        words->length[lane] = BLAKE3_BLOCK;
        words->flags[lane] = lanes->flags | lanes->first_flags;
        words->active[lane] = UINT32_MAX;
    }
    for (uint32_t step = 0; step < end; step++) {
        for (int lane = 0; lane < LANES; lane++) {
            blocks[lane] = lanes->data[lane] + step * BLAKE3_BLOCK;
        }
        load_blocks(m, blocks);
        compress(h, m, words);
        if (step == 0) {
            for (int lane = 0; lane < LANES; lane++) {
                words->flags[lane] = lanes->flags;
            }
        }
    }
}

void GROUP(const blake3_lanes *lanes, const uint32_t key[8])
{
    lane_words words;
    lane_vector h[8];
    uint32_t longest = 1, shortest = UINT32_MAX;
    for (int lane = 0; lane < LANES; lane++) {
        const uint32_t count = blake3_blocks(lanes->length[lane]);
        longest = count > longest ? count : longest;
        shortest = count < shortest ? count : shortest;
    }
    memcpy(words.counter_low, lanes->counter_low, sizeof words.counter_low);
    memcpy(words.counter_high, lanes->counter_high, sizeof words.counter_high);
    for (int i = 0; i < 8; i++) {
        h[i] = SPLAT(key[i]);
    }
    if (shortest > 1) {
        steps_before(h, lanes, shortest - 1, &words);
    }
    for (uint32_t step = shortest - 1; step < longest; step++) {
        step_any(h, lanes, step, &words);
    }
    store_digests(lanes->out, h);
}

void ALIKE(const blake3_alike *lanes, const uint32_t key[8])
{
    const uint8_t *blocks[LANES];
    lane_vector h[8], m[16];
    const uint32_t count = blake3_blocks(lanes->length);
    uint32_t flags = lanes->flags | BLAKE3_CHUNK_START;
    memcpy(blocks, lanes->data, sizeof blocks);
    for (int i = 0; i < 8; i++) {
        h[i] = SPLAT(key[i]);
    }
    for (uint32_t left = lanes->length, step = 0; step < count; step++) {
        const uint32_t length = left < BLAKE3_BLOCK ? left : BLAKE3_BLOCK;
        if (step == count - 1) {
            flags |= BLAKE3_CHUNK_END | BLAKE3_ROOT;
        }
        if (length == BLAKE3_BLOCK) {
            load_blocks(m, blocks);
        } else {
            load_tails(m, blocks, length);
        }
        const lane_vector tail[4] = {SPLAT(0), SPLAT(0), SPLAT(length), SPLAT(flags)};
        mix_all(h, h, m, tail);
        for (int lane = 0; lane < LANES; lane++) {
            blocks[lane] += length;
        }
        left -= length;
        flags = lanes->flags;
    }
    store_digests(lanes->out, h);
}
