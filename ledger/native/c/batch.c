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
    b->given = count;
    b->items = malloc(count * sizeof *b->items);
    b->position = malloc(count * sizeof *b->position);
    b->s = malloc(count * sizeof(scalar));
    b->challenge = malloc(count * sizeof(scalar));
    b->key = malloc(count * sizeof *b->key);
    b->key_of = malloc(count * sizeof *b->key_of);
    b->slots = malloc(slot_count(count) * sizeof *b->slots);
    b->key_scalar = malloc(count * sizeof(scalar));
    if (!(b->items && b->position && b->s && b->challenge && b->key && b->key_of && b->slots &&
          b->key_scalar)) {
        batch_close(b);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        b->s[b->count] = scalar_load(items[i].signature + 32);
        if (scalar_is_canonical(&b->s[b->count])) {
            b->items[b->count] = items[i];
            b->position[b->count++] = (uint32_t)i;
        }
    }
    return 1;
}

void batch_close(batch *b)
{
    free(b->items);
    free(b->position);
    free(b->s);
    free(b->challenge);
    free((void *)b->key);
    free(b->key_of);
    free(b->slots);
    free(b->key_scalar);
    free(b->digits);
}

/* The bytes under the challenge. */
static sha512_input challenge_input(const ed25519_item *item)
{
    const sha512_input input = {{item->signature, item->key, item->message},
                                {32, 32, item->message_length}};
    return input;
}

scalar ed25519_challenge(const ed25519_item *item)
{
    const sha512_input input = challenge_input(item);
    sha512 h;
    uint8_t digest[64];
    sha512_init(&h);
    for (int part = 0; part < 3; part++) {
        sha512_update(&h, input.part[part], input.length[part]);
    }
    sha512_final(&h, digest);
    return scalar_reduce512(digest);
}

void ed25519_challenge_eight(scalar challenges[8], const ed25519_item *items, size_t count,
                             sha512_eight *hash)
{
    sha512_input inputs[8];
    uint8_t digests[8][64];
    memset(inputs, 0, sizeof inputs);
    for (size_t i = 0; i < count; i++) {
        inputs[i] = challenge_input(&items[i]);
    }
    hash(digests, inputs);
    for (size_t i = 0; i < count; i++) {
        challenges[i] = scalar_reduce512(digests[i]);
    }
}

/* The key of the generator: the seed bound to all that the equation depends on, hashed in eight
 * strands. The challenges stand for R, A and M, whose hash they are. */
static void bind_seed(const batch *b, const uint8_t seed[32], sha512_eight *hash, uint8_t root[64])
{
    static const uint8_t domain[32] = "concordat ed25519 batch v1";
    sha512_input inputs[8];
    uint8_t strands[8][64];
    sha512 h;
    memset(inputs, 0, sizeof inputs);
    for (size_t i = 0; i < 8; i++) {
        const size_t start = b->count * i / 8, stop = b->count * (i + 1) / 8;
        inputs[i].part[0] = (const uint8_t *)(b->challenge + start);
        inputs[i].part[1] = (const uint8_t *)(b->s + start);
        inputs[i].length[0] = inputs[i].length[1] = (stop - start) * sizeof(scalar);
    }
    hash(strands, inputs);
    sha512_init(&h);
    sha512_update(&h, domain, sizeof domain);
    sha512_update(&h, seed, 32);
    sha512_update(&h, strands[0], sizeof strands);
    sha512_final(&h, root);
}

/* Eight blocks of the generator's output, from block number `counter` on. */
static void expand(const uint8_t root[64], uint64_t counter, sha512_eight *hash,
                   uint64_t words[8][8])
{
    sha512_input inputs[8];
    uint8_t counters[8][8], blocks[8][64];
    memset(inputs, 0, sizeof inputs);
    for (size_t i = 0; i < 8; i++) {
        store64_le(counters[i], counter + i);
        inputs[i].part[0] = root;
        inputs[i].length[0] = 64;
        inputs[i].part[1] = counters[i];
        inputs[i].length[1] = 8;
    }
    hash(blocks, inputs);
    for (size_t i = 0; i < 64; i++) {
        words[i / 8][i % 8] = load64_le(blocks[i / 8] + i % 8 * 8);
    }
}

/* Give each signature the index of its key in b->key. The table's hash is keyed by random words,
 * so nobody can choose keys that collide. */
static uint32_t find_key(batch *b, const uint8_t *key, const uint64_t random[4], size_t mask)
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
            return (uint32_t)b->keys++;
        }
        if (memcmp(b->key[index], key, 32) == 0) {
            return index;
        }
    }
}

static void merge_keys(batch *b, const uint64_t random[4])
{
    const size_t slots = slot_count(b->given);
    memset(b->slots, 0xff, slots * sizeof *b->slots);
    for (size_t i = 0; i < b->count; i++) {
        b->key_of[i] = find_key(b, b->items[i].key, random, slots - 1);
    }
}

void batch_hash(batch *b, const uint8_t seed[32], sha512_eight *hash)
{
    const scalar random = scalar_load(seed);
    for (size_t i = 0; i < b->count; i += 8) {
        const size_t left = b->count - i;
        ed25519_challenge_eight(b->challenge + i, b->items + i, left < 8 ? left : 8, hash);
    }
    merge_keys(b, random.w);
}

void batch_drop(batch *b, const uint8_t *decoded)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (decoded[i] && decoded[b->count + b->key_of[i]]) {
            b->items[kept] = b->items[i];
            b->position[kept] = b->position[i];
            b->s[kept] = b->s[i];
            b->challenge[kept] = b->challenge[i];
            b->key_of[kept++] = b->key_of[i];
        }
    }
    b->count = kept;
}

void batch_order_by_key(const batch *b, uint32_t *order, uint32_t *start)
{
    memset(start, 0, (b->keys + 1) * sizeof *start);
    for (size_t i = 0; i < b->count; i++) {
        start[b->key_of[i] + 1]++;
    }
    for (size_t key = 0; key < b->keys; key++) {
        start[key + 1] += start[key];
    }
    for (size_t i = b->count; i-- > 0;) {
        order[--start[b->key_of[i] + 1]] = (uint32_t)i;
    }
    /* Each start[key + 1] has become where its own key begins. */
    memmove(start, start + 1, b->keys * sizeof *start);
    start[b->keys] = (uint32_t)b->count;
}

static int choose_windows(batch *b, const batch_kernel *kernel)
{
    const int width = kernel->width(b->count, b->keys + 1);
    b->shorts = scalar_radix(width, batch_short_windows(width));
    b->longs = scalar_radix(width, batch_long_windows(width));
    b->digits = malloc((b->count * (size_t)b->shorts.count +
                        (b->keys + 1) * (size_t)b->longs.count) * sizeof(int16_t));
    return b->digits != NULL;
}

int batch_combine(batch *b, const uint8_t seed[32], const batch_kernel *kernel)
{
    enum { PER_CALL = 16 }; /* coefficients in eight blocks of output, four words for each */
    uint8_t root[64];
    uint64_t words[8][8];
    scalar sum = {{0, 0, 0, 0}};
    bind_seed(b, seed, kernel->hash, root);
    if (!choose_windows(b, kernel)) {
        return 0;
    }
    memset(b->key_scalar, 0, b->keys * sizeof(scalar));
    int16_t *digits = b->digits;
    for (size_t i = 0; i < b->count; i++, digits += b->shorts.count) {
        if (i % PER_CALL == 0) {
            expand(root, i / 2, kernel->hash, words);
        }
        const scalar z = scalar_from_random_digits(digits, words[i % PER_CALL / 2] + i % 2 * 4,
                                                   &b->shorts);
        scalar *key_scalar = &b->key_scalar[b->key_of[i]];
        *key_scalar = scalar_mul_add(&z, &b->challenge[i], key_scalar);
        sum = scalar_mul_add(&z, &b->s[i], &sum);
    }
    for (size_t i = 0; i < b->keys; i++, digits += b->longs.count) {
        scalar_digits(digits, &b->key_scalar[i], &b->longs);
    }
    sum = scalar_negate(&sum);
    scalar_digits(digits, &sum, &b->longs);
    return 1;
}
