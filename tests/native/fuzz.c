/* A coverage-guided fuzzer: on any bytes, every path must give the same answer, and none may read or
 * write beyond its own memory.
 *
 * The first byte chooses the kernel; the rest is cut into items. Run it by fuzz.sh.
 */
#include <stdlib.h>
#include <string.h>

#include "blake3.h"
#include "ed25519.h"
#include "sha256.h"

enum { ITEMS_MAX = 40, PAIRS_MAX = 128 }; /* an item has at most 4335 bytes */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    ed25519_init();
    return 0;
}

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

/* Items of 96 bytes and up to 255 of message, in memory of their own; a repeat where bytes end. */
static void fuzz_signatures(const uint8_t *data, size_t size, uint8_t repeats)
{
    static const uint8_t seed[32] = "the same in every run";
    ed25519_item items[ITEMS_MAX];
    uint8_t *copies[ITEMS_MAX];
    uint8_t first[ITEMS_MAX], other[ITEMS_MAX];
    size_t held = 0;
    while (held < ITEMS_MAX && size >= 97) {
        const size_t message = data[96] < size - 97 ? data[96] : size - 97;
        copies[held] = malloc(96 + message);
        memcpy(copies[held], data, 96);
        memcpy(copies[held] + 96, data + 97, message);
        items[held].key = copies[held];
        items[held].signature = copies[held] + 32;
        items[held].message = copies[held] + 96;
        items[held].message_length = message;
        data += 97 + message;
        size -= 97 + message;
        held++;
    }
    size_t count = held;
    for (; held != 0 && count < ITEMS_MAX && count < repeats; count++) {
        items[count] = items[count % held];
    }
    ed25519_verify_each(items, count, first, ED25519_PORTABLE);
    for (int path = 0; path <= (int)ed25519_best_path(); path++) {
        ed25519_verify_each(items, count, other, (ed25519_path)path);
        require(memcmp(first, other, count) == 0);
        require(ed25519_verify_many(items, count, seed, other, (ed25519_path)path) ==
                ED25519_VALID);
        require(memcmp(first, other, count) == 0);
    }
    for (size_t i = 0; i < held; i++) {
        free(copies[i]);
    }
}

/* One item cut into records of every size that divides it must give what separate items give. */
static void fuzz_records(const blake3_item *item, const uint32_t *key)
{
    static uint8_t together[ITEMS_MAX * 32], apart[ITEMS_MAX * 32];
    blake3_item items[ITEMS_MAX];
    for (size_t count = 1; count <= ITEMS_MAX && count <= item->length; count++) {
        const size_t size = item->length / count;
        for (size_t i = 0; i < count; i++) {
            items[i].data = item->data + i * size;
            items[i].length = size;
        }
        require(blake3_many(items, count, key, apart, BLAKE3_PORTABLE));
        for (int path = 0; path <= (int)blake3_best_path(); path++) {
            require(blake3_records(item->data, size, count, key, together, (blake3_path)path));
            require(memcmp(apart, together, 32 * count) == 0);
        }
    }
}

/* Items of lengths that the first bytes say; `mode` chooses the hash. */
static void fuzz_digests(const uint8_t *data, size_t size, int mode)
{
    blake3_item items[ITEMS_MAX];
    sha256_item leaves[ITEMS_MAX];
    static uint8_t first[PAIRS_MAX * 32], other[PAIRS_MAX * 32];
    static const uint32_t words[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const uint32_t *key = mode % 2 == 0 ? NULL : words;
    size_t count = 0;
    for (; count < ITEMS_MAX && size >= 2; count++) {
        const size_t wanted = (size_t)data[0] << 4 | data[1];
        const size_t length = wanted < size - 2 ? wanted : size - 2;
        uint8_t *copy = malloc(length == 0 ? 1 : length);
        memcpy(copy, data + 2, length);
        leaves[count].data = items[count].data = copy;
        leaves[count].length = items[count].length = length;
        data += 2 + length;
        size -= 2 + length;
    }
    if (mode < 2) {
        sha256_many(leaves, count, 0, first, SHA256_PORTABLE);
        sha256_many(leaves, count, 0, other, sha256_best_path());
        require(memcmp(first, other, 32 * count) == 0);
        for (size_t i = 0; i < count; i++) {
            const size_t pairs = leaves[i].length / 64;
            sha256_many_pairs(leaves[i].data, pairs, 1, first, SHA256_PORTABLE);
            sha256_many_pairs(leaves[i].data, pairs, 1, other, sha256_best_path());
            require(memcmp(first, other, 32 * pairs) == 0);
        }
    } else if (mode < 4) {
        for (size_t i = 0; i < count; i++) {
            fuzz_records(&items[i], key);
        }
    } else {
        require(blake3_many(items, count, key, first, BLAKE3_PORTABLE));
        for (int path = 1; path <= (int)blake3_best_path(); path++) {
            require(blake3_many(items, count, key, other, (blake3_path)path));
            require(memcmp(first, other, 32 * count) == 0);
        }
    }
    for (size_t i = 0; i < count; i++) {
        free((void *)items[i].data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    if (data[0] % 8 < 2) {
        fuzz_signatures(data + 2, size - 2, data[1]);
    } else {
        fuzz_digests(data + 1, size - 1, data[0] % 8 - 2);
    }
    return 0;
}
