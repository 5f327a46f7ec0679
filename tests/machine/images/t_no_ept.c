/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A processor without EPT and VPIDs: what belongs to them is not there. */
#include "vmx.h"

static void do_invept(void *unused)
{
    uint64_t descriptor[2] = {0, 0};

    (void)unused;
    __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(2ull) : "cc", "memory");
}

static void do_invvpid(void *unused)
{
    uint64_t descriptor[2] = {0, 0};

    (void)unused;
    __asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"(2ull) : "cc", "memory");
}

void run_tests(void)
{
    vmx_start();
    check_eq("VMX-CAP-24", "not-there", try_rdmsr(MSR_VMX_EPT_VPID, NULL), FAULT_GP);
    check_eq("VMX-CAP-26", "as-the-control", try_rdmsr(0x491, NULL) == NO_FAULT,
             rdmsr(MSR_VMX_PROC2) >> 45 & 1);
    check_eq("VMX-CAP-15", "ept-and-vpid", rdmsr(MSR_VMX_PROC2) >> 32 & 0x22, 0);
    check_eq("VMX-INS-45", "invept", try_call(do_invept, NULL), FAULT_UD);
    check_eq("VMX-INS-50", "invvpid", try_call(do_invvpid, NULL), FAULT_UD);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
