/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * SMM VM exits beside other events: monitor trap flag, TPR below threshold, an SMI
 * that waits at a VM entry, SMIs by memory-mapped registers.
 */
#include "guest_code.h"
#include "stm.h"

#define ICR_LOW       0xFEE00300u
#define SMI_WORD      0x4200u
#define INJECT_MTF    0x80000700u
#define VECTOR        0x41u
#define VTPR          0x80u
#define MARK          0xAABBCC00u
#define HITS          3u
#define SMIS_LIMIT    4000u

GUEST(g_out, "out %al, $0xB2", "inc %rbx");
GUEST(g_ipi, "movl $0x4200, (%rcx)", "inc %rbx"); /* RCX = ICR_LOW */
GUEST(g_call, "nop", "nop");

/* The SMM VM exits since history_clear(). */
static struct {
    uint32_t reason;
    uint64_t rip, qualification;
} history[4];
static volatile uint32_t exits;

/* Where SMIs are looked for, and how many came from there. */
static volatile uint64_t wanted_rip;
static volatile uint32_t hits;

static void note_exit(void)
{
    if (exits < ARRAY_SIZE(history)) {
        history[exits].reason = stm_log.reason;
        history[exits].rip = stm_log.rip;
        history[exits].qualification = stm_log.qualification;
    }
    exits++;
    if (!(stm_log.reason & VMX_REASON_FROM_ROOT)) {
        hits += stm_log.rip == wanted_rip;
    }
}

static void history_clear(void)
{
    memset(history, 0, sizeof(history));
    exits = 0;
}

static void add_proc(uint32_t set)
{
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, (uint32_t)rd(VMCS_PROCESSOR_CONTROLS) | set));
}

/* Runs a new guest, whose first instruction raises an SMI; the exit reason. */
static uint32_t run(void (*code)(void), uint32_t proc, void (*in_stm)(void))
{
    uint64_t region = vmcs_new_guest(code);
    uint32_t reason;

    add_proc(proc);
    guest.rcx = ICR_LOW;
    history_clear();
    stm_hook = in_stm;
    reason = guest_run(LAUNCH);
    vmclear(region);
    return reason;
}

/* ---- monitor trap flag ---- */
static void inject_mtf(void)
{
    wr(VMCS_ENTRY_INTERRUPTION_INFO, INJECT_MTF);
}

static void test_mtf(void)
{
    /* "SMI VM Exits": bit 28 tells that the SMI came before a pending MTF VM exit. */
    run(g_out, 0, NULL);
    check_eq("DM-EXI-18", "io-without-mtf", history[0].reason, 0x00000005);
    check_eq("DM-EXI-18", "one-smi", exits, 1);
    run(g_ipi, 0, NULL);
    check_eq("DM-EXI-18", "other-without-mtf", history[0].reason, 0x00000006);
    run(g_out, VMX_CPU_MONITOR_TRAP_FLAG, NULL);
    check_eq("DM-EXI-18", "io-with-mtf", history[0].reason, 0x10000005);
    run(g_ipi, VMX_CPU_MONITOR_TRAP_FLAG, NULL);
    check_eq("DM-EXI-18", "other-with-mtf", history[0].reason, 0x10000006);

    /* Not injected, the exit is lost: it comes behind the next instruction. */
    check_eq("DM-INT-25", "lost", run(g_out, VMX_CPU_MONITOR_TRAP_FLAG, NULL), VMX_REASON_MONITOR_TRAP_FLAG);
    check_eq("DM-INT-25", "lost-one-more", guest.rbx, 1);
    check_eq("DM-INT-25", "injected", run(g_out, VMX_CPU_MONITOR_TRAP_FLAG, inject_mtf),
             VMX_REASON_MONITOR_TRAP_FLAG);
    check_eq("DM-INT-25", "injected-rip", last_exit.rip, phys(g_out_next));
    check_eq("DM-INT-25", "injected-none-more", guest.rbx, 0);
    /* The injection alone: this guest has the control 0. */
    check_eq("DM-RET-53", "mtf", run(g_out, 0, inject_mtf), VMX_REASON_MONITOR_TRAP_FLAG);
    check_eq("DM-RET-53", "mtf-none-executed", last_exit.rip - phys(g_out_next), 0);
}

/* A return to root operation: the injection passes the checks and does nothing. */
static void test_mtf_to_root(void)
{
    uint64_t region = vmcs_new();

    history_clear();
    wr(VMCS_GUEST_RIP, 0x4711);
    stm_hook = inject_mtf;
    smi_port_write(0x80);
    check_eq("DM-RET-20", "no-exit", exits, 1);
    check_eq("DM-RET-20", "exec-vmcs", rd(VMCS_GUEST_RIP), 0x4711);
    /* Not pending either: a guest's first exit is its own. */
    vmclear(region);
    region = vmcs_new_guest(g_call);
    check_eq("DM-RET-20", "next-guest", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);
    smi_port_write(0x80);
    check_eq("DM-RET-20", "not-injected-again", exits, 2);
}

/* ---- memory-mapped registers ---- */
static void test_memory_mapped(void)
{
    history_clear();
    __asm__ volatile("movl %1, (%0)\n\tnop\n\tnop" : : "r"((uint64_t)ICR_LOW), "i"(SMI_WORD) : "memory");
    check_eq("DM-INT-45", "root", history[0].reason, 0x20000006);
    check_eq("DM-INT-45", "root-qualification", history[0].qualification, 0);
    run(g_ipi, 0, NULL);
    check_eq("DM-INT-45", "guest", history[0].reason, 0x00000006);
    check_eq("DM-INT-45", "guest-right-behind", history[0].rip, phys(g_ipi_next));
}

/* ---- TPR below threshold ---- */
static uint64_t virtual_apic, other_page;

/* Lowers the guest's TPR and leaves an SMI pending. */
static void lower_tpr(void)
{
    write32(virtual_apic + VTPR, MARK | 0x10);
    write32(other_page + VTPR, MARK | 0x10);
    wr(VMCS_PROCESSOR_CONTROLS, UINT32_MAX); /* the STM's own, which nobody uses */
    wr(VMCS_VIRTUAL_APIC_ADDRESS, other_page);
    self_ipi(IPI_SMI, 0);
}

static void test_tpr(void)
{
    uint64_t region;
    uint32_t bytes;

    if (!(capability(MSR_VMX_TRUE_PROC) >> 32 & VMX_CPU_TPR_SHADOW)) {
        panic("no TPR shadow");
    }
    virtual_apic = phys(page_alloc());
    other_page = phys(page_alloc());
    region = vmcs_new_guest(g_out);
    add_proc(VMX_CPU_TPR_SHADOW | VMX_CPU_SECONDARY_CONTROLS);
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_APIC_ACCESSES));
    wr(VMCS_APIC_ACCESS_ADDRESS, phys(page_alloc()));
    wr(VMCS_VIRTUAL_APIC_ADDRESS, virtual_apic);
    wr(VMCS_TPR_THRESHOLD, 5);
    write32(virtual_apic + VTPR, 0x50);
    history_clear();
    stm_hook = lower_tpr;
    /* The exit goes to exec, the SMI comes in root operation behind it. */
    check_eq("DM-EXI-08", "tpr-first", guest_run(LAUNCH), VMX_REASON_TPR_BELOW_THRESHOLD);
    check_eq("DM-EXI-08", "tpr-rip", last_exit.rip, phys(g_out_next));
    check_eq("DM-EXI-08", "then-smi", exits, 2);
    check_eq("DM-EXI-08", "smi-from-root", history[1].reason, 0x20000006);
    check_eq("DM-EXI-08", "smi-rip", history[1].rip, rd(VMCS_HOST_RIP));
    /* Bytes 3:1 of VTPR: of the executive VMCS's page, if of any. */
    bytes = read32(virtual_apic + VTPR);
    check("DM-RET-14", "executive", bytes == 0x10 || bytes == (MARK | 0x10), "vtpr:%x", bytes);
    check_eq("DM-RET-14", "not-the-stm's", read32(other_page + VTPR), MARK | 0x10);
    vmclear(region);
}

/* ---- an SMI that comes while exec enters a guest ---- */
static volatile uint32_t interrupts;

static bool count_interrupt(struct fault_frame *frame)
{
    interrupts += frame->vector == VECTOR;
    return frame->vector == VECTOR;
}

static uint64_t gate_of(unsigned vector)
{
    uint64_t gate = read_idtr().base + 16ull * vector;

    return (read64(gate) & 0xFFFF) | (read64(gate) >> 48 << 16) | (uint64_t)read32(gate + 8) << 32;
}

/* Only chance brings an SMI of the timer there. */
static uint32_t enter_under_smis(uint32_t intr)
{
    uint64_t region = vmcs_new_guest(g_call);
    bool launch = LAUNCH;
    uint32_t wrong = 0;

    history_clear();
    hits = interrupts = 0;
    smi_timer_start_at(SMI_EVERY_1_5_MS);
    while (hits < HITS && exits < SMIS_LIMIT) {
        wr(VMCS_GUEST_RIP, phys((void *)g_call));
        wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
        wr(VMCS_ENTRY_INTERRUPTION_INFO, intr);
        wrong += guest_run(launch) != VMX_REASON_VMCALL;
        launch = RESUME;
    }
    smi_timer_stop();
    vmclear(region);
    return wrong;
}

static void test_entry(void)
{
    wanted_rip = phys((void *)g_call);
    check_eq("DM-EXI-09", "exits", enter_under_smis(0), 0);
    check("DM-EXI-09", "before-the-first-instruction", hits >= HITS, "hits:%d,smis:%d", hits, exits);

    fault_hook = count_interrupt;
    wanted_rip = gate_of(VECTOR);
    check_eq("DM-EXI-09", "exits-with-injection", enter_under_smis(0x80000000 | VECTOR), 0);
    check("DM-EXI-09", "injected-first", hits >= HITS, "hits:%d,smis:%d", hits, exits);
    check("DM-EXI-09", "delivered", interrupts >= HITS, "count:%d", interrupts);
    fault_hook = NULL;
}

void run_tests(void)
{
    stm_activate();
    stm_always = note_exit;
    test_mtf();
    test_mtf_to_root();
    test_memory_mapped();
    test_tpr();
    test_entry();
}
