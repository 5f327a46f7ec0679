/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * DM-INT-29: what a VMX abort during an SMM VM exit leaves in the SMM-transfer VMCS,
 * here one that a careless STM has left outside SMRAM.  The abort resets the machine,
 * and memory survives that.
 */
#include "stm.h"

#define PASS_AT   0x500u
#define REGION_AT 0x508u
#define PASS(n)   (0x41425430u + (n))
#define INDICATOR 4u /* offset in the region */

enum { STORE_MSRS = 1, HOST_ADDRESS_SPACE = 6 };

static void careless_stm(void)
{
    stm_transfer_state();
    wr(VMCS_GUEST_DR7, 0x400);
    wr(VMCS_GUEST_IA32_DEBUGCTL, 0);
    wr(VMCS_GUEST_IA32_EFER, rdmsr(MSR_EFER));
    wr(VMCS_GUEST_RIP, rd(VMCS_GUEST_RIP) + 3);
    (void)vm_enter(&stm_guest, LAUNCH);
    check("DM-INT-29", "stm-entered", false, "");
    finish();
}

static void abort_with(uint32_t pass, void (*spoil)(void))
{
    stm_prepare();
    stm_program = careless_stm;
    write64(REGION_AT, activation_vmcs());
    vmcall();
    spoil();
    check_eq("DM-INT-29", "clear-before", read32(read64(REGION_AT) + INDICATOR), 0);
    write32(PASS_AT, PASS(pass));
    announce_reset();
    smi_port_raise(0x80);
    check("DM-INT-29", "still-running", false, "");
}

/* exec's current VMCS is the STM's. */
static void make_32_bit(void)
{
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, 0) & ~VMX_EXIT_HOST_ADDRESS_SPACE_SIZE);
}

static void store_x2apic(void)
{
    uint64_t area = phys(page_alloc());

    write32(area, 0x800);
    wr(VMCS_EXIT_MSR_STORE_ADDRESS, area);
    wr(VMCS_EXIT_MSR_STORE_COUNT, 1);
}

void run_tests(void)
{
    switch (read32(PASS_AT)) {
    case PASS(1):
        check_eq("DM-INT-29", "host-address-space", read32(read64(REGION_AT) + INDICATOR), HOST_ADDRESS_SPACE);
        abort_with(2, store_x2apic);
        break;
    case PASS(2):
        check_eq("DM-INT-29", "msr-store", read32(read64(REGION_AT) + INDICATOR), STORE_MSRS);
        break;
    default:
        abort_with(1, make_32_bit);
    }
}
