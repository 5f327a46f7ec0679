/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Addresses that no memory answers, and TSEG seen from outside SMM: reads return
 * all ones at every width, whether an instruction makes them or the processor
 * itself for a structure of VMX.
 */
#include "ept.h"
#include "vmx.h"

#define NOWHERE       0x8000000ull /* above the 64 MBytes, below the devices */

static void check_reads(const char *name, uint64_t at)
{
    volatile uint8_t *p = (volatile uint8_t *)(uintptr_t)at;

    check_eq("SDM-BUS", name, *p, 0xFF);
    check_eq("SDM-BUS", name, *(volatile uint16_t *)p, 0xFFFF);
    check_eq("SDM-BUS", name, read32(at), UINT32_MAX);
    check_eq("SDM-BUS", name, read64(at), UINT64_MAX);
    check_eq("SDM-BUS", name, read64(at + 1), UINT64_MAX);
}

static void test_reads(void)
{
    check_reads("nowhere", NOWHERE);
    write64(NOWHERE, 0x123456789ABCDEF0);
    check_reads("write-is-lost", NOWHERE);
    write64(TSEG_BASE, 0);
    write64(TSEG_BASE - 8, 0);
    tseg_close();
    check_reads("tseg", TSEG_BASE);
    write64(TSEG_BASE, 0x123456789ABCDEF0);
    check_reads("tseg-write-is-lost", TSEG_BASE);
    check_eq("SDM-BUS", "into-tseg", read64(TSEG_BASE - 4), 0xFFFFFFFF00000000);
}

static volatile uint64_t tseg_in_smm;

static void read_tseg(void)
{
    tseg_in_smm = read64(TSEG_BASE);
}

static void g_rdmsr(void)
{
    (void)rdmsr(MSR_PAT);
    __asm__ volatile("vmcall" : : : "memory");
}

static void g_in(void)
{
    (void)inb(0x80);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_structures(void)
{
    vmcs_new_guest(g_rdmsr);
    check_vmx("SDM-BUS", "vmptrld", vmptrld(NOWHERE), VMX_ERROR_VMPTRLD_REVISION);
    wr(VMCS_ENTRY_MSR_LOAD_ADDRESS, NOWHERE);
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
    /* "Loading MSRs": bits 63:32 of an entry must be 0. */
    check_eq("SDM-BUS", "msr-load-area", guest_run(LAUNCH), REASON_BAD_MSR);
    check_eq("SDM-BUS", "first-entry", last_exit.qualification, 1);

    vmcs_new_guest(g_rdmsr);
    wr(VMCS_PROCESSOR_CONTROLS, rd(VMCS_PROCESSOR_CONTROLS) | VMX_CPU_MSR_BITMAPS);
    wr(VMCS_MSR_BITMAP, NOWHERE);
    check_eq("SDM-BUS", "msr-bitmap", guest_run(LAUNCH), VMX_REASON_RDMSR);

    vmcs_new_guest(g_in);
    wr(VMCS_PROCESSOR_CONTROLS, rd(VMCS_PROCESSOR_CONTROLS) | VMX_CPU_IO_BITMAPS);
    wr(VMCS_IO_BITMAP_A, NOWHERE);
    wr(VMCS_IO_BITMAP_B, NOWHERE);
    check_eq("SDM-BUS", "io-bitmap", guest_run(LAUNCH), VMX_REASON_IO);

    vmcs_new_guest(g_in);
    wr(VMCS_PROCESSOR_CONTROLS, rd(VMCS_PROCESSOR_CONTROLS) | VMX_CPU_SECONDARY_CONTROLS);
    wr(VMCS_SECONDARY_CONTROLS, VMX_CPU2_EPT);
    wr(VMCS_EPT_POINTER, NOWHERE | EPTP_WB4);
    /* "EPT Misconfigurations": an entry with reserved bits. */
    check_eq("SDM-BUS", "ept", guest_run(LAUNCH), VMX_REASON_EPT_MISCONFIGURATION);
}

void run_tests(void)
{
    test_reads();
    smm_call(read_tseg);
    check_eq("SDM-BUS", "tseg-kept", tseg_in_smm, 0);
    vmx_start();
    test_structures();
    check_vmx("SDM-BUS", "vmxoff", vmxoff(), SUCCESS);
}
