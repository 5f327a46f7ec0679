/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The capability MSRs, told line by line for the documentation, and what they
 * promise about each other and about the fields of the VMCS. */
#include "vmx.h"

#define MSR_VMX_VMFUNC 0x491

static void tell(void)
{
    for (uint32_t msr = MSR_VMX_BASIC; msr <= MSR_VMX_VMFUNC; msr++) {
        uint64_t value = 0;

        if (try_rdmsr(msr, &value) == NO_FAULT) {
            print("MSR index=%x value=%q\n", msr, value);
        }
    }
}

static bool exists(uint32_t msr)
{
    return try_rdmsr(msr, NULL) == NO_FAULT;
}

static void test_existence(void)
{
    bool secondary = rdmsr(MSR_VMX_PROC) >> 63;
    uint32_t proc2 = secondary ? (uint32_t)(rdmsr(MSR_VMX_PROC2) >> 32) : 0;

    check_eq("VMX-CAP-15", "exists", exists(MSR_VMX_PROC2), secondary);
    if (secondary) {
        check_eq("VMX-CAP-15", "allowed-0", (uint32_t)rdmsr(MSR_VMX_PROC2), 0);
    }
    check_eq("VMX-CAP-24", "exists", exists(MSR_VMX_EPT_VPID), !!(proc2 & 0x22));
    check_eq("VMX-CAP-26", "exists", exists(MSR_VMX_VMFUNC), !!(proc2 & VMX_CPU2_VMFUNC));
    check_eq("VMX-CAP-09", "exists", exists(MSR_VMX_TRUE_PIN),
             rdmsr(MSR_VMX_BASIC) >> 55 & 1);
}

static void test_misc(void)
{
    uint64_t misc = rdmsr(MSR_VMX_MISC);

    check("VMX-CAP-18", "cr3-targets", (misc >> 16 & 0x1FF) <= 4, "misc:%q", misc);
    check_eq("VMX-CAP-18", "fields",
             vmwrite_flags(0x6008 + 2 * (uint32_t)(misc >> 16 & 0x1FF) - 2, 0), VMX_SUCCEED);
    check_eq("VMX-CAP-20", "vmwrite-read-only",
             vmwrite_flags(VMCS_EXIT_QUALIFICATION, 0) == VMX_SUCCEED, misc >> 29 & 1);
}

static struct {
    uint32_t msr, reserved;
    uint64_t value;
} area[8 * 512] __attribute__((aligned(16)));

static void guest_code(void)
{
    __asm__ volatile("vmcall" : : : "memory");
}

/* An area as long as is recommended is used to its last entry. */
static void test_msr_area(void)
{
    uint32_t entries = 512 * ((uint32_t)(rdmsr(MSR_VMX_MISC) >> 25 & 7) + 1);
    uint64_t star = rdmsr(MSR_STAR);
    uint64_t region = vmcs_new_guest(guest_code);

    for (uint32_t i = 0; i < entries; i++) {
        area[i].msr = MSR_STAR;
        area[i].value = (uint64_t)(i + 1) << 32;
    }
    wr(VMCS_ENTRY_MSR_LOAD_ADDRESS, phys(area));
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, entries);
    check_eq("VMX-CAP-19", "entered", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-CAP-19", "last-entry", rdmsr(MSR_STAR), (uint64_t)entries << 32);
    wrmsr(MSR_STAR, star);
    vmclear(region);
    vmcs_new();
}

/* Every encoding of the architecture, in every width and type. */
static void test_enumeration(void)
{
    uint32_t highest = 0;

    for (uint32_t width = 0; width < 4; width++) {
        for (uint32_t type = 0; type < 4; type++) {
            for (uint32_t index = 0; index < 0x80; index++) {
                uint64_t value = 0;
                uint32_t encoding = width << 13 | type << 10 | index << 1;

                if (vmread_flags(encoding, &value) == VMX_SUCCEED && index > highest) {
                    highest = index;
                }
            }
        }
    }
    check_eq("VMX-CAP-23", "highest-index", rdmsr(MSR_VMX_VMCS_ENUM) >> 1 & 0x1FF, highest);
}

/* Fields that exist exactly because a control may be 1. */
static void test_fields(void)
{
    static const struct {
        const char *name;
        uint32_t field, msr, control;
    } rows[] = {
        {"vpid", VMCS_VPID, MSR_VMX_PROC2, 1u << 5},
        {"virtual-apic-address", 0x2012, MSR_VMX_PROC, 1u << 21},
        {"tpr-threshold", 0x401C, MSR_VMX_PROC, 1u << 21},
        {"apic-access-address", 0x2014, MSR_VMX_PROC2, 1u << 0},
        {"msr-bitmap", VMCS_MSR_BITMAP, MSR_VMX_PROC, VMX_CPU_MSR_BITMAPS},
        {"io-bitmap-a", VMCS_IO_BITMAP_A, MSR_VMX_PROC, VMX_CPU_IO_BITMAPS},
        {"secondary-controls", VMCS_SECONDARY_CONTROLS, MSR_VMX_PROC, VMX_CPU_SECONDARY_CONTROLS},
        {"eptp", VMCS_EPT_POINTER, MSR_VMX_PROC2, VMX_CPU2_EPT},
        {"guest-physical-address", VMCS_GUEST_PHYSICAL_ADDRESS, MSR_VMX_PROC2, VMX_CPU2_EPT},
        {"pdpte-0", 0x280A, MSR_VMX_PROC2, VMX_CPU2_EPT},
        {"pdpte-3", 0x2810, MSR_VMX_PROC2, VMX_CPU2_EPT},
        {"preemption-timer", VMCS_PREEMPTION_TIMER_VALUE, MSR_VMX_PIN, 1u << 6},
        {"vm-function-controls", 0x2018, MSR_VMX_PROC2, VMX_CPU2_VMFUNC},
        {"ple-gap", 0x4020, MSR_VMX_PROC2, 1u << 10},
        {"ple-window", 0x4022, MSR_VMX_PROC2, 1u << 10},
        {"xss-exiting-bitmap", 0x202C, MSR_VMX_PROC2, 1u << 20},
        {"guest-pat", VMCS_GUEST_IA32_PAT, MSR_VMX_ENTRY, VMX_ENTRY_LOAD_PAT},
        {"guest-efer", VMCS_GUEST_IA32_EFER, MSR_VMX_ENTRY, VMX_ENTRY_LOAD_EFER},
        {"host-pat", VMCS_HOST_IA32_PAT, MSR_VMX_EXIT, VMX_EXIT_LOAD_PAT},
        {"host-efer", VMCS_HOST_IA32_EFER, MSR_VMX_EXIT, VMX_EXIT_LOAD_EFER},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t value = 0;

        if (rdmsr(rows[i].msr) >> 32 & rows[i].control) {
            check_eq("VMX-INS-37", rows[i].name, vmread_flags(rows[i].field, &value), VMX_SUCCEED);
        }
    }
}

void run_tests(void)
{
    tell();
    vmx_start();
    vmcs_new();
    test_existence();
    test_misc();
    test_msr_area();
    test_enumeration();
    test_fields();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
