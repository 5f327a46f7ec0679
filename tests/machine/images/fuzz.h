/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Random values with a fixed sequence, for the images that plant defects. */
#ifndef MACHINE_TEST_FUZZ_H
#define MACHINE_TEST_FUZZ_H

#include <stdint.h>

#ifndef SEED
#define SEED 1
#endif

static uint64_t random_state = SEED * 0x9E3779B97F4A7C15ull + 1;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* One or two bits changed, or everything. */
static uint64_t mutate(uint64_t value)
{
    uint64_t r = next_random();

    switch (r >> 60 & 3) {
    case 0:
        return value ^ 1ull << (r & 31);
    case 1:
        return value ^ 1ull << (r & 63);
    case 2:
        return value ^ (1ull << (r & 31) | 1ull << (r >> 8 & 31));
    default:
        return next_random();
    }
}

#endif
