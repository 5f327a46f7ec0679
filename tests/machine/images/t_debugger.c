/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A guest under EPT that waits for test_debugger.py: PROBE is OTHER for it. */
#include "ept.h"
#include "vmx.h"

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
    uint64_t directory, eptp = ept_identity(&directory);

    write64(directory + 8 * (PROBE >> 21), OTHER | EPT_LEAF);
    write32(PROBE, OUTSIDE);
    write32(OTHER, INSIDE);

    vmx_start();
    vmcs_new_guest(wait_for_debugger);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
    wr(VMCS_EPT_POINTER, eptp);
    guest_run(LAUNCH);
    panic("the guest came back, reason %d", last_exit.reason);
}
