/* XXH64 with seed 0 (xxHash's specification, doc/xxhash_spec.md): what recordings keep of bytes that follow
 * from others, and of a block. Not a protection from forgery. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct rw_digest {
    uint64_t lane[4], total;
    uint8_t rest[32]; /* bytes that do not make a stripe yet */
    uint32_t held;
};

void rw_digest_begin(struct rw_digest *digest);
void rw_digest_add(struct rw_digest *digest, const uint8_t *data, size_t length);
uint64_t rw_digest_end(const struct rw_digest *digest);
