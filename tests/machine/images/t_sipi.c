/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* INIT and SIPI against VMX operation; a second processor sends them. */
#include "entry_check.h"

#define AP_AT      0x8000u
#define MAILBOX    0x9000u
#define MARK_AT    0x9800u /* memory survives INIT */
#define MARK       0x54494E49u
#define ICR_INIT   0x4500u
#define ICR_SIPI   0x4600u
#define VECTOR     0x21u
#define WAIT_SIPI  3

extern uint8_t ap_block[], ap_block_end[];

static volatile uint32_t nmis, interrupts;

static bool on_event(struct fault_frame *frame)
{
    nmis += frame->vector == 2;
    interrupts += frame->vector == 0x41;
    if (frame->vector == 0x41) {
        write32(0xFEE000B0, 0);
    }
    return frame->vector == 2 || frame->vector == 0x41;
}

static void start_processor(void)
{
    memcpy((void *)(uintptr_t)AP_AT, ap_block, (size_t)(ap_block_end - ap_block));
    memset((void *)(uintptr_t)MAILBOX, 0, 32);
    write32(0xFEE00310, 1u << 24);
    write32(0xFEE00300, ICR_INIT);
    write32(0xFEE00310, 1u << 24);
    write32(0xFEE00300, ICR_SIPI | AP_AT >> 12);
    for (uint32_t i = 0; !read32(MAILBOX + 12); i++) {
        if (i > 100000000) {
            panic("the second processor did not start");
        }
        __asm__ volatile("pause");
    }
}

static void wait_for_rounds(uint32_t rounds)
{
    uint32_t start = read32(MAILBOX + 8);

    while (read32(MAILBOX + 8) - start < rounds) {
        __asm__ volatile("pause");
    }
}

/* The other processor sends these from now on; 0 stops it. */
static void send(uint32_t first_icr, uint32_t second_icr)
{
    write32(MAILBOX + 16, second_icr);
    write32(MAILBOX, first_icr);
    if (!first_icr) {
        write32(MAILBOX + 24, 0);
        while (!read32(MAILBOX + 24)) { /* its last round may be on the way */
            __asm__ volatile("pause");
        }
    }
}

static void guest_waits(void)
{
    wait_for_rounds(3);
    for (;;) {
        __asm__ volatile("vmcall" : : : "memory");
    }
}

static void nmi_guest(void)
{
    self_ipi(IPI_NMI, 0);
    for (;;) {
        __asm__ volatile("pause");
    }
}

static void test_sipi(void)
{
    send(ICR_SIPI | VECTOR, 0);
    wait_for_rounds(2);
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_ACTIVITY_STATE, WAIT_SIPI);
    check_eq("VMX-ACT-07", "reason", guest_run(LAUNCH), VMX_REASON_SIPI);
    check_eq("VMX-ACT-07", "vector", last_exit.qualification, VECTOR);
    check_eq("VMX-ACT-07", "rip", last_exit.rip, phys((void *)entry_guest));
    check_eq("VMX-ACT-07", "state", rd(VMCS_GUEST_ACTIVITY_STATE), WAIT_SIPI);
    send(0, 0);
    send(ICR_SIPI | (VECTOR + 1), 0);
    wait_for_rounds(2);
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_ACTIVITY_STATE, WAIT_SIPI);
    guest_run(LAUNCH);
    check_eq("VMX-INF-16", "sipi", last_exit.qualification, VECTOR + 1);

    /* Elsewhere it is nothing: in root (above), in an active guest, in HLT. */
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_RIP, phys((void *)guest_waits));
    check_eq("VMX-ACT-08", "active", guest_run(LAUNCH), VMX_REASON_VMCALL);
    entry_fresh(MODE_64);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_PREEMPTION_TIMER));
    wr(VMCS_PREEMPTION_TIMER_VALUE, 3000000);
    wr(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT);
    check_eq("VMX-ACT-08", "hlt", guest_run(LAUNCH), VMX_REASON_PREEMPTION_TIMER);
    send(0, 0);
}

/* Interrupts and NMIs wait. */
static void test_others(void)
{
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_RIP, phys((void *)nmi_guest));
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_NMI));
    if (guest_run(LAUNCH) != VMX_REASON_EXCEPTION_NMI) {
        panic("no NMI exit");
    }
    nmis = interrupts = 0;
    self_ipi(IPI_NMI, 0); /* NMIs are blocked now */
    self_ipi(IPI_FIXED, 0x41);
    send(ICR_SIPI | VECTOR, 0);
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_NMI | VMX_PIN_EXTERNAL_INTERRUPT));
    wr(VMCS_GUEST_ACTIVITY_STATE, WAIT_SIPI);
    check_eq("VMX-ACT-05", "sipi", guest_run(LAUNCH), VMX_REASON_SIPI);
    send(0, 0);
    /* The guest was entered without blocking by NMI, so the NMI comes now. */
    check_eq("VMX-ACT-05", "nmi-later", nmis, 1);
    check_eq("VMX-ACT-05", "interrupt-pending", interrupts, 0);
    __asm__ volatile("sti; nop; nop; cli");
    iret_here();
    check_eq("VMX-ACT-05", "interrupt-later", interrupts, 1);
}

/*
 * The first once, the second until MAILBOX is cleared: a busy host may let both come before this processor waits for
 * them, and a SIPI in root operation is nothing.  Returns the number of rounds before.
 */
static uint32_t send_once(uint32_t first_icr, uint32_t second_icr)
{
    uint32_t rounds = read32(MAILBOX + 8);

    write32(MAILBOX + 20, 1);
    write32(MAILBOX + 16, second_icr);
    write32(MAILBOX, first_icr);
    return rounds;
}

static void wait_until_sent(uint32_t rounds)
{
    while (read32(MAILBOX + 8) == rounds) {
        __asm__ volatile("pause");
    }
    write32(MAILBOX + 20, 0);
}

static uint32_t run_waiting(void)
{
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_ACTIVITY_STATE, WAIT_SIPI);
    return guest_run(LAUNCH);
}

/* Blocked in wait-for-SIPI means gone: neither an exit later nor a SIPI lost. */
static void test_lost_init(void)
{
    uint32_t rounds = send_once(ICR_INIT, ICR_SIPI | VECTOR);

    check_eq("VMX-ACT-09", "in-the-state", run_waiting(), VMX_REASON_SIPI);
    write32(MAILBOX, 0);
    wait_until_sent(rounds);
    /* The second SIPI of a start-up sequence. */
    send(ICR_SIPI | VECTOR, 0);
    check_eq("VMX-ACT-09", "second-sipi", run_waiting(), VMX_REASON_SIPI);
    send(0, 0);
    entry_fresh(MODE_64);
    check_eq("VMX-ACT-09", "no-init-left", guest_run(LAUNCH), VMX_REASON_VMCALL);

    wait_until_sent(send_once(ICR_INIT, 0));
    send(ICR_SIPI | VECTOR, 0);
    check_eq("VMX-ACT-09", "in-root-before", run_waiting(), VMX_REASON_SIPI);
    send(0, 0);
    entry_fresh(MODE_64);
    check_eq("VMX-ACT-09", "none-left-of-root", guest_run(LAUNCH), VMX_REASON_VMCALL);
}

/*
 * INIT and at once its SIPI, each once, while this processor goes in and out of
 * a guest.  The SIPI belongs to the INIT: the guest that waits for it after the
 * VM exit gets it, or waits for ever.
 */
static void test_init_at_entry(void)
{
    uint32_t good = 0;

    write32(MAILBOX + 20, 2);
    for (uint32_t i = 0; i < RACES; i++) {
        uint32_t rounds = read32(MAILBOX + 8), reason;

        write32(MAILBOX + 16, ICR_SIPI | VECTOR);
        write32(MAILBOX, ICR_INIT);
        entry_fresh(MODE_64);
        for (reason = guest_run(LAUNCH); reason == VMX_REASON_VMCALL; reason = guest_run(false)) {
            __asm__ volatile("pause"); /* with one thread, the other's turn */
        }
        good += reason == VMX_REASON_INIT && run_waiting() == VMX_REASON_SIPI;
        while (read32(MAILBOX + 8) == rounds) {
            __asm__ volatile("pause");
        }
    }
    write32(MAILBOX + 20, 0);
    check_eq("VMX-ACT-07", "each-init-and-its-sipi", good, RACES);
}

static void test_init(void)
{
    uint32_t reason;

    /* INIT and then SIPI, over and over: only SIPI gets through. */
    send(ICR_INIT, ICR_SIPI | VECTOR);
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_ACTIVITY_STATE, WAIT_SIPI);
    check_eq("VMX-ACT-09", "reason", guest_run(LAUNCH), VMX_REASON_SIPI);
    send(0, 0);
    /* An INIT that waits comes out of the next guest. */
    entry_fresh(MODE_64);
    reason = guest_run(LAUNCH);
    if (reason != VMX_REASON_INIT && reason != VMX_REASON_VMCALL) {
        panic("next guest: reason=%d", reason);
    }

    test_lost_init();
    test_init_at_entry();
    send(ICR_INIT, 0);
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_RIP, phys((void *)guest_waits));
    guest.rbx = 0x5A5A;
    check_eq("VMX-ACT-06", "from-another", guest_run(LAUNCH), VMX_REASON_INIT);
    check_eq("VMX-INF-12", "init", last_exit.qualification, 0);
    /* In root operation it is blocked. */
    wait_for_rounds(3);
    send(0, 0);
    check_eq("VMX-ACT-10", "blocked-in-root", guest.rbx, 0x5A5A);
}

void run_tests(void)
{
    if (read32(MARK_AT) == MARK) {
        write32(MARK_AT, 0);
        check_eq("VMX-ACT-10", "after-vmxoff", read32(MARK_AT + 4), MARK);
        return;
    }
    fault_hook = on_event;
    vmx_start();
    start_processor();
    test_sipi();
    test_others();
    test_init();
    vmclear(entry_vmcs);
    /* The INIT that waits since then makes this image begin again. */
    write32(MARK_AT, MARK);
    write32(MARK_AT + 4, MARK);
    announce_reset();
    vmxoff();
    for (int i = 0; i < 1000; i++) {
        __asm__ volatile("pause");
    }
    write32(MARK_AT + 4, 0);
    check("VMX-ACT-10", "went-on", false, "INIT-did-not-come");
}
