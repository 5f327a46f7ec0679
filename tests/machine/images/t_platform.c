/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Plain SMIs without VMX: delivery, the state the handler starts with, resume
 * points, SMRAM visibility.  Runs on every machine.
 */
#include "runtime.h"

#define SAVED_CR4    0x7F48u /* AMD64 save-state map, from SMBASE + 8000H */
#define SAVED_RIP    0x7F78u
#define SAVED_RCX    0x7FF0u
#define SAVED_RSI    0x7FC8u
#define SAVED_SMBASE 0x7F00u

static uint64_t saved(uint32_t offset)
{
    return read64(smi_smbase + 0x8000u + offset);
}

static volatile uint64_t saved_rip, saved_rcx;

static void note_resume_point(void)
{
    saved_rip = saved(SAVED_RIP);
    saved_rcx = saved(SAVED_RCX);
}

static void test_port_smi(void)
{
    uint64_t next;

    smi_hook = note_resume_point;

    /* DM-EXI-26: an SMI raised by a port write is taken on the boundary right
     * after that instruction (8.2 of the machine notes). */
    smi_count = 0;
    __asm__ volatile("lea 1f(%%rip), %0\n\toutb %%al, $0xB2\n1:"
                     : "=&r"(next)
                     : "a"(1)
                     : "memory");
    check_eq("DM-EXI-26", "out-imm8-count", smi_count, 1);
    check_eq("DM-EXI-26", "out-imm8-next-rip", saved_rip, next);

    __asm__ volatile("lea 1f(%%rip), %0\n\toutb %%al, %%dx\n1:"
                     : "=&r"(next)
                     : "a"(1), "d"(SMI_PORT)
                     : "memory");
    check_eq("DM-EXI-26", "out-dx-count", smi_count, 2);
    check_eq("DM-EXI-26", "out-dx-next-rip", saved_rip, next);
    smi_hook = NULL;
}

static void test_handler_state(void)
{
    const volatile struct smi_first_state *state = smi_state(DEFAULT_SMBASE);

    smi_port_write(0);
    /* DM-DEF-07: CR0.PE/EM/TS/PG = 0, CR4 = 0, DR7 = 400H. */
    check_eq("DM-DEF-07", "cr0-bits", state->cr0 & 0x8000000Du, 0);
    check_eq("DM-DEF-07", "cr4", state->cr4, 0);
    check_eq("DM-DEF-07", "dr7", state->dr7, 0x400);
    check_eq("DM-DEF-07", "smbase-in-save-map",
             (uint32_t)saved(SAVED_SMBASE), DEFAULT_SMBASE);
}

static void test_apic_smi(void)
{
    smi_count = 0;
    self_ipi(IPI_SMI, 0);
    for (volatile int i = 0; i < 1000 && !smi_count; i++) {
    }
    /* DM-INT-24: an APIC SMI goes to the core, not through IRR and ISR. */
    check_eq("DM-INT-24", "ipi-count", smi_count, 1);
    check_eq("DM-INT-24", "isr-empty", read32(0xFEE00100), 0);
}

static void two_more_smis(void)
{
    if (smi_count == 1) {
        smi_port_raise(0);
        self_ipi(IPI_SMI, 0);
        check_eq("DM-DEF-08", "smi-blocked-in-handler", smi_count, 1);
    }
}

static void test_latch(void)
{
    smi_count = 0;
    smi_hook = two_more_smis;
    smi_port_write(0);
    smi_hook = NULL;
    /* DM-DEF-24: one SMI is remembered while in SMM, however many came. */
    check_eq("DM-DEF-24", "one-latched", smi_count, 2);
}

static volatile uint32_t tseg_in_smm;

static void read_tseg(void)
{
    tseg_in_smm = read32(TSEG_BASE);
}

static void test_smram(void)
{
    write32(TSEG_BASE, 0x5453454D);
    tseg_close();
    /* DM-INT-44: SMM opens and closes SMRAM. */
    check_eq("DM-INT-44", "tseg-closed-outside", read32(TSEG_BASE), 0xFFFFFFFF);
    smm_call(read_tseg);
    check_eq("DM-INT-44", "tseg-open-in-smm", tseg_in_smm, 0x5453454D);
    check_eq("DM-INT-44", "tseg-closed-after", read32(TSEG_BASE), 0xFFFFFFFF);
}

static void move_smbase(void)
{
    write32(DEFAULT_SMBASE + 0x8000u + SAVED_SMBASE, 0x50000);
}

static void restore_smbase(void)
{
    write32(0x50000u + 0x8000u + SAVED_SMBASE, DEFAULT_SMBASE);
}

static void test_smbase(void)
{
    /* DM-DEF-38: RSM reloads SMBASE; it applies to the next SMI. */
    smi_install(0x50000);
    smm_call(move_smbase);
    check_eq("DM-DEF-38", "old-until-rsm", smi_smbase, DEFAULT_SMBASE);
    smm_call(restore_smbase);
    check_eq("DM-DEF-38", "moved", smi_smbase, 0x50000);
    smi_port_write(0);
    check_eq("DM-DEF-38", "moved-back", smi_smbase, DEFAULT_SMBASE);
}

void run_tests(void)
{
    test_port_smi();
    test_handler_state();
    test_apic_smi();
    test_latch();
    test_smram();
    test_smbase();
}
