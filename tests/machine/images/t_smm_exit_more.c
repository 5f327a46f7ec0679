/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * In which state the STM starts, by activation and by SMM VM exits, whatever was
 * interrupted: shadows, pending traps, HLT, address-range monitoring; blocking of SMIs.
 */
#include "stm.h"

#define OTHER_ENTRY   0x43000u /* an entry point of MSEG beside the stub STM's */
#define RFLAGS_RF     (1u << 16)
#define BS            (1u << 14)
#define AREA          (MSEG_BASE + 0x45000u)

/* The SMM VM exits since history_clear(). */
static struct {
    uint32_t reason, interruptibility, error, length;
    uint64_t rip, rflags;
} history[8];
static volatile uint32_t exits;

static void note_exit(void)
{
    if (exits < ARRAY_SIZE(history)) {
        history[exits].reason = stm_log.reason;
        history[exits].interruptibility = stm_log.interruptibility;
        history[exits].error = stm_log.instruction_error;
        history[exits].length = stm_log.length;
        history[exits].rip = stm_log.rip;
        history[exits].rflags = stm_log.rflags;
    }
    exits++;
}

static void history_clear(void)
{
    memset(history, 0, sizeof(history));
    exits = 0;
}

static void wait_a_little(void)
{
    for (volatile int i = 0; i < 1000; i++) {
    }
}

/* ---- address-range monitoring ---- */
static uint8_t line[64] __attribute__((aligned(64)));
static volatile uint32_t waits_ended;

static void monitor(void)
{
    __asm__ volatile("monitor" : : "a"(line), "c"(0), "d"(0) : "memory");
}

/* Nothing ends a wait in the STM: with the monitor armed the run ends by its time limit. */
static void mwait(void)
{
    __asm__ volatile("mwait" : : "a"(0), "c"(0) : "memory");
    waits_ended++;
}

static void mwait_and_monitor(void)
{
    mwait();
    monitor();
}

static void test_monitor(void)
{
    monitor();
    stm_hook = mwait_and_monitor;
    smi_port_write(0x80);
    check_eq("DM-EXI-59", "not-armed-in-stm", waits_ended, 1);
    /* Interrupts are off, and no SMI comes. */
    mwait();
    check_eq("DM-RET-63", "not-armed-behind-return", waits_ended, 2);
}

/* ---- activation ---- */
static void deactivate(void)
{
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
}

static volatile uint32_t debug_traps, debug_traps_in_stm;

static bool count_debug(struct fault_frame *frame)
{
    if (frame->vector != FAULT_DB) {
        return false;
    }
    debug_traps++;
    frame->rflags &= ~(uint64_t)RFLAGS_TF;
    write_dr6(0xFFFF0FF0);
    return true;
}

static void note_traps(void)
{
    debug_traps_in_stm = debug_traps;
}

/* VMLAUNCH, then a jump to the stub STM's entry point. */
static void make_other_entry(void)
{
    static const uint8_t code[] = {0x0F, 0x01, 0xC2, 0xE9};
    uint64_t at = MSEG_BASE + OTHER_ENTRY;

    memcpy((void *)at, code, sizeof(code));
    write32(at + sizeof(code), (uint32_t)(MSEG_BASE + MSEG_ENTRY - (at + sizeof(code) + 4)));
}

static void test_activation(void)
{
    struct mseg_header header = mseg_default_header();
    uint64_t region, rip;

    /* What the exit has saved lies outside SMRAM, where exec can read it. */
    region = activation_vmcs();
    monitor();
    stm_hook = mwait;
    __asm__ volatile("lea 1f(%%rip), %0\n1:\tvmcall" : "=&r"(rip) : : "cc", "memory");
    check_eq("DM-ACT-68", "not-armed-in-stm", waits_ended, 1);
    check_eq("DM-ACT-27", "current", vmptrst(), region);
    check_eq("DM-ACT-27", "smbase", rd(VMCS_GUEST_SMBASE), DEFAULT_SMBASE);
    check_eq("DM-ACT-27", "rip", rd(VMCS_GUEST_RIP), rip);
    check_eq("DM-ACT-27", "executive", rd(VMCS_EXECUTIVE_VMCS_POINTER), vmxon_region);
    stm_call(deactivate);

    /* The STM's first instruction is a VMLAUNCH: error 26 in the shadow of MOV SS. */
    header.eip = OTHER_ENTRY;
    smm_call(make_other_entry);
    mseg_set_header(&header);
    activation_vmcs();
    history_clear();
    __asm__ volatile("mov %%ss, %%eax\n\tmov %%eax, %%ss\n\tvmcall" : : : "rax", "cc", "memory");
    check_eq("DM-ACT-59", "behind-mov-ss", history[0].error, VMX_ERROR_ENTRY_CONTROLS);
    check_eq("DM-ACT-59", "shadow-saved", history[0].interruptibility, VMX_BLOCKING_BY_MOV_SS);
    stm_call(deactivate);

    /* An IDT without entries: a trap would have ended the processor. */
    header.eip = MSEG_ENTRY;
    mseg_set_header(&header);
    activation_vmcs();
    fault_hook = count_debug;
    debug_traps = 0;
    stm_hook = note_traps;
    __asm__ volatile("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tvmcall\n\tnop" : : : "cc", "memory");
    fault_hook = NULL;
    check_eq("DM-ACT-59", "started-with-tf", stm_starts, 3);
    check_eq("DM-ACT-59", "no-trap-in-stm", debug_traps_in_stm, 0);
}

/* ---- blocking: one SMI is remembered ---- */
static volatile uint32_t exits_in_stm;

static void send_three(void)
{
    self_ipi(IPI_SMI, 0);
    smi_port_raise(0x80);
    self_ipi(IPI_SMI, 0);
    wait_a_little();
    exits_in_stm = exits;
}

static void block_smi(void)
{
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
}

static void unblock_smi(void)
{
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
}

static void test_blocking(void)
{
    history_clear();
    stm_hook = send_three;
    vmcall();
    check_eq("DM-EXI-06", "waits-in-smm", exits_in_stm, 1);
    check_eq("DM-EXI-06", "one-of-three", exits, 2);

    stm_call(block_smi);
    history_clear();
    self_ipi(IPI_SMI, 0);
    self_ipi(IPI_SMI, 0);
    wait_a_little();
    check_eq("DM-EXI-06", "waits-while-blocked", exits, 0);
    stm_hook = unblock_smi;
    vmcall();
    check_eq("DM-EXI-06", "one-of-two", exits, 2);
    check_eq("DM-EXI-06", "then-taken", history[1].reason, 0x20000006);
}

/* ---- RF ---- */
static void set_rf(void)
{
    self_ipi(IPI_SMI, 0);
    wr(VMCS_GUEST_RFLAGS, rd(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
}

static void set_rf_again(void)
{
    wr(VMCS_GUEST_RFLAGS, rd(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
}

static void test_rf(void)
{
    uint64_t flags;

    history_clear();
    stm_hook = set_rf;
    __asm__ volatile("outb %%al, $0xB2\n\tnop" : : "a"(0x80) : "memory");
    check_eq("DM-EXI-36", "smis", exits, 2);
    check_eq("DM-EXI-36", "smi-as-it-is", history[1].rflags & RFLAGS_RF, RFLAGS_RF);
    check_eq("DM-EXI-36", "smi-clear", history[0].rflags & RFLAGS_RF, 0);

    history_clear();
    stm_hook = set_rf_again;
    __asm__ volatile("outb %%al, $0xB2\n\tvmcall\n\tpushfq\n\tpopq %0" : "=r"(flags) : "a"(0x80) : "cc", "memory");
    check_eq("DM-EXI-36", "vmcall-reason", history[1].reason, 0x20000012);
    check_eq("DM-EXI-36", "vmcall", history[1].rflags & RFLAGS_RF, 0);
    check_eq("DM-EXI-36", "went-on", flags & RFLAGS_ARITHMETIC, 0);
}

/* ---- behind a shadow, and out of HLT ---- */
static volatile uint64_t launch_flags;

/*
 * A return with an SMI pending: no instruction of exec runs, and the registers
 * stay the STM's.  Its first instruction after the exit is a VMLAUNCH, which
 * fails: with error 26 if it is blocked by MOV SS.
 */
static void return_and_launch(void)
{
    uint64_t flags, rip;

    self_ipi(IPI_SMI, 0);
    __asm__ volatile("vmwrite %%rsp, %2\n\t"
                     "lea 1f(%%rip), %1\n\t"
                     "vmwrite %1, %3\n\t"
                     "vmresume\n\t"
                     "mov $1, %0\n\t"
                     "jmp 2f\n"
                     "1:\tvmlaunch\n\t"
                     "pushfq\n\tpopq %0\n"
                     "2:"
                     : "=&r"(flags), "=&r"(rip)
                     : "r"((uint64_t)VMCS_HOST_RSP), "r"((uint64_t)VMCS_HOST_RIP)
                     : "cc", "memory");
    launch_flags = flags & RFLAGS_ARITHMETIC;
    stm_record();
}

static void exit_behind_mov_ss(void)
{
    fault_hook = count_debug;
    debug_traps = 0;
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS);
    wr(VMCS_GUEST_RFLAGS, rd(VMCS_GUEST_RFLAGS) | RFLAGS_TF);
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, BS);
    return_and_launch();
    debug_traps_in_stm = debug_traps;
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
    wr(VMCS_GUEST_RFLAGS, rd(VMCS_GUEST_RFLAGS) & ~(uint64_t)RFLAGS_TF);
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
    fault_hook = NULL;
}

static void exit_from_hlt(void)
{
    wr(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT);
    return_and_launch();
    wr(VMCS_GUEST_ACTIVITY_STATE, 0);
}

static void test_start_state(void)
{
    stm_hook = exit_behind_mov_ss;
    smi_port_write(0x80);
    check_eq("DM-EXI-54", "in-the-shadow", stm_log.interruptibility, VMX_BLOCKING_BY_MOV_SS);
    check_eq("DM-EXI-54", "trap-pending", stm_log.pending_debug, BS);
    check_eq("DM-EXI-54", "vmlaunch", launch_flags, VMX_FAIL_VALID);
    check_eq("DM-EXI-54", "no-blocking", stm_log.instruction_error, VMX_ERROR_VMLAUNCH_NOT_CLEAR);
    check_eq("DM-EXI-54", "no-trap-in-stm", debug_traps_in_stm, 0);
    launch_flags = 0;
    stm_hook = exit_from_hlt;
    smi_port_write(0x80);
    check_eq("DM-EXI-54", "from-hlt", stm_log.activity, VMX_ACTIVITY_HLT);
    check_eq("DM-EXI-54", "active", launch_flags, VMX_FAIL_VALID);
}

/* ---- exit information, and everything of the STM in SMRAM ---- */
static volatile uint64_t star_in_stm, smram_tables, smram_vmcs;

static void use_areas(void)
{
    memset((void *)(uintptr_t)AREA, 0, 64);
    write32(AREA, MSR_STAR);
    write32(AREA + 32, MSR_STAR);
    write64(AREA + 40, 0x123400000000);
    wr(VMCS_EXIT_MSR_STORE_ADDRESS, AREA);
    wr(VMCS_EXIT_MSR_STORE_COUNT, 1);
    wr(VMCS_EXIT_MSR_LOAD_ADDRESS, AREA + 32);
    wr(VMCS_EXIT_MSR_LOAD_COUNT, 1);
}

static volatile uint64_t star_stored;

static void read_areas(void)
{
    star_in_stm = rdmsr(MSR_STAR);
    star_stored = read64(AREA + 8);
    smram_tables = read_cr3();
    smram_vmcs = vmptrst();
    wr(VMCS_EXIT_MSR_STORE_COUNT, 0);
    wr(VMCS_EXIT_MSR_LOAD_COUNT, 0);
}

static void test_in_smram(void)
{
    uint32_t length;

    smi_port_write(0x80);
    length = stm_log.length; /* undefined, here the one before is gone */
    vmcall();
    check("DM-EXI-29", "vmcall", stm_log.length == 3 && length != 3, "length:%d,smi:%d", stm_log.length, length);

    /* "VM-exit instruction length": prefixes count; the STM skips the whole of it. */
    __asm__ volatile(".byte 0x48\n\tvmcall" : : : "cc", "memory");
    check_eq("DM-EXI-29", "vmcall-with-prefix", stm_log.length, 4);

    wrmsr(MSR_STAR, 0x567800000000);
    stm_call(use_areas);
    stm_hook = read_areas;
    smi_port_write(0x80);
    check_eq("DM-EXI-64", "store-area", star_stored, 0x567800000000);
    check_eq("DM-EXI-64", "load-area", star_in_stm, 0x123400000000);
    /* The same places as exec sees them: closed. */
    check_eq("DM-EXI-64", "closed-area", read64(AREA + 8), UINT64_MAX);
    check_eq("DM-EXI-64", "closed-tables", read64(smram_tables), UINT64_MAX);
    check_eq("DM-EXI-64", "closed-vmcs", read32(smram_vmcs), UINT32_MAX);
}

void run_tests(void)
{
    stm_always = note_exit;
    stm_prepare();
    test_activation();
    waits_ended = 0;
    test_monitor();
    test_blocking();
    test_rf();
    test_start_state();
    test_in_smram();
}
