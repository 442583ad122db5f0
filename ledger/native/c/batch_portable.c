/* Pippenger's multi-scalar multiplication on one processor lane, in plain C. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "general_registers.h"

#include "batch.h"
#include "edwards.h"
#include "single.h"

typedef struct {
    batch *b;
    size_t points;
    ge_affine *point;
    ge *buckets; /* buckets[d - 1] collects the points with digit +-d */
    uint8_t *filled;
} msm;

/* The width with the fewest field multiplications: an affine addition costs 7 of them, a bucket in
 * the closing sum two additions of 8 and 9. */
static int best_width(size_t shorts, size_t longs)
{
    size_t best_cost = SIZE_MAX;
    int best = BATCH_WIDTH_MIN;
    for (int width = BATCH_WIDTH_MIN; width <= BATCH_WIDTH_MAX; width++) {
        const size_t closing = (size_t)17 << (width - 1);
        const size_t cost = (size_t)batch_long_windows(width) * (7 * longs + closing) +
                            (size_t)batch_short_windows(width) * 7 * shorts;
        if (cost < best_cost) {
            best_cost = cost;
            best = width;
        }
    }
    return best;
}

static void msm_close(msm *m)
{
    free(m->point);
    free(m->buckets);
    free(m->filled);
}

/* Allocate for the points. */
static int msm_open(msm *m, batch *b)
{
    memset(m, 0, sizeof *m);
    m->b = b;
    m->points = b->count + b->keys + 1;
    m->point = malloc(m->points * sizeof *m->point);
    return m->point != NULL;
}

/* Allocate for the buckets, once the width is known. */
static int msm_open_buckets(msm *m)
{
    const size_t buckets = (size_t)1 << (m->b->longs.width - 1);
    m->buckets = malloc(buckets * sizeof *m->buckets);
    m->filled = malloc(buckets);
    return m->buckets && m->filled;
}

static void drop_into_buckets(msm *m, int window)
{
    memset(m->filled, 0, (size_t)1 << (m->b->longs.width - 1));
    for (size_t i = window < m->b->shorts.count ? 0 : m->b->count; i < m->points; i++) {
        const int digit = batch_digits(m->b, i)[window];
        if (digit == 0) {
            continue;
        }
        const size_t bucket = (size_t)(digit < 0 ? -digit : digit) - 1;
        const ge *held = m->filled[bucket] ? &m->buckets[bucket] : &GE_IDENTITY;
        m->buckets[bucket] = ge_add_affine(held, &m->point[i], digit < 0);
        m->filled[bucket] = 1;
    }
}

/* sum d bucket[d], by running sums from the largest digit down. */
static ge sum_buckets(const msm *m)
{
    ge running = GE_IDENTITY, total = GE_IDENTITY;
    for (size_t d = (size_t)1 << (m->b->longs.width - 1); d-- > 0;) {
        if (m->filled[d]) {
            running = ge_add(&running, &m->buckets[d]);
        }
        total = ge_add(&total, &running);
    }
    return total;
}

void batch_join_window(ge *total, const ge *window, int width)
{
    *total = ge_double_times(*total, width);
    *total = ge_add(total, window);
}

static ge msm_evaluate(msm *m)
{
    ge total = GE_IDENTITY;
    for (int window = m->b->longs.count - 1; window >= 0; window--) {
        drop_into_buckets(m, window);
        const ge sum = sum_buckets(m);
        batch_join_window(&total, &sum, m->b->longs.width);
    }
    return total;
}

/* Decode every point; decoded[i] tells whether point i is one. Return whether all are. */
static int decode_points(msm *m, uint8_t *decoded)
{
    const batch *b = m->b;
    int all = 1;
    for (size_t i = 0; i < m->points - 1; i++) {
        ge point = GE_IDENTITY;
        decoded[i] = (uint8_t)ge_decode(
            &point, i < b->count ? b->items[i].signature : b->key[i - b->count]);
        all &= decoded[i];
        if (decoded[i]) {
            m->point[i] = ge_to_affine(&point);
        }
    }
    return all;
}

/* Take out the points of signatures that batch_drop takes out. */
static void drop_points(msm *m, const uint8_t *decoded)
{
    batch *b = m->b;
    const size_t count = b->count;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (decoded[i] && decoded[count + b->key_of[i]]) {
            m->point[kept++] = m->point[i];
        }
    }
    memmove(m->point + kept, m->point + count, b->keys * sizeof *m->point);
    batch_drop(b, decoded);
    m->points = b->count + b->keys + 1;
}

/* Decode every point, drop what does not decode unless that is enough to know, and add B. */
static ed25519_result msm_load(msm *m, int drop)
{
    uint8_t decoded[2 * ED25519_CHUNK];
    if (!decode_points(m, decoded)) {
        if (!drop) {
            return ED25519_INVALID;
        }
        drop_points(m, decoded);
    }
    m->point[m->points - 1] = ge_to_affine(&GE_BASE);
    return ED25519_VALID;
}

enum { KEYED_MIN = 4 };

static int judge_one(const msm *m, size_t i, const key_table *table)
{
    const batch *b = m->b;
    const ge r = ge_from_affine(&m->point[i]);
    if (table != NULL) {
        return ed25519_judge_keyed(table, &r, &b->s[i], &b->challenge[i]);
    }
    const ge key = ge_from_affine(&m->point[b->count + b->key_of[i]]);
    return ed25519_judge(&key, &r, &b->s[i], &b->challenge[i]);
}

/* Judge each signature by itself, from the points that are decoded already; key by key, with a table
 * where the key occurs often. */
static void judge_each(const msm *m, uint8_t *verdicts)
{
    const batch *b = m->b;
    uint32_t order[ED25519_CHUNK], start[ED25519_CHUNK + 1];
    key_table table;
    batch_order_by_key(b, order, start);
    for (size_t key = 0; key < b->keys; key++) {
        const int often = start[key + 1] - start[key] >= KEYED_MIN;
        if (often) {
            const ge point = ge_from_affine(&m->point[b->count + key]);
            ed25519_fill_key_table(&table, &point);
        }
        for (uint32_t at = start[key]; at < start[key + 1]; at++) {
            const uint32_t i = order[at];
            verdicts[b->position[i]] = (uint8_t)judge_one(m, i, often ? &table : NULL);
        }
    }
}

static ed25519_result evaluate(batch *b, const uint8_t seed[32], uint8_t *verdicts)
{
    msm m;
    ed25519_result result = ED25519_NO_MEMORY;
    if (msm_open(&m, b)) {
        result = msm_load(&m, verdicts != NULL);
    }
    if (result == ED25519_VALID &&
        !(batch_combine(b, seed, &BATCH_PORTABLE) && msm_open_buckets(&m))) {
        result = ED25519_NO_MEMORY;
    }
    if (result == ED25519_VALID) {
        const ge sum = msm_evaluate(&m);
        if (!ge_is_small_order(&sum)) {
            result = ED25519_INVALID;
        }
        if (verdicts != NULL) {
            if (result == ED25519_VALID) {
                batch_accept(b, verdicts);
            } else {
                judge_each(&m, verdicts);
            }
            result = ED25519_JUDGED;
        }
    }
    msm_close(&m);
    return result;
}

const batch_kernel BATCH_PORTABLE = {sha512_eight_portable, 10, best_width, evaluate};
