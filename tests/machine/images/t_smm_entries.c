/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the VM-entry controls 10 and 11 do, in SMM and outside it; deactivation. */
#include "guest_code.h"
#include "stm.h"

#define WAIT_FOR_SIPI 3

GUEST(g_out, "out %al, $0xB2", "inc %rbx");
GUEST(g_call, "nop", "nop");

static uint64_t exec_vmcs;
static volatile uint32_t nmis;

static bool count_nmi(struct fault_frame *frame)
{
    nmis += frame->vector == 2;
    return frame->vector == 2;
}

static void wait_a_little(void)
{
    for (volatile int i = 0; i < 1000; i++) {
    }
}

static void add_proc(uint32_t set)
{
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, (uint32_t)rd(VMCS_PROCESSOR_CONTROLS) | set));
}

static volatile uint32_t failure;

/* In the STM: the error number of a return that fails. */
static void note_failure(void)
{
    failure = vm_enter(&stm_guest, stm_launch) == VMX_FAIL_VALID ? (uint32_t)rd(VMCS_INSTRUCTION_ERROR) : 0;
}

static void pend_and_block(void)
{
    self_ipi(IPI_SMI, 0);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
}

static void pend(void)
{
    self_ipi(IPI_SMI, 0);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
}

/* ---- controls 10 and 11 ---- */
static void deactivate(void)
{
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
}

static volatile uint32_t sguest_smbase, exits_in_sguest;

static void sguest_code(void)
{
    sguest_smbase = try_rdmsr(MSR_SMBASE, NULL);
    __asm__ volatile("vmcall" : : : "memory");
    exits_in_sguest = stm_exits;
    __asm__ volatile("vmcall" : : : "memory");
}

static uint64_t new_sguest(uint64_t executive)
{
    uint64_t region = vmcs_new_guest(sguest_code);

    add_proc(VMX_CPU_MSR_BITMAPS);
    wr(VMCS_MSR_BITMAP, phys(page_alloc()));
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_TO_SMM);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    wr(VMCS_EXECUTIVE_VMCS_POINTER, executive);
    return region;
}

static void entries_in_smm(void)
{
    const uint64_t pointers[] = {0, 1, 0x123456789ABCDEFull, UINT64_MAX};
    uint64_t transfer = vmptrst(), region;
    uint32_t before = stm_exits;

    for (unsigned i = 0; i < ARRAY_SIZE(pointers); i++) {
        region = new_sguest(pointers[i]);
        check_eq("DM-STM-11", "entered", guest_run(LAUNCH), VMX_REASON_VMCALL);
        check_eq("DM-STM-11", "not-used", rd(VMCS_EXECUTIVE_VMCS_POINTER), pointers[i]);
        vmclear(region);
    }
    region = new_sguest(1);
    sguest_smbase = FAULT_GP;
    check_eq("DM-CTL-05", "10-enters-a-guest", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-CTL-05", "inside-smm", sguest_smbase, NO_FAULT);
    guest_skip();
    self_ipi(IPI_SMI, 0);
    exits_in_sguest = 0;
    guest_run(RESUME);
    check_eq("DM-CTL-16", "blocked-in-the-guest", exits_in_sguest, before);
    wait_a_little();
    check_eq("DM-CTL-16", "blocked-behind-it", stm_exits, before);
    vmclear(region);

    region = new_sguest(1);
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
    check_vmx("DM-CTL-05", "both-fail", vm_enter(&guest, LAUNCH), VMX_ERROR_ENTRY_CONTROLS);
    vmclear(region);

    region = new_sguest(1);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
    vm_enter(&guest, LAUNCH);
    check_eq("DM-CTL-09", "bit-2-clear", rd(VMCS_EXIT_REASON), REASON_BAD_GUEST);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    check_eq("DM-CTL-09", "bit-2-set", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);

    region = new_sguest(1);
    wr(VMCS_GUEST_ACTIVITY_STATE, WAIT_FOR_SIPI);
    vm_enter(&guest, LAUNCH);
    check_eq("DM-CTL-10", "wait-for-sipi", rd(VMCS_EXIT_REASON), REASON_BAD_GUEST);
    wr(VMCS_GUEST_ACTIVITY_STATE, 0);
    check_eq("DM-CTL-10", "active", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);

    vmptrld(transfer);
    vmclear(transfer);
    vmptrld(transfer);
    check_vmx("DM-STM-26", "vmresume", vmresume_plain(), VMX_ERROR_VMRESUME_NOT_LAUNCHED);
    stm_launch = true;
}

static void test_entries(void)
{
    uint32_t before = stm_exits;

    stm_hook = entries_in_smm;
    vmcall();
    check_eq("DM-STM-26", "vmlaunch-returns", try_rdmsr(MSR_SMBASE, NULL), FAULT_GP);
    check_eq("DM-CTL-16", "taken-outside", stm_exits, before + 2);
    check_eq("DM-CTL-05", "none-returns", vmptrst(), exec_vmcs);
}

/* Outside SMM: the executive-VMCS pointer is nobody's business. */
static void test_outside_entries(void)
{
    const uint64_t pointers[] = {1, UINT64_MAX, MSEG_BASE, vmxon_region};
    uint64_t region;

    for (unsigned i = 0; i < ARRAY_SIZE(pointers); i++) {
        region = vmcs_new_guest(g_call);
        wr(VMCS_EXECUTIVE_VMCS_POINTER, pointers[i]);
        check_eq("DM-RET-68", "enters", guest_run(LAUNCH), VMX_REASON_VMCALL);
        vmclear(region);
    }
    region = vmcs_new_guest(g_call);
    deactivate();
    check_vmx("DM-DEA-02", "outside-smm", vm_enter(&guest, LAUNCH), VMX_ERROR_ENTRY_CONTROLS);
    vmclear(region);
    vmptrld(exec_vmcs);
}

/* ---- deactivation ---- */
static void deactivate_guest(void)
{
    deactivate();
    note_failure();
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) & ~(uint64_t)VMX_ENTRY_DEACTIVATE);
}

static volatile uint32_t nmis_in_stm;

static void pend_nmi(void)
{
    self_ipi(IPI_NMI, 0);
    wait_a_little();
    nmis_in_stm = nmis;
    deactivate();
}

static void pend_nmi_blocked(void)
{
    pend_nmi();
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI);
}

static void pend_smi_open(void)
{
    pend();
    deactivate();
}

static void pend_smi_blocked(void)
{
    pend_and_block();
    deactivate();
}

static void activate(void)
{
    uint32_t before = stm_starts;

    activation_vmcs();
    if (vmcall() || stm_starts != before + 1) {
        panic("activation");
    }
}

static void test_deactivation(void)
{
    uint64_t region = vmcs_new_guest(g_out);
    uint32_t exits, smis;

    stm_hook = deactivate_guest;
    guest_run(LAUNCH);
    check_eq("DM-DEA-04", "in-a-guest", failure, VMX_ERROR_EXECUTIVE_NOT_VMXON);
    vmclear(region);
    vmptrld(exec_vmcs);
    exits = stm_exits;
    smi_port_write(0x80);
    check_eq("DM-DEA-04", "still-active", stm_exits, exits + 1);

    smis = smi_count;
    stm_call(deactivate);
    exits = stm_exits;
    smi_port_write(0x80);
    check_eq("DM-DEA-01", "handler", smi_count, smis + 1);
    check_eq("DM-DEA-01", "not-the-stm", stm_exits, exits);
    check_eq("DM-CTL-05", "01-ends-outside-smm", try_rdmsr(MSR_SMBASE, NULL), FAULT_GP);

    activate();
    smis = smi_count;
    stm_call(pend_smi_open);
    check_eq("DM-DEA-07", "bit-2-clear", smi_count, smis + 1);
    activate();
    smis = smi_count;
    stm_call(pend_smi_blocked);
    check_eq("DM-DEA-07", "bit-2-set", smi_count, smis + 1);

    activate();
    nmis = 0;
    stm_call(pend_nmi);
    check_eq("DM-DEA-14", "waits-in-stm", nmis_in_stm, 0);
    check_eq("DM-DEA-14", "bit-3-clear", nmis, 1);
    activate();
    nmis = 0;
    stm_call(pend_nmi_blocked);
    wait_a_little();
    check_eq("DM-DEA-14", "bit-3-set", nmis, 0);
    iret_here();
    check_eq("DM-DEA-14", "until-iret", nmis, 1);
}

void run_tests(void)
{
    stm_activate();
    exec_vmcs = vmcs_new();
    fault_hook = count_nmi;
    test_entries();
    test_outside_entries();
    test_deactivation();
}
