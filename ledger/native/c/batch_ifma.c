/* Pippenger's multi-scalar multiplication with eight buckets in eight lanes (AVX-512 IFMA).
 *
 * Eight windows are worked on at a time. Every (window, digit) pair is a bucket: a list of points
 * to be added. The lists are made first, by counting; then buckets of equal length fill lanes side
 * by side, each lane walking its own list. So lanes never conflict, sums stay in registers and
 * hardly a lane idles. A closing pass with the eight windows in eight lanes weighs the buckets by
 * their digits.
 */
#include "cpu.h"
#if CONCORDAT_X86

#include "vector.h"

#include <stdlib.h>

#include "batch.h"
#include "decode_ifma.h"
#include "single_ifma.h"

enum { ROW = 16 };

/* A row holds plus, minus and t2d of one point, five limbs each, and one spare word. */
typedef struct {
    uint64_t word[ROW];
} __attribute__((aligned(64))) row;

/* One bucket's list: entries[first .. first + length). */
typedef struct {
    uint32_t first, length;
    uint16_t lane, digit; /* of the closing pass: the window; digit - 1 */
} task;

typedef struct {
    const batch *b;
    size_t points;
    size_t buckets;    /* of one window: 2^(width - 1) */
    size_t tasks;
    row *rows;         /* points, then one row for the neutral element */
    uint32_t *entries; /* 2 * point + (1 when it is subtracted) */
    uint32_t *ends;    /* [lane * buckets + digit - 1]: end of that list in entries */
    task *task;        /* longest lists first */
    ge8 *sums;         /* [digit - 1], lanes are windows */
    __mmask8 *filled;  /* which lanes of sums are set */
} msm;

static void *allocate(size_t count, size_t size)
{
    return aligned_alloc(64, (count * size + 63) / 64 * 64);
}

static void msm_close(msm *m)
{
    free(m->rows);
    free(m->entries);
    free(m->ends);
    free(m->task);
    free(m->sums);
    free(m->filled);
}

static int msm_open(msm *m, const batch *b)
{
    memset(m, 0, sizeof *m);
    m->b = b;
    m->points = b->count + b->keys + 1;
    m->buckets = (size_t)1 << (b->longs.width - 1);
    m->rows = allocate(m->points + DECODE_POINTS, sizeof *m->rows);
    m->entries = allocate(m->points * LANES, sizeof *m->entries);
    m->ends = allocate(m->buckets * LANES, sizeof *m->ends);
    m->task = allocate(m->buckets * LANES, sizeof *m->task);
    m->sums = allocate(m->buckets, sizeof *m->sums);
    m->filled = allocate(m->buckets, sizeof *m->filled);
    if (m->rows && m->entries && m->ends && m->task && m->sums && m->filled) {
        return 1;
    }
    msm_close(m);
    return 0;
}

/* Write eight points as rows. */
static void store_rows(row *rows, const ge8 *p)
{
    const fe8 two_d = fe8_splat(&FE_2D);
    const fe8 plus = fe8_add(&p->y, &p->x), minus = fe8_sub(&p->y, &p->x);
    const fe8 t2d = fe8_mul(&p->t, &two_d);
    u64x8 low[8] = {plus.v[0],  plus.v[1],  plus.v[2],  plus.v[3],
                    plus.v[4],  minus.v[0], minus.v[1], minus.v[2]};
    u64x8 high[8] = {minus.v[3], minus.v[4], t2d.v[0], t2d.v[1],
                     t2d.v[2],   t2d.v[3],   t2d.v[4], _mm512_setzero_si512()};
    transpose8(low);
    transpose8(high);
    for (int i = 0; i < LANES; i++) {
        _mm512_store_si512(rows[i].word, low[i]);
        _mm512_store_si512(rows[i].word + 8, high[i]);
    }
}

static void store_limbs(uint64_t *to, const fe *a)
{
    const fe canonical = fe_canonical(a);
    memcpy(to, canonical.v, sizeof canonical.v);
}

static void store_row(row *r, const ge *p)
{
    const ge_affine q = ge_to_affine(p);
    memset(r, 0, sizeof *r);
    store_limbs(r->word, &q.plus);
    store_limbs(r->word + 5, &q.minus);
    store_limbs(r->word + 10, &q.t2d);
}

/* Decode every point; then B and the neutral element. Return 0 when one does not decode. */
static int load_points(msm *m)
{
    const uint8_t *encodings[DECODE_POINTS];
    const batch *b = m->b;
    const size_t encoded = b->count + b->keys;
    for (size_t done = 0; done < encoded; done += DECODE_POINTS) {
        for (size_t lane = 0; lane < DECODE_POINTS; lane++) {
            /* Lanes to spare repeat the last point. */
            const size_t i = done + lane < encoded ? done + lane : encoded - 1;
            encodings[lane] = i < b->count ? b->items[i].signature : b->key[i - b->count];
        }
        ge8 p[DECODE_GROUPS];
        __mmask8 valid[DECODE_GROUPS];
        if (!ge8_decode(p, valid, encodings)) {
            return 0;
        }
        for (size_t g = 0; g < DECODE_GROUPS; g++) {
            store_rows(m->rows + done + g * LANES, &p[g]);
        }
    }
    store_row(&m->rows[encoded], &GE_BASE);
    store_row(&m->rows[encoded + 1], &GE_IDENTITY);
    return 1;
}

/* Count every bucket's points, or list them where the lists shall begin; `visit` says which. */
typedef enum { COUNT, LIST } visit;

static inline void visit_digits(msm *m, size_t first_point, size_t end_point, int first_window,
                                int windows, visit what)
{
    for (size_t i = first_point; i < end_point; i++) {
        const int16_t *digits = batch_digits(m->b, i) + first_window;
        for (int w = 0; w < windows; w++) {
            if (digits[w] == 0) {
                continue;
            }
            uint32_t *end = &m->ends[(size_t)w * m->buckets + (size_t)abs(digits[w]) - 1];
            if (what == LIST) {
                m->entries[*end] = (uint32_t)(2 * i) | (digits[w] < 0);
            }
            ++*end;
        }
    }
}

/* List the points of every bucket of eight windows, by counting sort. */
static void list_entries(msm *m, int first_window)
{
    const batch *b = m->b;
    const size_t lists = m->buckets * LANES;
    int shorts = b->shorts.count - first_window, longs = b->longs.count - first_window;
    shorts = shorts < LANES ? shorts : LANES;
    longs = longs < LANES ? longs : LANES;
    memset(m->ends, 0, lists * sizeof *m->ends);
    visit_digits(m, 0, b->count, first_window, shorts, COUNT);
    visit_digits(m, b->count, m->points, first_window, longs, COUNT);
    uint32_t start = 0;
    for (size_t list = 0; list < lists; list++) {
        const uint32_t length = m->ends[list];
        m->ends[list] = start;
        start += length;
    }
    visit_digits(m, 0, b->count, first_window, shorts, LIST);
    visit_digits(m, b->count, m->points, first_window, longs, LIST);
}

/* Make a task of each list that is not empty, the longest first. */
static void order_tasks(msm *m)
{
    enum { LENGTHS = 64 }; /* longer lists are few and stay together */
    uint32_t position[LENGTHS + 1] = {0};
    const size_t lists = m->buckets * LANES;
    for (size_t list = 0; list < lists; list++) {
        const uint32_t length = m->ends[list] - (list == 0 ? 0 : m->ends[list - 1]);
        position[length < LENGTHS ? length : LENGTHS]++;
    }
    uint32_t start = 0;
    for (size_t length = LENGTHS; length > 0; length--) {
        const uint32_t count = position[length];
        position[length] = start;
        start += count;
    }
    m->tasks = start;
    for (size_t list = 0; list < lists; list++) {
        const uint32_t first = list == 0 ? 0 : m->ends[list - 1];
        const uint32_t length = m->ends[list] - first;
        if (length != 0) {
            task *t = &m->task[position[length < LENGTHS ? length : LENGTHS]++];
            t->first = first;
            t->length = length;
            t->lane = (uint16_t)(list / m->buckets);
            t->digit = (uint16_t)(list % m->buckets);
        }
    }
}

/* Load eight points, those in the lanes of `negative` negated. */
static inline ge8_affine load_rows(const row *const rows[LANES], unsigned negative)
{
    u64x8 low[8], high[8];
    for (int i = 0; i < LANES; i++) {
        low[i] = _mm512_load_si512(rows[i]->word);
        high[i] = _mm512_load_si512(rows[i]->word + 8);
    }
    transpose8(low);
    transpose8(high);
    ge8_affine q = {{{low[0], low[1], low[2], low[3], low[4]}},
                    {{low[5], low[6], low[7], high[0], high[1]}},
                    {{high[2], high[3], high[4], high[5], high[6]}}};
    ge8_affine_negate(&q, (__mmask8)negative);
    return q;
}

/* Load the step-th point of each of eight lists, negated where the entry says so; the neutral
 * element where a list has ended. */
static inline ge8_affine load_step(const msm *m, const task *const lanes[LANES], uint32_t step)
{
    const row *rows[LANES];
    unsigned negative = 0;
    for (int i = 0; i < LANES; i++) {
        uint32_t entry = (uint32_t)(2 * m->points);
        if (step < lanes[i]->length) {
            entry = m->entries[lanes[i]->first + step];
        }
        rows[i] = &m->rows[entry >> 1];
        negative |= (entry & 1) << i;
    }
    return load_rows(rows, negative);
}

/* Put each lane of a sum where the closing pass expects that window and digit. */
static void store_sums(msm *m, const task *const lanes[LANES], int used, const ge8 *sum)
{
    const lane_word *from = (const lane_word *)sum;
    for (int i = 0; i < used; i++) {
        const size_t lane = lanes[i]->lane, digit = lanes[i]->digit;
        lane_word *to = (lane_word *)&m->sums[digit];
        m->filled[digit] |= (__mmask8)(1U << lane);
        for (size_t word = 0; word < sizeof(ge8) / sizeof(u64x8); word++) {
            to[word * LANES + lane] = from[word * LANES + (size_t)i];
        }
    }
}

static void fill_buckets(msm *m)
{
    static const task empty = {0, 0, 0, 0};
    memset(m->filled, 0, m->buckets * sizeof *m->filled);
    for (size_t done = 0; done < m->tasks; done += LANES) {
        const task *lanes[LANES];
        uint32_t longest = 0;
        int used = 0;
        for (size_t i = 0; i < LANES; i++) {
            lanes[i] = &empty;
            if (done + i < m->tasks) {
                lanes[i] = &m->task[done + i];
                longest = lanes[i]->length > longest ? lanes[i]->length : longest;
                used++;
            }
        }
        ge8_affine q = load_step(m, lanes, 0);
        ge8 sum = ge8_from_affine(&q);
        for (uint32_t step = 1; step < longest; step++) {
            q = load_step(m, lanes, step);
            sum = ge8_add_affine(&sum, &q);
        }
        store_sums(m, lanes, used, &sum);
    }
}

/* A bucket of eight windows; the neutral element where nothing fell into it. */
static inline ge8 bucket_at(const msm *m, size_t digit)
{
    const ge8 identity = ge8_splat(&GE_IDENTITY);
    return ge8_select(m->filled[digit], &m->sums[digit], &identity);
}

/* sum d bucket[d] for eight windows, by running sums from the largest digit down. */
static ge8 weigh_buckets(const msm *m)
{
    ge8 running = bucket_at(m, m->buckets - 1), total = running;
    for (size_t d = m->buckets - 1; d-- > 0;) {
        if (m->filled[d] != 0) {
            const ge8 bucket = bucket_at(m, d);
            const ge8_cached cached = ge8_to_cached(&bucket);
            running = ge8_add_cached(&running, &cached);
        }
        const ge8_cached cached = ge8_to_cached(&running);
        total = ge8_add_cached(&total, &cached);
    }
    return total;
}

static ge lane_of(const ge8 *p, size_t lane)
{
    const lane_word *from = (const lane_word *)p;
    uint64_t limbs[20];
    ge r;
    for (size_t word = 0; word < 20; word++) {
        limbs[word] = from[word * LANES + lane];
    }
    memcpy(r.x.v, limbs, sizeof r.x.v);
    memcpy(r.y.v, limbs + 5, sizeof r.y.v);
    memcpy(r.z.v, limbs + 10, sizeof r.z.v);
    memcpy(r.t.v, limbs + 15, sizeof r.t.v);
    return r;
}

/* Sum the windows first_window .. first_window + 7, each in its lane. */
static ge8 sum_windows(msm *m, int first_window)
{
    list_entries(m, first_window);
    order_tasks(m);
    fill_buckets(m);
    return weigh_buckets(m);
}

static ge msm_evaluate(msm *m)
{
    ge total = GE_IDENTITY;
    ge8 sums = ge8_splat(&GE_IDENTITY);
    for (int window = m->b->longs.count - 1; window >= 0; window--) {
        const int lane = window % LANES;
        if (lane == LANES - 1 || window == m->b->longs.count - 1) {
            sums = sum_windows(m, window - lane);
        }
        const ge sum = lane_of(&sums, (size_t)lane);
        batch_join_window(&total, &sum, m->b->longs.width);
    }
    return total;
}

/* As in batch_portable.c, in multiplications of eight lanes: the closing pass takes 18 of them for
 * each digit and group of eight windows. */
static int best_width(size_t shorts, size_t longs)
{
    size_t best_cost = SIZE_MAX;
    int best = BATCH_WIDTH_MIN;
    for (int width = BATCH_WIDTH_MIN; width <= BATCH_WIDTH_MAX; width++) {
        const size_t windows = (size_t)batch_long_windows(width);
        const size_t groups = (windows + LANES - 1) / LANES;
        const size_t additions = windows * longs + (size_t)batch_short_windows(width) * shorts;
        const size_t cost = 7 * additions / LANES + groups * ((size_t)18 << (width - 1));
        if (cost < best_cost) {
            best_cost = cost;
            best = width;
        }
    }
    return best;
}

/* Judge each signature by itself, from the points that are decoded already. */
static void judge_each(const msm *m, uint8_t *verdicts)
{
    const batch *b = m->b;
    for (size_t done = 0; done < b->count; done += LANES) {
        const row *keys[LANES], *rs[LANES];
        scalar s[LANES], challenge[LANES];
        for (size_t lane = 0; lane < LANES; lane++) {
            const size_t i = done + lane < b->count ? done + lane : b->count - 1;
            keys[lane] = &m->rows[b->count + b->key_of[i]];
            rs[lane] = &m->rows[i];
            s[lane] = b->s[i];
            challenge[lane] = b->challenge[i];
        }
        const ge8_affine key = load_rows(keys, 0), r = load_rows(rs, 0);
        const ge8 key_point = ge8_from_affine(&key), r_point = ge8_from_affine(&r);
        const lane_verdicts found = ed25519_judge_lanes(&key_point, &r_point, s, challenge);
        for (size_t lane = 0; lane < LANES && done + lane < b->count; lane++) {
            verdicts[done + lane] = lane_verdict(found, lane, &b->items[done + lane]);
        }
    }
}

static ed25519_result evaluate(const batch *b, uint8_t *verdicts)
{
    msm m;
    if (!msm_open(&m, b)) {
        return ED25519_NO_MEMORY;
    }
    ed25519_result result = ED25519_INVALID;
    if (load_points(&m)) {
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

const batch_kernel BATCH_IFMA = {sha512_eight_ifma, 17, best_width, evaluate};

#include "target_end.h"

#endif
