/*
 * Ring programs: an input is a row of instructions of 16 bytes, and the mutator works on whole ones. So what a program
 * has found (a ring that is set up, a frame in a hundred pieces) lasts when something is put in front of it.
 *
 *     op 1 | a 1 | b 1 | c 1 | x 4 | y 8
 *
 * A target that includes this file has LLVMFuzzerCustomMutator; libFuzzer calls it, and driver.c grows programs with it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct instruction {
    uint8_t op, a, b, c;
    uint32_t x;
    uint64_t y;
};

_Static_assert(sizeof(struct instruction) == 16, "a row of 16 bytes");

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);

static inline uint32_t program_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 16);
}

/* A number that means something to the card more often than its share: small, a power of two and its neighbours. */
static inline uint64_t program_number(uint64_t *state)
{
    const uint32_t how = program_random(state) % 8;

    if (how < 3)
        return program_random(state) % 256;
    if (how < 5)
        return (1ull << program_random(state) % 40) + program_random(state) % 3 - 1;
    return (uint64_t)program_random(state) << 32 | program_random(state);
}

static inline struct instruction program_instruction(uint64_t *state)
{
    return (struct instruction){
        .op = (uint8_t)program_random(state),
        .a = (uint8_t)program_random(state),
        .b = (uint8_t)program_random(state),
        .c = (uint8_t)program_random(state),
        .x = (uint32_t)program_number(state),
        .y = program_number(state),
    };
}

/* Change one field of one instruction. */
static inline void program_change(struct instruction *one, uint64_t *state)
{
    switch (program_random(state) % 7) {
    case 0: one->op = (uint8_t)program_random(state); break;
    case 1: one->a = (uint8_t)program_random(state); break;
    case 2: one->b = (uint8_t)program_number(state); break;
    case 3: one->c ^= (uint8_t)(1u << program_random(state) % 8); break;
    case 4: one->x = (uint32_t)program_number(state); break;
    case 5: one->y = program_number(state); break;
    default: one->y ^= 1ull << program_random(state) % 64; break;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    const size_t wide = sizeof(struct instruction), room = most / wide;
    size_t count = size / wide;
    struct instruction one;

    for (uint32_t changes = 1 + program_random(&state) % 4; changes; changes--) {
        const size_t at = count ? program_random(&state) % count : 0;
        const uint32_t how = program_random(&state) % 8;

        if ((how < 3 || !count) && count < room) { /* one more, new or a copy */
            one = program_instruction(&state);
            if (how == 2 && count)
                memcpy(&one, data + program_random(&state) % count * wide, wide);
            memmove(data + (at + 1) * wide, data + at * wide, (count - at) * wide);
            memcpy(data + at * wide, &one, wide);
            count++;
        } else if (how == 3 && count > 1) {
            memmove(data + at * wide, data + (at + 1) * wide, (count - at - 1) * wide);
            count--;
        } else if (how == 4 && count) {
            LLVMFuzzerMutate(data + at * wide, wide, wide);
        } else if (count) {
            memcpy(&one, data + at * wide, wide);
            program_change(&one, &state);
            memcpy(data + at * wide, &one, wide);
        }
    }
    return count * wide;
}
