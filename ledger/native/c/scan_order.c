/* Grouping equal entries and ordering rows; see scan.h.
 *
 * Tables are hashed with random words: chosen entries cannot collide. Groups are numbered in order
 * of their first entries, so nothing but time depends on those words. */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "scan.h"

int scan_group(scan_columns *columns, const uint64_t seed[2]);

/* Open addressing; a slot holds an index, NONE when it is empty. */
typedef struct {
    uint32_t *slots;
    size_t mask;
} table;

static const uint32_t NONE = UINT32_MAX;

static int table_open(table *t, size_t count)
{
    size_t size = 16;
    while (size < 2 * count) {
        size *= 2;
    }
    t->mask = size - 1;
    t->slots = malloc(size * sizeof *t->slots);
    if (t->slots == NULL) {
        return 0;
    }
    memset(t->slots, 0xff, size * sizeof *t->slots);
    return 1;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const uint8_t *p, size_t n, const uint64_t seed[2])
{
    uint64_t h = mix(n ^ seed[0], seed[1] | 1);
    for (; n >= 8; p += 8, n -= 8) {
        h = mix(h ^ load64_le(p), seed[1] | 1) ^ seed[0];
    }
    uint8_t last[8] = {0};
    memcpy(last, p, n);
    return mix(h ^ load64_le(last), seed[1] | 1);
}

/* Version to key: one run of bytes, equal exactly when all its fields are. */
enum { RIGHTS_OFFSET = 2 };

static inline size_t rights_length(const scan_entry *entry)
{
    return entry->key + SCAN_KEY_BYTES - RIGHTS_OFFSET;
}

static inline int same_rights(const scan_entry *a, const scan_entry *b)
{
    return a->key == b->key &&
           memcmp(a->data + RIGHTS_OFFSET, b->data + RIGHTS_OFFSET, rights_length(a)) == 0;
}

/* Give the group of an entry: that of the first equal one, or a new one. */
static uint32_t find_group(scan_columns *columns, table *t, size_t i, const uint64_t seed[2])
{
    const scan_entry *entry = &columns->entries[i];
    const uint64_t start = hash(entry->data + RIGHTS_OFFSET, rights_length(entry), seed);
    for (size_t slot = start & t->mask;; slot = (slot + 1) & t->mask) {
        const uint32_t group = t->slots[slot];
        if (group == NONE) {
            t->slots[slot] = (uint32_t)columns->group_count;
            columns->group_first[columns->group_count] = (uint32_t)i;
            return (uint32_t)columns->group_count++;
        }
        if (same_rights(entry, &columns->entries[columns->group_first[group]])) {
            return group;
        }
    }
}

int scan_group(scan_columns *columns, const uint64_t seed[2])
{
    table t;
    columns->group_first = malloc((columns->count + 1) * sizeof *columns->group_first);
    if (columns->group_first == NULL || !table_open(&t, columns->count)) {
        return 0;
    }
    const scan_entry *before = NULL;
    for (size_t i = 0; i < columns->count; i++) {
        scan_entry *entry = &columns->entries[i];
        if (entry->verdict != SCAN_OPEN) {
            continue;
        }
        entry->group = before != NULL && same_rights(entry, before)
                           ? before->group
                           : find_group(columns, &t, i, seed);
        before = entry;
    }
    free(t.slots);
    return 1;
}

int scan_refuse_repeats(scan_columns *columns, uint8_t verdict, const uint64_t seed[2])
{
    table t;
    if (!table_open(&t, columns->count)) {
        return 0;
    }
    for (size_t i = 0; i < columns->count; i++) {
        scan_entry *entry = &columns->entries[i];
        if (entry->verdict != SCAN_OPEN) {
            continue;
        }
        size_t slot = hash(entry->id, SCAN_ID_BYTES, seed) & t.mask;
        while (t.slots[slot] != NONE &&
               memcmp(columns->entries[t.slots[slot]].id, entry->id, SCAN_ID_BYTES) != 0) {
            slot = (slot + 1) & t.mask;
        }
        if (t.slots[slot] == NONE) {
            t.slots[slot] = (uint32_t)i;
        } else {
            entry->verdict = verdict;
        }
    }
    free(t.slots);
    return 1;
}

/* The first eight bytes as a number, zeroes where the key is shorter. */
static uint64_t prefix_of(const scan_row *row)
{
    uint8_t first[8] = {0};
    memcpy(first, row->key, row->length < 8 ? row->length : 8);
    return load64_be(first);
}

static inline int is_before(const scan_row *a, const scan_row *b)
{
    if (a->prefix != b->prefix) {
        return a->prefix < b->prefix;
    }
    const int order = memcmp(a->key, b->key, a->length < b->length ? a->length : b->length);
    return order < 0 || (order == 0 && a->length < b->length);
}

/* Merge two ordered runs that lie side by side; on equal keys the left one is first. */
static void merge(const scan_row *left, size_t left_count, const scan_row *right,
                  size_t right_count, scan_row *out)
{
    const scan_row *left_end = left + left_count, *right_end = right + right_count;
    while (left != left_end && right != right_end) {
        *out++ = is_before(right, left) ? *right++ : *left++;
    }
    while (left != left_end) {
        *out++ = *left++;
    }
    while (right != right_end) {
        *out++ = *right++;
    }
}

void scan_sort(scan_row *rows, scan_row *scratch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rows[i].prefix = prefix_of(&rows[i]);
    }
    scan_row *from = rows, *to = scratch;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t i = 0; i < count; i += 2 * width) {
            const size_t middle = count - i < width ? count : i + width;
            const size_t end = count - i < 2 * width ? count : i + 2 * width;
            merge(from + i, middle - i, from + middle, end - middle, to + i);
        }
        scan_row *other = from;
        from = to;
        to = other;
    }
    if (from != rows) {
        memcpy(rows, from, count * sizeof *rows);
    }
}
