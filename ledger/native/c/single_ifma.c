/* Eight signatures in eight lanes, each with its own verdict.
 *
 * With u = v k modulo l, u and v of half size, [8](sB - kA - R) = 0 exactly when
 * [8]((v s)B - uA - vR) = 0: v is not 0 modulo l, and the cofactor removes what the reduction
 * modulo l does to points of small order. So half the doublings suffice. The lanes share them;
 * every 4 of them each lane subtracts multiples of its A and R from tables made for the call, every
 * 9 it adds multiples of B and of 2^135 B from tables made once.
 */
#include "cpu.h"
#if CONCORDAT_X86

#include "vector.h"

#include "batch.h"
#include "decode_ifma.h"
#include "single_ifma.h"

enum { BASE_WIDTH = 9, BASE_COUNT = 1 << (BASE_WIDTH - 1), BASE_WINDOWS = 28 };

/* B serves the lower windows of a scalar, 2^(9 * 15) B the upper ones. */
enum { BASE_HALF = 15 };

/* plus, minus, t2d of dB and d 2^135 B at [d]; written once by ed25519_init_ifma. */
static uint64_t base_table[2][BASE_COUNT + 1][16] __attribute__((aligned(64)));

/* One lane's digits. */
typedef struct {
    int16_t key[POINT_WINDOWS], r[POINT_WINDOWS], base[BASE_WINDOWS];
} lane_digits;

static fe fe_invert(const fe *z)
{
    /* p - 2 = 8 (2^252 - 3) + 3 */
    fe t = fe_pow_p58(z);
    t = fe_sqr_times(t, 3);
    t = fe_mul(&t, z);
    t = fe_mul(&t, z);
    return fe_mul(&t, z);
}

static void fill_base_table(uint64_t table[BASE_COUNT + 1][16], const ge *base)
{
    ge p[BASE_COUNT + 1];
    fe product[BASE_COUNT + 1]; /* of the Z before */
    p[0] = GE_IDENTITY;
    product[0] = FE_ONE;
    for (int d = 1; d <= BASE_COUNT; d++) {
        p[d] = ge_add(&p[d - 1], base);
        product[d] = fe_mul(&product[d - 1], &p[d - 1].z);
    }
    fe inverse = fe_mul(&product[BASE_COUNT], &p[BASE_COUNT].z);
    inverse = fe_invert(&inverse);
    for (int d = BASE_COUNT; d >= 0; d--) {
        const fe z = fe_mul(&inverse, &product[d]);
        const fe x = fe_mul(&p[d].x, &z), y = fe_mul(&p[d].y, &z), t = fe_mul(&x, &y);
        const fe sum = fe_add(&y, &x), difference = fe_sub(&y, &x);
        const fe plus = fe_canonical(&sum), minus = fe_canonical(&difference);
        const fe t2d = fe_mul(&t, &FE_2D);
        memcpy(table[d], plus.v, sizeof plus.v);
        memcpy(table[d] + 5, minus.v, sizeof minus.v);
        memcpy(table[d] + 10, t2d.v, sizeof t2d.v);
        inverse = fe_mul(&inverse, &p[d].z);
    }
}

void ed25519_init_ifma(void)
{
    const ge upper = ge_double_times(GE_BASE, BASE_WIDTH * BASE_HALF);
    fill_base_table(base_table[0], &GE_BASE);
    fill_base_table(base_table[1], &upper);
}

/* Write entry d of every lane's table. */
static void store_entry(point_table tables[LANES], int d, const ge8_cached *q)
{
    const u64x8 *from = q->plus.v; /* the four members follow each other */
    for (int part = 0; part < 3; part++) {
        u64x8 rows[8];
        for (int i = 0; i < 8; i++) {
            const int limb = part * 8 + i;
            rows[i] = limb < 20 ? from[limb] : _mm512_setzero_si512();
        }
        transpose8(rows);
        for (int lane = 0; lane < LANES; lane++) {
            _mm512_store_si512(tables[lane].word[d] + part * 8, rows[lane]);
        }
    }
}

static void fill_tables(point_table tables[LANES], const ge8 *p)
{
    const ge8 identity = ge8_splat(&GE_IDENTITY);
    ge8_cached cached = ge8_to_cached(&identity);
    const ge8_cached step = ge8_to_cached(p);
    ge8 multiple = *p;
    store_entry(tables, 0, &cached);
    store_entry(tables, 1, &step);
    for (int d = 2; d <= POINT_COUNT; d++) {
        multiple = ge8_add_cached(&multiple, &step);
        cached = ge8_to_cached(&multiple);
        store_entry(tables, d, &cached);
    }
}

/* -digits[lane] times each lane's point. */
static inline ge8_cached look_up_point(const point_table *const tables[LANES],
                                       const int16_t digits[LANES])
{
    ge8_cached q;
    u64x8 *to = q.plus.v;
    unsigned negative = 0;
    for (int part = 0; part < 3; part++) {
        u64x8 rows[8];
        for (int lane = 0; lane < LANES; lane++) {
            const int digit = digits[lane];
            rows[lane] = _mm512_load_si512(tables[lane]->word[digit < 0 ? -digit : digit] +
                                           part * 8);
            negative |= (unsigned)(digit > 0) << lane;
        }
        transpose8(rows);
        for (int i = 0; i < 8 && part * 8 + i < 20; i++) {
            to[part * 8 + i] = rows[i];
        }
    }
    ge8_cached_negate(&q, (__mmask8)negative);
    return q;
}

/* digits[lane] times the table's point. */
static inline ge8_affine look_up_base(uint64_t table[BASE_COUNT + 1][16],
                                      const int16_t digits[LANES])
{
    u64x8 low[8], high[8];
    unsigned negative = 0;
    for (int lane = 0; lane < LANES; lane++) {
        const int digit = digits[lane];
        const uint64_t *row = table[digit < 0 ? -digit : digit];
        low[lane] = _mm512_load_si512(row);
        high[lane] = _mm512_load_si512(row + 8);
        negative |= (unsigned)(digit < 0) << lane;
    }
    transpose8(low);
    transpose8(high);
    ge8_affine q = {{{low[0], low[1], low[2], low[3], low[4]}},
                    {{low[5], low[6], low[7], high[0], high[1]}},
                    {{high[2], high[3], high[4], high[5], high[6]}}};
    ge8_affine_negate(&q, (__mmask8)negative);
    return q;
}

/* How a lane's numbers are written; the same for all. */
typedef struct {
    radix point, base;
} radices;

/* Cut v s, u and v into digits. Return 0 for the rare challenge that cannot be halved. */
static int cut_scalars(lane_digits *digits, const scalar *s, const scalar *challenge,
                       const radices *radices)
{
    static const scalar zero = {{0, 0, 0, 0}};
    scalar u, v;
    int negative;
    if (!scalar_halve(&u, &v, &negative, challenge)) {
        memset(digits, 0, sizeof *digits);
        return 0;
    }
    const scalar base = scalar_mul_add(&v, s, &zero);
    scalar_digits(digits->base, &base, &radices->base);
    scalar_digits_plain(digits->key, &u, &radices->point);
    scalar_digits_plain(digits->r, &v, &radices->point);
    /* The sign of v goes to u: only their ratio counts. */
    for (int i = 0; negative && i < POINT_WINDOWS; i++) {
        digits->key[i] = (int16_t)-digits->key[i];
    }
    return 1;
}

/* Digits of all lanes, window by window: of A and R, and of both halves of B's scalar. */
typedef struct {
    int16_t point[2][POINT_WINDOWS][LANES], base[2][BASE_HALF][LANES];
} all_digits;

static void gather_digits(all_digits *all, const lane_digits digits[LANES])
{
    memset(all, 0, sizeof *all);
    for (int lane = 0; lane < LANES; lane++) {
        for (int i = 0; i < POINT_WINDOWS; i++) {
            all->point[0][i][lane] = digits[lane].key[i];
            all->point[1][i][lane] = digits[lane].r[i];
        }
        for (int i = 0; i < BASE_WINDOWS; i++) {
            all->base[i / BASE_HALF][i % BASE_HALF][lane] = digits[lane].base[i];
        }
    }
}

/* base digits times B and 2^135 B, less point digits times the points of the tables. Each formula
 * stands here once and is not unrolled: the loop must fit the instruction cache. */
static ge8 sum_multiples(const all_digits *all, const point_table *const tables[2][LANES])
{
    ge8 sum = ge8_splat(&GE_IDENTITY);
    for (int bit = BASE_WIDTH * (BASE_HALF - 1); bit >= 0; bit--) {
        const int at_point = bit % POINT_WIDTH == 0 && bit / POINT_WIDTH < POINT_WINDOWS;
        const int at_base = bit % BASE_WIDTH == 0;
        sum = ge8_double(&sum, at_point || at_base);
#pragma GCC unroll 1
        for (int which = 0; at_point && which < 2; which++) {
            const ge8_cached q =
                look_up_point(tables[which], all->point[which][bit / POINT_WIDTH]);
            sum = ge8_add_cached(&sum, &q);
        }
#pragma GCC unroll 1
        for (int which = 0; at_base && which < 2; which++) {
            const ge8_affine q =
                look_up_base(base_table[which], all->base[which][bit / BASE_WIDTH]);
            sum = ge8_add_affine(&sum, &q);
        }
    }
    return sum;
}

/* Lanes in which (v s)B - uA - vR has small order. */
static __mmask8 equation_holds(const lane_digits digits[LANES], const ge8 *key, const ge8 *r)
{
    all_digits all;
    point_table made[2][LANES];
    const point_table *tables[2][LANES];
    gather_digits(&all, digits);
    fill_tables(made[0], key);
    fill_tables(made[1], r);
    for (int lane = 0; lane < LANES; lane++) {
        tables[0][lane] = &made[0][lane];
        tables[1][lane] = &made[1][lane];
    }
    const ge8 sum = sum_multiples(&all, tables);
    return ge8_is_small_order(&sum);
}

lane_verdicts ed25519_judge_lanes(const ge8 *key, const ge8 *r, const scalar s[LANES],
                                  const scalar challenge[LANES])
{
    const radices radices = {scalar_radix(POINT_WIDTH, POINT_WINDOWS),
                             scalar_radix(BASE_WIDTH, BASE_WINDOWS)};
    lane_digits digits[LANES];
    lane_verdicts found = {0, 0};
    for (int lane = 0; lane < LANES; lane++) {
        const int halved = cut_scalars(&digits[lane], &s[lane], &challenge[lane], &radices);
        found.judged |= (unsigned)halved << lane;
    }
    found.valid = equation_holds(digits, key, r);
    return found;
}

void ed25519_fill_key_tables(key_tables *tables, const ge8 *keys)
{
    ge8 upper = *keys;
    fill_tables(tables->low, keys);
    for (int i = 0; i < POINT_WIDTH * POINT_WINDOWS; i++) {
        upper = ge8_double(&upper, i == POINT_WIDTH * POINT_WINDOWS - 1);
    }
    fill_tables(tables->high, &upper);
}

unsigned ed25519_judge_keyed_lanes(const key_tables *tables, const uint8_t table_of[LANES],
                                   const ge8 *r, const scalar s[LANES],
                                   const scalar challenge[LANES])
{
    enum { KEY_WINDOWS = (SCALAR_SIGNED_BITS + POINT_WIDTH - 1) / POINT_WIDTH };
    const radix key_radix = scalar_radix(POINT_WIDTH, KEY_WINDOWS);
    const radix base_radix = scalar_radix(BASE_WIDTH, BASE_WINDOWS);
    const point_table *chosen[2][LANES];
    all_digits all;
    memset(&all, 0, sizeof all);
    for (int lane = 0; lane < LANES; lane++) {
        int16_t key[KEY_WINDOWS], base[BASE_WINDOWS];
        scalar_digits(key, &challenge[lane], &key_radix);
        scalar_digits(base, &s[lane], &base_radix);
        for (int i = 0; i < KEY_WINDOWS; i++) {
            all.point[i / POINT_WINDOWS][i % POINT_WINDOWS][lane] = key[i];
        }
        for (int i = 0; i < BASE_WINDOWS; i++) {
            all.base[i / BASE_HALF][i % BASE_HALF][lane] = base[i];
        }
        chosen[0][lane] = &tables->low[table_of[lane]];
        chosen[1][lane] = &tables->high[table_of[lane]];
    }
    ge8 sum = sum_multiples(&all, chosen);
    ge8_cached minus_r = ge8_to_cached(r);
    ge8_cached_negate(&minus_r, 0xff);
    sum = ge8_add_cached(&sum, &minus_r);
    return ge8_is_small_order(&sum);
}

void ed25519_verify_eight_ifma(const ed25519_item *items, size_t count, uint8_t *verdicts)
{
    const uint8_t *encodings[DECODE_POINTS];
    scalar s[LANES], challenge[LANES];
    unsigned canonical = 0;
    memset(challenge, 0, sizeof challenge);
    ed25519_challenge_eight(challenge, items, count, sha512_eight_ifma);
    for (size_t lane = 0; lane < LANES; lane++) {
        const ed25519_item *item = &items[lane < count ? lane : 0];
        s[lane] = scalar_load(item->signature + 32);
        if (scalar_is_canonical(&s[lane])) {
            canonical |= 1U << lane;
        } else {
            memset(&s[lane], 0, sizeof s[lane]); /* keeps its digits within the table */
        }
        encodings[lane] = item->signature;
        encodings[LANES + lane] = item->key;
    }
    ge8 points[DECODE_GROUPS];
    __mmask8 valid[DECODE_GROUPS];
    ge8_decode(points, valid, encodings);
    lane_verdicts found = ed25519_judge_lanes(&points[1], &points[0], s, challenge);
    found.valid &= (unsigned)valid[0] & valid[1] & canonical;
    for (size_t lane = 0; lane < count; lane++) {
        verdicts[lane] = lane_verdict(found, lane, &items[lane]);
    }
}

#include "target_end.h"

#endif
