/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A host in 32-bit protected mode: its checks, and what a VM exit loads for it.
 * ABORT: its PDPTEs are bad when the VM exit loads them. */
#include "entry_check.h"

#ifndef ABORT
#define ABORT 0
#endif
#define CR4_PCIDE (1ull << 17)

extern volatile uint64_t host32_vmxon, host32_vmcs;
extern volatile uint32_t host32_cr3, host32_cr4, host32_flags, host32_error;
extern volatile struct {
    uint32_t reason, esp, cr0, cr3, cr4, efer, cs;
} host32_state;
extern uint8_t host32_exit[], host32_stack[];
void host32_run(void);

static uint64_t directory, pdpt;

static void make_tables(void)
{
    directory = phys(page_alloc());
    for (uint32_t i = 0; i < 1024; i++) {
        write32(directory + 4 * i, i << 22 | 0xE7);
    }
    pdpt = phys(page_alloc());
    for (uint64_t i = 0; i < 4; i++) {
        write64(pdpt + 8 * i, (phys(page_tables) + 0x2000 + 0x1000 * i) | 1);
    }
}

/* A VMCS for a 32-bit host, made while this program is in 64-bit mode. */
static void fresh(enum mode mode, bool pae)
{
    vmx_start();
    entry_fresh(mode);
    host32_cr3 = (uint32_t)(pae ? pdpt : directory);
    host32_cr4 = CR4_VMXE | (pae ? CR4_PAE : CR4_PSE);
    wr(VMCS_EXIT_CONTROLS, rd(VMCS_EXIT_CONTROLS) & ~VMX_EXIT_HOST_ADDRESS_SPACE_SIZE);
    wr(VMCS_HOST_CR3, host32_cr3);
    wr(VMCS_HOST_CR4, host32_cr4);
    wr(VMCS_HOST_CS_SELECTOR, SEL_CODE32);
    for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
        if (seg != SEG_CS) {
            wr(VMCS_HOST_ES_SELECTOR + 2 * seg, SEL_DATA32);
        }
    }
    wr(VMCS_HOST_RIP, phys(host32_exit));
    wr(VMCS_HOST_RSP, phys(host32_stack) - 64);
}

/* 0 after an exit, else the error number. */
static uint32_t run(void)
{
    vmclear(entry_vmcs);
    vmxoff();
    host32_vmxon = vmxon_region;
    host32_vmcs = entry_vmcs;
    host32_state.reason = 0;
    host32_run();
    return host32_flags & RFLAGS_ZF ? host32_error : host32_flags & RFLAGS_CF ? FAIL_INVALID : 0;
}

static void test_good(bool pae)
{
    const char *name = pae ? "pae" : "32-bit";

    fresh(MODE_32, pae);
    check_eq("VMX-HST-13", name, run(), 0);
    /* With PAE it runs on the PDPTEs that the exit has loaded. */
    check_eq(pae ? "VMX-EXI-27" : "VMX-HST-13", name, host32_state.reason, VMX_REASON_VMCALL);
    check_eq("VMX-EXI-18", name, host32_state.cr3, pae ? pdpt : directory);
    check_eq("VMX-EXI-18", name, host32_state.cr4, host32_cr4);
    check_eq("VMX-EXI-21", name, host32_state.efer & (EFER_LMA | EFER_LME), 0);
    check_eq("VMX-EXI-23", name, host32_state.cs & 0xFFFF, SEL_CODE32);
    check_eq("VMX-EXI-25", name, host32_state.esp, phys(host32_stack) - 64);
}

static void test_checks(void)
{
    fresh(MODE_32, false);
    wr(VMCS_HOST_SS_SELECTOR, 0);
    check_eq("VMX-HST-10", "ss-zero", run(), HOST);
    fresh(MODE_64, false);
    check_eq("VMX-HST-13", "ia32e-guest", run(), HOST);
    fresh(MODE_32, false);
    wr(VMCS_EXIT_CONTROLS, rd(VMCS_EXIT_CONTROLS) | VMX_EXIT_HOST_ADDRESS_SPACE_SIZE);
    wr(VMCS_HOST_CR4, CR4_VMXE | CR4_PAE);
    check_eq("VMX-HST-13", "64-bit-host", run(), HOST);
    fresh(MODE_32, true);
    wr(VMCS_HOST_CR4, host32_cr4 | CR4_PCIDE);
    check_eq("VMX-HST-14", "pcide", run(), HOST);
    fresh(MODE_32, false);
    wr(VMCS_HOST_RIP, 1ull << 32 | phys(host32_exit));
    check_eq("VMX-HST-14", "rip", run(), HOST);
}

void run_tests(void)
{
    make_tables();
    if (ABORT) {
        fresh(MODE_32, true);
        wr(VMCS_HOST_CR3, phys(page_alloc()));
        write64(rd(VMCS_HOST_CR3), phys(page_tables) | 0x1E7); /* reserved bits */
        expect_shutdown("VMX-EXI-27", "bad-pdpte");
        run();
        check("VMX-EXI-27", "bad-pdpte", false, "still-running");
        return;
    }
    test_good(false);
    test_good(true);
    test_checks();
}
