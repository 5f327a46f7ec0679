/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A guest under EPT that waits for test_debugger.py: PROBE is OTHER for it. */
#include "vmx.h"

#define EPT_RWX  7u
#define EPT_LEAF (EPT_RWX | 6u << 3 | 1u << 7)
#define EPTP_WB4 0x1Eu

#define PROBE   0x2000000ull
#define OTHER   0x2200000ull
#define OUTSIDE 0x4F555453u
#define INSIDE  0x494E5344u

static void wait_for_debugger(void)
{
    print("READY probe=%x\n", read32(PROBE));
    for (;;) {
        __asm__ volatile("pause" : : : "memory");
    }
}

void run_tests(void)
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
    write64(pd + 8 * (PROBE >> 21), OTHER | EPT_LEAF);
    write32(PROBE, OUTSIDE);
    write32(OTHER, INSIDE);

    vmx_start();
    vmcs_new_guest(wait_for_debugger);
    wr(F_PROC, controls(MSR_VMX_TRUE_PROC, PROC_SECONDARY));
    wr(F_PROC2, controls(MSR_VMX_PROC2, PROC2_EPT));
    wr(F_EPTP, pml4 | EPTP_WB4);
    guest_run(LAUNCH);
    panic("the guest came back, reason %d", last_exit.reason);
}
