/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Values that WRMSR refuses: those of addresses, of IA32_PAT and, in VMX
 * operation, of IA32_EFER, so that an exit saves none that an entry refuses. */
#include "vmx.h"

#define MSR_CSTAR   0xC0000083
#define EFER_FFXSR  (1u << 14)
#define NOT_CANONICAL 0x800000000000ull

static const struct {
    const char *name;
    uint32_t msr;
} addresses[] = {
    {"sysenter-esp", MSR_SYSENTER_ESP}, {"sysenter-eip", MSR_SYSENTER_EIP}, {"lstar", MSR_LSTAR},
    {"cstar", MSR_CSTAR},               {"fs-base", MSR_FS_BASE},           {"gs-base", MSR_GS_BASE},
    {"kernel-gs-base", MSR_KERNEL_GS_BASE},
};

static void test_addresses(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        uint64_t old = rdmsr(addresses[i].msr);

        check_eq("SDM-WRMSR", addresses[i].name, try_wrmsr(addresses[i].msr, NOT_CANONICAL), FAULT_GP);
        check_eq("SDM-WRMSR", addresses[i].name, rdmsr(addresses[i].msr), old);
        check_eq("SDM-WRMSR", addresses[i].name, try_wrmsr(addresses[i].msr, -NOT_CANONICAL), NO_FAULT);
        check_eq("SDM-WRMSR", addresses[i].name, rdmsr(addresses[i].msr), -NOT_CANONICAL);
        wrmsr(addresses[i].msr, old);
    }
}

static void test_pat(void)
{
    uint64_t old = rdmsr(MSR_PAT);

    for (uint64_t type = 0; type < 9; type++) {
        bool good = type < 8 && type != 2 && type != 3;

        check_eq("SDM-WRMSR", "pat", try_wrmsr(MSR_PAT, type << 40), good ? NO_FAULT : FAULT_GP);
    }
    wrmsr(MSR_PAT, old);
}

static void test_efer(void)
{
    uint64_t old = rdmsr(MSR_EFER);

    check_eq("SDM-WRMSR", "efer-sce", try_wrmsr(MSR_EFER, old ^ EFER_SCE), NO_FAULT);
    check_eq("SDM-WRMSR", "efer-nxe", try_wrmsr(MSR_EFER, old ^ EFER_NXE), NO_FAULT);
    wrmsr(MSR_EFER, old);
    check_eq("SDM-WRMSR", "efer-ffxsr", try_wrmsr(MSR_EFER, old | EFER_FFXSR), FAULT_GP);
    check_eq("SDM-WRMSR", "efer-bit-1", try_wrmsr(MSR_EFER, old | 2), FAULT_GP);
    check_eq("SDM-WRMSR", "efer-bit-63", try_wrmsr(MSR_EFER, old | 1ull << 63), FAULT_GP);
    check_eq("SDM-WRMSR", "efer-lme", try_wrmsr(MSR_EFER, old & ~(uint64_t)EFER_LME), FAULT_GP);
    check_eq("SDM-WRMSR", "efer-kept", rdmsr(MSR_EFER), old);
}

void run_tests(void)
{
    vmx_start();
    test_addresses();
    test_pat();
    test_efer();
}
