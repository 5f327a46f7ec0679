/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* EPT that maps 4 GBytes of guest-physical addresses to themselves. */
#ifndef MACHINE_TEST_EPT_H
#define MACHINE_TEST_EPT_H

#include "runtime.h"

#define EPT_RWX   7u
#define EPT_WB    (6u << 3)
#define EPT_LARGE (1u << 7)
#define EPT_LEAF  (EPT_RWX | EPT_WB | EPT_LARGE)
#define EPTP_WB4  0x1Eu /* four levels, write-back */

/* The EPT pointer; *directory is the table of the first GByte's 2-MByte pages. */
static inline uint64_t ept_identity(uint64_t *directory)
{
    uint64_t pml4 = phys(page_alloc()), pdpt = phys(page_alloc());
    uint64_t pd = phys(page_alloc());

    write64(pml4, pdpt | EPT_RWX);
    write64(pdpt, pd | EPT_RWX);
    for (uint64_t i = 1; i < 4; i++) {
        write64(pdpt + 8 * i, i << 30 | EPT_LEAF);
    }
    for (uint64_t i = 0; i < 512; i++) {
        write64(pd + 8 * i, i << 21 | EPT_LEAF);
    }
    *directory = pd;
    return pml4 | EPTP_WB4;
}

/* 4-KByte pages in place of the 2-MByte page at `area`; returns their table. */
static inline uint64_t ept_split(uint64_t directory, uint64_t area)
{
    uint64_t pt = phys(page_alloc());

    for (uint64_t i = 0; i < 512; i++) {
        write64(pt + 8 * i, (area + (i << 12)) | EPT_RWX | EPT_WB);
    }
    write64(directory + 8 * (area >> 21), pt | EPT_RWX);
    return pt;
}

#endif
