/* One signature at a time, in plain C: sliding windows over four scalars of half size.
 *
 * With u = v k modulo l, [8](sB - R - kA) = 0 exactly when [8]((v s)B - uA - vR) = 0; see
 * docs/native.md. v s is cut in two, for tables of B and of 2^127 B.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "general_registers.h"

#include "batch.h"
#include "cpu.h"
#include "edwards.h"
#include "single.h"

enum { POINT_WIDTH = 5, KEY_WIDTH = 7, BASE_WIDTH = 8, BITS = 254, HALF_BITS = 127 };
enum { POINT_ODD = 1 << (POINT_WIDTH - 2), BASE_ODD = 1 << (BASE_WIDTH - 2) };

/* P, 3P, 5P, ... for B and 2^127 B: written once by ed25519_init, read-only afterwards. */
static ge_cached base_odd[2][BASE_ODD];

/* A scalar's digits and the multiples that they choose. */
typedef struct {
    const ge_cached *odd;
    int8_t digits[BITS];
} term;

static void odd_multiples(ge_cached *table, int count, const ge *p)
{
    ge current = *p;
    const ge twice = ge_double(p, 1);
    const ge_cached step = ge_to_cached(&twice);
    table[0] = ge_to_cached(p);
    for (int i = 1; i < count; i++) {
        current = ge_add_cached(&current, &step);
        table[i] = ge_to_cached(&current);
    }
}

void ed25519_init(void)
{
    const ge upper = ge_double_times(GE_BASE, HALF_BITS);
    odd_multiples(base_odd[0], BASE_ODD, &GE_BASE);
    odd_multiples(base_odd[1], BASE_ODD, &upper);
#if CONCORDAT_X86
    if (cpu_has_avx512ifma()) {
        ed25519_init_ifma();
    }
#endif
}

static uint64_t bits_at(const scalar *a, int position, int width)
{
    const int word = position >> 6, shift = position & 63;
    uint64_t bits = a->w[word] >> shift;
    if (shift + width > 64 && word < 3) {
        bits |= a->w[word + 1] << (64 - shift);
    }
    return bits & ((1ULL << width) - 1);
}

/* The width-w non-adjacent form of a < l: odd digits below 2^(w-1) in magnitude, or zero. */
static void non_adjacent_form(int8_t digits[BITS], const scalar *a, int width)
{
    memset(digits, 0, BITS);
    uint64_t carry = 0;
    for (int i = 0; i < BITS;) {
        const int room = BITS - i < width ? BITS - i : width;
        const uint64_t window = bits_at(a, i, room) + carry;
        if ((window & 1) == 0) {
            i++;
            continue;
        }
        carry = window >> (width - 1) & 1;
        digits[i] = (int8_t)((int64_t)window - (int64_t)(carry << width));
        i += width;
    }
}

static void term_set(term *t, const ge_cached *odd, const scalar *a, int width, int negative)
{
    t->odd = odd;
    non_adjacent_form(t->digits, a, width);
    for (int i = 0; negative && i < BITS; i++) {
        t->digits[i] = (int8_t)-t->digits[i];
    }
}

/* Add the odd multiple that `digit` names. */
static ge add_digit(const ge *p, const ge_cached *table, int digit)
{
    if (digit > 0) {
        return ge_add_cached(p, &table[digit / 2]);
    }
    const ge_cached q = ge_cached_negate(&table[-digit / 2]);
    return ge_add_cached(p, &q);
}

static ge sum_terms(const term terms[4])
{
    ge sum = GE_IDENTITY;
    int started = 0;
    for (int i = BITS - 1; i >= 0; i--) {
        const int any = terms[0].digits[i] | terms[1].digits[i] | terms[2].digits[i] |
                        terms[3].digits[i];
        if (started) {
            sum = ge_double(&sum, any != 0 || i == 0); /* callers may add to the sum */
        }
        started |= any != 0;
        for (int j = 0; any != 0 && j < 4; j++) {
            if (terms[j].digits[i] != 0) {
                sum = add_digit(&sum, terms[j].odd, terms[j].digits[i]);
            }
        }
    }
    return sum;
}

/* Cut a < 2^253 into its low 127 bits and the rest. */
static void cut_half(const scalar *a, scalar *low, scalar *high)
{
    const scalar l = {{a->w[0], a->w[1] & (UINT64_MAX >> 1), 0, 0}};
    const scalar h = {{a->w[1] >> 63 | a->w[2] << 1, a->w[2] >> 63 | a->w[3] << 1, 0, 0}};
    *low = l;
    *high = h;
}

int ed25519_judge(const ge *key, const ge *r, const scalar *s, const scalar *challenge)
{
    static const scalar zero = {{0, 0, 0, 0}}, one = {{1, 0, 0, 0}};
    scalar u, v, low, high;
    int negative;
    if (!scalar_halve(&u, &v, &negative, challenge)) {
        u = *challenge; /* the sum is the same, with more doublings */
        v = one;
        negative = 0;
    }
    const scalar base = scalar_mul_add(&v, s, &zero);
    cut_half(&base, &low, &high);
    ge_cached key_odd[POINT_ODD], r_odd[POINT_ODD];
    odd_multiples(key_odd, POINT_ODD, key);
    odd_multiples(r_odd, POINT_ODD, r);
    term terms[4];
    term_set(&terms[0], base_odd[0], &low, BASE_WIDTH, 0);
    term_set(&terms[1], base_odd[1], &high, BASE_WIDTH, 0);
    /* The sign of v goes to u: only their ratio counts. */
    term_set(&terms[2], key_odd, &u, POINT_WIDTH, !negative);
    term_set(&terms[3], r_odd, &v, POINT_WIDTH, 1);
    const ge sum = sum_terms(terms);
    return ge_is_small_order(&sum);
}

void ed25519_fill_key_table(key_table *table, const ge *key)
{
    const ge upper = ge_double_times(*key, HALF_BITS);
    odd_multiples(table->low, KEY_ODD, key);
    odd_multiples(table->high, KEY_ODD, &upper);
}

int ed25519_judge_keyed(const key_table *table, const ge *r, const scalar *s,
                        const scalar *challenge)
{
    scalar low, high;
    term terms[4];
    cut_half(s, &low, &high);
    term_set(&terms[0], base_odd[0], &low, BASE_WIDTH, 0);
    term_set(&terms[1], base_odd[1], &high, BASE_WIDTH, 0);
    cut_half(challenge, &low, &high);
    term_set(&terms[2], table->low, &low, KEY_WIDTH, 1);
    term_set(&terms[3], table->high, &high, KEY_WIDTH, 1);
    const ge_cached cached_r = ge_to_cached(r), minus_r = ge_cached_negate(&cached_r);
    ge sum = sum_terms(terms);
    sum = ge_add_cached(&sum, &minus_r);
    return ge_is_small_order(&sum);
}

int ed25519_verify_one(const ed25519_item *item)
{
    const scalar s = scalar_load(item->signature + 32);
    ge key, r;
    if (!scalar_is_canonical(&s) || !ge_decode(&r, item->signature) ||
        !ge_decode(&key, item->key)) {
        return 0;
    }
    const scalar challenge = ed25519_challenge(item);
    return ed25519_judge(&key, &r, &s, &challenge);
}

void ed25519_verify_each(const ed25519_item *items, size_t count, uint8_t *verdicts,
                         ed25519_path path)
{
    size_t i = 0;
#if CONCORDAT_X86
    if (path == ED25519_AVX512IFMA) {
        /* One alone is cheaper without lanes: it is left to the loop below. */
        for (; i + 1 < count; i += 8) {
            const size_t left = count - i;
            ed25519_verify_eight_ifma(items + i, left < 8 ? left : 8, verdicts + i);
        }
    }
#endif
    (void)path;
    for (; i < count; i++) {
        verdicts[i] = (uint8_t)ed25519_verify_one(&items[i]);
    }
}

int ed25519_is_valid_point(const uint8_t key[32])
{
    ge p;
    return ge_decode(&p, key);
}

int ed25519_is_small_order(const uint8_t key[32])
{
    ge p;
    return ge_decode(&p, key) && ge_is_small_order(&p);
}
