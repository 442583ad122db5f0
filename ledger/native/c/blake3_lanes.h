/* The compression function over LANES lanes; a template for the blake3_<path>.c files.
 *
 * Before including, define LANES; `lane_vector` (LANES 32-bit words); SPLAT, ADD, XOR, ROTATE16,
 * ROTATE12, ROTATE8, ROTATE7; LOAD(aligned uint32_t *);
 * SELECT(mask vector, a, b); load_blocks and store_digests, which transpose; and GROUP, the name
 * of the function to define.
 */
#include "blake3.h"
#include "bytes.h"

/* The order of additions in `mix` is chosen for latency: keep it. */
#pragma GCC optimize("no-tree-reassoc")

static inline void mix(lane_vector v[16], int a, int b, int c, int d, lane_vector x, lane_vector y)
{
    v[a] = ADD(ADD(v[a], x), v[b]); /* b is ready last */
    v[d] = ROTATE16(XOR(v[d], v[a]));
    v[c] = ADD(v[c], v[d]);
    v[b] = ROTATE12(XOR(v[b], v[c]));
    v[a] = ADD(ADD(v[a], y), v[b]);
    v[d] = ROTATE8(XOR(v[d], v[a]));
    v[c] = ADD(v[c], v[d]);
    v[b] = ROTATE7(XOR(v[b], v[c]));
}

/* What a compression takes besides the message, lane by lane. */
typedef struct {
    uint32_t counter_low[LANES], counter_high[LANES], length[LANES], flags[LANES];
    uint32_t active[LANES]; /* all ones where the job has not ended */
} __attribute__((aligned(64))) lane_words;

static inline void compress(lane_vector h[8], const lane_vector m[16], const lane_words *words)
{
    lane_vector v[16];
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
    }
    for (int i = 0; i < 4; i++) {
        v[8 + i] = SPLAT(BLAKE3_IV[i]);
    }
    v[12] = LOAD(words->counter_low);
    v[13] = LOAD(words->counter_high);
    v[14] = LOAD(words->length);
    v[15] = LOAD(words->flags);
#pragma GCC unroll 7
    for (int round = 0; round < 7; round++) {
        const uint8_t *s = BLAKE3_ORDER[round];
        mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    const lane_vector active = LOAD(words->active);
    for (int i = 0; i < 8; i++) {
        h[i] = SELECT(active, XOR(v[i], v[i + 8]), h[i]);
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
