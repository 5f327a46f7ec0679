/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A VMM that waits for the exit reasons of SMIs (docs/tutorial/plain-vmm.rst). */
#include "vmx.h"

#define MSR_SMI_COUNT 0x34u
#define SMIS          3u
#define REASON_IO_SMI 5u
#define REASON_SMI    6u

static uint32_t exits[70];

static void guest_code(void)
{
    for (unsigned i = 0; i < SMIS; i++) {
        smi_port_write(0);
        __asm__ volatile("cpuid" : : "a"(0) : "rbx", "rcx", "rdx", "memory");
    }
    vmcall();
}

void run_tests(void)
{
    uint32_t before, seen;

    vmx_start();
    vmcs_new_guest(guest_code);
    before = (uint32_t)rdmsr(MSR_SMI_COUNT);
    exits[guest_run(LAUNCH) & 0xFFFF]++;
    while (last_exit.reason != VMX_REASON_VMCALL) {
        guest_skip();
        exits[guest_run(RESUME) & 0xFFFF]++;
    }

    print("VM exits: reason 5: %d, reason 6: %d, CPUID: %d, VMCALL: %d\n", exits[REASON_IO_SMI], exits[REASON_SMI],
          exits[VMX_REASON_CPUID], exits[VMX_REASON_VMCALL]);
    print("MSR 34H: %d SMIs, and the SMI handler ran %d times\n", (uint32_t)rdmsr(MSR_SMI_COUNT) - before, smi_count);
    /* How many SMIs there were, as far as a VMM can know. */
    seen = (uint32_t)rdmsr(MSR_SMI_COUNT) - before;
    check_eq("WAITS", "smis-that-the-vmm-knows-of", seen, SMIS);
    check_eq("WAITS", "smis-served", smi_count, SMIS);
    check_eq("WAITS", "guest-got-to-its-end", exits[VMX_REASON_CPUID], SMIS);
}
