/* Eight points of edwards25519 at once; the formulas of edwards.h, lane by lane. */
#ifndef CONCORDAT_EDWARDS_IFMA_H
#define CONCORDAT_EDWARDS_IFMA_H

#include "field_ifma.h"

#include "edwards.h"

typedef struct {
    fe8 x, y, z, t;
} ge8;

typedef struct {
    fe8 plus, minus, t2d;
} ge8_affine;

typedef struct {
    fe8 plus, minus, z2, t2d;
} ge8_cached;

static inline ge8 ge8_splat(const ge *p)
{
    ge8 r;
    r.x = fe8_splat(&p->x);
    r.y = fe8_splat(&p->y);
    r.z = fe8_splat(&p->z);
    r.t = fe8_splat(&p->t);
    return r;
}

static inline ge8 ge8_select(__mmask8 mask, const ge8 *a, const ge8 *b)
{
    ge8 r;
    r.x = fe8_select(mask, &a->x, &b->x);
    r.y = fe8_select(mask, &a->y, &b->y);
    r.z = fe8_select(mask, &a->z, &b->z);
    r.t = fe8_select(mask, &a->t, &b->t);
    return r;
}

static inline ge8_cached ge8_to_cached(const ge8 *p)
{
    const fe8 two_d = fe8_splat(&FE_2D);
    ge8_cached r;
    r.plus = fe8_add(&p->y, &p->x);
    r.minus = fe8_sub(&p->y, &p->x);
    r.z2 = fe8_add(&p->z, &p->z);
    r.t2d = fe8_mul(&p->t, &two_d);
    return r;
}

/* -q in the lanes of the mask. */
static inline void ge8_affine_negate(ge8_affine *q, __mmask8 negative)
{
    const fe8 plus = fe8_select(negative, &q->minus, &q->plus);
    const fe8 t2d = fe8_negate_loose(&q->t2d);
    q->minus = fe8_select(negative, &q->plus, &q->minus);
    q->plus = plus;
    q->t2d = fe8_select(negative, &t2d, &q->t2d);
}

static inline void ge8_cached_negate(ge8_cached *q, __mmask8 negative)
{
    const fe8 plus = fe8_select(negative, &q->minus, &q->plus);
    const fe8 t2d = fe8_negate_loose(&q->t2d);
    q->minus = fe8_select(negative, &q->plus, &q->minus);
    q->plus = plus;
    q->t2d = fe8_select(negative, &t2d, &q->t2d);
}

static inline __attribute__((always_inline)) ge8 ge8_finish_add(const fe8 *a, const fe8 *b, const fe8 *c, const fe8 *d)
{
    const fe8 e = fe8_sub(b, a);
    const fe8 f = fe8_sub(d, c);
    const fe8 g = fe8_add(d, c);
    const fe8 h = fe8_add(b, a);
    ge8 r;
    r.x = fe8_mul(&e, &f);
    r.y = fe8_mul(&g, &h);
    r.z = fe8_mul(&f, &g);
    r.t = fe8_mul(&e, &h);
    return r;
}

static inline __attribute__((always_inline)) ge8 ge8_add_affine(const ge8 *p, const ge8_affine *q)
{
    const fe8 minus = fe8_sub(&p->y, &p->x);
    const fe8 plus = fe8_add(&p->y, &p->x);
    const fe8 a = fe8_mul(&minus, &q->minus);
    const fe8 b = fe8_mul(&plus, &q->plus);
    const fe8 c = fe8_mul(&p->t, &q->t2d);
    const fe8 d = fe8_twice_loose(&p->z);
    return ge8_finish_add(&a, &b, &c, &d);
}

static inline __attribute__((always_inline)) ge8 ge8_add_cached(const ge8 *p, const ge8_cached *q)
{
    const fe8 minus = fe8_sub(&p->y, &p->x);
    const fe8 plus = fe8_add(&p->y, &p->x);
    const fe8 a = fe8_mul(&minus, &q->minus);
    const fe8 b = fe8_mul(&plus, &q->plus);
    const fe8 c = fe8_mul(&p->t, &q->t2d);
    const fe8 d = fe8_mul(&p->z, &q->z2);
    return ge8_finish_add(&a, &b, &c, &d);
}

/* p[i] += q[i] for some sums at once. Each formula has two rounds of products; taken in turn, the
 * second round of one sum does not wait for its first. */
static inline __attribute__((always_inline)) void ge8_add_affine_each(ge8 *p, const ge8_affine *q,
                                                                      int count)
{
    fe8 a[2], b[2], c[2];
    for (int i = 0; i < count; i++) {
        const fe8 minus = fe8_sub(&p[i].y, &p[i].x);
        const fe8 plus = fe8_add(&p[i].y, &p[i].x);
        a[i] = fe8_mul(&minus, &q[i].minus);
        b[i] = fe8_mul(&plus, &q[i].plus);
        c[i] = fe8_mul(&p[i].t, &q[i].t2d);
    }
    for (int i = 0; i < count; i++) {
        const fe8 d = fe8_twice_loose(&p[i].z);
        p[i] = ge8_finish_add(&a[i], &b[i], &c[i], &d);
    }
}

/* 2 (y + x, y - x, ...) as a point with Z = 2: X = 2x, Y = 2y, T = 2xy from X Y = 4xy, so all
 * four are taken twice: (4x, 4y, 4, 4xy). One multiplication instead of an addition's seven. */
static inline ge8 ge8_from_affine(const ge8_affine *q)
{
    const fe8 x2 = fe8_sub(&q->plus, &q->minus);
    const fe8 y2 = fe8_add(&q->plus, &q->minus);
    ge8 r;
    r.x = fe8_add(&x2, &x2);
    r.y = fe8_add(&y2, &y2);
    r.z = fe8_splat(&FE_ZERO);
    r.z.v[0] = splat(4);
    r.t = fe8_mul(&x2, &y2);
    return r;
}

static inline __attribute__((always_inline)) ge8 ge8_double(const ge8 *p, int with_t)
{
    const fe8 xx = fe8_sqr(&p->x);
    const fe8 yy = fe8_sqr(&p->y);
    const fe8 zz = fe8_sqr(&p->z);
    const fe8 zz2 = fe8_twice_loose(&zz);
    const fe8 sum = fe8_add(&p->x, &p->y);
    const fe8 sum2 = fe8_sqr(&sum);
    const fe8 h = fe8_add(&xx, &yy);
    const fe8 e = fe8_sub(&h, &sum2);
    const fe8 g = fe8_sub(&xx, &yy);
    const fe8 f = fe8_add(&zz2, &g);
    ge8 r;
    r.x = fe8_mul(&e, &f);
    r.y = fe8_mul(&g, &h);
    r.z = fe8_mul(&f, &g);
    if (with_t) {
        r.t = fe8_mul(&e, &h);
    } else {
        r.t = r.z;
    }
    return r;
}

/* Lanes in which [8]p is the neutral element. */
static inline __mmask8 ge8_is_small_order(const ge8 *p)
{
    ge8 q = ge8_double(p, 0);
    q = ge8_double(&q, 0);
    q = ge8_double(&q, 0);
    const fe8 difference = fe8_sub(&q.y, &q.z);
    return fe8_is_zero(&q.x) & fe8_is_zero(&difference);
}

#endif
