/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Interrupts, NMIs, windows, the preemption timer, the monitor trap flag and
 * the TPR shadow in non-root operation. */
#include "vmx.h"

#define VECTOR         0x41u

static volatile uint32_t nmis, interrupts;

static bool count_events(struct fault_frame *frame)
{
    if (frame->vector == 2) {
        nmis++;
        return true;
    }
    if (frame->vector == VECTOR) {
        interrupts++;
        write32(0xFEE000B0, 0);
        return true;
    }
    return false;
}

static void pin(uint32_t set)
{
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, set));
}

static void proc(uint32_t set)
{
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, set));
}

static void exit_controls(uint32_t set)
{
    wr(VMCS_EXIT_CONTROLS, rd(VMCS_EXIT_CONTROLS) | set);
}

static void spin(void)
{
    for (volatile int i = 0; i < 2000; i++) {
    }
}

static void send_interrupt(void)
{
    self_ipi(IPI_FIXED, VECTOR);
    spin();
    __asm__ volatile("vmcall");
}

static void take_interrupt(void)
{
    __asm__ volatile("sti; nop; nop; cli");
}

static void test_external(void)
{
    uint64_t region = vmcs_new_guest(send_interrupt);

    pin(VMX_PIN_EXTERNAL_INTERRUPT);
    interrupts = 0;
    /* VMX-EXT-01, VMX-EXT-04: IF is 0; the interrupt stays pending. */
    check_eq("VMX-EXT-01", "reason", guest_run(LAUNCH), 1);
    check_eq("VMX-EXT-04", "information", last_exit.intr >> 31, 0);
    take_interrupt();
    check_eq("VMX-EXT-04", "pending", interrupts, 1);
    check_eq("VMX-EXT-01", "goes-on", guest_run(RESUME), VMX_REASON_VMCALL);
    vmclear(region);

    region = vmcs_new_guest(send_interrupt);
    pin(VMX_PIN_EXTERNAL_INTERRUPT);
    exit_controls(VMX_EXIT_ACKNOWLEDGE_INTERRUPT);
    interrupts = 0;
    check_eq("VMX-EXT-03", "reason", guest_run(LAUNCH), 1);
    check_eq("VMX-EXT-03", "information", last_exit.intr, 0x80000000u | VECTOR);
    take_interrupt();
    check_eq("VMX-EXT-03", "acknowledged", interrupts, 0);
    write32(0xFEE000B0, 0);
    vmclear(region);

    region = vmcs_new_guest(send_interrupt);
    wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
    interrupts = 0;
    check_eq("VMX-EXT-02", "reason", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-EXT-02", "delivered", interrupts, 1);
    vmclear(region);
}

static void send_nmi(void)
{
    self_ipi(IPI_NMI, 0);
    spin();
    __asm__ volatile("vmcall");
}

static void iret_twice(void)
{
    iret_here();
    __asm__ volatile("vmcall");
}

static void test_nmi(void)
{
    uint64_t region = vmcs_new_guest(send_nmi);

    pin(VMX_PIN_NMI);
    nmis = 0;
    check_eq("VMX-EXT-06", "reason", guest_run(LAUNCH), 0);
    check_eq("VMX-EXT-06", "information", last_exit.intr, 0x80000202);
    self_ipi(IPI_NMI, 0);
    spin();
    /* VMX-EXT-08: blocked until IRET. */
    check_eq("VMX-EXT-08", "blocked", nmis, 0);
    iret_here();
    check_eq("VMX-EXT-08", "unblocked", nmis, 1);
    vmclear(region);

    region = vmcs_new_guest(send_nmi);
    pin(VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI);
    check_eq("VMX-EXT-09", "reason", guest_run(LAUNCH), 0);
    check_eq("VMX-EXT-09", "still-blocked", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), VMX_BLOCKING_BY_NMI);
    iret_here();
    vmclear(region);

    region = vmcs_new_guest(iret_twice);
    pin(VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS);
    proc(VMX_CPU_NMI_WINDOW);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI);
    check_eq("VMX-EXT-13", "after-iret", guest_run(LAUNCH), VMX_REASON_NMI_WINDOW);
    check_eq("VMX-EXT-13", "unblocked", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0);
    /* VMX-EXT-14: open at entry. */
    uint64_t rip = last_exit.rip;
    check_eq("VMX-EXT-14", "nmi", guest_run(RESUME), VMX_REASON_NMI_WINDOW);
    check_eq("VMX-EXT-14", "nmi-rip", last_exit.rip, rip);
    vmclear(region);
}

static void sti_code(void)
{
    __asm__ volatile("sti; vmcall; vmcall");
}

static void hlt_code(void)
{
    __asm__ volatile("sti; hlt; vmcall");
}

static void test_interrupt_window(void)
{
    uint64_t region = vmcs_new_guest(sti_code);
    uint64_t rip;

    proc(VMX_CPU_INTERRUPT_WINDOW);
    check_eq("VMX-EXT-11", "shadow", guest_run(LAUNCH), VMX_REASON_VMCALL);
    guest_skip();
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
    rip = rd(VMCS_GUEST_RIP);
    check_eq("VMX-EXT-10", "reason", guest_run(RESUME), VMX_REASON_INTERRUPT_WINDOW);
    check_eq("VMX-EXT-10", "rip", last_exit.rip, rip);
    wr(VMCS_GUEST_ACTIVITY_STATE, 1);
    check_eq("VMX-EXT-14", "hlt", guest_run(RESUME), VMX_REASON_INTERRUPT_WINDOW);
    vmclear(region);
}

static void loop_code(void)
{
    for (;;) {
        __asm__ volatile("nop");
    }
}

static void test_timer(void)
{
    uint64_t region = vmcs_new_guest(loop_code);
    uint64_t rip = rd(VMCS_GUEST_RIP);

    pin(VMX_PIN_PREEMPTION_TIMER);
    exit_controls(VMX_EXIT_SAVE_PREEMPTION_TIMER);
    wr(VMCS_PREEMPTION_TIMER_VALUE, 0);
    check_eq("VMX-EXT-16", "reason", guest_run(LAUNCH), VMX_REASON_PREEMPTION_TIMER);
    check_eq("VMX-EXT-16", "rip", last_exit.rip, rip);
    wr(VMCS_PREEMPTION_TIMER_VALUE, 1000);
    check_eq("VMX-EXT-15", "reason", guest_run(RESUME), VMX_REASON_PREEMPTION_TIMER);
    check_eq("VMX-EXT-17", "expired", rd(VMCS_PREEMPTION_TIMER_VALUE), 0);
    vmclear(region);

    region = vmcs_new_guest(hlt_code);
    pin(VMX_PIN_PREEMPTION_TIMER);
    exit_controls(VMX_EXIT_SAVE_PREEMPTION_TIMER);
    wr(VMCS_PREEMPTION_TIMER_VALUE, 1000000);
    check_eq("VMX-EXT-18", "hlt", guest_run(LAUNCH), VMX_REASON_PREEMPTION_TIMER);
    check_eq("VMX-EXT-18", "activity", rd(VMCS_GUEST_ACTIVITY_STATE), 1);
    vmclear(region);

    region = vmcs_new_guest(sti_code);
    pin(VMX_PIN_PREEMPTION_TIMER);
    exit_controls(VMX_EXIT_SAVE_PREEMPTION_TIMER);
    wr(VMCS_PREEMPTION_TIMER_VALUE, 0x10000000);
    check_eq("VMX-EXT-17", "other-exit", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check("VMX-EXT-17", "counted", rd(VMCS_PREEMPTION_TIMER_VALUE) - 1 < 0x0FFFFFFF,
          "value:%q", rd(VMCS_PREEMPTION_TIMER_VALUE));
    vmclear(region);
}

static uint8_t rep_from[4], rep_to[4];

static void mtf_code(void)
{
    __asm__ volatile("nop\n\tnop\n\trep movsb\n\thlt\n\tnop\n\tud2\n\t"
                     :
                     : "c"(2), "S"(rep_from), "D"(rep_to)
                     : "memory");
}

static void test_mtf(void)
{
    uint64_t region = vmcs_new_guest(mtf_code);
    uint64_t rip = 0;
    unsigned steps = 0, same = 0;
    bool launch = LAUNCH;

    proc(VMX_CPU_MONITOR_TRAP_FLAG);
    for (; steps < 40; steps++) {
        if (guest_run(launch) != VMX_REASON_MONITOR_TRAP_FLAG) {
            break;
        }
        same += last_exit.rip == rip;
        rip = last_exit.rip;
        launch = RESUME;
        if (rd(VMCS_GUEST_ACTIVITY_STATE) == 1) {
            break;
        }
    }
    /* VMX-EXT-19, VMX-EXT-21: stops at the same place after an iteration; TCG
     * comes back to it after the last one, too. */
    check_eq("VMX-EXT-19", "reason", last_exit.reason, VMX_REASON_MONITOR_TRAP_FLAG);
    check("VMX-EXT-21", "iterations", same == 1 || same == 2, "same:%d", same);
    check_eq("VMX-EXT-19", "hlt", rd(VMCS_GUEST_ACTIVITY_STATE), 1);
    wr(VMCS_GUEST_ACTIVITY_STATE, 0);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
    guest_run(RESUME);
    /* VMX-EXT-20: #UD is delivered first. */
    check_eq("VMX-EXT-20", "after-nop", last_exit.reason, VMX_REASON_MONITOR_TRAP_FLAG);
    rip = last_exit.rip;
    check_eq("VMX-EXT-20", "fault", guest_run(RESUME), VMX_REASON_MONITOR_TRAP_FLAG);
    check("VMX-EXT-20", "in-handler", last_exit.rip != rip, "rip:%q", last_exit.rip);
    rip = last_exit.rip;
    /* VMX-EVT-15 */
    proc(0);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000700);
    check_eq("VMX-EVT-15", "reason", guest_run(RESUME), VMX_REASON_MONITOR_TRAP_FLAG);
    check_eq("VMX-EVT-15", "rip", last_exit.rip, rip);
    vmclear(region);
}

static volatile uint64_t seen_tpr;

static void tpr_code(void)
{
    seen_tpr = read_cr8();
    write_cr8(6);
    write_cr8(3);
    __asm__ volatile("vmcall");
}

static void apic_code(void)
{
    uint64_t page = 0xFEE00000;

    seen_tpr = read32(page + 0x80);
    (void)read32(page + 0x30);
    write32(page + 0x80, 0x20);
    write32(page + 0x80, 0x10);
    __asm__ volatile("vmcall");
}

#define CALLED 0x7000u

/* A 16-bit far call stores two words into the TPR. */
static void two_stores(void)
{
    static const struct {
        uint16_t ip, cs;
    } __attribute__((packed)) target = {CALLED, SEL_CODE64};

    write32(CALLED, 0xC1010F); /* VMCALL */
    __asm__ volatile("mov %0, %%rsp\n\tlcallw *%1"
                     :
                     : "r"(0xFEE00084ull), "m"(target));
}

static void test_two_stores(uint64_t vapic)
{
    uint64_t region = vmcs_new_guest(two_stores);

    proc(VMX_CPU_TPR_SHADOW | VMX_CPU_SECONDARY_CONTROLS);
    wr(VMCS_SECONDARY_CONTROLS, VMX_CPU2_APIC_ACCESSES);
    wr(VMCS_VIRTUAL_APIC_ADDRESS, vapic);
    wr(VMCS_APIC_ACCESS_ADDRESS, 0xFEE00000);
    wr(VMCS_TPR_THRESHOLD, 0);
    check_eq("VMX-EXT-33", "two-stores", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-EXT-33", "called", last_exit.rip, CALLED);
    check_eq("VMX-EXT-33", "second", read32(vapic + 0x80) >> 16, SEL_CODE64);
    vmclear(region);
}

static void beyond_the_tpr(void)
{
    seen_tpr = read32(0xFEE00084);
    __asm__ volatile("vmcall");
}

/* The TPR has 32 bits; what follows it is a register like others. */
static void test_beyond_the_tpr(uint64_t vapic)
{
    uint64_t region = vmcs_new_guest(beyond_the_tpr);

    proc(VMX_CPU_TPR_SHADOW | VMX_CPU_SECONDARY_CONTROLS);
    wr(VMCS_SECONDARY_CONTROLS, VMX_CPU2_APIC_ACCESSES);
    wr(VMCS_VIRTUAL_APIC_ADDRESS, vapic);
    wr(VMCS_APIC_ACCESS_ADDRESS, 0xFEE00000);
    wr(VMCS_TPR_THRESHOLD, 0);
    check_eq("VMX-EXT-28", "beyond-the-tpr", guest_run(LAUNCH), VMX_REASON_APIC_ACCESS);
    check_eq("VMX-EXT-28", "its-offset", last_exit.qualification, 0x84);
    vmclear(region);
}

static void test_tpr(void)
{
    uint64_t vapic = phys(page_alloc());
    uint64_t region = vmcs_new_guest(tpr_code);

    write32(vapic + 0x80, 0x50);
    proc(VMX_CPU_TPR_SHADOW);
    wr(VMCS_VIRTUAL_APIC_ADDRESS, vapic);
    wr(VMCS_TPR_THRESHOLD, 4);
    check_eq("VMX-EXT-25", "reason", guest_run(LAUNCH), VMX_REASON_TPR_BELOW_THRESHOLD);
    check_eq("VMX-EXT-23", "value", seen_tpr, 5);
    check_eq("VMX-EXT-24", "value", read32(vapic + 0x80), 0x30);
    check_eq("VMX-EXT-24", "processor", read_cr8(), 0);
    write32(vapic + 0x80, 0x50);
    check_eq("VMX-EXT-26", "goes-on", guest_run(RESUME), VMX_REASON_VMCALL);
    write32(vapic + 0x80, 0x30);
    check_vmx("VMX-CTL-10", "threshold", vm_enter(&guest, RESUME), VMX_ERROR_ENTRY_CONTROLS);
    vmclear(region);

    region = vmcs_new_guest(apic_code);
    proc(VMX_CPU_TPR_SHADOW | VMX_CPU_SECONDARY_CONTROLS);
    wr(VMCS_SECONDARY_CONTROLS, VMX_CPU2_APIC_ACCESSES);
    wr(VMCS_VIRTUAL_APIC_ADDRESS, vapic);
    wr(VMCS_APIC_ACCESS_ADDRESS, 0xFEE00000);
    wr(VMCS_TPR_THRESHOLD, 4);
    check_eq("VMX-EXT-27", "reason", guest_run(LAUNCH), VMX_REASON_TPR_BELOW_THRESHOLD);
    wr(VMCS_TPR_THRESHOLD, 2);
    check_eq("VMX-EXT-28", "reason", guest_run(RESUME), VMX_REASON_APIC_ACCESS);
    check_eq("VMX-EXT-28", "qualification", last_exit.qualification, 0x30);
    check_eq("VMX-EXT-32", "value", seen_tpr, 0x30);
    guest_skip();
    check_eq("VMX-EXT-33", "reason", guest_run(RESUME), VMX_REASON_TPR_BELOW_THRESHOLD);
    check_eq("VMX-EXT-33", "value", read32(vapic + 0x80), 0x10);
    vmclear(region);
    test_two_stores(vapic);
    test_beyond_the_tpr(vapic);
}

static void init_code(void)
{
    write32(0xFEE00310, read32(0xFEE00020));
    write32(0xFEE00300, 0x4500);
    spin();
    __asm__ volatile("vmcall");
}

static void test_activity(void)
{
    uint64_t region = vmcs_new_guest(init_code);

    check_eq("VMX-ACT-06", "init", guest_run(LAUNCH), VMX_REASON_INIT);
    check_eq("VMX-ACT-06", "consumed", guest_run(RESUME), VMX_REASON_VMCALL);
    vmclear(region);

    /* An NMI ends shutdown. */
    region = vmcs_new_guest(loop_code);
    pin(VMX_PIN_NMI | VMX_PIN_PREEMPTION_TIMER);
    wr(VMCS_GUEST_ACTIVITY_STATE, 2);
    wr(VMCS_PREEMPTION_TIMER_VALUE, 1000);
    check_eq("VMX-EXT-18", "shutdown", guest_run(LAUNCH), VMX_REASON_PREEMPTION_TIMER);
    check_eq("VMX-EXI-14", "shutdown", rd(VMCS_GUEST_ACTIVITY_STATE), 2);
    vmclear(region);
}

void run_tests(void)
{
    fault_hook = count_events;
    vmx_start();
    test_external();
    test_nmi();
    test_interrupt_window();
    test_timer();
    test_mtf();
    test_tpr();
    test_activity();
}
