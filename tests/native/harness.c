/* Runs the C kernels on requests from standard input, for sanitizers and foreign processors.
 *
 * A request: a letter, a path (one byte), a count (4 bytes, little-endian), then the items.
 *   'e', 'm'  each: key 32, signature 64, length 4, message   -> one verdict byte each
 *   'b'       each: length 4, bytes; context "harness"          -> 32 bytes each
 *   'l'       each: length 4, bytes; RFC 6962 leaves            -> 32 bytes each
 * Every item lies in memory of its own, so that a sanitizer sees each byte read beyond it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blake3.h"
#include "ed25519.h"
#include "sha256.h"

static void read_exactly(void *to, size_t length)
{
    if (fread(to, 1, length, stdin) != length) {
        fprintf(stderr, "short request\n");
        exit(2);
    }
}

static size_t read_count(void)
{
    uint8_t b[4];
    read_exactly(b, sizeof b);
    return (size_t)b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;
}

static uint8_t *read_bytes(size_t length)
{
    uint8_t *bytes = malloc(length == 0 ? 1 : length);
    read_exactly(bytes, length);
    return bytes;
}

static void signatures(int kind, int path, size_t count)
{
    static const uint8_t seed[32] = "not random: the harness repeats";
    ed25519_item *items = calloc(count, sizeof *items);
    uint8_t *verdicts = calloc(count, 1);
    for (size_t i = 0; i < count; i++) {
        items[i].key = read_bytes(32);
        items[i].signature = read_bytes(64);
        items[i].message_length = read_count();
        items[i].message = read_bytes(items[i].message_length);
    }
    if (kind == 'e') {
        ed25519_verify_each(items, count, verdicts, (ed25519_path)path);
    } else if (ed25519_verify_many(items, count, seed, verdicts, (ed25519_path)path) !=
               ED25519_VALID) {
        exit(3);
    }
    fwrite(verdicts, 1, count, stdout);
    for (size_t i = 0; i < count; i++) {
        free((void *)items[i].key);
        free((void *)items[i].signature);
        free((void *)items[i].message);
    }
    free(items);
    free(verdicts);
}

static void digests(int kind, int path, size_t count)
{
    blake3_item *items = calloc(count, sizeof *items);
    sha256_item *leaves = calloc(count, sizeof *leaves);
    uint8_t *out = calloc(count, 32);
    uint32_t key[8];
    for (size_t i = 0; i < count; i++) {
        leaves[i].length = items[i].length = read_count();
        leaves[i].data = items[i].data = read_bytes(items[i].length);
    }
    if (kind == 'l') {
        sha256_many(leaves, count, 0, out, (sha256_path)path);
    } else if (!blake3_context_key(key, (const uint8_t *)"harness", 7) ||
               !blake3_many(items, count, key, out, (blake3_path)path)) {
        exit(3);
    }
    fwrite(out, 32, count, stdout);
    for (size_t i = 0; i < count; i++) {
        free((void *)items[i].data);
    }
    free(items);
    free(leaves);
    free(out);
}

int main(void)
{
    ed25519_init();
    for (int kind = getchar(); kind != EOF; kind = getchar()) {
        const int path = getchar();
        const size_t count = read_count();
        if (kind == 'e' || kind == 'm') {
            signatures(kind, path, count);
        } else {
            digests(kind, path, count);
        }
    }
    return 0;
}
