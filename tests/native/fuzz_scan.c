/* A coverage-guided fuzzer of the scanner.
 *
 * On any bytes no path may read or write beyond its own memory, all must agree, spans must lie in
 * their entries, and what is accepted must be what a plain encoder writes: the second opinion here
 * reads any MessagePack and writes it in its shortest form. The first byte chooses entries or
 * batches; items follow, each behind its length. Run it by fuzz.sh.
 */
#include <stdlib.h>
#include <string.h>

#include "limits_of_scan.h"
#include "scan.h"

enum { ITEMS_MAX = 24, DEPTH_MAX = 4 };

static const uint64_t SEED[2] = {0x0123456789abcdef, 0xfedcba9876543210};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

/* Reads one, writes the other. */
typedef struct {
    const uint8_t *at, *end;
    uint8_t *out;
} copier;

static uint64_t take(copier *c, size_t bytes)
{
    uint64_t value = 0;
    require((size_t)(c->end - c->at) >= bytes);
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | *c->at++;
    }
    return value;
}

static void give(copier *c, uint8_t head, uint64_t value, size_t bytes)
{
    *c->out++ = head;
    for (size_t i = bytes; i > 0; i--) {
        *c->out++ = (uint8_t)(value >> (8 * (i - 1)));
    }
}

static void copy_content(copier *c, uint64_t length)
{
    require((size_t)(c->end - c->at) >= length);
    memcpy(c->out, c->at, length);
    c->at += length;
    c->out += length;
}

static void give_text(copier *c, uint64_t length)
{
    if (length < 32) {
        give(c, (uint8_t)(0xa0 | length), 0, 0);
    } else if (length < 256) {
        give(c, 0xd9, length, 1);
    } else {
        give(c, length < 65536 ? 0xda : 0xdb, length, length < 65536 ? 2 : 4);
    }
    copy_content(c, length);
}

static void give_bytes(copier *c, uint64_t length)
{
    const size_t bytes = length < 256 ? 1 : length < 65536 ? 2 : 4;
    give(c, (uint8_t)(bytes == 1 ? 0xc4 : bytes == 2 ? 0xc5 : 0xc6), length, bytes);
    copy_content(c, length);
}

static void give_integer(copier *c, uint64_t value)
{
    if (value < 128) {
        give(c, (uint8_t)value, 0, 0);
    } else if (value < 256) {
        give(c, 0xcc, value, 1);
    } else if (value < 65536) {
        give(c, 0xcd, value, 2);
    } else {
        give(c, value >> 32 ? 0xcf : 0xce, value, value >> 32 ? 8 : 4);
    }
}

static void copy_value(copier *c, int depth);

static void copy_array(copier *c, uint64_t length, int depth)
{
    require(depth < DEPTH_MAX);
    if (length < 16) {
        give(c, (uint8_t)(0x90 | length), 0, 0);
    } else {
        give(c, length < 65536 ? 0xdc : 0xdd, length, length < 65536 ? 2 : 4);
    }
    for (uint64_t i = 0; i < length; i++) {
        copy_value(c, depth + 1);
    }
}

static void copy_value(copier *c, int depth)
{
    const uint8_t head = (uint8_t)take(c, 1);
    if (head < 0x80) {
        give_integer(c, head);
    } else if ((head & 0xf0) == 0x90) {
        copy_array(c, head & 15, depth);
    } else if ((head & 0xe0) == 0xa0) {
        give_text(c, head & 31);
    } else if (head >= 0xc4 && head <= 0xc6) {
        give_bytes(c, take(c, (size_t)1 << (head - 0xc4)));
    } else if (head >= 0xcc && head <= 0xcf) {
        give_integer(c, take(c, (size_t)1 << (head - 0xcc)));
    } else if (head >= 0xd9 && head <= 0xdb) {
        give_text(c, take(c, (size_t)1 << (head - 0xd9)));
    } else {
        require(head == 0xdc || head == 0xdd);
        copy_array(c, take(c, head == 0xdc ? 2 : 4), depth);
    }
}

static void require_canonical(const uint8_t *data, size_t length)
{
    uint8_t *written = malloc(length + 9);
    copier c = {data, data + length, written};
    copy_value(&c, 0);
    require(c.at == c.end && (size_t)(c.out - written) == length);
    require(memcmp(written, data, length) == 0);
    free(written);
}

static void check_entry(const scan_entry *entry)
{
    if (entry->verdict != SCAN_OPEN) {
        return;
    }
    require_canonical(entry->data, entry->length);
    for (int i = 0; i < SCAN_FIELDS; i++) {
        require(entry->fields[i].offset + (size_t)entry->fields[i].length <= entry->length);
    }
    require(entry->key + SCAN_KEY_BYTES + SCAN_SIGNATURE_BYTES < entry->length);
    require(entry->time_ms <= LIMITS.int_max);
}

static void check_order(const scan_columns *columns)
{
    scan_row *rows = calloc(2 * columns->count + 1, sizeof *rows);
    for (size_t i = 0; i < columns->count; i++) {
        rows[i].key = columns->entries[i].data;
        rows[i].length = (uint32_t)columns->entries[i].length;
        rows[i].index = (uint32_t)i;
    }
    scan_sort(rows, rows + columns->count, columns->count);
    for (size_t i = 1; i < columns->count; i++) {
        const scan_row *a = &rows[i - 1], *b = &rows[i];
        const int order = memcmp(a->key, b->key, a->length < b->length ? a->length : b->length);
        require(order < 0 || (order == 0 && a->length < b->length) ||
                (order == 0 && a->length == b->length && a->index < b->index));
    }
    free(rows);
}

enum { ENTRIES, BATCHES, ARRAYS, KINDS };

static size_t cut(scan_columns *columns, uint8_t **items, const uint8_t *data, size_t size,
                  int kind)
{
    size_t count = 0;
    while (count < ITEMS_MAX && size >= 2) {
        const size_t wanted = (size_t)data[0] << 8 | data[1];
        const size_t length = wanted < size - 2 ? wanted : size - 2;
        items[count] = malloc(length == 0 ? 1 : length);
        memcpy(items[count], data + 2, length);
        if (kind == ARRAYS) { /* room for what is counted, and for no more */
            const size_t found = scan_split_array(NULL, items[count], length, &LIMITS);
            if (found != 0) {
                scan_entry *exact = calloc(found, sizeof *exact);
                require(scan_split_array(exact, items[count], length, &LIMITS) == found);
                require_canonical(items[count], length);
                memcpy(columns->entries + columns->count, exact, found * sizeof *exact);
                columns->count += found;
                free(exact);
            }
        } else if (kind == BATCHES) {
            scan_entry *entries = columns->entries + columns->count;
            const size_t found = scan_split(entries, items[count], length, (uint32_t)count, &LIMITS);
            if (found != 0) {
                require_canonical(items[count], length);
            }
            columns->count += found;
        } else {
            columns->entries[columns->count].data = items[count];
            columns->entries[columns->count++].length = length;
        }
        count++;
        data += 2 + length;
        size -= 2 + length;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *items[ITEMS_MAX], *first_ids = NULL;
    const uint32_t key[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    if (size == 0) {
        return 0;
    }
    for (int path = 0; path <= (int)blake3_best_path(); path++) {
        scan_columns columns = {0};
        /* A batch has at most an entry for each three bytes. */
        columns.entries = calloc(ITEMS_MAX + size / 3, sizeof *columns.entries);
        const size_t count = cut(&columns, items, data + 1, size - 1, data[0] % KINDS);
        require(scan_judge(&columns, &LIMITS, key, (blake3_path)path, SEED));
        size_t open = 0;
        for (size_t i = 0; i < columns.count; i++) {
            check_entry(&columns.entries[i]);
            open += columns.entries[i].verdict == SCAN_OPEN;
        }
        require(columns.group_count <= open);
        if (first_ids == NULL) {
            first_ids = malloc(open * SCAN_ID_BYTES + 1);
            memcpy(first_ids, columns.ids, open * SCAN_ID_BYTES);
        }
        require(memcmp(first_ids, columns.ids, open * SCAN_ID_BYTES) == 0);
        check_order(&columns);
        require(scan_refuse_repeats(&columns, 9, SEED));
        scan_free(&columns);
        for (size_t i = 0; i < count; i++) {
            free(items[i]);
        }
    }
    free(first_ids);
    return 0;
}
