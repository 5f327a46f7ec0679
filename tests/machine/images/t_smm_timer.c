/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The VMX-preemption timer across SMM VM exits and returns: saved or not, silent in
 * the STM, started again from the SMM-transfer VMCS.  Under icount, so that a busy
 * host is no part of it.
 */
#include "guest_code.h"
#include "stm.h"

#define MARKER 0x12345678u
#define LONG   0x40000000u
#define SOME   200000u
#define SHORT  100u

GUEST(g_out, "out %al, $0xB2", "inc %rbx");
GUEST(g_loop, "out %al, $0xB2", "2:\tinc %rbx\n\tcmp $0x10000000, %rbx\n\tjb 2b");

static uint32_t timer_value, exit_controls;
static volatile uint32_t field_in_stm, exits_in_stm;

static uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* As long as this value of the timer lasts. */
static void outlast(uint64_t value)
{
    uint32_t shift = (uint32_t)rdmsr(MSR_VMX_MISC) & 0x1F;
    uint64_t start = rdtsc();

    while (rdtsc() - start < value << shift) {
    }
}

static void set_transfer(void)
{
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, ((uint32_t)rd(VMCS_EXIT_CONTROLS) & ~VMX_EXIT_SAVE_PREEMPTION_TIMER) |
                                    exit_controls));
    wr(VMCS_PREEMPTION_TIMER_VALUE, timer_value);
}

/* What the transfer VMCS holds before the guest's SMI. */
static void prepare(uint32_t value, uint32_t save)
{
    timer_value = value;
    exit_controls = save;
    stm_call(set_transfer);
}

/* Runs a new guest with this start value; the exit reason. */
static uint32_t run(void (*code)(void), bool timer, uint32_t value, void (*in_stm)(void))
{
    uint64_t region = vmcs_new_guest(code);
    uint32_t reason;

    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, timer ? VMX_PIN_PREEMPTION_TIMER : 0));
    wr(VMCS_PREEMPTION_TIMER_VALUE, value);
    stm_hook = in_stm;
    reason = guest_run(LAUNCH);
    vmclear(region);
    return reason;
}

static void read_field(void)
{
    field_in_stm = (uint32_t)rd(VMCS_PREEMPTION_TIMER_VALUE);
}

/* The timer of the guest would have run out long ago. */
static void outlast_in_stm(void)
{
    uint32_t before = stm_exits;

    outlast(2ull * SOME);
    exits_in_stm = stm_exits - before;
    read_field();
}

static void run_short(void)
{
    wr(VMCS_PREEMPTION_TIMER_VALUE, SHORT);
}

void run_tests(void)
{
    stm_activate();

    prepare(MARKER, 0);
    check_eq("DM-EXI-45", "guest", run(g_out, true, LONG, read_field), VMX_REASON_VMCALL);
    check_eq("DM-EXI-45", "not-saved", field_in_stm, MARKER);
    prepare(MARKER, VMX_EXIT_SAVE_PREEMPTION_TIMER);
    run(g_out, true, LONG, read_field);
    check("DM-EXI-45", "saved-with-the-control", field_in_stm != MARKER && field_in_stm <= LONG, "value:%x",
          field_in_stm);

    /* Over in the STM, which nothing disturbs; the return starts with a long one. */
    prepare(LONG, 0);
    check_eq("DM-EXI-46", "reason", run(g_out, true, SOME, outlast_in_stm), VMX_REASON_VMCALL);
    check_eq("DM-EXI-46", "stm-undisturbed", exits_in_stm, 0);
    check_eq("DM-EXI-46", "field-untouched", field_in_stm, LONG);

    /* Saved at the exit, it goes on from there: SMM takes none of it. */
    prepare(0, VMX_EXIT_SAVE_PREEMPTION_TIMER);
    check_eq("DM-INT-26", "not-counted-in-smm", run(g_out, true, SOME, outlast_in_stm), VMX_REASON_VMCALL);
    check_eq("DM-INT-26", "same-rest-at-return", field_in_stm && field_in_stm <= SOME, 1);
    prepare(0, VMX_EXIT_SAVE_PREEMPTION_TIMER);
    check_eq("DM-INT-26", "goes-on", run(g_loop, true, SOME, NULL), VMX_REASON_PREEMPTION_TIMER);

    /* Started from the SMM-transfer VMCS, if the executive VMCS has the control. */
    prepare(LONG, 0);
    check_eq("DM-RET-45", "short", run(g_loop, true, LONG, run_short), VMX_REASON_PREEMPTION_TIMER);
    check("DM-RET-45", "soon", guest.rbx < 100000, "rounds:%q", guest.rbx);
    prepare(LONG, 0);
    check_eq("DM-RET-45", "control-0", run(g_out, false, LONG, run_short), VMX_REASON_VMCALL);
    /* A return to root starts none, whatever the transfer VMCS says. */
    prepare(0, 0);
    outlast(SOME);
    check_eq("DM-RET-45", "root-goes-on", run(g_out, false, LONG, NULL), VMX_REASON_VMCALL);
}
