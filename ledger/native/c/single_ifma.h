/* Eight individual verdicts in eight lanes, for callers that have the points. */
#ifndef CONCORDAT_SINGLE_IFMA_H
#define CONCORDAT_SINGLE_IFMA_H

#include "edwards_ifma.h"

#include "scalar.h"
#include "single.h"

/* Lanes that are valid, and lanes that were judged at all. */
typedef struct {
    unsigned valid, judged;
} lane_verdicts;

/* Judge eight signatures with decoded A and R and canonical s. A lane is not judged when its
 * challenge cannot be halved. */
lane_verdicts ed25519_judge_lanes(const ge8 *key, const ge8 *r, const scalar s[LANES],
                                  const scalar challenge[LANES]);

/* The verdict of a lane, by the slow way where it was not judged. */
static inline uint8_t lane_verdict(lane_verdicts found, size_t lane, const ed25519_item *item)
{
    return found.judged >> lane & 1 ? (uint8_t)(found.valid >> lane & 1)
                                    : (uint8_t)ed25519_verify_one(item);
}

#endif
