/*
 * Runs a libFuzzer target without libFuzzer: seeded random inputs, and the files named behind the numbers.
 *
 *     target SEED COUNT [FILE...]
 *
 * With clang the targets are libFuzzer's own: leave this file out and add -fsanitize=fuzzer.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGEST 4096u

#define GROWTH 160u /* mutations that a program may be grown with */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
/* A target whose inputs are programs has one: program.h. */
__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* What libFuzzer would do to some bytes, for a custom mutator that asks. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most)
{
    (void)most;
    if (size)
        data[next() % size] ^= (uint8_t)(1u << next() % 8);
    return size;
}

/* A seeded input: a program, grown from nothing, or bytes. */
static size_t make(uint8_t *data)
{
    size_t size = 0;

    if (LLVMFuzzerCustomMutator) {
        for (uint64_t n = 8 + next() % GROWTH; n; n--)
            size = LLVMFuzzerCustomMutator(data, size, LARGEST, (unsigned int)next());
        return size;
    }
    size = next() % LARGEST;
    for (size_t n = 0; n < size; n++)
        data[n] = next() & 3 ? (uint8_t)(next() >> 8) : 0; /* zeros are worth more than their share */
    return size;
}

static int run_file(const char *name)
{
    static uint8_t data[1 << 16];
    FILE *file = fopen(name, "rb");
    size_t size;

    if (!file) {
        perror(name);
        return 1;
    }
    size = fread(data, 1, sizeof data, file);
    fclose(file);
    return LLVMFuzzerTestOneInput(data, size);
}

int main(int count, char **arguments)
{
    const uint64_t seed = count > 1 ? strtoull(arguments[1], NULL, 10) : 1;
    const uint64_t runs = count > 2 ? strtoull(arguments[2], NULL, 10) : 1000;

    for (int n = 3; n < count; n++)
        if (run_file(arguments[n]))
            return 1;
    for (uint64_t run = 0; run < runs; run++) {
        static uint8_t data[LARGEST];

        state = (seed + run) * 0x9e3779b97f4a7c15u + 1;
        LLVMFuzzerTestOneInput(data, make(data));
    }
    printf("%llu inputs\n", (unsigned long long)runs);
    return 0;
}
