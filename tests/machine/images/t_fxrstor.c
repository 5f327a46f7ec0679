/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What one processor does with its FPU is nothing to the other: the second one
 * loads FPU state for as long as the first enters and leaves a guest under EPT.
 * To the guest one page is another; the host finds its own behind each exit.
 */
#include "ept.h"
#include "smp.h"
#include "vmx.h"

#define ROUNDS   200000u
#define OWN      0x4F574Eull
#define ANOTHER  0x4F54484552ull

void smp_guest(void);

static volatile uint64_t executed;
static volatile bool stop;

void smp_main(void)
{
    static uint8_t area[512] __attribute__((aligned(16)));

    __asm__ volatile("fninit; fxsave %0" : "=m"(area));
    while (!stop) {
        __asm__ volatile("fxrstor %0" : : "m"(area));
        executed++;
    }
}

static void start(void)
{
    smp_start();
    for (uint32_t i = 0; !executed; i++) {
        if (i > 200000000) {
            panic("the second processor does not start");
        }
        __asm__ volatile("pause" : : : "memory");
    }
}

/* Rounds until a wrong exit or translation. */
static uint32_t run_rounds(const volatile uint64_t *page)
{
    struct vm_registers r = {0};
    bool launch = LAUNCH;

    for (uint32_t i = 0; i < ROUNDS; i++, launch = RESUME) {
        if (vm_enter(&r, launch) != VMX_EXITED || rd(VMCS_EXIT_REASON) != VMX_REASON_VMCALL ||
            *page != OWN) {
            return i;
        }
        wr(VMCS_GUEST_RIP, rd(VMCS_GUEST_RIP) + rd(VMCS_EXIT_INSTRUCTION_LENGTH));
    }
    return ROUNDS;
}

void run_tests(void)
{
    uint64_t *own = page_alloc(), *other = page_alloc();
    uint64_t directory, table, before;

    *own = OWN;
    *other = ANOTHER;
    vmx_start();
    vmcs_new_guest(smp_guest);
    wr(VMCS_EPT_POINTER, ept_identity(&directory));
    table = ept_split(directory, phys(own) & ~0x1FFFFFull);
    write64(table + 8 * (phys(own) >> 12 & 511), phys(other) | EPT_RWX | EPT_WB);
    wr(VMCS_SECONDARY_CONTROLS, VMX_CPU2_EPT);
    wr(VMCS_PROCESSOR_CONTROLS, rd(VMCS_PROCESSOR_CONTROLS) | VMX_CPU_SECONDARY_CONTROLS);
    start();
    before = executed;
    check_eq("SDM-FXRSTOR", "exits", run_rounds(own), ROUNDS);
    check_eq("SDM-FXRSTOR", "meanwhile", executed > before, 1);
    stop = true;
    check_vmx("SDM-FXRSTOR", "vmxoff", vmxoff(), SUCCESS);
}
