/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Two processors and the dual-monitor treatment: each has MSRs, treatment and
 * SMM-transfer VMCS of its own, and both may be in SMM at once.  INIT and SIPI from
 * the other one, in each state.  Only the first processor writes checks.
 */
#include "smp.h"
#include "stm.h"

#define FIRST         0u
#define SIPI_VECTOR   0x21u
#define OTHER_STACK   0x18000u
#define OTHER_SMBASE  0x50000u
#define SAVED_SMBASE  0x7F00u /* AMD64 save-state map, from SMBASE + 8000H */
#define WAIT_FOR_SIPI 3
#define TIMER         3000000u

void smp_guest(void);

void g_out(void);
void g_loop(void);
void g_call(void);
extern uint8_t g_out_next[];
__asm__("g_out:\n\tout %al, $0xB2\n"
        "g_out_next:\n\tinc %rbx\n"
        "g_call:\n\tvmcall\n\tjmp g_call\n"
        "g_loop:\n\tpause\n\tjmp g_loop\n");

static void wait_for(volatile uint32_t *what, uint32_t value)
{
    for (uint32_t i = 0; *what < value; i++) {
        if (i > 200000000) {
            panic("waiting for %d, is %d", value, *what);
        }
        __asm__ volatile("pause" : : : "memory");
    }
}

static void give_turn(void)
{
    for (uint32_t i = 0; i < 20000; i++) {
        __asm__ volatile("pause" : : : "memory");
    }
}

#include "second.h" /* uses wait_for() */

static uint64_t other_vmxon, other_vmcs;
static volatile uint64_t other_flags, other_9bh, other_smbase;
static volatile uint32_t other_error;

static void enter_vmx(void)
{
    other_flags = vmxon(other_vmxon) | vmclear(other_vmcs) | vmptrld(other_vmcs);
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));
    other_9bh = rdmsr(MSR_SMM_MONITOR_CTL);
}

static void call_monitor(void)
{
    other_flags = vmcall();
    other_error = (uint32_t)rd(VMCS_INSTRUCTION_ERROR);
}

/* Its STM: like the stub, with a stack, an SMM-transfer VMCS and a log of its own. */
static struct vm_registers other_guest;
static volatile uint32_t other_exits, other_reason;
static void (*volatile other_hook)(void);

static void other_stm(void)
{
    uint64_t activating = vmptrst(), transfer = MSEG_BASE + MSEG_TRANSFER_2;
    bool launch = LAUNCH;

    other_guest = at_entry_registers;
    vmclear(activating);
    memcpy((void *)transfer, (void *)activating, PAGE_SIZE);
    vmptrld(transfer);
    stm_transfer_state();
    wr(VMCS_GUEST_DR7, 0x400);
    wr(VMCS_GUEST_IA32_DEBUGCTL, 0);
    wr(VMCS_GUEST_IA32_EFER, rdmsr(MSR_EFER));
    for (;;) {
        other_reason = (uint32_t)rd(VMCS_EXIT_REASON);
        other_exits++;
        if (other_hook) {
            other_hook();
        }
        if ((other_reason & 0xFFFF) == VMX_REASON_VMCALL) {
            wr(VMCS_GUEST_RIP, rd(VMCS_GUEST_RIP) + rd(VMCS_EXIT_INSTRUCTION_LENGTH));
            wr(VMCS_GUEST_RFLAGS, rd(VMCS_GUEST_RFLAGS) & ~(uint64_t)RFLAGS_ARITHMETIC);
        }
        if (vm_enter(&other_guest, launch) != VMX_EXITED || rd(VMCS_EXIT_REASON) >> 31) {
            panic("the other STM: error=%q", rd(VMCS_INSTRUCTION_ERROR));
        }
        launch = RESUME;
    }
}

/* ---- its SMI handler ---- */
static void smi_there(void (*hook)(void))
{
    uint32_t before = smi_count;

    smi_hook = hook;
    send(OTHER, ICR_SMI);
    wait_for(&smi_count, before + 1);
    give_turn();
    smi_hook = NULL;
}

/* The second SMBASE takes effect at the next SMI. */
static void move_smbase(void)
{
    write32(smi_smbase + 0x8000 + SAVED_SMBASE, OTHER_SMBASE);
}

static void enable_other(void)
{
    struct mseg_header header = mseg_default_header();

    wrmsr(MSR_SMM_MONITOR_CTL, MSEG_BASE | 1);
    header.esp = OTHER_STACK;
    memcpy((void *)(uintptr_t)MSEG_BASE, &header, sizeof(header));
}

static void nothing(void)
{
}

static void start(void)
{
    smp_start();
    run_there(nothing);
}

/* ---- each for itself ---- */
static void test_enabling(void)
{
    run_there(enter_vmx);
    check_eq("DM-ENA-21", "vmxon-there", other_flags, VMX_SUCCEED);
    check_eq("DM-ENA-21", "9bh-there", other_9bh, 0);
    check_eq("DM-ENA-21", "9bh-here", rdmsr(MSR_SMM_MONITOR_CTL), MSEG_BASE | 1);
    run_there(call_monitor);
    check_eq("DM-ENA-21", "vmcall-there", other_flags, VMX_FAIL_VALID);
    check_eq("DM-ENA-21", "error-there", other_error, VMX_ERROR_VMCALL_IN_ROOT);
}

static void activate_here(void)
{
    uint32_t before = stm_starts;

    activation_vmcs();
    if (vmcall() || stm_starts != before + 1) {
        panic("activation");
    }
}

static void test_activation(void)
{
    uint32_t smis, exits;

    activate_here();
    exits = stm_exits;
    smis = smi_count;
    smi_there(move_smbase);
    check_eq("DM-ACT-67", "handler-there", smi_count, smis + 1);
    check_eq("DM-ACT-67", "not-the-stm", stm_exits, exits);
    smi_port_write(0x80);
    check_eq("DM-ACT-67", "stm-here", stm_exits, exits + 1);
    /* Activation here has enabled nothing there. */
    run_there(call_monitor);
    check_eq("DM-ENA-21", "still-not-there", other_error, VMX_ERROR_VMCALL_IN_ROOT);
}

/* ---- both in SMM at once ---- */
static volatile uint32_t first_in, other_in, first_saw, other_saw;
static volatile uint64_t first_9bh, first_smbase;

static bool meet(volatile uint32_t *own, volatile uint32_t *partner)
{
    *own = 1;
    for (uint32_t i = 0; i < 100000000 && !*partner; i++) {
        __asm__ volatile("pause" : : : "memory");
    }
    return *partner;
}

static void first_meets(void)
{
    first_9bh = rdmsr(MSR_SMM_MONITOR_CTL);
    first_smbase = rdmsr(MSR_SMBASE);
    first_saw = meet(&first_in, &other_in);
}

static void other_meets(void)
{
    other_9bh = rdmsr(MSR_SMM_MONITOR_CTL);
    other_smbase = rdmsr(MSR_SMBASE);
    other_saw = meet(&other_in, &first_in);
}

static void meet_in_smm(const char *name)
{
    uint32_t smis = smi_count, exits = other_exits;

    first_in = other_in = first_saw = other_saw = 0;
    smi_hook = other_meets;
    other_hook = other_meets;
    send(OTHER, ICR_SMI);
    stm_call(first_meets);
    give_turn();
    for (uint32_t i = 0; i < 1000 && smi_count + other_exits == smis + exits; i++) {
        give_turn();
    }
    smi_hook = NULL;
    other_hook = NULL;
    check("DM-INT-41", name, first_saw && other_saw, "first:%d,other:%d", first_saw, other_saw);
    check_eq("DM-INT-41", "smbase-of-the-first", first_smbase, DEFAULT_SMBASE);
    check_eq("DM-INT-41", "smbase-of-the-other", other_smbase, OTHER_SMBASE);
}

static void test_at_once(void)
{
    meet_in_smm("stm-and-handler");
    check_eq("DM-INT-41", "9bh-of-the-first", first_9bh, MSEG_BASE | 1);
    check_eq("DM-INT-41", "9bh-of-the-other", other_9bh, 0);
    smi_there(enable_other);
    stm_program = other_stm;
    run_there(call_monitor);
    stm_program = stm_default;
    check_eq("DM-INT-41", "activated-there", other_flags, VMX_SUCCEED);
    check_eq("DM-INT-41", "its-stm", other_reason, 0x20000012);
    meet_in_smm("two-stms");
}

/* ---- INIT and SIPI ---- */
static volatile uint32_t spam;

static void spam_sipi(void)
{
    while (spam) {
        send(FIRST, ICR_SIPI | SIPI_VECTOR);
        for (uint32_t i = 0; i < 2000; i++) {
            __asm__ volatile("pause" : : : "memory");
        }
    }
}

static void sipi_on(void)
{
    spam = 1;
    begin_there(spam_sipi);
}

static void sipi_off(void)
{
    uint32_t before = done;

    spam = 0;
    wait_for(&done, before + 1);
}

static void send_init(void)
{
    give_turn();
    send(FIRST, ICR_INIT);
}

static void to_wait_for_sipi(void)
{
    wr(VMCS_GUEST_ACTIVITY_STATE, WAIT_FOR_SIPI);
}

static void wait_with_smi(void)
{
    self_ipi(IPI_SMI, 0);
    to_wait_for_sipi();
}

static void wait_with_init(void)
{
    self_ipi(IPI_INIT, 0);
    to_wait_for_sipi();
}

static volatile uint32_t waited_in_stm;

static void wait_in_stm(void)
{
    give_turn();
    waited_in_stm++;
}

static uint32_t run(void (*code)(void), void (*in_stm)(void))
{
    vmcs_new_guest(code);
    stm_hook = in_stm;
    return guest_run(LAUNCH);
}

static void test_sipi(void)
{
    uint32_t exits;

    sipi_on();
    check_eq("DM-RET-33", "reason", run(g_out, to_wait_for_sipi), VMX_REASON_SIPI);
    check_eq("DM-RET-33", "vector", last_exit.qualification, SIPI_VECTOR);
    check_eq("DM-RET-33", "rip", last_exit.rip, phys(g_out_next));
    check_eq("DM-RET-33", "state", rd(VMCS_GUEST_ACTIVITY_STATE), WAIT_FOR_SIPI);
    vmclear(vmptrst());

    /* The SMI waits for the end of the state, which is in root operation. */
    exits = stm_exits;
    check_eq("DM-INT-15", "sipi-first", run(g_out, wait_with_smi), VMX_REASON_SIPI);
    check_eq("DM-INT-15", "then-smi", stm_exits, exits + 2);
    check_eq("DM-INT-15", "from-root", stm_log.reason, 0x20000006);
    check_eq("DM-INT-15", "rip", stm_log.rip, rd(VMCS_HOST_RIP));
    vmclear(vmptrst());

    /* Nothing anywhere else. */
    give_turn();
    vmcs_new_guest(g_call);
    stm_hook = wait_in_stm;
    smi_port_write(0x80);
    check_eq("DM-INT-14", "in-the-stm", waited_in_stm, 1);
    check_eq("DM-INT-14", "active", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(vmptrst());
    vmcs_new_guest(g_loop);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_PREEMPTION_TIMER));
    wr(VMCS_PREEMPTION_TIMER_VALUE, TIMER);
    wr(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT);
    check_eq("DM-INT-14", "hlt", guest_run(LAUNCH), VMX_REASON_PREEMPTION_TIMER);
    vmclear(vmptrst());
    /* The vector of the SIPI that ends the wait, not of one that was lost. */
    check_eq("DM-INT-14", "wait-for-sipi", run(g_out, to_wait_for_sipi), VMX_REASON_SIPI);
    check_eq("DM-INT-14", "vector", last_exit.qualification, SIPI_VECTOR);
    vmclear(vmptrst());
    sipi_off();
}

static void test_init(void)
{
    /* Blocked here, it comes out of the next guest. */
    run_there(send_init);
    give_turn();
    vmcs_new_guest(g_call);
    check_eq("DM-INT-13", "root", guest_run(LAUNCH), VMX_REASON_INIT);
    check_eq("DM-INT-13", "root-rip", last_exit.rip, phys((void *)g_call));
    vmclear(vmptrst());

    begin_there(send_init);
    vmcs_new_guest(g_loop);
    check_eq("DM-INT-13", "non-root", guest_run(LAUNCH), VMX_REASON_INIT);
    vmclear(vmptrst());
    give_turn();

    sipi_on();
    check_eq("DM-INT-13", "wait-for-sipi", run(g_out, wait_with_init), VMX_REASON_SIPI);
    sipi_off();
    vmclear(vmptrst());
}

/* ---- shutdown ---- */
static volatile uint32_t shutdown_activity, shutdown_reason;

static void note_shutdown(void)
{
    if (stm_log.activity == VMX_ACTIVITY_SHUTDOWN) {
        shutdown_activity = stm_log.activity;
        shutdown_reason = stm_log.reason;
        wr(VMCS_GUEST_ACTIVITY_STATE, 0);
    }
}

static void shut_down(void)
{
    self_ipi(IPI_SMI, 0);
    wr(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_SHUTDOWN);
}

/* DM-INT-16, unconfirmed, golden result: an SMI ends the shutdown of a guest. */
static void test_shutdown(void)
{
    stm_always = note_shutdown;
    check_eq("DM-INT-16", "guest-goes-on", run(g_out, shut_down), VMX_REASON_VMCALL);
    check_eq("DM-INT-16", "activity", shutdown_activity, VMX_ACTIVITY_SHUTDOWN);
    check_eq("DM-INT-16", "reason", shutdown_reason, VMX_REASON_OTHER_SMI);
    stm_always = NULL;
    vmclear(vmptrst());
}

/* ---- deactivation ---- */
static void deactivate(void)
{
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
}

static void test_deactivation(void)
{
    uint32_t exits = other_exits, smis;

    vmcs_new();
    stm_call(deactivate);
    smis = smi_count;
    send(OTHER, ICR_SMI);
    wait_for(&other_exits, exits + 1);
    check_eq("DM-DEA-18", "stm-there", other_reason, 0x20000006);
    check_eq("DM-DEA-18", "no-handler-there", smi_count, smis);
    smi_port_write(0x80);
    check_eq("DM-DEA-18", "handler-here", smi_count, smis + 1);
    check_eq("DM-DEA-18", "not-that-stm", other_exits, exits + 1);
}

void run_tests(void)
{
    stm_prepare();
    smi_install(OTHER_SMBASE);
    other_vmxon = vmcs_alloc();
    other_vmcs = vmcs_alloc();
    start();
    test_enabling();
    test_activation();
    test_at_once();
    test_sipi();
    test_init();
    test_shutdown();
    test_deactivation();
}
