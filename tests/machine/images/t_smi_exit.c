/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* SMM VM exits from VMX root and non-root operation, by port, IPI and timer. */
#include "stm.h"

#define GUEST_SMI_IPI 1
#define GUEST_END     2

static uint64_t guest_vmcs, exec_vmcs;
static volatile uint64_t guest_out_rip, guest_next_rip;

static void check_common(const char *name, uint32_t reason, uint64_t executive)
{
    /* DM-EXI-17, DM-EXI-19: the whole exit-reason field. */
    check_eq("DM-EXI-17", name, stm_log.reason, reason);
    check_eq("DM-EXI-19", name, stm_log.reason & 0xCFFF0000, 0);
    if ((reason & 0xFFFF) != 18) {
        check_eq((reason & 0xFFFF) == 5 ? "DM-EXI-14" : "DM-EXI-15", name,
                 stm_log.reason & 0xFFFF, reason & 0xFFFF);
    }
    /* DM-EXI-10, DM-EXI-11: current VMCS or VMXON pointer. */
    check_eq(reason & VMX_REASON_FROM_ROOT ? "DM-EXI-11" : "DM-EXI-10", name,
             stm_log.executive, executive);
    check_eq("DM-EXI-12", name, stm_log.current, MSEG_BASE + MSEG_TRANSFER);
    check_eq("DM-EXI-28", name, (stm_log.intr | stm_log.vectoring) >> 31, 0);
    check_eq("DM-EXI-31", name, stm_log.entry_intr >> 31, 0);
    check_eq("DM-EXI-32", name, stm_log.entry & VMX_ENTRY_IA32E_GUEST, VMX_ENTRY_IA32E_GUEST);
    check_eq("DM-EXI-37", name, stm_log.smbase, DEFAULT_SMBASE);
    check_eq("DM-EXI-40", name, stm_log.interruptibility, 0);
    check_eq("DM-EXI-33", name, stm_log.cr3, phys(page_tables));
}

static void test_root_io(void)
{
    uint64_t next, out;
    uint32_t before = stm_exits, smis = smi_count;

    memset((void *)(uintptr_t)(DEFAULT_SMBASE + 0xFC00), 0xA5, 0x400);
    __asm__ volatile("lea 1f(%%rip), %1\n\tlea 2f(%%rip), %0\n"
                     "1:\toutb %%al, $0xB2\n2:"
                     : "=&r"(next), "=&r"(out)
                     : "a"(1)
                     : "memory");
    check_eq("DM-EXI-02", "one-exit", stm_exits, before + 1);
    /* DM-EXI-14, DM-EXI-26: reason 5 on the boundary after the OUT. */
    check_common("root-out-imm8", 0x20000005, vmxon_region);
    check_eq("DM-EXI-35", "root-out-rip", stm_log.rip, next);
    check_eq("DM-EXI-24", "root-io-rip", stm_log.io_rip, out);
    check_eq("DM-EXI-20", "root-out-imm8", stm_log.qualification, 0xB20040);
    /* DM-EXI-05: no save map is written, the handler is not entered. */
    check_eq("DM-EXI-05", "handler-not-entered", smi_count, smis);
    check_eq("DM-EXI-05", "save-map", read64(DEFAULT_SMBASE + 0xFF78),
             0xA5A5A5A5A5A5A5A5ull);
    /* DM-EXI-62: exec's current VMCS survives. */
    check_eq("DM-EXI-62", "link", stm_log.link, exec_vmcs);
    check_eq("DM-EXI-62", "current-after", vmptrst(), exec_vmcs);
    check_eq("DM-EXI-13", "exec-vmcs-untouched", rd(VMCS_GUEST_RIP), 0x77777);
}

static void test_root_ipi(void)
{
    uint32_t before = stm_exits;

    self_ipi(IPI_SMI, 0);
    for (volatile int i = 0; i < 1000 && stm_exits == before; i++) {
    }
    check_eq("DM-EXI-02", "ipi-one-exit", stm_exits, before + 1);
    /* DM-EXI-15, DM-EXI-21: reason 6, qualification 0. */
    check_common("root-ipi", 0x20000006, vmxon_region);
    check_eq("DM-EXI-21", "root-ipi", stm_log.qualification, 0);
    check_eq("DM-EXI-38", "root-active", stm_log.activity, 0);
}

static void test_root_vmcall(void)
{
    uint64_t rip, flags;

    __asm__ volatile("lea 1f(%%rip), %0\n1:\tvmcall\n\tpushfq\n\tpopq %1"
                     : "=&r"(rip), "=r"(flags)
                     :
                     : "cc", "memory");
    check_common("root-vmcall", 0x20000012, vmxon_region);
    check_eq("DM-EXI-16", "length", stm_log.length, 3);
    check_eq("DM-EXI-35", "vmcall-rip", stm_log.rip, rip);
    check_eq("DM-EXI-21", "vmcall-qualification", stm_log.qualification, 0);

    /* DM-ACT-09, DM-EXI-65: no current VMCS is needed once active. */
    vmclear(exec_vmcs);
    vmcall();
    check_eq("DM-ACT-09", "no-vmcs", stm_log.reason, 0x20000012);
    check_eq("DM-EXI-62", "no-vmcs-link", stm_log.link, NO_VMCS);
    check_eq("DM-RET-48", "no-vmcs-after", vmptrst(), NO_VMCS);
    smi_port_write(0);
    check_eq("DM-EXI-65", "smi-no-vmcs", stm_log.reason, 0x20000005);
    check_eq("DM-EXI-65", "smi-no-vmcs-after", vmptrst(), NO_VMCS);
    vmptrld(exec_vmcs);
}

static void test_root_hlt(void)
{
    uint32_t before = stm_exits;
    uint64_t next;

    /* DM-EXI-38, DM-RET-61: HLT is saved as activity 1 and entered again.
     * Interrupts stay off: only the return can have ended the HLT, so the
     * STM turns the activity state to 0 at the second SMI. */
    smi_timer_start();
    __asm__ volatile("lea 1f(%%rip), %0\n\thlt\n1:"
                     : "=&r"(next)
                     :
                     : "memory");
    smi_timer_stop();
    check_common("root-hlt", 0x20000006, vmxon_region);
    check("DM-RET-61", "two-smis", stm_exits >= before + 2, "exits:%d",
          stm_exits - before);
    check_eq("DM-EXI-38", "hlt-activity", stm_log.activity, VMX_ACTIVITY_HLT);
    check_eq("DM-EXI-35", "hlt-rip", stm_log.rip, next);
}

static volatile uint32_t hlt_seen;

static void wake_at_second_hlt(void)
{
    if (rd(VMCS_GUEST_ACTIVITY_STATE) == VMX_ACTIVITY_HLT && ++hlt_seen == 2) {
        hlt_seen = 0;
        wr(VMCS_GUEST_ACTIVITY_STATE, 0);
    }
}

static volatile uint64_t step_rip, step_dr6;

static bool note_step(struct fault_frame *frame)
{
    if (frame->vector != FAULT_DB) {
        return false;
    }
    step_rip = frame->rip;
    step_dr6 = read_dr6();
    write_dr6(0xFFFF0FF0);
    frame->rflags &= ~(uint64_t)RFLAGS_TF;
    return true;
}

static void test_single_step(void)
{
    uint64_t next;

    fault_hook = note_step;
    __asm__ volatile("lea 1f(%%rip), %0\n\t"
                     "pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\t"
                     "outb %%al, $0xB2\n1:\tnop"
                     : "=&r"(next)
                     : "a"(0)
                     : "cc", "memory");
    fault_hook = NULL;
    /* DM-EXI-41: the trap is pending in the VMCS, DM-RET-54: and delivered
     * after the return.  The I/O SMI exit comes first (DM-EXI-07). */
    check_eq("DM-EXI-41", "pending-bs", stm_log.pending_debug & 1u << 14,
             1u << 14);
    check_eq("DM-RET-54", "delivered-rip", step_rip, next);
    check_eq("DM-RET-54", "dr6-bs", step_dr6 >> 14 & 1, 1);
}

/* The guest: SMIs from non-root operation. */
static void guest_code(void)
{
    __asm__ volatile("lea 1f(%%rip), %%rcx\n\tmov %%rcx, %0\n\t"
                     "lea 2f(%%rip), %%rcx\n\tmov %%rcx, %1\n\t"
                     "mov $0xB2, %%edx\n\tmov $7, %%eax\n\tmov $0x1234, %%ecx\n"
                     "1:\toutb %%al, %%dx\n2:"
                     : "=m"(guest_out_rip), "=m"(guest_next_rip)
                     :
                     : "rax", "rcx", "rdx", "memory");
    __asm__ volatile("vmcall" : : "a"(GUEST_SMI_IPI) : "memory");
    self_ipi(IPI_SMI, 0);
    for (volatile int i = 0; i < 100; i++) {
    }
    __asm__ volatile("vmcall" : : "a"(GUEST_END) : "memory");
    for (;;) {
        __asm__ volatile("cpuid" : : "a"(0) : "rbx", "rcx", "rdx");
    }
}

static void test_guest(void)
{
    uint32_t before = stm_exits;

    guest_vmcs = vmcs_new_guest(guest_code);
    guest_run(LAUNCH);
    check_eq("DM-ACT-02", "guest-vmcall", last_exit.reason, VMX_REASON_VMCALL);
    check_eq("DM-ACT-02", "guest-number", guest.rax, GUEST_SMI_IPI);
    check_eq("DM-EXI-02", "guest-one-exit", stm_exits, before + 1);
    check_common("guest-out-dx", 0x00000005, guest_vmcs);
    check_eq("DM-EXI-20", "guest-out-dx", stm_log.qualification, 0xB20000);
    check_eq("DM-EXI-24", "guest-io-rip", stm_log.io_rip, guest_out_rip);
    check_eq("DM-EXI-24", "guest-io-rcx", stm_log.io_rcx, 0x1234);
    check_eq("DM-EXI-35", "guest-rip", stm_log.rip, guest_next_rip);
    /* DM-EXI-62: all ones for exits from non-root (recommended). */
    check_eq("DM-EXI-62", "guest-link", stm_log.link, NO_VMCS);
    /* DM-RET-49: the guest's VMCS is current for its next exit. */
    check_eq("DM-RET-49", "current", vmptrst(), guest_vmcs);

    guest_skip();
    before = stm_exits;
    guest_run(RESUME);
    check_eq("DM-EXI-02", "guest-ipi-one-exit", stm_exits, before + 1);
    check_common("guest-ipi", 0x00000006, guest_vmcs);
    check_eq("DM-EXI-21", "guest-ipi", stm_log.qualification, 0);
    check_eq("DM-RET-51", "guest-goes-on", guest.rax, GUEST_END);
    guest_skip();
    /* DM-RET-50: controls and exits of the guest as before the SMIs. */
    guest_run(RESUME);
    check_eq("DM-RET-50", "guest-cpuid", last_exit.reason, VMX_REASON_CPUID);
    vmclear(guest_vmcs);
}

static void guest_hlt(void)
{
    __asm__ volatile("hlt" : : : "memory");
    __asm__ volatile("vmcall" : : "a"(GUEST_END) : "memory");
}

static void test_guest_hlt(void)
{
    uint32_t before = stm_exits;

    guest_vmcs = vmcs_new_guest(guest_hlt);
    smi_timer_start();
    guest_run(LAUNCH);
    smi_timer_stop();
    check("DM-RET-61", "guest-two-smis", stm_exits >= before + 2, "exits:%d",
          stm_exits - before);
    check_common("guest-hlt", 0x00000006, guest_vmcs);
    check_eq("DM-EXI-38", "guest-hlt-activity", stm_log.activity, VMX_ACTIVITY_HLT);
    check_eq("DM-RET-61", "guest-woken", guest.rax, GUEST_END);
    vmclear(guest_vmcs);
}

/* DM-EXI-27: an OUT that exits has not retired; no SMI is raised. */
static void test_guest_intercepted(void)
{
    uint32_t before = stm_exits;

    guest_vmcs = vmcs_new_guest(guest_code);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_UNCONDITIONAL_IO));
    guest_run(LAUNCH);
    check_eq("DM-EXI-27", "exit-30", last_exit.reason, VMX_REASON_IO);
    check_eq("DM-EXI-27", "no-smi", stm_exits, before);
    vmclear(guest_vmcs);
}

static void clear_valid(void)
{
    wrmsr(MSR_SMM_MONITOR_CTL, rdmsr(MSR_SMM_MONITOR_CTL) & ~1ull);
}

static void set_valid(void)
{
    wrmsr(MSR_SMM_MONITOR_CTL, rdmsr(MSR_SMM_MONITOR_CTL) | 1);
}

static void test_valid_bit(void)
{
    uint32_t before;

    stm_call(clear_valid);
    before = stm_exits;
    vmptrld(exec_vmcs);
    /* DM-EXI-04: VMCALL needs 9BH[0] even when active. */
    check_vmx("DM-EXI-04", "vmcall", vmcall(), VMX_ERROR_VMCALL_IN_ROOT);
    check_eq("DM-EXI-04", "no-exit", stm_exits, before);
    /* DM-EXI-03: SMIs do not. */
    stm_hook = set_valid;
    smi_port_write(0);
    check_eq("DM-EXI-03", "smi", stm_exits, before + 1);
    vmcall();
    check_eq("DM-EXI-04", "vmcall-again", stm_exits, before + 2);
}

static void init_and_smi(void)
{
    self_ipi(IPI_INIT, 0);
    self_ipi(IPI_SMI, 0);
}

/* Both wait for the return from SMM; then the SMI comes first (DM-EXI-07). */
static void test_init(void)
{
    uint32_t before = stm_exits;

    guest_vmcs = vmcs_new_guest(guest_code);
    stm_hook = init_and_smi;
    check_eq("DM-EXI-07", "init-exits", guest_run(LAUNCH), VMX_REASON_INIT);
    check_eq("DM-EXI-07", "after-both-smis", stm_exits, before + 2);
    check_eq("DM-EXI-07", "smi-from-the-guest", stm_log.reason, VMX_REASON_OTHER_SMI);
}

void run_tests(void)
{
    stm_activate();
    exec_vmcs = vmcs_new();
    wr(VMCS_GUEST_RIP, 0x77777);
    stm_always = wake_at_second_hlt;
    test_root_io();
    test_root_ipi();
    test_root_vmcall();
    test_root_hlt();
    test_guest();
    test_guest_hlt();
    test_guest_intercepted();
    test_init();
    vmptrld(exec_vmcs);
    test_valid_bit();
    test_single_step();
}
