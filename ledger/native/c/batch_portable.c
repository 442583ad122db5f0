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
    const batch *b;
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

static int msm_open(msm *m, const batch *b)
{
    const size_t buckets = (size_t)1 << (b->longs.width - 1);
    m->b = b;
    m->points = b->count + b->keys + 1;
    m->point = malloc(m->points * sizeof *m->point);
    m->buckets = malloc(buckets * sizeof *m->buckets);
    m->filled = malloc(buckets);
    if (m->point && m->buckets && m->filled) {
        return 1;
    }
    msm_close(m);
    return 0;
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

/* Decode every point. Return 0 when one does not decode. */
static int msm_load(msm *m)
{
    ge point;
    for (size_t i = 0; i < m->points - 1; i++) {
        const uint8_t *encoding = i < m->b->count ? m->b->items[i].signature
                                                  : m->b->key[i - m->b->count];
        if (!ge_decode(&point, encoding)) {
            return 0;
        }
        m->point[i] = ge_to_affine(&point);
    }
    m->point[m->points - 1] = ge_to_affine(&GE_BASE);
    return 1;
}

/* Judge each signature by itself, from the points that are decoded already. */
static void judge_each(const msm *m, uint8_t *verdicts)
{
    const batch *b = m->b;
    for (size_t i = 0; i < b->count; i++) {
        const ge key = ge_from_affine(&m->point[b->count + b->key_of[i]]);
        const ge r = ge_from_affine(&m->point[i]);
        verdicts[i] = (uint8_t)ed25519_judge(&key, &r, &b->s[i], &b->challenge[i]);
    }
}

static ed25519_result evaluate(const batch *b, uint8_t *verdicts)
{
    msm m;
    if (!msm_open(&m, b)) {
        return ED25519_NO_MEMORY;
    }
    ed25519_result result = ED25519_INVALID;
    if (msm_load(&m)) {
        const ge sum = msm_evaluate(&m);
        if (ge_is_small_order(&sum)) {
            result = ED25519_VALID;
        } else if (verdicts != NULL) {
            judge_each(&m, verdicts);
            result = ED25519_JUDGED;
        }
    }
    msm_close(&m);
    return result;
}

const batch_kernel BATCH_PORTABLE = {sha512_eight_portable, 10, best_width, evaluate};
