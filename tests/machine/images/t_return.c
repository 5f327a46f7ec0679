/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Successful returns from SMM: pointers, blocking, injection, SMBASE. */
#include "stm.h"

extern volatile uint64_t recover_rsp;

static uint64_t exec_vmcs, other_vmcs, guest_vmcs;
static volatile uint32_t nmis;

/* ---- pointers ---- */
static uint64_t wanted_link;

static void set_link(void)
{
    wr(VMCS_LINK_POINTER, wanted_link);
}

static void test_link(void)
{
    static const char *const names[] = {"other-vmcs", "none", "transfer-vmcs"};
    const uint64_t links[] = {other_vmcs, NO_VMCS, MSEG_BASE + MSEG_TRANSFER};

    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        wanted_link = links[i];
        stm_call(set_link);
        /* DM-RET-48: the link pointer becomes exec's current VMCS;
         * DM-RET-31: it may be the SMM-transfer VMCS itself. */
        check_eq("DM-RET-48", names[i], vmptrst(), links[i]);
    }
    wanted_link = exec_vmcs;
    stm_call(set_link);
    check_eq("DM-RET-48", "exec-vmcs", vmptrst(), exec_vmcs);
}

static void switch_transfer(void)
{
    uint64_t from = vmptrst();
    uint64_t to = from == MSEG_BASE + MSEG_TRANSFER
                      ? MSEG_BASE + MSEG_TRANSFER_2
                      : MSEG_BASE + MSEG_TRANSFER;

    /* DM-STM-26, DM-STM-35: VMCLEAR, byte copy, VMPTRLD, VMLAUNCH. */
    vmclear(from);
    memcpy((void *)to, (void *)from, PAGE_SIZE);
    vmptrld(to);
    stm_launch = true;
}

static void test_transfer(void)
{
    /* DM-RET-47: the next exit uses the VMCS of the last return. */
    stm_call(switch_transfer);
    smi_port_write(0);
    check_eq("DM-RET-47", "transfer-2", stm_log.current,
             MSEG_BASE + MSEG_TRANSFER_2);
    /* DM-RET-46: launched by the first return: VMRESUME is enough now. */
    smi_port_write(0);
    check_eq("DM-RET-46", "resumed", stm_log.current,
             MSEG_BASE + MSEG_TRANSFER_2);
    stm_call(switch_transfer);
    smi_port_write(0);
    check_eq("DM-RET-47", "transfer-1", stm_log.current,
             MSEG_BASE + MSEG_TRANSFER);
}

static void garbage_controls(void)
{
    wr(VMCS_PIN_CONTROLS, 0xFFFFFFFF);
    wr(VMCS_PROCESSOR_CONTROLS, 0xFFFFFFFF);
    wr(VMCS_SECONDARY_CONTROLS, 0xFFFFFFFF);
    wr(VMCS_CR3_TARGET_COUNT, 99);
}

static void smi_guest(void)
{
    smi_port_write(0);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_controls_unused(void)
{
    uint32_t before = stm_exits;

    stm_call(garbage_controls);
    smi_port_write(0);
    /* DM-RET-11: a return to root looks at no execution controls. */
    check_eq("DM-RET-11", "garbage-controls", stm_exits, before + 2);
    /* DM-RET-10: a return to a guest looks at the executive VMCS's, not at xfer's. */
    guest_vmcs = vmcs_new_guest(smi_guest);
    check_eq("DM-RET-10", "garbage-controls", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-RET-10", "one-exit", stm_exits, before + 3);
    vmclear(guest_vmcs);
    vmptrld(exec_vmcs);
}

/* ---- SMI blocking ---- */
static volatile uint32_t exits_in_guest;

static void block_smi(void)
{
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, rd(VMCS_GUEST_INTERRUPTIBILITY_STATE) | VMX_BLOCKING_BY_SMI);
}

static void unblock_smi(void)
{
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, rd(VMCS_GUEST_INTERRUPTIBILITY_STATE) & ~(uint64_t)VMX_BLOCKING_BY_SMI);
}

static void cpuid_guest(void)
{
    __asm__ volatile("cpuid" : : "a"(0) : "rbx", "rcx", "rdx");
    exits_in_guest = stm_exits;
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_blocking(void)
{
    uint32_t before;
    uint64_t vmcall_end, region;

    stm_call(block_smi);
    before = stm_exits;
    self_ipi(IPI_SMI, 0);
    for (volatile int i = 0; i < 1000; i++) {
    }
    /* DM-RET-55, DM-RET-56: outside SMM, SMIs blocked, one pending. */
    check_eq("DM-RET-56", "smi-waits", stm_exits, before);
    check_eq("DM-RET-56", "outside-smm", try_rdmsr(MSR_SMBASE, NULL), FAULT_GP);
    smi_port_raise(0);
    check_eq("DM-RET-56", "port-smi-waits", stm_exits, before);

    /* DM-CTL-15, DM-INT-20: a guest entered now does not unblock it, and its
     * exit saves bit 2 as 0. */
    region = vmcs_new_guest(cpuid_guest);
    guest_run(LAUNCH);
    check_eq("DM-INT-20", "guest-exit-bit-2", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0);
    guest_skip();
    guest_run(RESUME);
    check_eq("DM-CTL-15", "guest-smi-waits", exits_in_guest, before);
    vmclear(region);
    vmptrld(exec_vmcs);

    /* DM-RET-57: VMCALL saves bit 2 = 1. */
    stm_hook = NULL;
    vmcall();
    check_eq("DM-RET-57", "bit-2-saved", stm_log.interruptibility, VMX_BLOCKING_BY_SMI);
    check_eq("DM-RET-57", "still-blocked", stm_exits, before + 1);

    /* DM-RET-58: returning with bit 2 = 0 takes the SMI at once. */
    stm_hook = unblock_smi;
    __asm__ volatile("lea 1f(%%rip), %0\n\tvmcall\n1:"
                     : "=&r"(vmcall_end)
                     :
                     : "cc", "memory");
    check_eq("DM-RET-58", "smi-served", stm_exits, before + 3);
    check_eq("DM-RET-58", "reason", stm_log.reason, 0x20000006);
    check_eq("DM-RET-58", "rip", stm_log.rip, vmcall_end);
    check_eq("DM-EXI-40", "bit-2-clear", stm_log.interruptibility, 0);
}

static void self_smi(void)
{
    uint32_t before = stm_exits;

    self_ipi(IPI_SMI, 0);
    for (volatile int i = 0; i < 1000; i++) {
    }
    check_eq("DM-EXI-56", "blocked-in-stm", stm_exits, before);
}

static void test_self_smi(void)
{
    uint32_t before = stm_exits;

    stm_hook = self_smi;
    vmcall();
    check_eq("DM-EXI-56", "taken-after-return", stm_exits, before + 2);
    check_eq("DM-EXI-56", "reason", stm_log.reason, 0x20000006);
}

/* ---- NMI blocking ---- */
static bool count_nmi(struct fault_frame *frame)
{
    if (frame->vector != 2) {
        return false;
    }
    nmis++;
    return true;
}

static void self_nmi(void)
{
    self_ipi(IPI_NMI, 0);
    for (volatile int i = 0; i < 1000; i++) {
    }
    /* DM-EXI-55: NMIs are blocked after an SMM VM exit. */
    check_eq("DM-EXI-55", "blocked-in-stm", nmis, 0);
}

static void self_nmi_blocked(void)
{
    self_nmi();
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, rd(VMCS_GUEST_INTERRUPTIBILITY_STATE) | VMX_BLOCKING_BY_NMI);
}

static void test_nmi(void)
{
    fault_hook = count_nmi;
    nmis = 0;
    stm_call(self_nmi);
    /* DM-RET-59: bit 3 = 0: taken right after the return to root. */
    check_eq("DM-RET-59", "taken-after-return", nmis, 1);
    nmis = 0;
    stm_call(self_nmi_blocked);
    check_eq("DM-RET-59", "bit-3-blocks", nmis, 0);
    iret_here();
    check_eq("DM-RET-59", "iret-unblocks", nmis, 1);
    fault_hook = NULL;
}

/* ---- guests ---- */
static volatile uint32_t guest_vector, guest_error;

static void guest_smi(void *unused)
{
    (void)unused;
    smi_port_write(0);
}

static void guest_code(void)
{
    for (;;) {
        guest_vector = try_call(guest_smi, NULL);
        guest_error = (uint32_t)last_fault.error;
        __asm__ volatile("vmcall" : : : "memory");
    }
}

static void wrong_rip_in_executive(void)
{
    uint64_t transfer = vmptrst();

    vmptrld(rd(VMCS_EXECUTIVE_VMCS_POINTER));
    wr(VMCS_GUEST_RIP, 0xDEAD);
    wr(VMCS_GUEST_CR3, 0xDEAD000);
    vmptrld(transfer);
}

static void inject_gp(void)
{
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000B0D);
    wr(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0x1230);
}

/* Makes the interrupted guest end as if it had exited to exec. */
static void return_to_root(void)
{
    uint64_t transfer = vmptrst(), guest_region = rd(VMCS_EXECUTIVE_VMCS_POINTER);
    uint64_t host_rip, host_rsp;

    vmptrld(guest_region);
    host_rip = rd(VMCS_HOST_RIP);
    host_rsp = rd(VMCS_HOST_RSP);
    vmptrld(transfer);
    wr(VMCS_EXECUTIVE_VMCS_POINTER, vmxon_region);
    wr(VMCS_LINK_POINTER, guest_region);
    wr(VMCS_GUEST_RIP, host_rip);
    wr(VMCS_GUEST_RSP, host_rsp);
}

static void test_guests(void)
{
    uint32_t before;

    guest_vmcs = vmcs_new_guest(guest_code);
    /* DM-RET-51: guest registers come from xfer, not from the executive. */
    stm_hook = wrong_rip_in_executive;
    guest_run(LAUNCH);
    check_eq("DM-RET-51", "guest-resumed", last_exit.reason, VMX_REASON_VMCALL);
    check_eq("DM-RET-51", "no-fault", guest_vector, NO_FAULT);

    /* DM-RET-52: injection into the guest, through the guest's IDT. */
    stm_hook = inject_gp;
    guest_skip();
    guest_run(RESUME);
    check_eq("DM-RET-52", "injected-vector", guest_vector, FAULT_GP);
    check_eq("DM-RET-52", "injected-error", guest_error, 0x1230);

    /* DM-EXI-31: the next exit finds the valid bit clear. */
    guest_skip();
    guest_run(RESUME);
    check_eq("DM-EXI-31", "valid-clear", stm_log.entry_intr >> 31, 0);

    /* DM-RET-67: an SMI taken in non-root, a return to root. */
    guest_skip();
    before = stm_exits;
    stm_hook = return_to_root;
    guest_run(RESUME);
    check_eq("DM-RET-67", "one-exit", stm_exits, before + 1);
    check_eq("DM-RET-67", "current", vmptrst(), guest_vmcs);
    smi_port_write(0);
    check_eq("DM-RET-67", "in-root-now", stm_log.reason, 0x20000005);
    vmclear(guest_vmcs);
    recover_rsp = 0;
    vmptrld(exec_vmcs);
}

static void ring3_smi(void *unused)
{
    uint32_t before = stm_exits;

    (void)unused;
    self_ipi(IPI_SMI, 0);
    while (stm_exits == before) {
    }
}

static void test_ring3(void)
{
    /* DM-EXI-34, DM-RET-43: root operation at CPL 3. */
    check_eq("DM-RET-43", "cpl3-resumed", user_call(ring3_smi, NULL),
             USER_RETURN);
    check_eq("DM-EXI-34", "cpl3-reason", stm_log.reason, 0x20000006);
}

/* ---- SMBASE ---- */
static volatile uint64_t smbase_msr;

static void read_smbase(void)
{
    smbase_msr = rdmsr(MSR_SMBASE);
}

static void move_smbase(void)
{
    wr(VMCS_GUEST_SMBASE, 0x54321);
}

static void odd_smbase(void)
{
    wr(VMCS_GUEST_SMBASE, 0xFFFFFFFF);
}

static void move_smbase_and_deactivate(void)
{
    wr(VMCS_GUEST_SMBASE, 0x50000);
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
}

static void test_smbase(void)
{
    stm_call(move_smbase);
    stm_call(read_smbase);
    check_eq("DM-RET-40", "smbase-field", stm_log.smbase, 0x54321);
    check_eq("DM-RET-40", "smbase-msr", smbase_msr, 0x54321);
    /* DM-RET-41: any value is loaded by the return. */
    stm_call(odd_smbase);
    stm_call(read_smbase);
    check_eq("DM-RET-41", "any-value", smbase_msr, 0xFFFFFFFF);
    /* DM-DEA-13: the handler follows the field after deactivation. */
    smi_install(0x50000);
    stm_call(move_smbase_and_deactivate);
    smi_port_write(0);
    check_eq("DM-DEA-13", "handler-moved", smi_smbase, 0x50000);
}

void run_tests(void)
{
    stm_activate();
    exec_vmcs = vmcs_new();
    other_vmcs = vmcs_alloc();
    vmclear(other_vmcs);
    test_link();
    test_transfer();
    test_blocking();
    test_self_smi();
    test_nmi();
    test_guests();
    test_ring3();
    test_controls_unused();
    test_smbase();
}
