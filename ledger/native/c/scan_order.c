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

/* Take the entries of one scan behind those that are there; `renamed` has room for its groups. */
static void take_part(scan_columns *columns, const scan_columns *part, uint32_t source, table *t,
                      uint32_t *renamed, const uint64_t seed[2])
{
    const size_t start = columns->count;
    scan_entry *entries = columns->entries + start;
    uint8_t *ids = columns->ids + start * SCAN_ID_BYTES;
    memcpy(entries, part->entries, part->count * sizeof *entries);
    memcpy(ids, part->ids, part->count * SCAN_ID_BYTES);
    for (size_t k = 0; k < part->group_count; k++) {
        renamed[k] = find_group(columns, t, start + part->group_first[k], seed);
    }
    for (size_t i = 0; i < part->count; i++) {
        entries[i].source = source;
        entries[i].id = ids + (entries[i].id - part->ids);
        if (entries[i].group < part->group_count) {
            entries[i].group = renamed[entries[i].group];
        }
    }
    columns->count += part->count;
}

int scan_join(scan_columns *columns, const scan_columns *const *parts, size_t parts_count,
              const uint64_t seed[2])
{
    size_t count = 0, groups = 0;
    for (size_t k = 0; k < parts_count; k++) {
        count += parts[k]->count;
        groups += parts[k]->group_count;
    }
    columns->entries = malloc((count + 1) * sizeof *columns->entries);
    columns->ids = malloc((count + 1) * SCAN_ID_BYTES);
    columns->group_first = malloc((groups + 1) * sizeof *columns->group_first);
    uint32_t *renamed = malloc((groups + 1) * sizeof *renamed);
    table t = {NULL, 0};
    const int done = columns->entries != NULL && columns->ids != NULL &&
                     columns->group_first != NULL && renamed != NULL && table_open(&t, groups);
    for (size_t k = 0; done && k < parts_count; k++) {
        take_part(columns, parts[k], (uint32_t)k, &t, renamed, seed);
    }
    free(t.slots);
    free(renamed);
    return done;
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

/* Eight bytes of a key as a number, zeroes where the key is shorter. */
static uint64_t prefix_of(const scan_row *row, uint32_t offset)
{
    uint8_t part[8] = {0};
    if (row->length > offset) {
        memcpy(part, row->key + offset, row->length - offset < 8 ? row->length - offset : 8);
    }
    return load64_be(part);
}

static inline int is_before(const scan_row *a, const scan_row *b)
{
    if (a->prefix[0] != b->prefix[0]) {
        return a->prefix[0] < b->prefix[0];
    }
    if (a->prefix[1] != b->prefix[1]) {
        return a->prefix[1] < b->prefix[1];
    }
    const int order = memcmp(a->key, b->key, a->length < b->length ? a->length : b->length);
    return order < 0 || (order == 0 && a->length < b->length);
}

/* Merge two ordered runs that lie side by side; on equal keys the left one is first. */
static void merge(const scan_row *left, size_t left_count, const scan_row *right,
                  size_t right_count, scan_row *out)
{
    const scan_row *left_end = left + left_count, *right_end = right + right_count;
    if (right_count != 0 && is_before(right, left_end - 1)) {
        while (left != left_end && right != right_end) {
            *out++ = is_before(right, left) ? *right++ : *left++;
        }
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
        rows[i].prefix[0] = prefix_of(&rows[i], 0);
        rows[i].prefix[1] = prefix_of(&rows[i], 8);
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

static inline int same_key(const scan_row *a, const scan_row *b)
{
    return a->length == b->length &&
           (a->key == b->key || memcmp(a->key, b->key, a->length) == 0);
}

/* Number the keys by first appearance: `key_of` gets each row's, `keys` a row of each number.
 * Give how many there are; `most` + 1 when there are more. */
static size_t number_keys(const scan_row *rows, size_t count, table *t, const uint64_t seed[2],
                          uint32_t *key_of, scan_row *keys, size_t most)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (i != 0 && same_key(&rows[i], &rows[i - 1])) {
            key_of[i] = key_of[i - 1];
            continue;
        }
        size_t slot = hash(rows[i].key, rows[i].length, seed) & t->mask;
        while (t->slots[slot] != NONE && !same_key(&keys[t->slots[slot]], &rows[i])) {
            slot = (slot + 1) & t->mask;
        }
        if (t->slots[slot] == NONE) {
            if (found == most) {
                return most + 1;
            }
            keys[found] = rows[i];
            keys[found].index = (uint32_t)found;
            t->slots[slot] = (uint32_t)found++;
        }
        key_of[i] = t->slots[slot];
    }
    return found;
}

/* Put rows into the order of their keys, which are ordered already. `starts` has room for one of
 * each key, `indexes` for one of each row. */
static void place_rows(scan_row *rows, size_t count, const uint32_t *key_of, const scan_row *keys,
                       size_t keys_count, size_t *starts, uint32_t *indexes)
{
    memset(starts, 0, keys_count * sizeof *starts);
    for (size_t i = 0; i < count; i++) {
        starts[key_of[i]]++;
    }
    size_t start = 0;
    for (size_t k = 0; k < keys_count; k++) {
        const size_t held = starts[keys[k].index];
        starts[keys[k].index] = start;
        start += held;
    }
    for (size_t i = 0; i < count; i++) {
        indexes[starts[key_of[i]]++] = rows[i].index;
    }
    size_t i = 0;
    for (size_t k = 0; k < keys_count; k++) {
        for (const size_t end = starts[keys[k].index]; i < end; i++) {
            rows[i] = keys[k];
            rows[i].index = indexes[i];
        }
    }
}

int scan_sort_alike(scan_row *rows, scan_row *scratch, size_t count, const uint64_t seed[2])
{
    const size_t most = count / 2; /* they and room to sort them fit into `scratch` */
    uint32_t *const numbers = malloc((2 * count + 1) * sizeof *numbers);
    size_t *const starts = malloc((most + 1) * sizeof *starts);
    table t = {NULL, 0};
    const int done = numbers != NULL && starts != NULL && table_open(&t, count);
    if (done) {
        const size_t keys = number_keys(rows, count, &t, seed, numbers, scratch, most);
        if (keys > most) {
            scan_sort(rows, scratch, count);
        } else {
            scan_sort(scratch, scratch + keys, keys);
            place_rows(rows, count, numbers, scratch, keys, starts, numbers + count);
        }
    }
    free(t.slots);
    free(starts);
    free(numbers);
    return done;
}
