/* What the text fields of an event may hold: UTF-8 as Unicode's table 3-7 has it, topics and DIDs
 * as the patterns of ledger/core say. */
#ifndef CONCORDAT_SCAN_TEXT_H
#define CONCORDAT_SCAN_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

enum { TOPIC_TOKEN_CHARS = 64, DID_METHOD_CHARS = 32, DID_NAME_CHARS = 200 };

static inline int is_lower_or_digit(uint8_t c)
{
    return (uint8_t)(c - 'a') < 26 || (uint8_t)(c - '0') < 10;
}

static inline int is_letter_or_digit(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10;
}

/* Bytes of the character at p, of n bytes left, or 0 when it is none. */
static inline size_t utf8_length(const uint8_t *p, size_t n)
{
    const uint8_t first = p[0];
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 0; /* a continuation, an overlong form or beyond U+10FFFF */
    }
    const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (n < length) {
        return 0;
    }
    uint8_t low = 0x80, high = 0xbf;
    low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : low;    /* no overlong forms */
    high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : high; /* no surrogates; U+10FFFF */
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

/* Is it UTF-8 of at most so many code points? */
static inline int is_text(const uint8_t *p, size_t n, size_t chars_max)
{
    size_t chars = 0;
    while (n != 0) {
        size_t taken = 8;
        if (n >= 8 && (load64_le(p) & 0x8080808080808080) == 0) {
            chars += 8;
        } else {
            taken = utf8_length(p, n);
            if (taken == 0) {
                return 0;
            }
            chars++;
        }
        p += taken;
        n -= taken;
    }
    return chars <= chars_max;
}

/* 1 to `tokens_max` tokens of 1 to 64 of [A-Za-z0-9_-], joined by dots. */
static inline int is_topic(const uint8_t *p, size_t n, size_t chars_max, size_t tokens_max)
{
    size_t tokens = 1, token = 0;
    if (n > chars_max) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (is_letter_or_digit(p[i]) || p[i] == '_' || p[i] == '-') {
            if (++token > TOPIC_TOKEN_CHARS) {
                return 0;
            }
        } else if (p[i] == '.' && token != 0) {
            tokens++;
            token = 0;
        } else {
            return 0;
        }
    }
    return token != 0 && tokens <= tokens_max;
}

/* did:[a-z0-9]{1,32}:[A-Za-z0-9._:%-]{1,200} */
static inline int is_did(const uint8_t *p, size_t n, size_t chars_max)
{
    if (n > chars_max || n < 4 || p[0] != 'd' || p[1] != 'i' || p[2] != 'd' || p[3] != ':') {
        return 0;
    }
    size_t i = 4;
    while (i < n && is_lower_or_digit(p[i])) {
        i++;
    }
    const size_t method = i - 4;
    if (method == 0 || method > DID_METHOD_CHARS || i == n || p[i] != ':') {
        return 0;
    }
    const size_t name = n - ++i;
    if (name == 0 || name > DID_NAME_CHARS) {
        return 0;
    }
    for (; i < n; i++) {
        const uint8_t c = p[i];
        if (!is_letter_or_digit(c) && c != '.' && c != '_' && c != ':' && c != '%' && c != '-') {
            return 0;
        }
    }
    return 1;
}

#endif
