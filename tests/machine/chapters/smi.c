/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* An SMI by itself, under the default treatment (docs/tutorial/smi-by-itself.rst). */
#include "../stm/stm_under_test.h"

#define MSR_SMI_COUNT 0x34u
#define SMIS          3u
#define PATTERN       0x1234567800u /* AL goes to the port */

/* Of the save-state map, which begins at SMBASE + FE00H: what QEMU calls 7E00H and up. */
#define MAP_REVISION 0xFCu
#define MAP_SMBASE   0x100u
#define MAP_RIP      0x178u
#define MAP_RAX      0x1F8u

static volatile uint32_t revision, saved_smbase, inside, runs;
static volatile uint64_t saved_rip, saved_rax, behind;

/* In SMM, between the SMI and RSM. */
static void handler(void)
{
    uint64_t map = smi_smbase + 0xFE00u;

    runs++;
    revision = read32(map + MAP_REVISION);
    saved_smbase = read32(map + MAP_SMBASE);
    saved_rip = read64(map + MAP_RIP);
    saved_rax = read64(map + MAP_RAX);
    inside = read32(SMBASE + 0x8000u);
}

/* OUT to port B2H: the chipset raises an SMI, and the processor takes it behind the instruction. */
static void raise_smi(void)
{
    __asm__ volatile("lea 1f(%%rip), %%rcx\n\tmov %%rcx, %0\n\tout %%al, $0xB2\n1:"
                     : "=m"(behind)
                     : "a"(PATTERN)
                     : "rcx", "memory");
}

void run_tests(void)
{
    uint32_t before, outside;

    firmware_start(); /* copies the handler to TSEG, moves SMBASE there, closes TSEG */
    before = (uint32_t)rdmsr(MSR_SMI_COUNT);
    smi_hook = handler;
    for (unsigned i = 0; i < SMIS; i++) {
        raise_smi();
    }
    outside = read32(SMBASE + 0x8000u);

    print("TSEG          %x to %x\n", TSEG_BASE, RAM_SIZE - 1);
    print("SMBASE        %x, the handler begins at %x\n", smi_smbase, smi_smbase + 0x8000u);
    print("save state    %x, revision %x\n", smi_smbase + 0xFE00u, revision);
    print("saved RAX     %q\n", saved_rax);
    print("saved RIP     %s\n", saved_rip == behind ? "behind the OUT" : "elsewhere");
    print("MSR 34H       %d SMIs, the handler ran %d times\n", (uint32_t)rdmsr(MSR_SMI_COUNT) - before, runs);
    print("its first 4 bytes, read from outside: %x\n", outside);
    print("the same, read by the handler: %s\n", inside == 0xFFFFFFFF ? "0xffffffff" : "instructions");

    check_eq("SMI", "where-the-handler-runs", smi_smbase, SMBASE);
    check_eq("SMI", "smbase-in-the-save-state", saved_smbase, SMBASE);
    check_eq("SMI", "handler-runs", runs, SMIS);
    check_eq("SMI", "counted-by-msr-34h", rdmsr(MSR_SMI_COUNT) - before, SMIS);
    check_eq("SMI", "saved-rax", saved_rax, PATTERN);
    check_eq("SMI", "saved-rip", saved_rip, behind);
    check_eq("SMI", "tseg-from-outside", outside, 0xFFFFFFFF);
    check("SMI", "tseg-from-inside", inside != 0xFFFFFFFF, "%x", inside);
}
