/* Rows of the hash index: a hash and a number, 8 bytes big-endian each, in order.
 *
 * All functions are re-entrant and take any bytes. */
#ifndef CONCORDAT_HASH_ROWS_H
#define CONCORDAT_HASH_ROWS_H

#include <stddef.h>
#include <stdint.h>

enum { HASH_ROW_BYTES = 16, HASH_SOURCES_MAX = 64 };

typedef struct {
    uint64_t hash;
    uint64_t number;
} hash_row;

/* Ordered rows of which some are still to be taken: from `at` to `end`. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} hash_source;

hash_row hash_row_load(const uint8_t *at);
void hash_row_store(uint8_t *at, hash_row row);

/* Order rows. Return 0 when memory is short. */
int hash_rows_sort(hash_row *rows, size_t count);

/* Keep each of the ordered rows once; give how many are left. */
size_t hash_rows_unique(hash_row *rows, size_t count);

/* Give how many of the ordered rows are before `limit`. */
size_t hash_rows_below(const uint8_t *rows, size_t count, hash_row limit);

/* Take rows of `count` sources, none of which is empty, in order; give how many were taken: `room`
 * of them, or fewer when a source became empty. */
size_t hash_rows_merge(hash_source *sources, size_t count, uint8_t *out, size_t room);

#endif
