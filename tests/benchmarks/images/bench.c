/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Clock, EPT and output of the benchmarks, see bench.h. */
#include "bench.h"

#define HPET               0xFED00000ull
#define HPET_CAPABILITIES  (HPET + 0x000)
#define HPET_CONFIGURATION (HPET + 0x010)
#define HPET_COUNTER       (HPET + 0x0F0)
#define FEMTO_PER_NANO     1000000u

static uint64_t start_ticks, start_counter;
static uint64_t directory;

void clock_start(void)
{
    write64(HPET_CONFIGURATION, 1);
    start_counter = read64(HPET_COUNTER);
    start_ticks = bench_ticks();
}

void clock_end(void)
{
    uint64_t period = read64(HPET_CAPABILITIES) >> 32;
    uint64_t counted = read64(HPET_COUNTER) - start_counter;
    uint64_t ticks = bench_ticks() - start_ticks;

    print("CLOCK ticks=%q ns=%q\n", ticks, counted * (period / FEMTO_PER_NANO));
}

void sample(const char *name, enum paging paging, uint32_t pages,
            uint64_t rounds, uint64_t ticks)
{
    static const char *const names[PAGINGS] = {"none", "2m", "4k"};

    print("SAMPLE name=%s ept=%s pages=%d rounds=%q ticks=%q\n", name,
          names[paging], pages, rounds, ticks);
}

uint64_t spare_directory(void)
{
    return directory;
}

void use_paging(enum paging paging)
{
    uint64_t pml4, pdpt, pd;

    if (paging == NO_EPT) {
        return;
    }
    pml4 = phys(page_alloc());
    pdpt = phys(page_alloc());
    pd = phys(page_alloc());
    directory = phys(page_alloc());
    write64(pml4, pdpt | EPT_RWX);
    write64(pdpt, pd | EPT_RWX);
    write64(pdpt + 8, directory | EPT_RWX);
    for (uint64_t i = 0; i < RAM_SIZE >> 21; i++) {
        uint64_t pt;

        if (paging == EPT_2M) {
            write64(pd + 8 * i, i << 21 | EPT_RWX | EPT_WB | EPT_LARGE);
            continue;
        }
        pt = phys(page_alloc());
        write64(pd + 8 * i, pt | EPT_RWX);
        for (uint64_t j = 0; j < 512; j++) {
            write64(pt + 8 * j, i << 21 | j << 12 | EPT_RWX | EPT_WB);
        }
    }
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
    wr(VMCS_EPT_POINTER, pml4 | EPTP_WB4);
}
