/* Splitting a challenge into two numbers of half its size; see scalar.h.
 *
 * Euclid's algorithm on (l, k) passes through pairs (r, t) with r = t k modulo l, r falling and |t|
 * growing; half way both have half the bits. Lehmer's variant finds many quotients from the leading
 * 64 bits of two remainders, as long as these decide them, and applies them together.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "general_registers.h"

#include "scalar.h"

typedef unsigned __int128 u128;

/* The steps of one round: (r0, r1) becomes the pair of +-(row[i][0] r0 - row[i][1] r1); the signs
 * alternate from step to step. */
typedef struct {
    uint64_t row[2][2];
    int steps;
} matrix;

/* Euclid's algorithm as it stands; t0 and t1 are magnitudes, their signs alternate as well. */
typedef struct {
    uint64_t r0[4], r1[4];
    u128 t0, t1;
    int steps;
} euclid;

static int bit_length(const uint64_t a[4])
{
    for (int i = 3; i >= 0; i--) {
        if (a[i] != 0) {
            return 64 * i + 64 - __builtin_clzll(a[i]);
        }
    }
    return 0;
}

/* a / 2^shift, whose value fits 64 bits. */
static uint64_t leading(const uint64_t a[4], int shift)
{
    const int word = shift / 64, bits = shift % 64;
    uint64_t result = a[word] >> bits;
    if (bits != 0 && word < 3) {
        result |= a[word + 1] << (64 - bits);
    }
    return result;
}

/* Take steps on leading words while they surely are those of the full numbers (Jebelean's
 * condition, with the larger of both columns) and while the smaller one is not below `stop`. */
static matrix approximate(uint64_t a, uint64_t b, uint64_t stop)
{
    matrix m = {{{1, 0}, {0, 1}}, 0};
    while (b >= stop && b != 0) {
        const uint64_t q = a / b, c = a - q * b;
        const u128 x = m.row[0][0] + (u128)q * m.row[1][0];
        const u128 y = m.row[0][1] + (u128)q * m.row[1][1];
        const u128 bound = x > y ? x : y;
        const uint64_t before = m.row[1][0] > m.row[1][1] ? m.row[1][0] : m.row[1][1];
        if (c < bound || b - c < bound + before) {
            break;
        }
        m.row[0][0] = m.row[1][0];
        m.row[0][1] = m.row[1][1];
        m.row[1][0] = (uint64_t)x;
        m.row[1][1] = (uint64_t)y;
        a = b;
        b = c;
        m.steps++;
    }
    return m;
}

/* r = x a - y b, which is not negative and below 2^256. */
static void combine(uint64_t r[4], uint64_t x, const uint64_t a[4], uint64_t y,
                    const uint64_t b[4])
{
    uint64_t carry_a = 0, carry_b = 0, borrow = 0;
    for (int i = 0; i < 4; i++) {
        const u128 xa = (u128)x * a[i] + carry_a, yb = (u128)y * b[i] + carry_b;
        const u128 difference = (u128)(uint64_t)xa - (uint64_t)yb - borrow;
        carry_a = (uint64_t)(xa >> 64);
        carry_b = (uint64_t)(yb >> 64);
        r[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
}

static void apply(euclid *e, const matrix *m)
{
    uint64_t r0[4], r1[4];
    if (m->steps % 2 == 0) {
        combine(r0, m->row[0][0], e->r0, m->row[0][1], e->r1);
        combine(r1, m->row[1][1], e->r1, m->row[1][0], e->r0);
    } else {
        combine(r0, m->row[0][1], e->r1, m->row[0][0], e->r0);
        combine(r1, m->row[1][0], e->r0, m->row[1][1], e->r1);
    }
    const u128 t0 = m->row[0][0] * e->t0 + m->row[0][1] * e->t1;
    e->t1 = m->row[1][0] * e->t0 + m->row[1][1] * e->t1;
    e->t0 = t0;
    memcpy(e->r0, r0, sizeof r0);
    memcpy(e->r1, r1, sizeof r1);
    e->steps += m->steps;
}

int scalar_halve(scalar *u, scalar *v, int *negative, const scalar *k)
{
    euclid e = {{0}, {0}, 0, 1, 0};
    const scalar order = scalar_order();
    memcpy(e.r0, order.w, sizeof e.r0);
    memcpy(e.r1, k->w, sizeof e.r1);
    while (bit_length(e.r1) > SCALAR_HALF_BITS) {
        const int shift = bit_length(e.r0) - 64;
        const uint64_t stop = shift < SCALAR_HALF_BITS ? 1ULL << (SCALAR_HALF_BITS - shift) : 1;
        const matrix m = approximate(leading(e.r0, shift), leading(e.r1, shift), stop);
        if (m.steps == 0) {
            return 0;
        }
        apply(&e, &m);
    }
    memcpy(u->w, e.r1, sizeof u->w);
    v->w[0] = (uint64_t)e.t1;
    v->w[1] = (uint64_t)(e.t1 >> 64);
    v->w[2] = v->w[3] = 0;
    *negative = e.steps & 1;
    return (u->w[1] | v->w[1]) >> 63 == 0 && (u->w[2] | u->w[3]) == 0 && e.t1 != 0;
}
