/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the SMI handler cannot leave behind, and what it must not do: cycles of executive.c. */
#include "stm_under_test.h"

static const uint32_t kept_msrs[] = {
    0x174, 0x175, 0x176, 0x277, 0x9B, 0xC0000080, 0xC0000081, 0xC0000082,
    0xC0000083, 0xC0000084, 0xC0000100, 0xC0000101, 0xC0000102,
    0xC0000103,
};

/* Of these the handler writes others. */
static const uint32_t interrupted_msrs[] = {
    0xC0000081, 0xC0000082, 0xC0000083, 0xC0000084, 0xC0000102, 0xC0000103,
};

void check_state_kept(void)
{
    uint64_t msrs[ARRAY_SIZE(kept_msrs)];
    uint64_t cr0, cr3, cr4, cr8;

    for (unsigned i = 0; i < ARRAY_SIZE(interrupted_msrs); i++) {
        wrmsr(interrupted_msrs[i], 0x1000 + i);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(kept_msrs); i++) {
        msrs[i] = rdmsr(kept_msrs[i]);
    }
    cr0 = read_cr0();
    cr3 = read_cr3();
    cr4 = read_cr4();
    cr8 = read_cr8();
    write_dr0(0x99);
    write_dr1(0x9A);
    write_dr2(0x9B);
    write_dr3(0x9C);
    write_dr6(0xFFFF0FF0);
    write_dr7(0x400);
    write_cr2(0x77);
    smi(HANDLER_CLOBBER);
    check_eq("STATE", "clobbered", clobbered, 1);
    check_eq("STATE", "clobber-faults", clobber_faults, 3);
    check_eq("STATE", "dr0", read_dr0(), 0x99);
    check_eq("STATE", "dr1", read_dr1(), 0x9A);
    check_eq("STATE", "dr2", read_dr2(), 0x9B);
    check_eq("STATE", "dr3", read_dr3(), 0x9C);
    check_eq("STATE", "dr6", read_dr6(), 0xFFFF0FF0);
    check_eq("STATE", "dr7", read_dr7(), 0x400);
    check_eq("STATE", "cr2", read_cr2(), 0x77);
    check_eq("STATE", "cr0", read_cr0(), cr0);
    check_eq("STATE", "cr3", read_cr3(), cr3);
    check_eq("STATE", "cr4", read_cr4(), cr4);
    check_eq("STATE", "cr8", read_cr8(), cr8);
    for (unsigned i = 0; i < ARRAY_SIZE(kept_msrs); i++) {
        check_eq("STATE", "msr", rdmsr(kept_msrs[i]), msrs[i]);
    }
}

static void read_other(uint64_t values[CLOBBERS])
{
    values[0] = read_dr0();
    values[1] = read_dr1();
    values[2] = read_dr2();
    values[3] = read_dr3();
    values[4] = read_dr6();
    values[5] = read_cr2();
    values[6] = rdmsr(0xC0000102);
}

/* One register after the other: each difference is seen by itself. */
void check_each_kept(void)
{
    uint64_t before[CLOBBERS], after[CLOBBERS];

    read_other(before);
    for (clobber_which = 0; clobber_which < CLOBBERS; clobber_which++) {
        smi(HANDLER_CLOBBER_ONE);
        read_other(after);
        for (unsigned i = 0; i < CLOBBERS; i++) {
            check_eq("STATE", "each", after[i], before[i]);
        }
    }
    handler_action = HANDLER_NOTHING;
}

void check_policy(void)
{
    smi(HANDLER_READ_MSEG);
    check_eq("POLICY", "mseg-read", handler_value, FAULT_GP);
    smi(HANDLER_WRITE_MONITOR_CTL);
    check_eq("POLICY", "monitor-ctl", handler_value, FAULT_GP);
    smi(HANDLER_RECORD_PORT);
    check_eq("POLICY", "record-port", handler_value, FAULT_GP);
    smi(HANDLER_VMXE);
    check_eq("POLICY", "vmxe", handler_value, FAULT_GP);

    smi(HANDLER_VMX);
    check_eq("POLICY", "vmx-instructions", handler_value, 0);

    smi(HANDLER_OSXSAVE);
    check_eq("POLICY", "osxsave", handler_value, FAULT_GP);
    handler_action = HANDLER_NOTHING;
}

/* CR0.CD and CR0.NW are in no VMCS. */
void check_caching(void)
{
    uint64_t cr0 = read_cr0();

    smi(HANDLER_CACHE);
    check_eq("STATE", "caching-set", handler_value, 0x60000000);
    check_eq("STATE", "caching", read_cr0(), cr0);
    handler_action = HANDLER_NOTHING;
}

/*
 * IRET of the handler, which unblocks NMIs: one that is sent then is delivered
 * once, after the return.
 */
void check_nmi(void)
{
    uint32_t before = nmi_count;

    smi(HANDLER_NMI);
    check_eq("STATE", "nmi-in-handler", handler_value, before);
    check_eq("STATE", "nmi-after-return", nmi_count, before + 1);
    smi(HANDLER_NOTHING);
    check_eq("STATE", "nmi-once", nmi_count, before + 1);
}
