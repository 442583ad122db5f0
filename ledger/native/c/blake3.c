/* Cutting inputs into chunks, filling lanes with them, and building the trees; see blake3.h. */
#include "blake3.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "cpu.h"

enum { BLOCKS_MAX = BLAKE3_CHUNK / BLAKE3_BLOCK };

/* Chunks taken together: few enough for their jobs to stay in the first-level cache. An input of
 * more chunks goes alone. */
enum { SLICE_CHUNKS = 512 };

typedef struct {
    blake3_group *run;
    blake3_alike_group *run_alike;
    size_t lanes;
} kernel;

static kernel kernel_of(blake3_path path)
{
    kernel k = {blake3_group_portable, blake3_alike_portable, 1};
#if CONCORDAT_X86
    if (path == BLAKE3_AVX512) {
        k.run = blake3_group_avx512;
        k.run_alike = blake3_alike_avx512;
        k.lanes = 16;
    } else if (path == BLAKE3_AVX2) {
        k.run = blake3_group_avx2;
        k.run_alike = blake3_alike_avx2;
        k.lanes = 8;
    }
#endif
    (void)path;
    return k;
}

blake3_path blake3_best_path(void)
{
    if (cpu_has_avx512ifma()) {
        return BLAKE3_AVX512;
    }
    return cpu_has_avx2() ? BLAKE3_AVX2 : BLAKE3_PORTABLE;
}

static size_t chunk_count(size_t length)
{
    return length <= BLAKE3_CHUNK ? 1 : (length - 1) / BLAKE3_CHUNK + 1;
}

/* One chunk or parent. */
typedef struct {
    const uint8_t *data;
    uint8_t *out;
    uint64_t counter;
    uint32_t length;
    uint32_t last_flags;
} job;

/* The work of one slice of the inputs. */
typedef struct {
    const uint32_t *key;
    uint32_t mode_flags;
    kernel kernel;
    job *jobs;
    uint32_t *order; /* jobs by falling number of blocks */
    size_t job_count;
    uint32_t shortest, longest; /* fewest and most blocks of a job */
    uint8_t *nodes; /* 32 bytes for each chunk of the inputs that have more than one */
} slice;

static int slice_open(slice *s, size_t chunks)
{
    s->jobs = malloc(chunks * sizeof *s->jobs);
    s->order = malloc(chunks * sizeof *s->order);
    s->nodes = malloc(chunks * BLAKE3_DIGEST);
    return s->jobs && s->order && s->nodes;
}

static void slice_close(slice *s)
{
    free(s->jobs);
    free(s->order);
    free(s->nodes);
}

/* Sort the jobs by falling number of blocks. */
static void order_jobs(slice *s)
{
    size_t position[BLOCKS_MAX + 1] = {0};
    for (size_t i = 0; i < s->job_count; i++) {
        position[blake3_blocks(s->jobs[i].length)]++;
    }
    size_t start = 0;
    for (size_t blocks = BLOCKS_MAX; blocks > 0; blocks--) {
        const size_t count = position[blocks];
        position[blocks] = start;
        start += count;
    }
    for (size_t i = 0; i < s->job_count; i++) {
        s->order[position[blake3_blocks(s->jobs[i].length)]++] = (uint32_t)i;
    }
}

/* Run the jobs, those of equal length side by side, and forget them. */
static void run_jobs(slice *s, uint32_t flags, uint32_t first_flags)
{
    blake3_lanes lanes;
    const int alike = s->shortest == s->longest;
    if (!alike) {
        order_jobs(s);
    }
    lanes.flags = s->mode_flags | flags;
    lanes.first_flags = first_flags;
    for (size_t done = 0; done < s->job_count; done += s->kernel.lanes) {
        for (size_t lane = 0; lane < s->kernel.lanes; lane++) {
            const size_t i = done + lane < s->job_count ? done + lane : s->job_count - 1;
            const job *j = &s->jobs[alike ? i : s->order[i]];
            lanes.data[lane] = j->data;
            lanes.out[lane] = j->out;
            lanes.length[lane] = j->length;
            lanes.last_flags[lane] = j->last_flags;
            lanes.counter_low[lane] = (uint32_t)j->counter;
            lanes.counter_high[lane] = (uint32_t)(j->counter >> 32);
        }
        s->kernel.run(&lanes, s->key);
    }
    s->job_count = 0;
    s->shortest = BLOCKS_MAX;
    s->longest = 1;
}

static inline void add_job(slice *s, job j)
{
    const uint32_t blocks = blake3_blocks(j.length);
    s->shortest = blocks < s->shortest ? blocks : s->shortest;
    s->longest = blocks > s->longest ? blocks : s->longest;
    s->jobs[s->job_count++] = j;
}

static void add_chunks(slice *s, const blake3_item *item, uint8_t *out, uint32_t root_flag)
{
    const size_t chunks = chunk_count(item->length);
    for (size_t i = 0; i < chunks; i++) {
        const size_t offset = i * BLAKE3_CHUNK, left = item->length - offset;
        const uint32_t length = (uint32_t)(left < BLAKE3_CHUNK ? left : BLAKE3_CHUNK);
        const job j = {item->data + offset, out + i * BLAKE3_DIGEST, i, length,
                       BLAKE3_CHUNK_END | root_flag};
        add_job(s, j);
    }
}

/* Add the parents of one level of one tree, in place: node i from nodes 2i and 2i + 1. */
static void add_parents(slice *s, uint8_t *nodes, size_t count, uint8_t *root)
{
    for (size_t i = 0; i < count / 2; i++) {
        const job j = {nodes + 2 * i * BLAKE3_DIGEST,
                       count == 2 ? root : nodes + i * BLAKE3_DIGEST, 0, BLAKE3_BLOCK,
                       count == 2 ? BLAKE3_ROOT : 0};
        add_job(s, j);
    }
}

/* Nodes of an input's tree at a level: ceil(chunks / 2^level). */
static size_t node_count(const blake3_item *item, size_t level)
{
    return (chunk_count(item->length) - 1) / ((size_t)1 << level) + 1;
}

/* Where the nodes of the next input begin; an input of one chunk has none. */
static size_t node_room(const blake3_item *item)
{
    return item->length <= BLAKE3_CHUNK ? 0 : chunk_count(item->length) * BLAKE3_DIGEST;
}

/* Join all nodes of one level into those of the next. */
static void join_level(slice *s, const blake3_item *items, size_t count, size_t level,
                       uint8_t *digests)
{
    uint8_t *nodes = s->nodes;
    for (size_t i = 0; i < count; nodes += node_room(&items[i++])) {
        add_parents(s, nodes, node_count(&items[i], level), digests + i * BLAKE3_DIGEST);
    }
    run_jobs(s, BLAKE3_PARENT, 0);
    /* A node without a neighbour moves up as it is. */
    nodes = s->nodes;
    for (size_t i = 0; i < count; nodes += node_room(&items[i++])) {
        const size_t left = node_count(&items[i], level);
        if (left > 1 && left % 2 == 1) {
            memcpy(nodes + left / 2 * BLAKE3_DIGEST, nodes + (left - 1) * BLAKE3_DIGEST,
                   BLAKE3_DIGEST);
        }
    }
}

/* Hash the inputs level by level until every tree has its root. */
static void run_slice(slice *s, const blake3_item *items, size_t count, uint8_t *digests)
{
    uint8_t *nodes = s->nodes;
    size_t highest = 1;
    for (size_t i = 0; i < count; nodes += node_room(&items[i++])) {
        const size_t chunks = chunk_count(items[i].length);
        if (chunks == 1) {
            add_chunks(s, &items[i], digests + i * BLAKE3_DIGEST, BLAKE3_ROOT);
        } else {
            add_chunks(s, &items[i], nodes, 0);
        }
        highest = chunks > highest ? chunks : highest;
    }
    run_jobs(s, 0, BLAKE3_CHUNK_START);
    for (size_t level = 0; highest > (size_t)1 << level; level++) {
        join_level(s, items, count, level, digests);
    }
}

/* How many of the next inputs are of one length and at most a chunk. */
static size_t count_alike(const blake3_item *items, size_t count)
{
    size_t alike = 1;
    if (items[0].length > BLAKE3_CHUNK) {
        return 0;
    }
    while (alike < count && items[alike].length == items[0].length) {
        alike++;
    }
    return alike;
}

/* Hash inputs of one length: nothing is sorted, nothing joined. */
static void run_alike(const kernel *k, const blake3_item *items, size_t count, const uint32_t *key,
                      uint32_t mode_flags, uint8_t *digests)
{
    blake3_alike lanes;
    lanes.length = (uint32_t)items[0].length;
    lanes.flags = mode_flags;
    for (size_t done = 0; done < count; done += k->lanes) {
        for (size_t lane = 0; lane < k->lanes; lane++) {
            const size_t i = done + lane < count ? done + lane : count - 1;
            lanes.data[lane] = items[i].data;
            lanes.out[lane] = digests + i * BLAKE3_DIGEST;
        }
        k->run_alike(&lanes, key);
    }
}

static int many(const blake3_item *items, size_t count, const uint32_t key[8], uint32_t mode_flags,
                uint8_t *digests, blake3_path path)
{
    const kernel k = kernel_of(path);
    for (size_t done = 0; done < count;) {
        const size_t alike = count_alike(items + done, count - done);
        if (alike == count - done || alike >= 4 * k.lanes) {
            run_alike(&k, items + done, alike, key, mode_flags, digests + done * BLAKE3_DIGEST);
            done += alike;
            continue;
        }
        size_t taken = 1, chunks = chunk_count(items[done].length);
        while (done + taken < count) {
            const size_t more = chunk_count(items[done + taken].length);
            if (chunks + more > SLICE_CHUNKS) {
                break;
            }
            chunks += more;
            taken++;
        }
        slice s = {key, mode_flags, k, NULL, NULL, 0, BLOCKS_MAX, 1, NULL};
        const int ready = slice_open(&s, chunks);
        if (ready) {
            run_slice(&s, items + done, taken, digests + done * BLAKE3_DIGEST);
        }
        slice_close(&s);
        if (!ready) {
            return 0;
        }
        done += taken;
    }
    return 1;
}

int blake3_context_key(uint32_t key[8], const uint8_t *context, size_t length)
{
    const blake3_item item = {context, length};
    uint8_t digest[BLAKE3_DIGEST];
    if (!many(&item, 1, BLAKE3_IV, BLAKE3_DERIVE_KEY_CONTEXT, digest, BLAKE3_PORTABLE)) {
        return 0;
    }
    for (int i = 0; i < 4; i++) {
        const uint64_t pair = load64_le(digest + 8 * i);
        key[2 * i] = (uint32_t)pair;
        key[2 * i + 1] = (uint32_t)(pair >> 32);
    }
    return 1;
}

int blake3_many(const blake3_item *items, size_t count, const uint32_t *key, uint8_t *digests,
                blake3_path path)
{
    return key == NULL ? many(items, count, BLAKE3_IV, 0, digests, path)
                       : many(items, count, key, BLAKE3_DERIVE_KEY_MATERIAL, digests, path);
}

int blake3_records(const uint8_t *records, size_t size, size_t count, const uint32_t *key,
                   uint8_t *digests, blake3_path path)
{
    blake3_item items[SLICE_CHUNKS];
    for (size_t done = 0; done < count; done += SLICE_CHUNKS) {
        const size_t taken = count - done < SLICE_CHUNKS ? count - done : SLICE_CHUNKS;
        for (size_t i = 0; i < taken; i++) {
            items[i].data = records + (done + i) * size;
            items[i].length = size;
        }
        if (!blake3_many(items, taken, key, digests + done * BLAKE3_DIGEST, path)) {
            return 0;
        }
    }
    return 1;
}
