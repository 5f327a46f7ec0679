/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Returns from SMM once more: which VMCS decides what, blocking of SMIs and NMIs,
 * MSR areas, single steps.
 */
#include "guest_code.h"
#include "real_guest.h"
#include "stm.h"

#define AREA      (MSEG_BASE + 0x45000u)
#define INJECT_NMI 0x80000202u

GUEST(g_out, "out %al, $0xB2", "inc %rbx");

static uint64_t exec_vmcs;
static volatile uint32_t nmis, debug_traps;

static bool count_events(struct fault_frame *frame)
{
    if (frame->vector == 2) {
        nmis++;
        return true;
    }
    if (frame->vector == FAULT_DB) {
        debug_traps++;
        frame->rflags &= ~(uint64_t)RFLAGS_TF;
        return true;
    }
    return false;
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

/* In the STM: tries the return; the reason of its failure, or the error number. */
static uint32_t failing_return(void)
{
    uint64_t result = vm_enter(&stm_guest, stm_launch);

    return result == VMX_EXITED ? (uint32_t)rd(VMCS_EXIT_REASON) : (uint32_t)rd(VMCS_INSTRUCTION_ERROR);
}

static volatile uint32_t failure;
static volatile uint64_t failure_qualification;

static void note_failure(void)
{
    failure = failing_return();
    failure_qualification = rd(VMCS_EXIT_QUALIFICATION);
}

/* ---- outside SMM ---- */
static volatile uint32_t smbase_in_stm, mseg_in_stm;

static void look_in_stm(void)
{
    smbase_in_stm = try_rdmsr(MSR_SMBASE, NULL);
    mseg_in_stm = read32(MSEG_BASE + MSEG_SIGNATURE);
}

static void test_outside(void)
{
    stm_call(look_in_stm);
    check_eq("DM-RET-01", "in-smm-before", smbase_in_stm, NO_FAULT);
    check_eq("DM-RET-01", "smram-before", mseg_in_stm, MSEG_SIGNATURE_VALUE);
    check_eq("DM-RET-01", "outside-smm", try_rdmsr(MSR_SMBASE, NULL), FAULT_GP);
    check_eq("DM-RET-01", "closed-smram", read32(MSEG_BASE + MSEG_SIGNATURE), UINT32_MAX);
}

/* ---- whose execution controls ---- */
/* A real-mode guest: out %al, $0xB2; mov %cr0, %eax; vmcall. */
static uint64_t real_mode_guest(void)
{
    static const uint8_t code[] = {0xE6, 0xB2, 0x0F, 0x20, 0xC0, 0x0F, 0x01, 0xC1, 0xEB, 0xFB};
    uint64_t region = real_guest_new(code, sizeof(code));

    return region;
}

static void no_controls(void)
{
    wr(VMCS_SECONDARY_CONTROLS, 0);
    wr(VMCS_PROCESSOR_CONTROLS, 0);
}

static void unrestricted_in_transfer(void)
{
    uint64_t cr0 = rd(VMCS_GUEST_CR0);

    wr(VMCS_PROCESSOR_CONTROLS, UINT32_MAX);
    wr(VMCS_SECONDARY_CONTROLS, UINT32_MAX);
    wr(VMCS_GUEST_CR0, cr0 & ~(uint64_t)CR0_PE);
    note_failure();
    wr(VMCS_GUEST_CR0, cr0);
}

static void test_controls(void)
{
    uint64_t region = real_mode_guest();

    stm_hook = no_controls;
    check_eq("DM-RET-27", "real-mode", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-RET-27", "real-mode-cr0", guest.rax & (CR0_PE | CR0_PG), 0);
    vmclear(region);
    region = vmcs_new_guest(g_out);
    stm_hook = unrestricted_in_transfer;
    check_eq("DM-RET-27", "goes-on", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-RET-27", "without-pe", failure, REASON_BAD_GUEST);
    vmclear(region);
}

/* ---- injected NMI and blocking by NMI ---- */
static void inject_nmi_blocked(void)
{
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, INJECT_NMI);
}

static void inject_nmi_refused(void)
{
    inject_nmi_blocked();
    note_failure();
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0);
}

static void test_inject_nmi(void)
{
    uint64_t region = vmcs_new_guest(g_out);

    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS));
    stm_hook = inject_nmi_refused;
    guest_run(LAUNCH);
    check_eq("DM-RET-28", "virtual-nmis", failure, REASON_BAD_GUEST);
    vmclear(region);
    region = vmcs_new_guest(g_out);
    nmis = 0;
    stm_hook = inject_nmi_blocked;
    check_eq("DM-RET-28", "no-virtual-nmis", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-RET-28", "delivered", nmis, 1);
    vmclear(region);
}

/* ---- MSR-load area ---- */
static void entry_area(uint32_t first, uint64_t first_value, uint32_t second, uint64_t second_value)
{
    memset((void *)(uintptr_t)AREA, 0, 64);
    write32(AREA, first);
    write64(AREA + 8, first_value);
    write32(AREA + 16, second);
    write64(AREA + 24, second_value);
    wr(VMCS_ENTRY_MSR_LOAD_ADDRESS, AREA);
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 2);
}

static void load_9bh(void)
{
    entry_area(MSR_STAR, 0x4321000000000, MSR_SMM_MONITOR_CTL, MSEG_BASE | 5);
}

static void load_9eh(void)
{
    entry_area(MSR_STAR, 0x1111000000000, MSR_SMBASE, DEFAULT_SMBASE);
    note_failure();
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
}

static void end_area(void)
{
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    wrmsr(MSR_SMM_MONITOR_CTL, MSEG_BASE | 1);
}

static void test_area(void)
{
    wrmsr(MSR_STAR, 0);
    stm_call(load_9bh);
    check_eq("DM-RET-39", "loaded", rdmsr(MSR_STAR), 0x4321000000000);
    check_eq("DM-RET-39", "9bh", rdmsr(MSR_SMM_MONITOR_CTL), MSEG_BASE | 5);
    stm_call(end_area);
    stm_call(load_9eh);
    check_eq("DM-RET-39", "9eh", failure, REASON_BAD_MSR);
    check_eq("DM-RET-39", "9eh-index", failure_qualification, 2);
}

/* ---- window exits go to exec ---- */
static void set_if(void)
{
    wr(VMCS_GUEST_RFLAGS, rd(VMCS_GUEST_RFLAGS) | RFLAGS_IF);
}

static void test_window(void)
{
    uint64_t region = vmcs_new_guest(g_out);
    uint32_t before = stm_exits;

    add_proc(VMX_CPU_INTERRUPT_WINDOW);
    stm_hook = set_if;
    check_eq("DM-RET-53", "window", guest_run(LAUNCH), VMX_REASON_INTERRUPT_WINDOW);
    check_eq("DM-RET-53", "window-rip", last_exit.rip, phys(g_out_next));
    check_eq("DM-RET-53", "not-to-the-stm", stm_exits, before + 1);
    vmclear(region);
}

/* ---- blocking by SMI ---- */
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

static void test_smi_blocking(void)
{
    uint32_t before = stm_exits;

    stm_hook = pend_and_block;
    vmcall();
    wait_a_little();
    check_eq("DM-RET-55", "bit-2-set", stm_exits, before + 1);
    stm_hook = pend;
    vmcall();
    check_eq("DM-RET-55", "bit-2-clear", stm_exits, before + 3);
}

/* ---- a VM entry with RFLAGS.TF ---- */
static volatile uint64_t traced_pending;

/* An SMI waits, so that the return ends in the STM again before exec runs. */
static void return_with_tf(void)
{
    uint64_t rip;

    self_ipi(IPI_SMI, 0);
    debug_traps = 0;
    __asm__ volatile("vmwrite %%rsp, %1\n\t"
                     "lea 1f(%%rip), %0\n\t"
                     "vmwrite %0, %2\n\t"
                     "pushfq\n\t"
                     "orl $0x100, (%%rsp)\n\t"
                     "popfq\n\t"
                     "vmresume\n\t"
                     "ud2\n"
                     "1:"
                     : "=&r"(rip)
                     : "r"((uint64_t)VMCS_HOST_RSP), "r"((uint64_t)VMCS_HOST_RIP)
                     : "cc", "memory");
    stm_record();
    traced_pending = stm_log.pending_debug;
}

static void test_tf(void)
{
    fault_hook = count_events;
    stm_hook = return_with_tf;
    smi_port_write(0x80);
    check_eq("DM-RET-65", "returned", stm_log.reason, 0x20000006);
    check_eq("DM-RET-65", "nothing-pending", traced_pending, 0);
    check_eq("DM-RET-65", "no-trap", debug_traps, 0);
}

void run_tests(void)
{
    stm_activate();
    exec_vmcs = vmcs_new();
    fault_hook = count_events;
    test_outside();
    test_controls();
    test_inject_nmi();
    vmptrld(exec_vmcs);
    test_area();
    test_window();
    vmptrld(exec_vmcs);
    test_smi_blocking();
    test_tf();
}
