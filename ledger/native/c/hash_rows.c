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

/* A row as one number of the same order. */
typedef unsigned __int128 row_key;

static inline row_key key_load(const uint8_t *at)
{
    return (row_key)load64_be(at) << 64 | load64_be(at + 8);
}

/* Which source is next: a tree of losers. Each node, from the root 1 on, holds the source that lost
 * there, and `winner` lost nowhere. */
typedef struct {
    row_key keys[HASH_SOURCES_MAX]; /* the next row of each source */
    uint8_t losers[HASH_SOURCES_MAX];
    size_t leaves; /* a power of two */
    size_t winner;
} tournament;

static void begin(tournament *of, const hash_source *sources, size_t count)
{
    uint8_t winners[2 * HASH_SOURCES_MAX];
    for (of->leaves = 1; of->leaves < count; of->leaves *= 2) {
    }
    for (size_t i = 0; i < of->leaves; i++) {
        /* Who is absent never wins: no row is behind its own, and of equals the first one wins. */
        of->keys[i] = i < count ? key_load(sources[i].at) : ~(row_key)0;
        winners[of->leaves + i] = (uint8_t)i;
    }
    for (size_t node = of->leaves - 1; node > 0; node--) {
        const uint8_t left = winners[2 * node], right = winners[2 * node + 1];
        const int is_right = of->keys[right] < of->keys[left];
        winners[node] = is_right ? right : left;
        of->losers[node] = is_right ? left : right;
    }
    of->winner = winners[1];
}

/* Let the winner's source go on with its next row, which plays on the way from its leaf to the root
 * alone. Hashes are random, so no branch could be foreseen: who swaps does so under a mask. */
static inline void go_on(tournament *of, row_key next)
{
    size_t winner = of->winner;
    uint64_t hash = (uint64_t)(next >> 64), number = (uint64_t)next;
    of->keys[winner] = next;
    for (size_t node = (of->leaves + winner) / 2; node > 0; node /= 2) {
        const size_t loser = of->losers[node];
        const row_key key = of->keys[loser];
        const uint64_t mask = -(uint64_t)(key < ((row_key)hash << 64 | number));
        const size_t swapped = (loser ^ winner) & mask;
        of->losers[node] = (uint8_t)(loser ^ swapped);
        winner ^= swapped;
        hash ^= ((uint64_t)(key >> 64) ^ hash) & mask;
        number ^= ((uint64_t)key ^ number) & mask;
    }
    of->winner = winner;
}

size_t hash_rows_merge(hash_source *sources, size_t count, uint8_t *out, size_t room)
{
    tournament heads;
    begin(&heads, sources, count);
    for (size_t made = 0; made < room; made++) {
        hash_source *const next = &sources[heads.winner];
        memcpy(out + made * HASH_ROW_BYTES, next->at, HASH_ROW_BYTES);
        next->at += HASH_ROW_BYTES;
        if (next->at == next->end) {
            return made + 1;
        }
        go_on(&heads, key_load(next->at));
    }
    return room;
}
