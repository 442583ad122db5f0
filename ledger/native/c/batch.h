/* One batch equation: sum z_i R_i + sum_j (sum z_i k_i) A_j - (sum z_i s_i) B must have small order.
 *
 * Owns what every path shares: which scalar multiplies which point. Terms of one public key are
 * merged, so a batch under few keys costs little more than its R points.
 */
#ifndef CONCORDAT_BATCH_H
#define CONCORDAT_BATCH_H

#include "ed25519.h"
#include "edwards.h"
#include "scalar.h"
#include "sha512.h"

/* Up to ED25519_CHUNK signatures and the scalars of their equation. The points are, in order: R of
 * each signature, A of each distinct key, B. */
typedef struct {
    ed25519_item *items; /* those that are left; see batch_drop */
    uint32_t *position;  /* where an item stood in the list */
    size_t count;
    size_t given;        /* items in the list */
    size_t keys;        /* distinct public keys, 1..count */
    scalar *s;          /* count: the second half of each signature */
    scalar *challenge;  /* count: k_i */
    const uint8_t **key; /* keys: the encodings */
    uint32_t *key_of;   /* count: the index of a signature's key */
    uint32_t *slots;    /* the hash table that finds it */
    scalar *key_scalar; /* keys: sum of z_i k_i */
    radix shorts;       /* how a coefficient z_i is written */
    radix longs;        /* how a number modulo l is; of the same width */
    int16_t *digits;    /* point by point; magnitudes <= 2^(width - 1) */
} batch;

enum { BATCH_WIDTH_MIN = 3, BATCH_WIDTH_MAX = 9, COEFFICIENT_BITS = 128 };

/* Allocate for `count` (1..ED25519_CHUNK) items and take those with s below l. Return 0 when memory
 * is short. */
int batch_open(batch *b, const ed25519_item *items, size_t count);
void batch_close(batch *b);

/* What differs between the paths. */
typedef struct {
    sha512_eight *hash;
    size_t count_min; /* fewer signatures are cheaper one by one */
    /* The cheapest width for that many short and long scalars. */
    int (*width)(size_t shorts, size_t longs);
    /* Decode the points, drop what does not decode, and evaluate the equation of the rest. Unless
     * `verdicts` is null, write the verdicts of those that are left (batch_accept, or one by one)
     * and return JUDGED. */
    ed25519_result (*evaluate)(batch *b, const uint8_t seed[32], uint8_t *verdicts);
} batch_kernel;

extern const batch_kernel BATCH_PORTABLE;
extern const batch_kernel BATCH_IFMA;

/* Compute the challenges and find the distinct keys; `seed` keys the hash table. */
void batch_hash(batch *b, const uint8_t seed[32], sha512_eight *hash);

/* Take out the signatures whose R or key has no point: by themselves they are false, so the equation
 * can do without them. decoded[] tells it of R of each signature, then of each key. Keys stay. */
void batch_drop(batch *b, const uint8_t *decoded);

/* Draw the coefficients, merge terms per key, sum the scalars and cut them into digits. Return 0 when
 * memory is short. */
int batch_combine(batch *b, const uint8_t seed[32], const batch_kernel *kernel);

static inline int batch_short_windows(int width)
{
    return (COEFFICIENT_BITS + width - 1) / width;
}

static inline int batch_long_windows(int width)
{
    return (SCALAR_SIGNED_BITS + width - 1) / width;
}

/* The verdict of all that are left when the equation holds. */
static inline void batch_accept(const batch *b, uint8_t *verdicts)
{
    for (size_t i = 0; i < b->count; i++) {
        verdicts[b->position[i]] = 1;
    }
}

/* Order signatures by key: those of key k become order[start[k] .. start[k + 1]). */
void batch_order_by_key(const batch *b, uint32_t *order, uint32_t *start);

/* The digits of point i. */
static inline const int16_t *batch_digits(const batch *b, size_t i)
{
    const size_t shorts = i < b->count ? i : b->count;
    return b->digits + shorts * (size_t)b->shorts.count + (i - shorts) * (size_t)b->longs.count;
}

/* total = 2^width total + window. Stands in a file that uses no vector registers, where it takes
 * half the time. */
void batch_join_window(ge *total, const ge *window, int width);

/* k = SHA-512(R || A || M) modulo l. */
scalar ed25519_challenge(const ed25519_item *item);

/* The same for `count` <= 8 items at once. */
void ed25519_challenge_eight(scalar challenges[8], const ed25519_item *items, size_t count,
                             sha512_eight *hash);

#endif
