/* Walking canonical MessagePack; see scan.h. Each form of a length or an integer is taken only for
 * values that no shorter form holds. */
#include "scan.h"

#include <stdlib.h>

#include "bytes.h"
#include "scan_text.h"

enum { HASH_BYTES = 32, VERSION = 1 };

/* What is left to read. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} cursor;

static inline size_t left(const cursor *c)
{
    return (size_t)(c->end - c->at);
}

static inline uint64_t load_be(const uint8_t *p, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value = value << 8 | p[i];
    }
    return value;
}

static inline int take_byte(cursor *c, uint8_t wanted)
{
    return left(c) != 0 && *c->at++ == wanted;
}

static inline int take_integer(cursor *c, uint64_t max, uint64_t *value)
{
    if (left(c) == 0) {
        return 0;
    }
    const uint8_t head = *c->at++;
    if (head < 0x80) {
        *value = head;
        return head <= max;
    }
    if (head < 0xcc || head > 0xcf) {
        return 0;
    }
    const size_t bytes = (size_t)1 << (head - 0xcc);
    if (left(c) < bytes) {
        return 0;
    }
    *value = load_be(c->at, bytes);
    c->at += bytes;
    /* The smallest value that needs this form: 2^7, 2^8, 2^16, 2^32. */
    const uint64_t least = bytes == 1 ? 0x80 : (uint64_t)1 << (4 * bytes);
    return *value >= least && *value <= max;
}

/* The length of a string: fixstr, str 8 or str 16. */
static inline int take_text_length(cursor *c, size_t *length)
{
    if (left(c) == 0) {
        return 0;
    }
    const uint8_t head = *c->at++;
    if ((head & 0xe0) == 0xa0) {
        *length = head & 0x1f;
    } else if (head == 0xd9 && left(c) >= 1) {
        *length = *c->at++;
        if (*length < 32) {
            return 0;
        }
    } else if (head == 0xda && left(c) >= 2) {
        *length = (size_t)load_be(c->at, 2);
        c->at += 2;
        if (*length < 256) {
            return 0;
        }
    } else {
        return 0;
    }
    return *length <= left(c);
}

/* The length of bytes: bin 8 or bin 16. */
static inline int take_bytes_length(cursor *c, size_t *length)
{
    if (left(c) < 2) {
        return 0;
    }
    const uint8_t head = *c->at++;
    if (head == 0xc4) {
        *length = *c->at++;
    } else if (head == 0xc5 && left(c) >= 2) {
        *length = (size_t)load_be(c->at, 2);
        c->at += 2;
        if (*length < 256) {
            return 0;
        }
    } else {
        return 0;
    }
    return *length <= left(c);
}

/* The length of an array: fixarray or array 16. */
static inline int take_array_length(cursor *c, size_t max, size_t *length)
{
    if (left(c) == 0) {
        return 0;
    }
    const uint8_t head = *c->at++;
    if ((head & 0xf0) == 0x90) {
        *length = head & 0x0f;
    } else if (head == 0xdc && left(c) >= 2) {
        *length = (size_t)load_be(c->at, 2);
        c->at += 2;
        if (*length < 16) {
            return 0;
        }
    } else {
        return 0;
    }
    return *length <= max;
}

static inline int take_text(cursor *c, size_t chars_min, size_t chars_max, size_t *length)
{
    if (!take_text_length(c, length) || *length < chars_min ||
        !is_text(c->at, *length, chars_max)) {
        return 0;
    }
    c->at += *length;
    return 1;
}

static inline int take_bytes(cursor *c, size_t length_max, size_t *length)
{
    if (!take_bytes_length(c, length) || *length > length_max) {
        return 0;
    }
    c->at += *length;
    return 1;
}

static inline scan_span span_before(const cursor *c, const uint8_t *start, size_t length)
{
    const scan_span span = {(uint32_t)((size_t)(c->at - start) - length), (uint32_t)length};
    return span;
}

/* Version, chain id, topic, publisher, key: what rights are judged by. */
static inline int take_rights(cursor *c, scan_entry *entry, const scan_limits *limits)
{
    const uint8_t *start = entry->data;
    size_t length;
    if (!take_byte(c, VERSION) || !take_text(c, 1, limits->chain_id_chars, &length)) {
        return 0;
    }
    entry->fields[SCAN_CHAIN_ID] = span_before(c, start, length);
    if (!take_text_length(c, &length) ||
        !is_topic(c->at, length, limits->topic_chars, limits->topic_tokens)) {
        return 0;
    }
    c->at += length;
    entry->fields[SCAN_TOPIC] = span_before(c, start, length);
    if (!take_text_length(c, &length) || !is_did(c->at, length, limits->did_chars)) {
        return 0;
    }
    c->at += length;
    entry->fields[SCAN_PUBLISHER] = span_before(c, start, length);
    if (!take_bytes(c, SCAN_KEY_BYTES, &length) || length != SCAN_KEY_BYTES) {
        return 0;
    }
    entry->key = span_before(c, start, length).offset;
    return 1;
}

static inline int take_hash_or_nothing(cursor *c)
{
    size_t length;
    return take_bytes(c, HASH_BYTES, &length) && (length == 0 || length == HASH_BYTES);
}

/* Nonce, time, type, subject, digests, location, content type, data, tags. */
static inline int take_content(cursor *c, scan_entry *entry, const scan_limits *limits)
{
    const uint8_t *start = entry->data;
    uint64_t nonce;
    size_t length, tags;
    if (!take_integer(c, limits->int_max, &nonce) ||
        !take_integer(c, limits->int_max, &entry->time_ms) ||
        !take_text(c, 1, limits->type_chars, &length)) {
        return 0;
    }
    entry->fields[SCAN_TYPE] = span_before(c, start, length);
    if (!take_text(c, 0, limits->subject_chars, &length)) {
        return 0;
    }
    entry->fields[SCAN_SUBJECT] = span_before(c, start, length);
    if (!take_hash_or_nothing(c) || !take_hash_or_nothing(c) ||
        !take_text(c, 0, limits->location_chars, &length) ||
        !take_text(c, 0, limits->content_type_chars, &length) ||
        !take_bytes(c, limits->data_bytes, &length) ||
        !take_array_length(c, limits->tags, &tags)) {
        return 0;
    }
    for (size_t i = 0; i < tags; i++) {
        if (!take_text(c, 1, limits->tag_chars, &length)) {
            return 0;
        }
    }
    return 1;
}

uint8_t scan_walk(scan_entry *entry, const scan_limits *limits)
{
    if (entry->length > limits->entry_bytes) {
        return SCAN_TOO_LARGE;
    }
    cursor c = {entry->data, entry->data + entry->length};
    size_t signature;
    const int is_whole = take_byte(&c, 0x92) && take_byte(&c, 0x9f) &&
                         take_rights(&c, entry, limits) && take_content(&c, entry, limits) &&
                         take_bytes(&c, SCAN_SIGNATURE_BYTES, &signature) &&
                         signature == SCAN_SIGNATURE_BYTES && left(&c) == 0;
    return is_whole ? SCAN_OPEN : SCAN_MALFORMED;
}

/* Cut what is left into entries; `entries` may be NULL. */
static size_t split_array(cursor *c, scan_entry *entries, uint32_t source,
                          const scan_limits *limits, size_t total_max)
{
    size_t count, size, total = 0;
    if (!take_array_length(c, limits->batch_entries, &count) || count > left(c) / 3) {
        return 0; /* an entry takes three bytes at least */
    }
    for (size_t i = 0; i < count; i++) {
        if (!take_bytes(c, limits->entry_bytes, &size) || size == 0) {
            return 0;
        }
        if (entries != NULL) {
            entries[i].data = c->at - size;
            entries[i].length = size;
            entries[i].source = source;
        }
        total += size;
    }
    return left(c) == 0 && total <= total_max ? count : 0;
}

size_t scan_split_array(scan_entry *entries, const uint8_t *array, size_t length,
                        const scan_limits *limits)
{
    cursor c = {array, array + length};
    return split_array(&c, entries, 0, limits, SIZE_MAX);
}

/* As scan_split; `entries` may be NULL. */
static size_t split(scan_entry *entries, const uint8_t *batch, size_t length, uint32_t source,
                    const scan_limits *limits, uint64_t *origin)
{
    cursor c = {batch, batch + length};
    uint64_t sequence;
    if (limits->origins == 0 || !take_byte(&c, 0x93) ||
        !take_integer(&c, limits->origins - 1, origin) ||
        !take_integer(&c, limits->int_max, &sequence)) {
        return 0;
    }
    return split_array(&c, entries, source, limits, limits->batch_bytes);
}

size_t scan_split(scan_entry *entries, const uint8_t *batch, size_t length, uint32_t source,
                  const scan_limits *limits)
{
    uint64_t origin;
    return split(entries, batch, length, source, limits, &origin);
}

size_t scan_count(const uint8_t *batch, size_t length, const scan_limits *limits, uint64_t *origin)
{
    return split(NULL, batch, length, 0, limits, origin);
}

/* The event's bytes are those between the entry's head and the signature's. */
static int compute_ids(scan_columns *columns, const uint32_t context_key[8], blake3_path path)
{
    enum { BEFORE = 1, AFTER = 2 + SCAN_SIGNATURE_BYTES };
    blake3_item *items = malloc((columns->count + 1) * sizeof *items);
    columns->ids = malloc((columns->count + 1) * SCAN_ID_BYTES);
    if (items == NULL || columns->ids == NULL) {
        free(items);
        return 0;
    }
    size_t count = 0;
    for (size_t i = 0; i < columns->count; i++) {
        scan_entry *entry = &columns->entries[i];
        entry->id = columns->ids + count * SCAN_ID_BYTES;
        if (entry->verdict == SCAN_OPEN) {
            items[count].data = entry->data + BEFORE;
            items[count++].length = entry->length - BEFORE - AFTER;
        }
    }
    const int done = blake3_many(items, count, context_key, columns->ids, path);
    free(items);
    return done;
}

/* In scan_order.c. */
int scan_group(scan_columns *columns, const uint64_t seed[2]);

int scan_judge(scan_columns *columns, const scan_limits *limits, const uint32_t context_key[8],
               blake3_path path, const uint64_t seed[2])
{
    for (size_t i = 0; i < columns->count; i++) {
        columns->entries[i].verdict = scan_walk(&columns->entries[i], limits);
    }
    return compute_ids(columns, context_key, path) && scan_group(columns, seed);
}

void scan_free(scan_columns *columns)
{
    free(columns->entries);
    free(columns->ids);
    free(columns->group_first);
}
