/* Coefficients and merging for a batch equation; see batch.h. */
#include "batch.h"

#include <stdlib.h>

#include "sha512.h"

/* Slots of the key table: a power of two, at most half full. */
static size_t slot_count(size_t count)
{
    size_t slots = 16;
    while (slots < 2 * count) {
        slots *= 2;
    }
    return slots;
}

int batch_open(batch *b, const ed25519_item *items, size_t count)
{
    memset(b, 0, sizeof *b);
    b->items = items;
    b->count = count;
    b->s = malloc(count * sizeof(scalar));
    b->challenge = malloc(count * sizeof(scalar));
    b->coefficient = malloc(count * sizeof(scalar));
    b->key = malloc(count * sizeof *b->key);
    b->key_scalar = malloc(count * sizeof(scalar));
    b->slots = malloc(slot_count(count) * sizeof *b->slots);
    if (b->s && b->challenge && b->coefficient && b->key && b->key_scalar && b->slots) {
        return 1;
    }
    batch_close(b);
    return 0;
}

void batch_close(batch *b)
{
    free(b->s);
    free(b->challenge);
    free(b->coefficient);
    free((void *)b->key);
    free(b->key_scalar);
    free(b->slots);
}

scalar ed25519_challenge(const ed25519_item *item)
{
    sha512 h;
    uint8_t digest[64];
    sha512_init(&h);
    sha512_update(&h, item->signature, 32);
    sha512_update(&h, item->key, 32);
    sha512_update(&h, item->message, item->message_length);
    sha512_final(&h, digest);
    return scalar_reduce512(digest);
}

int batch_hash_portable(batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        b->s[i] = scalar_load(b->items[i].signature + 32);
        if (!scalar_is_canonical(&b->s[i])) {
            return 0;
        }
        b->challenge[i] = ed25519_challenge(&b->items[i]);
    }
    return 1;
}

/* The key of the generator: the seed bound to all that the equation depends on. The challenges
 * stand for R, A and M, whose hash they are. */
static void bind_seed(const batch *b, const uint8_t seed[32], uint8_t root[64])
{
    static const uint8_t domain[32] = "concordat ed25519 batch v1";
    uint8_t words[64];
    sha512 h;
    sha512_init(&h);
    sha512_update(&h, domain, sizeof domain);
    sha512_update(&h, seed, 32);
    for (size_t i = 0; i < b->count; i++) {
        scalar_store(words, &b->challenge[i]);
        scalar_store(words + 32, &b->s[i]);
        sha512_update(&h, words, sizeof words);
    }
    sha512_final(&h, root);
}

static void expand(const uint8_t root[64], uint64_t counter, uint64_t words[8])
{
    uint8_t block[64];
    sha512 h;
    store64_le(block, counter);
    sha512_init(&h);
    sha512_update(&h, root, 64);
    sha512_update(&h, block, 8);
    sha512_final(&h, block);
    for (int i = 0; i < 8; i++) {
        words[i] = load64_le(block + 8 * i);
    }
}

/* Give each signature the index of its key in b->key. The table's hash is keyed by random words,
 * so nobody can choose keys that collide. */
static size_t find_key(batch *b, const uint8_t *key, const uint64_t random[4], size_t mask)
{
    uint64_t hash = 0;
    for (int i = 0; i < 4; i++) {
        hash += load64_le(key + 8 * i) * (random[i] | 1);
    }
    for (size_t slot = (size_t)(hash >> 40);; slot++) {
        const uint32_t index = b->slots[slot & mask];
        if (index == UINT32_MAX) {
            b->slots[slot & mask] = (uint32_t)b->keys;
            b->key[b->keys] = key;
            memset(&b->key_scalar[b->keys], 0, sizeof(scalar));
            return b->keys++;
        }
        if (memcmp(b->key[index], key, 32) == 0) {
            return index;
        }
    }
}

void batch_combine(batch *b, const uint8_t seed[32])
{
    uint8_t root[64];
    uint64_t random[8], words[8] = {0};
    const size_t slots = slot_count(b->count);
    scalar sum = {{0, 0, 0, 0}};
    bind_seed(b, seed, root);
    expand(root, UINT64_MAX, random);
    memset(b->slots, 0xff, slots * sizeof *b->slots);
    b->keys = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (i % 4 == 0) {
            expand(root, i / 4, words);
        }
        const scalar z = {{words[i % 4 * 2], words[i % 4 * 2 + 1], 0, 0}};
        const size_t key = find_key(b, b->items[i].key, random, slots - 1);
        b->coefficient[i] = z;
        b->key_scalar[key] = scalar_mul_add(&z, &b->challenge[i], &b->key_scalar[key]);
        sum = scalar_mul_add(&z, &b->s[i], &sum);
    }
    b->base_scalar = scalar_negate(&sum);
}
