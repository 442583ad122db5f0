/* Pippenger's multi-scalar multiplication on one processor lane, in plain C. */
#include <stdlib.h>

#include "batch.h"
#include "edwards.h"

enum { WIDTH_MIN = 3, WIDTH_MAX = 10, SHORT_BITS = 128, LONG_BITS = 253 };

/* `shorts` points with 128-bit scalars, then `longs` points with scalars modulo l. */
typedef struct {
    size_t shorts, longs;
    int width, short_windows, long_windows;
    ge_affine *points;
    int16_t *short_digits; /* [window][point] */
    int16_t *long_digits;
    ge *buckets;    /* buckets[d - 1] collects the points with digit +-d */
    uint8_t *filled;
} msm;

/* Windows that hold a scalar and the carry out of its last digit. */
static int windows(int bits, int width)
{
    return bits / width + 1;
}

/* The width with the fewest field multiplications: an affine addition costs 7 of them, a bucket in
 * the closing sum two additions of 8 and 9. */
static int best_width(size_t shorts, size_t longs)
{
    size_t best_cost = SIZE_MAX;
    int best = WIDTH_MIN;
    for (int width = WIDTH_MIN; width <= WIDTH_MAX; width++) {
        const size_t closing = (size_t)17 << (width - 1);
        const size_t cost = (size_t)windows(LONG_BITS, width) * (7 * longs + closing) +
                            (size_t)windows(SHORT_BITS, width) * 7 * shorts;
        if (cost < best_cost) {
            best_cost = cost;
            best = width;
        }
    }
    return best;
}

static void msm_close(msm *m)
{
    free(m->points);
    free(m->short_digits);
    free(m->long_digits);
    free(m->buckets);
    free(m->filled);
}

static int msm_open(msm *m, size_t shorts, size_t longs)
{
    memset(m, 0, sizeof *m);
    m->shorts = shorts;
    m->longs = longs;
    m->width = best_width(shorts, longs);
    m->short_windows = windows(SHORT_BITS, m->width);
    m->long_windows = windows(LONG_BITS, m->width);
    const size_t buckets = (size_t)1 << (m->width - 1);
    m->points = malloc((shorts + longs) * sizeof *m->points);
    m->short_digits = malloc((size_t)m->short_windows * shorts * sizeof(int16_t));
    m->long_digits = malloc((size_t)m->long_windows * longs * sizeof(int16_t));
    m->buckets = malloc(buckets * sizeof *m->buckets);
    m->filled = malloc(buckets);
    if (m->points && m->short_digits && m->long_digits && m->buckets && m->filled) {
        return 1;
    }
    msm_close(m);
    return 0;
}

static void drop_into_buckets(msm *m, const ge_affine *points, const int16_t *digits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int digit = digits[i];
        if (digit == 0) {
            continue;
        }
        const size_t bucket = (size_t)(digit < 0 ? -digit : digit) - 1;
        const ge *held = m->filled[bucket] ? &m->buckets[bucket] : &GE_IDENTITY;
        m->buckets[bucket] = ge_add_affine(held, &points[i], digit < 0);
        m->filled[bucket] = 1;
    }
}

/* sum d bucket[d], by running sums from the largest digit down. */
static ge sum_buckets(const msm *m)
{
    ge running = GE_IDENTITY, total = GE_IDENTITY;
    for (size_t d = (size_t)1 << (m->width - 1); d-- > 0;) {
        if (m->filled[d]) {
            running = ge_add(&running, &m->buckets[d]);
        }
        total = ge_add(&total, &running);
    }
    return total;
}

static ge msm_evaluate(msm *m)
{
    ge total = GE_IDENTITY;
    for (int w = m->long_windows - 1; w >= 0; w--) {
        memset(m->filled, 0, (size_t)1 << (m->width - 1));
        if (w < m->short_windows) {
            drop_into_buckets(m, m->points, m->short_digits + (size_t)w * m->shorts, m->shorts);
        }
        drop_into_buckets(m, m->points + m->shorts, m->long_digits + (size_t)w * m->longs,
                          m->longs);
        const ge window = sum_buckets(m);
        total = ge_double_times(total, m->width);
        total = ge_add(&total, &window);
    }
    return total;
}

/* Decode every point and cut every scalar into digits. Return 0 when a point does not decode. */
static int msm_load(msm *m, const batch *b)
{
    ge point;
    for (size_t i = 0; i < b->count; i++) {
        if (!ge_decode(&point, b->items[i].signature)) {
            return 0;
        }
        m->points[i] = ge_to_affine(&point);
        scalar_digits(m->short_digits + i, m->shorts, &b->coefficient[i], m->width,
                      m->short_windows);
    }
    for (size_t i = 0; i < b->keys; i++) {
        if (!ge_decode(&point, b->key[i])) {
            return 0;
        }
        m->points[m->shorts + i] = ge_to_affine(&point);
        scalar_digits(m->long_digits + i, m->longs, &b->key_scalar[i], m->width, m->long_windows);
    }
    m->points[m->shorts + b->keys] = ge_to_affine(&GE_BASE);
    scalar_digits(m->long_digits + b->keys, m->longs, &b->base_scalar, m->width, m->long_windows);
    return 1;
}

ed25519_result batch_evaluate_portable(const batch *b)
{
    msm m;
    if (!msm_open(&m, b->count, b->keys + 1)) {
        return ED25519_NO_MEMORY;
    }
    ed25519_result result = ED25519_INVALID;
    if (msm_load(&m, b)) {
        const ge sum = msm_evaluate(&m);
        result = ge_is_small_order(&sum) ? ED25519_VALID : ED25519_INVALID;
    }
    msm_close(&m);
    return result;
}
