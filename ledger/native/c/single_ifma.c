/* Eight signatures in eight lanes, each with its own verdict: sB - kA - R, then the cofactor.
 *
 * The lanes share the doublings. Every 5 of them each lane adds a multiple of its A from a table
 * made for the call, every 9 a multiple of B from a table made once.
 */
#include "cpu.h"
#if CONCORDAT_X86

#include "vector.h"

#include "batch.h"
#include "decode_ifma.h"
#include "single.h"

enum { KEY_WIDTH = 5, KEY_COUNT = 1 << (KEY_WIDTH - 1), KEY_WINDOWS = 51 };
enum { BASE_WIDTH = 9, BASE_COUNT = 1 << (BASE_WIDTH - 1), BASE_WINDOWS = 28 };

/* plus, minus, t2d of dB at [d]; written once by ed25519_init_ifma. */
static uint64_t base_table[BASE_COUNT + 1][16] __attribute__((aligned(64)));

/* plus, minus, z2, t2d of dA for one lane at [d]. */
typedef struct {
    uint64_t word[KEY_COUNT + 1][24];
} __attribute__((aligned(64))) key_table;

static fe fe_invert(const fe *z)
{
    /* p - 2 = 8 (2^252 - 3) + 3 */
    fe t = fe_pow_p58(z);
    t = fe_sqr_times(t, 3);
    t = fe_mul(&t, z);
    t = fe_mul(&t, z);
    return fe_mul(&t, z);
}

void ed25519_init_ifma(void)
{
    ge p = GE_IDENTITY;
    for (int d = 0; d <= BASE_COUNT; d++) {
        const fe inverse = fe_invert(&p.z);
        const fe x = fe_mul(&p.x, &inverse), y = fe_mul(&p.y, &inverse);
        const fe t = fe_mul(&x, &y);
        const fe sum = fe_add(&y, &x), difference = fe_sub(&y, &x);
        const fe plus = fe_canonical(&sum), minus = fe_canonical(&difference);
        const fe t2d = fe_mul(&t, &FE_2D);
        memcpy(base_table[d], plus.v, sizeof plus.v);
        memcpy(base_table[d] + 5, minus.v, sizeof minus.v);
        memcpy(base_table[d] + 10, t2d.v, sizeof t2d.v);
        p = ge_add(&p, &GE_BASE);
    }
}

/* Write entry d of every lane's table. */
static void store_entry(key_table tables[LANES], int d, const ge8_cached *q)
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

static void fill_tables(key_table tables[LANES], const ge8 *key)
{
    const ge8 identity = ge8_splat(&GE_IDENTITY);
    ge8_cached cached = ge8_to_cached(&identity);
    const ge8_cached step = ge8_to_cached(key);
    ge8 multiple = *key;
    store_entry(tables, 0, &cached);
    store_entry(tables, 1, &step);
    for (int d = 2; d <= KEY_COUNT; d++) {
        multiple = ge8_add_cached(&multiple, &step);
        cached = ge8_to_cached(&multiple);
        store_entry(tables, d, &cached);
    }
}

/* Subtract digits[lane] A. */
static ge8 subtract_key(const ge8 *p, const key_table tables[LANES], int16_t digits[LANES])
{
    ge8_cached q;
    u64x8 *to = q.plus.v;
    unsigned negative = 0;
    for (int part = 0; part < 3; part++) {
        u64x8 rows[8];
        for (int lane = 0; lane < LANES; lane++) {
            const int digit = digits[lane];
            rows[lane] = _mm512_load_si512(tables[lane].word[digit < 0 ? -digit : digit] +
                                           part * 8);
            negative |= (unsigned)(digit > 0) << lane;
        }
        transpose8(rows);
        for (int i = 0; i < 8 && part * 8 + i < 20; i++) {
            to[part * 8 + i] = rows[i];
        }
    }
    ge8_cached_negate(&q, (__mmask8)negative);
    return ge8_add_cached(p, &q);
}

/* Add digits[lane] B. */
static ge8 add_base(const ge8 *p, int16_t digits[LANES])
{
    u64x8 low[8], high[8];
    unsigned negative = 0;
    for (int lane = 0; lane < LANES; lane++) {
        const int digit = digits[lane];
        const uint64_t *row = base_table[digit < 0 ? -digit : digit];
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
    return ge8_add_affine(p, &q);
}

/* Digits of eight scalars, window by window. */
static void lane_digits(int16_t *digits, const scalar scalars[LANES], int width, int windows)
{
    int16_t one[KEY_WINDOWS];
    for (int lane = 0; lane < LANES; lane++) {
        scalar_digits(one, &scalars[lane], width, windows);
        for (int w = 0; w < windows; w++) {
            digits[w * LANES + lane] = one[w];
        }
    }
}

/* Lanes in which sB - kA - R has small order. */
static __mmask8 equation_holds(const scalar s[LANES], const scalar challenge[LANES],
                               const ge8 *key, const ge8 *r)
{
    int16_t key_digits[KEY_WINDOWS][LANES], base_digits[BASE_WINDOWS][LANES];
    key_table tables[LANES];
    lane_digits(key_digits[0], challenge, KEY_WIDTH, KEY_WINDOWS);
    lane_digits(base_digits[0], s, BASE_WIDTH, BASE_WINDOWS);
    fill_tables(tables, key);
    ge8 sum = ge8_splat(&GE_IDENTITY);
    for (int bit = KEY_WIDTH * (KEY_WINDOWS - 1); bit >= 0; bit--) {
        const int at_key = bit % KEY_WIDTH == 0, at_base = bit % BASE_WIDTH == 0;
        sum = ge8_double(&sum, at_key || at_base);
        if (at_key) {
            sum = subtract_key(&sum, tables, key_digits[bit / KEY_WIDTH]);
        }
        if (at_base) {
            sum = add_base(&sum, base_digits[bit / BASE_WIDTH]);
        }
    }
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
    const __mmask8 good = equation_holds(s, challenge, &points[1], &points[0]) & valid[0] &
                          valid[1] & (__mmask8)canonical;
    for (size_t lane = 0; lane < count; lane++) {
        verdicts[lane] = good >> lane & 1;
    }
}

#endif
