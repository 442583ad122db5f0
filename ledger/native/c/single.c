/* One signature at a time: sB - kA - R by interleaved sliding windows, then the cofactor. */
#include "batch.h"
#include "cpu.h"
#include "edwards.h"
#include "single.h"

enum { KEY_WIDTH = 5, BASE_WIDTH = 8, BITS = 254 };
enum { KEY_ODD = 1 << (KEY_WIDTH - 2), BASE_ODD = 1 << (BASE_WIDTH - 2) };

/* B, 3B, 5B, ...: written once by ed25519_init, read-only afterwards. */
static ge_cached base_odd[BASE_ODD];

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
    odd_multiples(base_odd, BASE_ODD, &GE_BASE);
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

/* Add the odd multiple that `digit` names. */
static ge add_digit(const ge *p, const ge_cached *table, int digit)
{
    if (digit > 0) {
        return ge_add_cached(p, &table[digit / 2]);
    }
    const ge_cached q = ge_cached_negate(&table[-digit / 2]);
    return ge_add_cached(p, &q);
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
    int8_t s_digits[BITS], k_digits[BITS];
    non_adjacent_form(s_digits, &s, BASE_WIDTH);
    non_adjacent_form(k_digits, &challenge, KEY_WIDTH);
    ge_cached key_odd[KEY_ODD];
    odd_multiples(key_odd, KEY_ODD, &key);
    ge sum = GE_IDENTITY;
    for (int i = BITS - 1; i >= 0; i--) {
        sum = ge_double(&sum, 1);
        if (s_digits[i] != 0) {
            sum = add_digit(&sum, base_odd, s_digits[i]);
        }
        if (k_digits[i] != 0) {
            sum = add_digit(&sum, key_odd, -k_digits[i]);
        }
    }
    const ge_cached r_cached = ge_to_cached(&r);
    const ge_cached minus_r = ge_cached_negate(&r_cached);
    sum = ge_add_cached(&sum, &minus_r);
    return ge_is_small_order(&sum);
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
