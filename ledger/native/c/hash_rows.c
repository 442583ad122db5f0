/* Rows of the hash index in memory; see hash_rows.h. */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "hash_rows.h"

hash_row hash_row_load(const uint8_t *at)
{
    return (hash_row){load64_be(at), load64_be(at + 8)};
}

void hash_row_store(uint8_t *at, hash_row row)
{
    store64_be(at, row.hash);
    store64_be(at + 8, row.number);
}

static inline int is_before(hash_row a, hash_row b)
{
    return a.hash != b.hash ? a.hash < b.hash : a.number < b.number;
}

/* Sort by merging; `room` has as much. */
static void merge_sort(hash_row *rows, hash_row *room, size_t count)
{
    hash_row *from = rows, *to = room;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t i = 0; i < count; i += 2 * width) {
            const size_t middle = count - i < width ? count : i + width;
            const size_t end = count - i < 2 * width ? count : i + 2 * width;
            size_t left = i, right = middle;
            for (size_t k = i; k < end; k++) {
                const int is_right =
                    left == middle || (right < end && is_before(from[right], from[left]));
                to[k] = is_right ? from[right++] : from[left++];
            }
        }
        hash_row *other = from;
        from = to;
        to = other;
    }
    if (from != rows) {
        memcpy(rows, from, count * sizeof *rows);
    }
}

/* Hashes are spread evenly unless somebody chose them: their first bits order nearly all. */
enum { BUCKET_BITS = 11, BUCKETS = 1 << BUCKET_BITS, BUCKETED_COUNT_MIN = 256 };

static inline size_t bucket_of(hash_row row)
{
    return (size_t)(row.hash >> (64 - BUCKET_BITS));
}

int hash_rows_sort(hash_row *rows, size_t count)
{
    uint32_t ends[BUCKETS] = {0};
    hash_row *room = malloc((count + 1) * sizeof *rows);
    if (room == NULL) {
        return 0;
    }
    if (count < BUCKETED_COUNT_MIN) {
        merge_sort(rows, room, count);
        free(room);
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        ends[bucket_of(rows[i])]++;
    }
    uint32_t end = 0;
    for (size_t k = 0; k < BUCKETS; k++) {
        const uint32_t held = ends[k];
        ends[k] = end; /* where the bucket begins, until its rows are placed */
        end += held;
    }
    for (size_t i = 0; i < count; i++) {
        room[ends[bucket_of(rows[i])]++] = rows[i];
    }
    size_t start = 0;
    for (size_t k = 0; k < BUCKETS; k++) {
        merge_sort(room + start, rows + start, ends[k] - start);
        start = ends[k];
    }
    memcpy(rows, room, count * sizeof *rows);
    free(room);
    return 1;
}

size_t hash_rows_unique(hash_row *rows, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || is_before(rows[kept - 1], rows[i])) {
            rows[kept++] = rows[i];
        }
    }
    return kept;
}

size_t hash_rows_below(const uint8_t *rows, size_t count, hash_row limit)
{
    size_t low = 0;
    while (low < count) {
        const size_t middle = low + (count - low) / 2;
        if (is_before(hash_row_load(rows + middle * HASH_ROW_BYTES), limit)) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return low;
}

size_t hash_rows_merge(hash_source *sources, size_t count, uint8_t *out, size_t room)
{
    hash_row heads[HASH_SOURCES_MAX];
    for (size_t i = 0; i < count; i++) {
        heads[i] = hash_row_load(sources[i].at);
    }
    for (size_t made = 0; made < room; made++) {
        size_t least = 0;
        for (size_t i = 1; i < count; i++) {
            least = is_before(heads[i], heads[least]) ? i : least;
        }
        hash_row_store(out + made * HASH_ROW_BYTES, heads[least]);
        sources[least].at += HASH_ROW_BYTES;
        if (sources[least].at == sources[least].end) {
            return made + 1;
        }
        heads[least] = hash_row_load(sources[least].at);
    }
    return room;
}
