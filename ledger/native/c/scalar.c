/* Arithmetic modulo the group order; see scalar.h. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "general_registers.h"

#include "scalar.h"

typedef unsigned __int128 u128;

static const uint64_t ORDER[4] = {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000};

/* floor(2^512 / l), for Barrett's reduction with words of 64 bits. */
static const uint64_t ORDER_INVERSE[5] = {0xed9ce5a30a2c131b, 0x2106215d086329a7,
                                          0xffffffffffffffeb, 0xffffffffffffffff, 0xf};

scalar scalar_order(void)
{
    scalar r;
    memcpy(r.w, ORDER, sizeof r.w);
    return r;
}

scalar scalar_load(const uint8_t bytes[32])
{
    scalar r;
    for (int i = 0; i < 4; i++) {
        r.w[i] = load64_le(bytes + 8 * i);
    }
    return r;
}

void scalar_store(uint8_t bytes[32], const scalar *a)
{
    for (int i = 0; i < 4; i++) {
        store64_le(bytes + 8 * i, a->w[i]);
    }
}

int scalar_is_canonical(const scalar *a)
{
    for (int i = 3; i >= 0; i--) {
        if (a->w[i] != ORDER[i]) {
            return a->w[i] < ORDER[i];
        }
    }
    return 0;
}

/* r[0 .. la+lb) = a b */
static void multiply(uint64_t *r, const uint64_t *a, int la, const uint64_t *b, int lb)
{
    memset(r, 0, sizeof(uint64_t) * (size_t)(la + lb));
    for (int i = 0; i < la; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < lb; j++) {
            const u128 t = (u128)a[i] * b[j] + r[i + j] + carry;
            r[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        r[i + lb] = carry;
    }
}

/* a -= b over n words; return the borrow. */
static uint64_t subtract(uint64_t *a, const uint64_t *b, int n)
{
    uint64_t borrow = 0;
    for (int i = 0; i < n; i++) {
        const u128 t = (u128)a[i] - b[i] - borrow;
        a[i] = (uint64_t)t;
        borrow = (uint64_t)(t >> 64) & 1;
    }
    return borrow;
}

/* Barrett: the quotient estimate is at most 2 too small, so at most two subtractions remain. */
static scalar reduce(const uint64_t x[8])
{
    uint64_t product[10], multiple[9], r[5];
    multiply(product, x + 3, 5, ORDER_INVERSE, 5);
    multiply(multiple, product + 5, 5, ORDER, 4);
    memcpy(r, x, sizeof r);
    subtract(r, multiple, 5);
    scalar out;
    memcpy(out.w, r, sizeof out.w);
    while (r[4] != 0 || !scalar_is_canonical(&out)) {
        r[4] -= subtract(out.w, ORDER, 4);
    }
    return out;
}

scalar scalar_reduce512(const uint8_t bytes[64])
{
    uint64_t x[8];
    for (int i = 0; i < 8; i++) {
        x[i] = load64_le(bytes + 8 * i);
    }
    return reduce(x);
}

scalar scalar_mul_add(const scalar *a, const scalar *b, const scalar *c)
{
    uint64_t x[8];
    multiply(x, a->w, 4, b->w, 4);
    uint64_t carry = 0;
    for (int i = 0; i < 8; i++) {
        const u128 t = (u128)x[i] + (i < 4 ? c->w[i] : 0) + carry;
        x[i] = (uint64_t)t;
        carry = (uint64_t)(t >> 64);
    }
    return reduce(x);
}

scalar scalar_negate(const scalar *a)
{
    scalar r;
    if ((a->w[0] | a->w[1] | a->w[2] | a->w[3]) == 0) {
        return *a;
    }
    memcpy(r.w, ORDER, sizeof r.w);
    subtract(r.w, a->w, 4);
    return r;
}

radix scalar_radix(int width, int count)
{
    radix r = {width, count, {{0, 0, 0, 0}}};
    for (int i = 0; i < count; i++) {
        const int bit = i * width + width - 1;
        r.offset.w[bit >> 6] |= 1ULL << (bit & 63);
    }
    return r;
}

static uint64_t add(uint64_t *a, const uint64_t *b, int n)
{
    uint64_t carry = 0;
    for (int i = 0; i < n; i++) {
        const u128 t = (u128)a[i] + b[i] + carry;
        a[i] = (uint64_t)t;
        carry = (uint64_t)(t >> 64);
    }
    return carry;
}

/* Cut a number plus the offset into fields, less what the offset added to each; the last field
 * takes all that remains. No digit carries into the next. */
static void cut(int16_t *digits, const scalar *a, const radix *radix)
{
    const int width = radix->width, last = radix->count - 1;
    const int half = 1 << (width - 1);
    const uint64_t mask = (1ULL << width) - 1;
    for (int i = 0; i < last; i++) {
        const int bit = i * width, word = bit >> 6, shift = bit & 63;
        /* Shifted in two steps, because a shift by 64 is undefined. */
        const uint64_t above = word < 3 ? a->w[word + 1] : 0;
        const uint64_t field = a->w[word] >> shift | above << 1 << (63 - shift);
        digits[i] = (int16_t)((int)(field & mask) - half);
    }
    const int bit = last * width, word = bit >> 6, shift = bit & 63;
    const uint64_t above = word < 3 ? a->w[word + 1] : 0;
    digits[last] = (int16_t)((int)(a->w[word] >> shift | above << 1 << (63 - shift)) - half);
}

void scalar_digits(int16_t *digits, const scalar *a, const radix *radix)
{
    /* (l + 1) / 2: from here on a - l is nearer to zero. */
    static const scalar middle = {{0x2c09318d2e7ae9f7, 0x0a6f7cef517bce6b, 0, 0x0800000000000000}};
    scalar sum = radix->offset, rest = *a;
    add(sum.w, a->w, 4);
    if (subtract(rest.w, middle.w, 4) == 0) {
        subtract(sum.w, ORDER, 4);
    }
    cut(digits, &sum, radix);
}

void scalar_digits_plain(int16_t *digits, const scalar *a, const radix *radix)
{
    scalar sum = radix->offset;
    add(sum.w, a->w, 4);
    cut(digits, &sum, radix);
}

scalar scalar_from_random_digits(int16_t *digits, const uint64_t random[3], const radix *radix)
{
    const int bits = radix->width * radix->count;
    scalar r = {{random[0], random[1], random[2], 0}};
    for (int word = 0; word < 3; word++) {
        const int room = bits - 64 * word;
        if (room < 64) {
            r.w[word] &= room <= 0 ? 0 : (1ULL << room) - 1;
        }
    }
    cut(digits, &r, radix);
    add(r.w, ORDER, 4);
    subtract(r.w, radix->offset.w, 4);
    return r;
}
