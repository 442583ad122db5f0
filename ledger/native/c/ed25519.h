/* Ed25519 verification under ZIP-215: the interface between the Cython shell and the kernels.
 *
 * The rule: s < l; A and R any encoding that decodes; [8](sB - R - kA) = 0 with
 * k = SHA-512(R || A || M) over the bytes as received. Every path gives the same verdict.
 * All functions are re-entrant; nothing here may be given a secret.
 */
#ifndef CONCORDAT_ED25519_H
#define CONCORDAT_ED25519_H

#include <stddef.h>
#include <stdint.h>

/* One signature to judge; the bytes belong to the caller. */
typedef struct {
    const uint8_t *key;       /* 32 bytes */
    const uint8_t *signature; /* 64 bytes */
    const uint8_t *message;
    size_t message_length;
} ed25519_item;

typedef enum { ED25519_PORTABLE = 0, ED25519_AVX512IFMA = 1 } ed25519_path;

/* JUDGED: verdicts were written, whatever they are. */
typedef enum {
    ED25519_NO_MEMORY = -1,
    ED25519_INVALID = 0,
    ED25519_VALID = 1,
    ED25519_JUDGED = 2,
} ed25519_result;

/* Signatures that one batch equation takes; bounds the memory of a call. */
#define ED25519_CHUNK 4096

/* Fill the table of multiples of the base point. Call once, before anything else. */
void ed25519_init(void);

/* The best path that this processor runs. */
ed25519_path ed25519_best_path(void);

/* Are all of them valid? `seed` must be fresh from the system's generator, drawn after the items
 * were fixed: the soundness of the random combination rests on it. */
ed25519_result ed25519_verify_batch(const ed25519_item *items, size_t count,
                                    const uint8_t seed[32], ed25519_path path);

/* verdicts[i] = 1 when items[i] is valid, else 0. Uses no randomness. */
void ed25519_verify_each(const ed25519_item *items, size_t count, uint8_t *verdicts,
                         ed25519_path path);

/* The batch equation first, then individual verdicts for each chunk that fails it. VALID says that
 * the verdicts are written, whatever they are. */
ed25519_result ed25519_verify_many(const ed25519_item *items, size_t count, const uint8_t seed[32],
                                   uint8_t *verdicts, ed25519_path path);

/* Does the encoding belong to a point (under ZIP-215)? */
int ed25519_is_valid_point(const uint8_t key[32]);

/* Does it belong to a point whose order divides 8? */
int ed25519_is_small_order(const uint8_t key[32]);

#endif
