/* Eight individual verdicts in eight lanes, for callers that have the points. */
#ifndef CONCORDAT_SINGLE_IFMA_H
#define CONCORDAT_SINGLE_IFMA_H

#include "edwards_ifma.h"

#include "scalar.h"
#include "single.h"

enum { POINT_WIDTH = 4, POINT_COUNT = 1 << (POINT_WIDTH - 1), POINT_WINDOWS = 32 };

/* plus, minus, z2, t2d of d times one lane's point at [d]. */
typedef struct {
    uint64_t word[POINT_COUNT + 1][24];
} __attribute__((aligned(64))) point_table;

/* Lanes that are valid, and lanes that were judged at all. */
typedef struct {
    unsigned valid, judged;
} lane_verdicts;

/* Judge eight signatures with decoded A and R and canonical s. A lane is not judged when its
 * challenge cannot be halved. */
lane_verdicts ed25519_judge_lanes(const ge8 *key, const ge8 *r, const scalar s[LANES],
                                  const scalar challenge[LANES]);

/* Multiples of eight keys; about 28 KiB. */
typedef struct {
    point_table low[LANES], high[LANES]; /* of A and of 2^128 A */
} key_tables;

void ed25519_fill_key_tables(key_tables *tables, const ge8 *keys);

/* Judge eight signatures, that of lane i under key table_of[i]; give the lanes that are valid. */
unsigned ed25519_judge_keyed_lanes(const key_tables *tables, const uint8_t table_of[LANES],
                                   const ge8 *r, const scalar s[LANES],
                                   const scalar challenge[LANES]);

/* The verdict of a lane, by the slow way where it was not judged. */
static inline uint8_t lane_verdict(lane_verdicts found, size_t lane, const ed25519_item *item)
{
    return found.judged >> lane & 1 ? (uint8_t)(found.valid >> lane & 1)
                                    : (uint8_t)ed25519_verify_one(item);
}

#endif
