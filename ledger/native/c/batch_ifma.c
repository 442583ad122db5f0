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
    batch *b;
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

/* Allocate for the points. */
static int msm_open(msm *m, batch *b)
{
    memset(m, 0, sizeof *m);
    m->b = b;
    m->points = b->count + b->keys + 1;
    m->rows = allocate(m->points + DECODE_POINTS, sizeof *m->rows);
    m->entries = allocate(m->points * LANES, sizeof *m->entries);
    return m->rows && m->entries;
}

/* Allocate for the buckets, once the width is known. */
static int msm_open_buckets(msm *m)
{
    m->buckets = (size_t)1 << (m->b->longs.width - 1);
    m->ends = allocate(m->buckets * LANES, sizeof *m->ends);
    m->task = allocate(m->buckets * LANES, sizeof *m->task);
    m->sums = allocate(m->buckets, sizeof *m->sums);
    m->filled = allocate(m->buckets, sizeof *m->filled);
    return m->ends && m->task && m->sums && m->filled;
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

/* Decode every point; decoded[i] tells whether point i is one. Return whether all are. */
static int decode_points(msm *m, uint8_t *decoded)
{
    const uint8_t *encodings[DECODE_POINTS];
    const batch *b = m->b;
    const size_t encoded = b->count + b->keys;
    int all = 1;
    for (size_t done = 0; done < encoded; done += DECODE_POINTS) {
        for (size_t lane = 0; lane < DECODE_POINTS; lane++) {
            /* Lanes to spare repeat the last point. */
            const size_t i = done + lane < encoded ? done + lane : encoded - 1;
            encodings[lane] = i < b->count ? b->items[i].signature : b->key[i - b->count];
        }
        ge8 p[DECODE_GROUPS];
        __mmask8 valid[DECODE_GROUPS];
        all &= ge8_decode(p, valid, encodings);
        for (size_t g = 0; g < DECODE_GROUPS; g++) {
            store_rows(m->rows + done + g * LANES, &p[g]);
        }
        for (size_t lane = 0; lane < DECODE_POINTS && done + lane < encoded; lane++) {
            decoded[done + lane] = valid[lane / LANES] >> (lane % LANES) & 1;
        }
    }
    return all;
}

/* Take out the rows of signatures that batch_drop takes out. */
static void drop_points(msm *m, const uint8_t *decoded)
{
    batch *b = m->b;
    const size_t count = b->count;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (decoded[i] && decoded[count + b->key_of[i]]) {
            m->rows[kept++] = m->rows[i];
        }
    }
    memmove(m->rows + kept, m->rows + count, b->keys * sizeof *m->rows);
    batch_drop(b, decoded);
    m->points = b->count + b->keys + 1;
}

/* Decode every point, drop what does not decode unless that is enough to know, add B and the neutral
 * element. */
static ed25519_result load_points(msm *m, int drop)
{
    uint8_t *decoded = (uint8_t *)m->entries; /* not in use yet, and larger */
    if (!decode_points(m, decoded)) {
        if (!drop) {
            return ED25519_INVALID;
        }
        drop_points(m, decoded);
    }
    store_row(&m->rows[m->points - 1], &GE_BASE);
    store_row(&m->rows[m->points], &GE_IDENTITY);
    return ED25519_VALID;
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
static inline __attribute__((always_inline)) ge8_affine load_rows(const row *const rows[LANES], unsigned negative)
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

/* Eight lists side by side. */
typedef struct {
    const task *lanes[LANES];
    uint32_t longest;
    int used;
} group;

static group take_group(const msm *m, size_t done)
{
    static const task empty = {0, 0, 0, 0};
    group g = {{0}, 0, 0};
    for (size_t i = 0; i < LANES; i++) {
        g.lanes[i] = &empty;
        if (done + i < m->tasks) {
            g.lanes[i] = &m->task[done + i];
            g.longest = g.lanes[i]->length > g.longest ? g.lanes[i]->length : g.longest;
            g.used++;
        }
    }
    return g;
}

/* Sum the lists of GROUPS groups in turn; the first is the longest. */
static void fill_buckets(msm *m)
{
    enum { GROUPS = 2 };
    memset(m->filled, 0, m->buckets * sizeof *m->filled);
    for (size_t done = 0; done < m->tasks; done += GROUPS * LANES) {
        group groups[GROUPS];
        ge8_affine q[GROUPS];
        ge8 sums[GROUPS];
        for (size_t g = 0; g < GROUPS; g++) {
            groups[g] = take_group(m, done + g * LANES);
            q[g] = load_step(m, groups[g].lanes, 0);
            sums[g] = ge8_from_affine(&q[g]);
        }
        uint32_t step = 1;
        for (; step < groups[1].longest; step++) {
            q[0] = load_step(m, groups[0].lanes, step);
            q[1] = load_step(m, groups[1].lanes, step);
            ge8_add_affine_each(sums, q, GROUPS);
        }
        for (; step < groups[0].longest; step++) {
            q[0] = load_step(m, groups[0].lanes, step);
            sums[0] = ge8_add_affine(&sums[0], &q[0]);
        }
        for (size_t g = 0; g < GROUPS; g++) {
            store_sums(m, groups[g].lanes, groups[g].used, &sums[g]);
        }
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

/* Eight signatures as the judges take them; lanes to spare repeat the last. */
typedef struct {
    const row *keys[LANES], *rs[LANES];
    scalar s[LANES], challenge[LANES];
} judged;

static void gather_judged(judged *j, const msm *m, const uint32_t *which, size_t count)
{
    const batch *b = m->b;
    for (size_t lane = 0; lane < LANES; lane++) {
        const size_t i = which[lane < count ? lane : count - 1];
        j->keys[lane] = &m->rows[b->count + b->key_of[i]];
        j->rs[lane] = &m->rows[i];
        j->s[lane] = b->s[i];
        j->challenge[lane] = b->challenge[i];
    }
}

static ge8 load_judged(const row *const rows[LANES])
{
    const ge8_affine q = load_rows(rows, 0);
    return ge8_from_affine(&q);
}

/* Judge signatures under keys that occur seldom. */
static void judge_halved(const msm *m, const uint32_t *which, size_t count, uint8_t *verdicts)
{
    const batch *b = m->b;
    for (size_t done = 0; done < count; done += LANES) {
        judged j;
        gather_judged(&j, m, which + done, count - done);
        const ge8 key = load_judged(j.keys), r = load_judged(j.rs);
        const lane_verdicts found = ed25519_judge_lanes(&key, &r, j.s, j.challenge);
        for (size_t lane = 0; lane < LANES && done + lane < count; lane++) {
            const size_t i = which[done + lane];
            verdicts[b->position[i]] = lane_verdict(found, lane, &b->items[i]);
        }
    }
}

/* Judge the signatures under up to eight keys, from tables of these. */
static void judge_keyed(const msm *m, const uint32_t keys[LANES], size_t key_count,
                        const uint32_t *which, size_t count, uint8_t *verdicts)
{
    const batch *b = m->b;
    const row *key_rows[LANES];
    key_tables tables;
    for (size_t lane = 0; lane < LANES; lane++) {
        key_rows[lane] = &m->rows[b->count + keys[lane < key_count ? lane : 0]];
    }
    const ge8 points = load_judged(key_rows);
    ed25519_fill_key_tables(&tables, &points);
    for (size_t done = 0; done < count; done += LANES) {
        judged j;
        uint8_t table_of[LANES] = {0};
        gather_judged(&j, m, which + done, count - done);
        for (size_t lane = 0; lane < LANES; lane++) {
            for (uint8_t t = 0; t < key_count; t++) {
                table_of[lane] = key_rows[t] == j.keys[lane] ? t : table_of[lane];
            }
        }
        const ge8 r = load_judged(j.rs);
        const unsigned valid = ed25519_judge_keyed_lanes(&tables, table_of, &r, j.s, j.challenge);
        for (size_t lane = 0; lane < LANES && done + lane < count; lane++) {
            verdicts[b->position[which[done + lane]]] = valid >> lane & 1;
        }
    }
}

enum { KEYED_MIN = 4 };

/* Judge each signature by itself, from the points that are decoded already. */
static void judge_each(msm *m, uint8_t *verdicts)
{
    const batch *b = m->b;
    /* The buckets' lists are done with, and have room: eight words for each point. */
    uint32_t *order = m->entries, *start = order + b->count, *seldom = start + b->keys + 1;
    uint32_t *often = seldom + b->count;
    size_t seldom_count = 0, often_count = 0, key_count = 0;
    uint32_t keys[LANES];
    batch_order_by_key(b, order, start);
    for (size_t key = 0; key < b->keys; key++) {
        const size_t uses = start[key + 1] - start[key];
        if (uses < KEYED_MIN) {
            memcpy(seldom + seldom_count, order + start[key], uses * sizeof *order);
            seldom_count += uses;
            continue;
        }
        memcpy(often + often_count, order + start[key], uses * sizeof *order);
        often_count += uses;
        keys[key_count++] = (uint32_t)key;
        if (key_count == LANES) {
            judge_keyed(m, keys, key_count, often, often_count, verdicts);
            often_count = key_count = 0;
        }
    }
    if (key_count != 0) {
        judge_keyed(m, keys, key_count, often, often_count, verdicts);
    }
    judge_halved(m, seldom, seldom_count, verdicts);
}

static ed25519_result evaluate(batch *b, const uint8_t seed[32], uint8_t *verdicts)
{
    msm m;
    ed25519_result result = ED25519_NO_MEMORY;
    if (msm_open(&m, b)) {
        result = load_points(&m, verdicts != NULL);
    }
    if (result == ED25519_VALID && !(batch_combine(b, seed, &BATCH_IFMA) && msm_open_buckets(&m))) {
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

const batch_kernel BATCH_IFMA = {sha512_eight_ifma, 17, best_width, evaluate};

#include "target_end.h"

#endif
