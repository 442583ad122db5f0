/* Batches of signed events: canonical form, limits, event ids, groups and order, in C.
 *
 * An entry is what ledger/core/event.py opens; a batch is what ledger/core/block.py decodes. Each
 * decision here equals theirs. All functions are re-entrant, take any bytes, and use memory in
 * proportion to the number of entries. Spans point into the caller's bytes.
 */
#ifndef CONCORDAT_SCAN_H
#define CONCORDAT_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "blake3.h"

/* Sizes in bytes, code points or elements, from ledger/core/limits.py. */
typedef struct {
    uint64_t int_max;
    uint32_t entry_bytes; /* at most 65535: longer forms of a length never occur */
    uint32_t data_bytes;
    uint32_t chain_id_chars;
    uint32_t topic_chars;
    uint32_t topic_tokens;
    uint32_t did_chars;
    uint32_t type_chars;
    uint32_t subject_chars;
    uint32_t location_chars;
    uint32_t content_type_chars;
    uint32_t tags;
    uint32_t tag_chars;
    uint32_t origins; /* a batch's origin is below */
    uint32_t batch_entries;
    uint32_t batch_bytes; /* of all entries of a batch together */
} scan_limits;

/* Verdicts that the scanner gives by itself; callers add their own above. */
enum { SCAN_OPEN = 0, SCAN_TOO_LARGE = 1, SCAN_MALFORMED = 2 };

enum { SCAN_KEY_BYTES = 32, SCAN_SIGNATURE_BYTES = 64, SCAN_ID_BYTES = 32 };

/* Fields that can be asked for. */
enum {
    SCAN_CHAIN_ID,
    SCAN_TOPIC,
    SCAN_PUBLISHER,
    SCAN_TYPE,
    SCAN_SUBJECT,
    SCAN_FIELDS,
};

typedef struct {
    uint32_t offset; /* in the entry */
    uint32_t length;
} scan_span;

/* One entry. The caller sets the first line; the rest holds when it is not malformed. */
typedef struct {
    const uint8_t *data;
    size_t length;
    uint32_t source; /* which batch it is from */
    uint32_t group;  /* entries of equal chain id, topic, publisher and key share it */
    const uint8_t *id;
    uint64_t time_ms;
    scan_span fields[SCAN_FIELDS];
    uint32_t key; /* offset of the public key */
    uint8_t verdict;
} scan_entry;

/* Entries and what was found about them. Set to zeroes, then fill `entries` and `count`. */
typedef struct {
    scan_entry *entries; /* from malloc */
    size_t count;
    uint8_t *ids;
    uint32_t *group_first; /* the first entry of each group, in order */
    size_t group_count;
} scan_columns;

/* Cut a batch into entries: writes at most `batch_entries` and at most length / 3 of them, and
 * gives how many; 0 when the bytes are no batch. */
size_t scan_split(scan_entry *entries, const uint8_t *batch, size_t length, uint32_t source,
                  const scan_limits *limits);

/* Give how many entries a batch has, and its origin; 0 when the bytes are no batch. */
size_t scan_count(const uint8_t *batch, size_t length, const scan_limits *limits,
                  uint64_t *origin);

/* As scan_split, of an array of entries alone, however long. `entries` may be NULL, to have them
 * counted; it may be written to also when the bytes are no array. */
size_t scan_split_array(scan_entry *entries, const uint8_t *array, size_t length,
                        const scan_limits *limits);

/* Judge one entry's form and limits, and find its fields. */
uint8_t scan_walk(scan_entry *entry, const scan_limits *limits);

/* Walk all entries; compute ids; group. `seed` is random, so that nobody can choose collisions;
 * nothing but time depends on it. Return 0 when memory is short. */
int scan_judge(scan_columns *columns, const scan_limits *limits, const uint32_t context_key[8],
               blake3_path path, const uint64_t seed[2]);

/* Join scans of one batch each, in order, into one of all: `columns` is zeroes. Return 0 when memory
 * is short. */
int scan_join(scan_columns *columns, const scan_columns *const *parts, size_t parts_count,
              const uint64_t seed[2]);

/* Refuse open entries whose id an earlier open entry has. Return 0 when memory is short. */
int scan_refuse_repeats(scan_columns *columns, uint8_t verdict, const uint64_t seed[2]);

void scan_free(scan_columns *columns);

/* A row to be ordered by its key's bytes. */
typedef struct {
    uint64_t prefix[2]; /* set by scan_sort */
    const uint8_t *key;
    uint32_t length;
    uint32_t index;
} scan_row;

/* Order rows by key; those of equal keys keep their order. `scratch` has as much room. */
void scan_sort(scan_row *rows, scan_row *scratch, size_t count);

/* The same, made for few different keys: each is looked at once where equal ones are side by side.
 * `seed` as in scan_judge. Return 0 when memory is short. */
int scan_sort_alike(scan_row *rows, scan_row *scratch, size_t count, const uint64_t seed[2]);

#endif
