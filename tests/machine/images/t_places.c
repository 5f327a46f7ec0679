/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Waits for test_migration.py wherever something is under way that only the
 * processor knows: events that are blocked, activity states, a timer, an
 * interrupted guest.  What comes of it afterwards is checked.
 * The second processor speaks where the first one cannot, and sends what ends the wait.
 */
#include "smp.h"
#include "stm.h"

#define SIPI_VECTOR 0x21u
#define NOTHING     0u
#define WAIT_FOR_SIPI 3u
#define TIMER       1500000000u /* in ticks of the TSC, 1.5 s */
#define UART        0x3F8u
#define UART_LSR    5u
#define LSR_READY   1u
#define PATTERN     0x1122334455667788ull


void g_loop(void);
void g_smi(void);
extern uint8_t g_smi_next[];
__asm__("g_loop:\n\tpause\n\tjmp g_loop\n"
        "g_smi:\n\tout %al, $0xB2\n"
        "g_smi_next:\n\tvmcall\n\tjmp g_smi_next\n");

static void give_turn(void)
{
    for (uint32_t i = 0; i < 20000; i++) {
        __asm__ volatile("pause" : : : "memory");
    }
}

static void stop_here(const char *where)
{
    print("READY %s\n", where);
    while (!(inb(UART + UART_LSR) & LSR_READY)) {
        __asm__ volatile("pause" : : : "memory");
    }
    (void)inb(UART);
}

/* ---- the second processor: waits until the first one is there, speaks, and sends ---- */
static const char *volatile place;
static volatile uint32_t event;
static volatile bool there;

void smp_main(void)
{
    idt_load();
    write32(0xFEE000F0, 0x1FF);
    there = true;
    for (;;) {
        if (place) {
            give_turn();
            stop_here(place);
            place = NULL;
            if (event) {
                send(0, event);
            }
        }
        __asm__ volatile("pause" : : : "memory");
    }
}

static void start_other(void)
{
    smp_start();
    while (!there) {
        __asm__ volatile("pause" : : : "memory");
    }
}

/* ---- a guest in which the first processor is, while the second one speaks ---- */
struct row {
    const char *rule, *name;
    uint32_t activity, event, reason;
    uint64_t qualification;
};

static const struct row rows[] = {
    {"VMX-ACT-02", "hlt", VMX_ACTIVITY_HLT, ICR_NMI, VMX_REASON_EXCEPTION_NMI, 0},
    {"VMX-ACT-04", "shutdown", VMX_ACTIVITY_SHUTDOWN, ICR_NMI, VMX_REASON_EXCEPTION_NMI, 0},
    {"VMX-ACT-07", "wait-for-sipi", WAIT_FOR_SIPI, ICR_SIPI | SIPI_VECTOR, VMX_REASON_SIPI, SIPI_VECTOR},
    {"VMX-EXT-15", "timer", 0, NOTHING, VMX_REASON_PREEMPTION_TIMER, 0},
};

static void test_row(const struct row *row)
{
    uint64_t region = vmcs_new_guest(g_loop);

    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_NMI |
                                   (row->event == NOTHING ? VMX_PIN_PREEMPTION_TIMER : 0)));
    wr(VMCS_PREEMPTION_TIMER_VALUE, TIMER >> (rdmsr(MSR_VMX_MISC) & 0x1F));
    wr(VMCS_GUEST_ACTIVITY_STATE, row->activity);
    guest.r12 = PATTERN;
    event = row->event;
    place = row->name;
    check_eq(row->rule, row->name, guest_run(LAUNCH), row->reason);
    check_eq("VMX-INF-16", row->name, last_exit.qualification, row->qualification);
    check_eq("VMX-EXI-14", row->name, rd(VMCS_GUEST_ACTIVITY_STATE), row->activity);
    check_eq("VMX-EXI-26", row->name, guest.r12, PATTERN);
    iret_here(); /* the NMI was taken by the exit */
    vmclear(region);
    while (place) {
        __asm__ volatile("pause" : : : "memory");
    }
}

/* ---- places where the first processor itself speaks ---- */
static void guest_stops(void)
{
    stop_here("nmi-blocked");
    __asm__ volatile("vmcall" : : : "memory");
}

static void guest_stops_again(void)
{
    stop_here("virtual-nmi-blocked");
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_nmi_blocking(void)
{
    uint64_t region = vmcs_new_guest(guest_stops);

    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI);
    check_eq("VMX-EVT-18", "nmi-blocked", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-EXI-15", "nmi-blocked", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), VMX_BLOCKING_BY_NMI);
    iret_here();
    vmclear(region);
    region = vmcs_new_guest(guest_stops_again);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS));
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI);
    check_eq("VMX-EVT-18", "virtual-nmi-blocked", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-EXI-15", "virtual-nmi-blocked", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), VMX_BLOCKING_BY_NMI);
    vmclear(region);
}

static void test_init(void)
{
    uint64_t region = vmcs_new_guest(g_loop);

    self_ipi(IPI_INIT, 0);
    stop_here("init-blocked");
    check_eq("DM-INT-13", "init-blocked", guest_run(LAUNCH), VMX_REASON_INIT);
    vmclear(region);
}

static void handler_stops(void)
{
    stop_here("smm-from-guest");
}

static void test_default(void)
{
    uint64_t region = vmcs_new_guest(g_smi);
    uint32_t before = smi_count;

    smi_hook = handler_stops;
    check_eq("DM-DEF-19", "smm-from-guest", guest_run(LAUNCH), VMX_REASON_VMCALL);
    smi_hook = NULL;
    check_eq("DM-DEF-19", "rip", last_exit.rip, phys(g_smi_next));
    check_eq("DM-DEF-19", "one-smi", smi_count, before + 1);
    vmclear(region);
}

/* ---- the treatment ---- */
static void smi_in_stm(void)
{
    smi_port_raise(0);
    stop_here("smi-pending-in-the-stm");
}

static void block(void)
{
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
}

static void unblock(void)
{
    check_eq("DM-RET-55", "still-blocked", stm_log.interruptibility & VMX_BLOCKING_BY_SMI, VMX_BLOCKING_BY_SMI);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
}

static void test_smis(void)
{
    uint32_t before;

    activation_vmcs();
    if (vmcall()) {
        panic("activation");
    }
    before = stm_exits;
    stm_hook = smi_in_stm;
    if (vmcall()) {
        panic("vmcall");
    }
    check_eq("DM-STM-17", "smi-pending-in-the-stm", stm_exits, before + 2);
    check_eq("DM-STM-17", "reason", stm_log.reason, 0x20000006);

    /* As between INITIALIZE_PROTECTION and START. */
    stm_call(block);
    before = stm_exits;
    smi_port_raise(0);
    stop_here("smi-blocked");
    check_eq("DM-RET-55", "blocked", stm_exits, before);
    stm_hook = unblock;
    if (vmcall()) {
        panic("vmcall");
    }
    check_eq("DM-RET-56", "then-taken", stm_exits, before + 2);
    check_eq("DM-RET-56", "reason", stm_log.reason, 0x20000006);
}

void run_tests(void)
{
    stm_prepare();
    start_other();
    test_init();
    test_default();
    test_nmi_blocking();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_row(&rows[i]);
    }
    test_smis();
    stop_here("end");
}
