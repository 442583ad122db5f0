/* Runs the C scanner on requests from standard input, for sanitizers and foreign processors.
 *
 * A request: a letter, a path (one byte), a count (4 bytes, little-endian), then for each item its
 * length (4 bytes) and its bytes. 'e': each item is an entry; 'b': each is a batch.
 * The answer: the number of entries (4 bytes); for each its verdict (one byte) and, when it is
 * open, its group (4 bytes), id (32), time (8), and six fields with their lengths (4 bytes each):
 * chain id, topic, publisher, type, subject, key. At last the indexes of the open entries in the
 * order of their subjects (4 bytes each).
 * Every item lies in memory of its own, so that a sanitizer sees each byte read beyond it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits_of_scan.h"
#include "scan.h"

static const uint64_t SEED[2] = {0x0123456789abcdef, 0xfedcba9876543210};

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

static void write_number(uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        putchar((int)(value >> (8 * i) & 0xff));
    }
}

static void write_field(const scan_entry *entry, scan_span span)
{
    write_number(span.length, 4);
    fwrite(entry->data + span.offset, 1, span.length, stdout);
}

static void write_entry(const scan_entry *entry)
{
    const scan_span key = {entry->key, SCAN_KEY_BYTES};
    putchar(entry->verdict);
    if (entry->verdict == SCAN_OPEN) {
        write_number(entry->group, 4);
        fwrite(entry->id, 1, SCAN_ID_BYTES, stdout);
        write_number(entry->time_ms, 8);
        for (int i = 0; i < SCAN_FIELDS; i++) {
            write_field(entry, entry->fields[i]);
        }
        write_field(entry, key);
    }
}

static void write_order(const scan_columns *columns)
{
    scan_row *rows = calloc(2 * columns->count + 1, sizeof *rows);
    size_t count = 0;
    for (size_t i = 0; i < columns->count; i++) {
        const scan_entry *entry = &columns->entries[i];
        if (entry->verdict == SCAN_OPEN) {
            rows[count].key = entry->data + entry->fields[SCAN_SUBJECT].offset;
            rows[count].length = entry->fields[SCAN_SUBJECT].length;
            rows[count++].index = (uint32_t)i;
        }
    }
    scan_sort(rows, rows + count, count);
    for (size_t i = 0; i < count; i++) {
        write_number(rows[i].index, 4);
    }
    free(rows);
}

static void scan_items(int kind, int path, size_t count)
{
    uint8_t **items = calloc(count + 1, sizeof *items);
    scan_columns columns = {0};
    columns.entries = calloc(count * LIMITS.batch_entries + 1, sizeof *columns.entries);
    for (size_t i = 0; i < count; i++) {
        const size_t length = read_count();
        items[i] = malloc(length == 0 ? 1 : length);
        read_exactly(items[i], length);
        if (kind == 'e') {
            columns.entries[i].data = items[i];
            columns.entries[i].length = length;
            columns.count++;
        } else if (kind == 'a') { /* as Scanner.scan_array, which has room for what was counted */
            const size_t found = scan_split_array(NULL, items[i], length, &LIMITS);
            scan_entry *exact = calloc(found + 1, sizeof *exact);
            if (found != 0 && scan_split_array(exact, items[i], length, &LIMITS) != found) {
                exit(4);
            }
            memcpy(columns.entries + columns.count, exact, found * sizeof *exact);
            columns.count += found;
            free(exact);
        } else {
            columns.count += scan_split(columns.entries + columns.count, items[i], length,
                                        (uint32_t)i, &LIMITS);
        }
    }
    uint32_t key[8];
    if (!blake3_context_key(key, (const uint8_t *)CONTEXT, strlen(CONTEXT)) ||
        !scan_judge(&columns, &LIMITS, key, (blake3_path)path, SEED)) {
        exit(3);
    }
    write_number(columns.count, 4);
    for (size_t i = 0; i < columns.count; i++) {
        write_entry(&columns.entries[i]);
    }
    write_order(&columns);
    if (!scan_refuse_repeats(&columns, 9, SEED)) {
        exit(3);
    }
    scan_free(&columns);
    for (size_t i = 0; i < count; i++) {
        free(items[i]);
    }
    free(items);
}

int main(void)
{
    for (int kind = getchar(); kind != EOF; kind = getchar()) {
        const int path = getchar();
        scan_items(kind, path, read_count());
    }
    return 0;
}
