/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Capability MSRs, IA32_FEATURE_CONTROL, 9BH and 9EH, outside VMX operation. */
#include "vmx.h"

#ifndef DUAL
#define DUAL 1 /* the processor offers the dual-monitor treatment */
#endif
#define MSEG_BASE (RAM_SIZE - 0x200000u)

static void test_basic(void)
{
    uint64_t basic = rdmsr(MSR_VMX_BASIC);
    uint64_t misc = rdmsr(MSR_VMX_MISC);

    /* Contract of the machine: revision 53544D02H, 1024 bytes, WB, TRUE MSRs. */
    check_eq("VMX-CAP-05", "revision", basic & 0x7FFFFFFF, 0x53544D02);
    check_eq("VMX-CAP-05", "bit-31", basic >> 31 & 1, 0);
    check_eq("VMX-CAP-06", "region-size", basic >> 32 & 0x1FFF, 1024);
    check_eq("VMX-CAP-09", "true-controls", basic >> 55 & 1, 1);
    /* DM-ENA-02: memory type for VMCS structures and the MSEG header is WB. */
    check_eq("DM-ENA-02", "memory-type", basic >> 50 & 15, 6);
    check_eq("VMX-CAP-07", "memory-type", basic >> 50 & 15, 6);
    check_eq("VMX-CAP-08", "ins-outs-information", basic >> 54 & 1, 1);
    check_eq("VMX-CAP-10", "address-width", basic >> 48 & 1, 0);
    /* DM-ENA-01: bit 49 is the only advertisement. */
    check_eq("DM-ENA-01", "dual-monitor", basic >> 49 & 1, DUAL);
    check_eq("VMX-CAP-16", "stores-lma", misc >> 5 & 1, 1);
    check_eq("VMX-CAP-17", "activity-hlt", misc >> 6 & 1, 1);
    /* DM-ENA-03, DM-ENA-04: announced with the treatment. */
    check_eq("DM-ENA-03", "smbase-readable", misc >> 15 & 1, DUAL);
    check_eq("DM-ENA-04", "bit-2-allowed", misc >> 28 & 1, DUAL);
    if (DUAL) {
        /* DM-ENA-05: MSEG revision identifier of this machine. */
        check_eq("DM-ENA-05", "mseg-revision", misc >> 32, 0);
    }
}

static void test_control_msrs(void)
{
    static const struct {
        uint32_t plain, true_msr;
        uint32_t default1;
    } rows[] = {
        {MSR_VMX_PIN, MSR_VMX_TRUE_PIN, 0x16},
        {MSR_VMX_PROC, MSR_VMX_TRUE_PROC, 0x0401E172},
        {MSR_VMX_EXIT, MSR_VMX_TRUE_EXIT, 0x36DFF},
        {MSR_VMX_ENTRY, MSR_VMX_TRUE_ENTRY, 0x11FF},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t plain = rdmsr(rows[i].plain);
        uint64_t exact = rdmsr(rows[i].true_msr);

        /* Allowed-0 bits are a subset of allowed-1 bits. */
        check("VMX-CAP-14", "allowed0-within-allowed1",
              !((uint32_t)exact & ~(uint32_t)(exact >> 32)), "msr:%x,value:%q",
              rows[i].true_msr, exact);
        check_eq("VMX-CAP-13", "same-allowed1", exact >> 32, plain >> 32);
        /* The plain MSR has every default1 bit in allowed-0. */
        check_eq("VMX-CAP-12", "default1", plain & rows[i].default1, rows[i].default1);
        check("VMX-CAP-13", "true-within-default1",
              !((uint32_t)exact & ~rows[i].default1), "value:%q", exact);
    }
    /* DM-ENA-07: VM-entry controls 10 and 11 may be 1 and may be 0. */
    check_eq("DM-ENA-07", "entry-allowed1",
             rdmsr(MSR_VMX_ENTRY) >> 42 & 3, DUAL ? 3 : 0);
    check_eq("DM-ENA-07", "entry-true-allowed1",
             rdmsr(MSR_VMX_TRUE_ENTRY) >> 42 & 3, DUAL ? 3 : 0);
    check_eq("DM-ENA-07", "entry-allowed0", rdmsr(MSR_VMX_ENTRY) >> 10 & 3, 0);
    check_eq("VMX-CAP-21", "cr0-fixed0", rdmsr(MSR_VMX_CR0_FIXED0), 0x80000021);
    check_eq("VMX-CAP-22", "cr4-fixed0", rdmsr(MSR_VMX_CR4_FIXED0), CR4_VMXE);
    check("VMX-CAP-22", "cr4-fixed1-vmxe", rdmsr(MSR_VMX_CR4_FIXED1) & CR4_VMXE, "");
    check_eq("VMX-CAP-21", "cr0-fixed1", rdmsr(MSR_VMX_CR0_FIXED1) & 0xE005003F,
             0xE005003F);
}

static void test_read_only(void)
{
    for (uint32_t msr = MSR_VMX_BASIC; msr <= MSR_VMX_TRUE_ENTRY; msr++) {
        /* DM-ENA-06: capability MSRs are read-only. */
        check_eq("DM-ENA-06", "wrmsr", try_wrmsr(msr, 0), FAULT_GP);
        check_eq("VMX-CAP-11", "wrmsr", try_wrmsr(msr, 0), FAULT_GP);
    }
}

static void test_feature_control(void)
{
    /* VMXON needs lock and the enable bit; #GP(0) otherwise. */
    check_eq("VMX-CAP-02", "reset-value", rdmsr(MSR_FEATURE_CONTROL), 0);
    check_eq("VMX-CAP-03", "reserved", try_wrmsr(MSR_FEATURE_CONTROL, 1u << 8),
             FAULT_GP);
    check_eq("VMX-CAP-02", "write-unlocked", try_wrmsr(MSR_FEATURE_CONTROL, 4),
             NO_FAULT);
    check_eq("VMX-CAP-02", "read-back", rdmsr(MSR_FEATURE_CONTROL), 4);
    check_eq("VMX-CAP-02", "lock", try_wrmsr(MSR_FEATURE_CONTROL, 5), NO_FAULT);
    check_eq("VMX-CAP-04", "locked", try_wrmsr(MSR_FEATURE_CONTROL, 5), FAULT_GP);
    check_eq("VMX-CAP-04", "kept", rdmsr(MSR_FEATURE_CONTROL), 5);
}

static uint32_t smm_read_9b, smm_read_9e, smm_write_9e;
static uint64_t smm_value_9b, smm_value_9e;

static void msr_in_smm(void)
{
    smm_read_9b = try_rdmsr(MSR_SMM_MONITOR_CTL, &smm_value_9b);
    smm_read_9e = try_rdmsr(MSR_SMBASE, &smm_value_9e);
    smm_write_9e = try_wrmsr(MSR_SMBASE, DEFAULT_SMBASE);
}

static void write_9b_in_smm(void)
{
    static const struct {
        const char *name;
        uint64_t value;
        uint32_t vector;
    } rows[] = {
        /* DM-ENA-13, DM-ENA-25: allowed in SMM whatever MSEG holds. */
        {"valid", MSEG_BASE | 1, NO_FAULT},
        /* DM-ENA-11: bit 2 as IA32_VMX_MISC[28] = 1 says. */
        {"bit-2", MSEG_BASE | 4, NO_FAULT},
        /* DM-ENA-10: reserved bits. */
        {"bit-1", MSEG_BASE | 2, FAULT_GP},
        {"bit-3", MSEG_BASE | 8, FAULT_GP},
        {"bit-11", MSEG_BASE | 0x800, FAULT_GP},
        {"bit-32", MSEG_BASE | 1ull << 32, FAULT_GP},
        {"bit-63", MSEG_BASE | 1ull << 63, FAULT_GP},
        {"off", 0, NO_FAULT},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t before = rdmsr(MSR_SMM_MONITOR_CTL);
        uint64_t want = rows[i].vector == NO_FAULT ? rows[i].value : before;

        check_eq("DM-ENA-10", rows[i].name,
                 try_wrmsr(MSR_SMM_MONITOR_CTL, rows[i].value), rows[i].vector);
        /* DM-ENA-09: defined bits read back. */
        check_eq("DM-ENA-09", rows[i].name, rdmsr(MSR_SMM_MONITOR_CTL), want);
    }
}

static void read_9b(void *unused)
{
    (void)unused;
    (void)rdmsr(MSR_SMM_MONITOR_CTL);
}

static void test_smm_msrs(void)
{
    uint64_t value = 0;

    smm_call(msr_in_smm);
    if (!DUAL) {
        /* DM-ENA-08, DM-ENA-27: both MSRs exist only with the treatment. */
        check_eq("DM-ENA-08", "read-outside",
                 try_rdmsr(MSR_SMM_MONITOR_CTL, NULL), FAULT_GP);
        check_eq("DM-ENA-08", "read-in-smm", smm_read_9b, FAULT_GP);
        check_eq("DM-ENA-27", "smbase-in-smm", smm_read_9e, FAULT_GP);
        return;
    }
    /* DM-ENA-19: 0 after reset; DM-ENA-14: readable anywhere at CPL 0. */
    check_eq("DM-ENA-14", "read-outside",
             try_rdmsr(MSR_SMM_MONITOR_CTL, &value), NO_FAULT);
    check_eq("DM-ENA-19", "reset-value", value, 0);
    check_eq("DM-ENA-14", "read-in-smm", smm_read_9b, NO_FAULT);
    check_eq("DM-ENA-14", "value-in-smm", smm_value_9b, 0);
    check_eq("DM-ENA-14", "read-at-cpl3", user_call(read_9b, NULL), FAULT_GP);
    /* DM-ENA-12: writing outside SMM raises #GP(0) whatever the value. */
    check_eq("DM-ENA-12", "write-outside", try_wrmsr(MSR_SMM_MONITOR_CTL, value),
             FAULT_GP);
    /* DM-ENA-28 to DM-ENA-30: SMBASE is read-only and readable in SMM only. */
    check_eq("DM-ENA-29", "smbase-outside", try_rdmsr(MSR_SMBASE, NULL),
             FAULT_GP);
    check_eq("DM-ENA-28", "write-smbase-outside", try_wrmsr(MSR_SMBASE, 0),
             FAULT_GP);
    check_eq("DM-ENA-28", "write-smbase-in-smm", smm_write_9e, FAULT_GP);
    check_eq("DM-ENA-30", "smbase-in-smm", smm_read_9e, NO_FAULT);
    check_eq("DM-ENA-30", "smbase-value", smm_value_9e, DEFAULT_SMBASE);
    smm_call(write_9b_in_smm);
}

void run_tests(void)
{
    check("VMX-CAP-01", "cpuid", vmx_supported(), "");
    test_basic();
    test_control_msrs();
    test_read_only();
    test_feature_control();
    test_smm_msrs();
}
