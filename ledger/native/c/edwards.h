/* Points of edwards25519 in extended coordinates, and the rule by which bytes become points.
 *
 * Owns: decoding under ZIP-215, the complete addition law, the two cached forms.
 * Must never see a secret scalar. Bounds of every operand are those of field51.h.
 */
#ifndef CONCORDAT_EDWARDS_H
#define CONCORDAT_EDWARDS_H

#include "field51.h"

/* x = X/Z, y = Y/Z, T = XY/Z; reduced limbs. */
typedef struct {
    fe x, y, z, t;
} ge;

/* An affine point ready to be added: y + x, y - x, 2dxy. */
typedef struct {
    fe plus, minus, t2d;
} ge_affine;

/* A projective point ready to be added: Y + X, Y - X, 2Z, 2dT. */
typedef struct {
    fe plus, minus, z2, t2d;
} ge_cached;

static const ge GE_IDENTITY = {
    {{0, 0, 0, 0, 0}}, {{1, 0, 0, 0, 0}}, {{1, 0, 0, 0, 0}}, {{0, 0, 0, 0, 0}}};
static const ge GE_BASE = {
    {{0x62d608f25d51a, 0x412a4b4f6592a, 0x75b7171a4b31d, 0x1ff60527118fe, 0x216936d3cd6e5}},
    {{0x6666666666658, 0x4cccccccccccc, 0x1999999999999, 0x3333333333333, 0x6666666666666}},
    {{1, 0, 0, 0, 0}},
    {{0x68ab3a5b7dda3, 0x00eea2a5eadbb, 0x2af8df483c27e, 0x332b375274732, 0x67875f0fd78b7}}};

/* Decode a point (Z = 1). Any y below 2^255 is taken modulo p and a sign bit on x = 0 is ignored,
 * as ZIP-215 asks. Return 0 when y belongs to no point of the curve. */
static inline int ge_decode(ge *p, const uint8_t b[32])
{
    p->y = fe_from_bytes(b);
    p->z = FE_ONE;
    const fe yy = fe_sqr(&p->y);
    const fe u = fe_sub(&yy, &FE_ONE);
    fe v = fe_mul(&yy, &FE_D);
    v = fe_add(&v, &FE_ONE);
    /* x = u v^3 (u v^7)^((p-5)/8) is a root of u/v or of -u/v, if either has one. */
    fe v3 = fe_sqr(&v);
    v3 = fe_mul(&v3, &v);
    fe t = fe_sqr(&v3);
    t = fe_mul(&t, &v);
    t = fe_mul(&t, &u);
    t = fe_pow_p58(&t);
    t = fe_mul(&t, &v3);
    fe x = fe_mul(&t, &u);
    fe vxx = fe_sqr(&x);
    vxx = fe_mul(&vxx, &v);
    const fe difference = fe_sub(&u, &vxx); /* u is not reduced: it must be the minuend */
    if (!fe_is_zero(&difference)) {
        const fe sum = fe_add(&vxx, &u);
        if (!fe_is_zero(&sum)) {
            return 0;
        }
        x = fe_mul(&x, &FE_SQRT_M1);
    }
    if (fe_is_odd(&x) != b[31] >> 7) {
        x = fe_sub(&FE_ZERO, &x);
        x = fe_mul(&x, &FE_ONE);
    }
    p->x = x;
    p->t = fe_mul(&p->x, &p->y);
    return 1;
}

/* Take a point with Z = 1 to the form that is cheapest to add. */
static inline ge_affine ge_to_affine(const ge *p)
{
    ge_affine r;
    r.plus = fe_add(&p->y, &p->x);
    r.minus = fe_sub(&p->y, &p->x);
    r.t2d = fe_mul(&p->t, &FE_2D);
    return r;
}

/* Back: (4x, 4y, 4, 4xy) from 2x and 2y. */
static inline ge ge_from_affine(const ge_affine *q)
{
    const fe minus = fe_mul(&q->minus, &FE_ONE); /* reduced, as the right side of fe_sub must be */
    const fe x2 = fe_sub(&q->plus, &minus), y2 = fe_add(&q->plus, &minus);
    const fe four = {{4, 0, 0, 0, 0}}, two = {{2, 0, 0, 0, 0}};
    ge r;
    r.x = fe_mul(&x2, &two);
    r.y = fe_mul(&y2, &two);
    r.z = four;
    r.t = fe_mul(&x2, &y2);
    return r;
}

static inline ge_cached ge_to_cached(const ge *p)
{
    ge_cached r;
    r.plus = fe_add(&p->y, &p->x);
    r.minus = fe_sub(&p->y, &p->x);
    r.z2 = fe_add(&p->z, &p->z);
    r.t2d = fe_mul(&p->t, &FE_2D);
    return r;
}

/* The end of every addition: a = (Y1-X1)(Y2-X2), b = (Y1+X1)(Y2+X2), c = 2dT1T2, d = 2Z1Z2. */
static inline ge ge_finish_add(const fe *a, const fe *b, const fe *c, const fe *d)
{
    const fe e = fe_sub(b, a);
    const fe f = fe_sub(d, c);
    const fe g = fe_add(d, c);
    const fe h = fe_add(b, a);
    ge r;
    r.x = fe_mul(&e, &f);
    r.y = fe_mul(&g, &h);
    r.z = fe_mul(&f, &g);
    r.t = fe_mul(&e, &h);
    return r;
}

/* p + q, or p - q when negative: negating swaps q's first two members and the sign of the third. */
static inline ge ge_add_affine(const ge *p, const ge_affine *q, int negative)
{
    const fe minus = fe_sub(&p->y, &p->x);
    const fe plus = fe_add(&p->y, &p->x);
    const fe a = fe_mul(&minus, negative ? &q->plus : &q->minus);
    const fe b = fe_mul(&plus, negative ? &q->minus : &q->plus);
    const fe c = fe_mul(&p->t, &q->t2d);
    const fe d = fe_add(&p->z, &p->z);
    if (!negative) {
        return ge_finish_add(&a, &b, &c, &d);
    }
    const fe e = fe_sub(&b, &a);
    const fe f = fe_add(&d, &c);
    const fe g = fe_sub(&d, &c);
    const fe h = fe_add(&b, &a);
    ge r;
    r.x = fe_mul(&e, &f);
    r.y = fe_mul(&g, &h);
    r.z = fe_mul(&f, &g);
    r.t = fe_mul(&e, &h);
    return r;
}

static inline ge_cached ge_cached_negate(const ge_cached *q)
{
    ge_cached r;
    r.plus = q->minus;
    r.minus = q->plus;
    r.z2 = q->z2;
    r.t2d = fe_sub(&FE_ZERO, &q->t2d);
    return r;
}

static inline ge ge_add_cached(const ge *p, const ge_cached *q)
{
    const fe minus = fe_sub(&p->y, &p->x);
    const fe plus = fe_add(&p->y, &p->x);
    const fe a = fe_mul(&minus, &q->minus);
    const fe b = fe_mul(&plus, &q->plus);
    const fe c = fe_mul(&p->t, &q->t2d);
    const fe d = fe_mul(&p->z, &q->z2);
    return ge_finish_add(&a, &b, &c, &d);
}

static inline ge ge_add(const ge *p, const ge *q)
{
    const ge_cached c = ge_to_cached(q);
    return ge_add_cached(p, &c);
}

/* 2p; T is not computed when the next step is another doubling. */
static inline ge ge_double(const ge *p, int with_t)
{
    const fe xx = fe_sqr(&p->x);
    const fe yy = fe_sqr(&p->y);
    const fe zz = fe_sqr(&p->z);
    const fe zz2 = fe_add(&zz, &zz);
    const fe sum = fe_add(&p->x, &p->y);
    const fe sum2 = fe_sqr(&sum);
    const fe h = fe_add(&xx, &yy);
    const fe e = fe_sub(&h, &sum2);
    const fe g = fe_sub(&xx, &yy);
    const fe f = fe_add(&zz2, &g);
    ge r;
    r.x = fe_mul(&e, &f);
    r.y = fe_mul(&g, &h);
    r.z = fe_mul(&f, &g);
    r.t = with_t ? fe_mul(&e, &h) : FE_ZERO;
    return r;
}

/* 2^times p, times >= 1. */
static inline ge ge_double_times(ge p, int times)
{
    for (int i = 1; i < times; i++) {
        p = ge_double(&p, 0);
    }
    return ge_double(&p, 1);
}

/* Is [8]p the neutral element? */
static inline int ge_is_small_order(const ge *p)
{
    const ge q = ge_double_times(*p, 3);
    const fe difference = fe_sub(&q.y, &q.z);
    return fe_is_zero(&q.x) && fe_is_zero(&difference);
}

#endif
