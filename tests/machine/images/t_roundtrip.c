/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The short path of one SMI, many times: SMM VM exit, entry to the handler, RSM
 * exit, return from SMM; from root operation and from a guest under EPT, the
 * handler under EPT as well.  ROUNDS SMIs of each kind.
 */
#include "stm.h"

#ifndef ROUNDS
#define ROUNDS 2000
#endif

#define EPT_RWX   7u
#define EPT_WB    (6u << 3)
#define EPT_LARGE (1u << 7)

static uint64_t transfer, handler_vmcs, handler_start;
static struct vm_registers handler_registers;
static bool handler_launched;
static volatile uint32_t handled, wrong;
static uint64_t guest_ept, handler_ept;

/* Identity over 4 GB in 1-GB pages; `hide` is left out (2-MB pages then). */
static uint64_t make_ept(uint64_t hide)
{
    uint64_t pml4 = phys(page_alloc()), pdpt = phys(page_alloc());
    uint64_t pd = phys(page_alloc());

    write64(pml4, pdpt | EPT_RWX);
    for (uint64_t i = 0; i < 4; i++) {
        write64(pdpt + 8 * i, i << 30 | EPT_RWX | EPT_WB | EPT_LARGE);
    }
    if (hide) {
        for (uint64_t i = 0; i < 512; i++) {
            write64(pd + 8 * i, i << 21 | EPT_RWX | EPT_WB | EPT_LARGE);
        }
        write64(pdpt, pd | EPT_RWX);
        write64(pd + 8 * (hide >> 21), 0);
    }
    return pml4 | 0x1E;
}

static void handler(void)
{
    handled++;
    __asm__ volatile("rsm" : : : "memory");
}

static void use_ept(uint64_t eptp)
{
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
    wr(VMCS_EPT_POINTER, eptp);
}

/* The handler's VMCS lies in MSEG, its page tables do not. */
static void make_handler(void)
{
    uint64_t built = vmcs_new_guest(handler);

    use_ept(handler_ept);
    wr(VMCS_GUEST_CR3, phys(page_tables));
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_TO_SMM);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    wr(VMCS_CR4_GUEST_HOST_MASK, CR4_VMXE);
    wr(VMCS_CR4_READ_SHADOW, 0);
    handler_start = rd(VMCS_GUEST_RIP);
    vmclear(built);
    handler_vmcs = MSEG_BASE + MSEG_GUEST_VMCS;
    memcpy((void *)handler_vmcs, (void *)built, PAGE_SIZE);
    vmclear(handler_vmcs);
    vmptrld(transfer);
}

/* Every SMI: run the handler once. */
static void run_handler(void)
{
    transfer = vmptrst();
    if (!handler_vmcs) {
        make_handler();
    }
    if ((stm_log.reason & 0xFFFF) == VMX_REASON_VMCALL) {
        return;
    }
    vmptrld(handler_vmcs);
    wr(VMCS_GUEST_RIP, handler_start);
    wr(VMCS_GUEST_RSP, guest_stack_top() - 0x2008); /* apart from the guest's */
    if (vm_enter(&handler_registers, !handler_launched) != VMX_EXITED ||
        rd(VMCS_EXIT_REASON) != VMX_REASON_RSM) {
        wrong++;
    }
    handler_launched = true;
    vmptrld(transfer);
}

static void guest_code(void)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        smi_port_write(0x80); /* 2 and 3 only switch ACPI mode */
    }
    __asm__ volatile("vmcall" : : : "memory");
}

void run_tests(void)
{
    uint32_t before;
    uint64_t region;

    guest_ept = make_ept(0);
    handler_ept = make_ept(MSEG_BASE);
    stm_always = run_handler;
    stm_activate();

    before = stm_exits;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        smi_port_write(0x80); /* 2 and 3 only switch ACPI mode */
    }
    check_eq("DM-EXI-02", "root-exits", stm_exits - before, ROUNDS);
    check_eq("DM-STM-10", "root-handled", handled, ROUNDS);
    check_eq("DM-STM-06", "root-rsm", wrong, 0);

    handled = 0;
    before = stm_exits;
    region = vmcs_new_guest(guest_code);
    use_ept(guest_ept);
    check_eq("DM-RET-50", "guest-end", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-EXI-02", "guest-exits", stm_exits - before, ROUNDS);
    check_eq("DM-STM-10", "guest-handled", handled, ROUNDS);
    check_eq("DM-STM-06", "guest-rsm", wrong, 0);
    vmclear(region);
}
