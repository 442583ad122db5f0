/* Choosing between the batch equation and individual verdicts, and cutting work into chunks. */
#include "ed25519.h"

#include "batch.h"
#include "cpu.h"

ed25519_path ed25519_best_path(void)
{
    return cpu_has_avx512ifma() ? ED25519_AVX512IFMA : ED25519_PORTABLE;
}

static const batch_kernel *kernel_of(ed25519_path path)
{
#if CONCORDAT_X86
    if (path == ED25519_AVX512IFMA) {
        return &BATCH_IFMA;
    }
#endif
    (void)path;
    return &BATCH_PORTABLE;
}

static ed25519_result verify_chunk(const ed25519_item *items, size_t count,
                                   const uint8_t seed[32], uint8_t *verdicts, ed25519_path path)
{
    const batch_kernel *kernel = kernel_of(path);
    batch b;
    if (!batch_open(&b, items, count)) {
        return ED25519_NO_MEMORY;
    }
    ed25519_result result = ED25519_INVALID;
    if (verdicts != NULL) {
        memset(verdicts, 0, count);
    }
    if (b.count == 0) {
        result = ED25519_JUDGED;
    } else if (verdicts != NULL || b.count == count) {
        batch_hash(&b, seed, kernel->hash);
        result = kernel->evaluate(&b, seed, verdicts);
    }
    batch_close(&b);
    return result;
}

static size_t chunk_size(size_t left)
{
    return left < ED25519_CHUNK ? left : ED25519_CHUNK;
}

ed25519_result ed25519_verify_batch(const ed25519_item *items, size_t count,
                                    const uint8_t seed[32], ed25519_path path)
{
    for (size_t done = 0; done < count; done += ED25519_CHUNK) {
        const ed25519_result result =
            verify_chunk(items + done, chunk_size(count - done), seed, NULL, path);
        if (result != ED25519_VALID) {
            return result;
        }
    }
    return ED25519_VALID;
}

ed25519_result ed25519_verify_many(const ed25519_item *items, size_t count, const uint8_t seed[32],
                                   uint8_t *verdicts, ed25519_path path)
{
    for (size_t done = 0; done < count; done += ED25519_CHUNK) {
        const size_t chunk = chunk_size(count - done);
        if (chunk < kernel_of(path)->count_min) {
            ed25519_verify_each(items + done, chunk, verdicts + done, path);
        } else if (verify_chunk(items + done, chunk, seed, verdicts + done, path) ==
                   ED25519_NO_MEMORY) {
            return ED25519_NO_MEMORY;
        }
    }
    return ED25519_VALID;
}
