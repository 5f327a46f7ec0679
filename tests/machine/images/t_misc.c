/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Single rules of several groups that need no image of their own. */
#include "stm.h"

static uint64_t exec_vmcs;

/* ---- before activation ---- */
static void test_exec(void)
{
    uint64_t region = vmcs_new();

    /* DM-INT-08: VMPTRLD of closed SMRAM reads all ones: error 11. */
    check_vmx("DM-INT-08", "vmptrld-tseg", vmptrld(MSEG_BASE),
              VMX_ERROR_VMPTRLD_REVISION);
    vmclear(region);
}

static volatile uint32_t nmis;

static bool count_nmi(struct fault_frame *frame)
{
    nmis += frame->vector == 2;
    return frame->vector == 2;
}

static void wait_a_little(void)
{
    for (volatile int i = 0; i < 1000; i++) {
    }
}

static volatile uint64_t kept_efer;

static void at_activation(void)
{
    uint32_t before = stm_exits;

    kept_efer = stm_log.efer;
    nmis = 0;
    self_ipi(IPI_NMI, 0);
    self_ipi(IPI_SMI, 0);
    wait_a_little();
    /* DM-ACT-60: NMIs and SMIs are blocked. */
    check_eq("DM-ACT-60", "nmi-blocked", nmis, 0);
    check_eq("DM-ACT-60", "smi-blocked", stm_exits, before);
}

static void test_activation(void)
{
    uint32_t before = stm_exits;

    exec_vmcs = activation_vmcs();
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE) & ~VMX_EXIT_SAVE_EFER);
    wr(VMCS_GUEST_IA32_EFER, 0x5A5A);
    fault_hook = count_nmi;
    stm_hook = at_activation;
    vmcall();
    /* DM-ACT-33: "save IA32_EFER" = 0: the field keeps its marker;
     * DM-ACT-40: an all-zero host-state area does not matter. */
    check_eq("DM-ACT-33", "efer-not-saved", kept_efer, 0x5A5A);
    check_eq("DM-ACT-40", "started", stm_starts, 1);
    /* Both events were taken after the return. */
    check_eq("DM-ACT-60", "nmi-after", nmis, 1);
    check_eq("DM-ACT-60", "smi-after", stm_exits, before + 2);
    fault_hook = NULL;
}

/* ---- state of the STM after an SMM VM exit ---- */
static volatile uint64_t in_rflags, in_dr7, in_debugctl, in_gdtr_limit,
    in_idtr_limit, in_9e;
static volatile uint32_t in_9e_vector;

static void note_state(void)
{
    uint64_t value = 0;

    in_rflags = read_rflags();
    in_dr7 = read_dr7();
    in_debugctl = rdmsr(MSR_DEBUGCTL);
    in_gdtr_limit = read_gdtr().limit;
    in_idtr_limit = read_idtr().limit;
    in_9e_vector = try_rdmsr(MSR_SMBASE, &value);
    in_9e = value;
}

static void test_host_state(void)
{
    stm_hook = note_state;
    write_dr7(0x401);
    __asm__ volatile("std\n\toutb %%al, $0xB2\n\tcld" : : "a"(0x80) : "memory");
    /* DM-EXI-50, DM-EXI-54: host state by the ordinary rules. */
    check_eq("DM-EXI-50", "rflags-df-if", in_rflags & (RFLAGS_DF | RFLAGS_IF), 0);
    check_eq("DM-EXI-50", "dr7", in_dr7, 0x400);
    check_eq("DM-EXI-50", "debugctl", in_debugctl, 0);
    check_eq("DM-EXI-50", "gdtr-limit", in_gdtr_limit, 0xFFFF);
    check_eq("DM-EXI-50", "idtr-limit", in_idtr_limit, 0xFFFF);
    check_eq("DM-EXI-01", "smbase-readable", in_9e_vector, NO_FAULT);
    check_eq("DM-EXI-01", "smbase", in_9e, DEFAULT_SMBASE);
    check_eq("DM-RET-44", "dr7-back", read_dr7(), 0x401);
    write_dr7(0x400);
}

/* ---- more returns ---- */
static void both_bits_of_interruptibility(void)
{
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE,
       rd(VMCS_GUEST_INTERRUPTIBILITY_STATE) | VMX_BLOCKING_BY_SMI | VMX_BLOCKING_BY_NMI);
}

static void clear_interruptibility(void)
{
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
}

static void test_interruptibility(void)
{
    /* DM-RET-34: both values of bit 2 are accepted. */
    stm_call(both_bits_of_interruptibility);
    stm_call(clear_interruptibility);
    check_eq("DM-RET-34", "saved", stm_log.interruptibility,
             VMX_BLOCKING_BY_SMI | VMX_BLOCKING_BY_NMI);
}

static volatile uint32_t debug_traps;

static bool count_debug(struct fault_frame *frame)
{
    if (frame->vector == FAULT_DB) {
        debug_traps++;
        frame->rflags &= ~(uint64_t)RFLAGS_TF;
        return true;
    }
    return false;
}

/* DM-ACT-59, DM-EXI-42: VMCALL with TF = 1 in the shadow of STI. */
static void test_tf(void)
{
    fault_hook = count_debug;
    debug_traps = 0;
    __asm__ volatile("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tvmcall\n\tnop"
                     :
                     :
                     : "cc", "memory");
    check_eq("DM-EXI-42", "pending-debug", stm_log.pending_debug, 0);
    check("DM-EXI-42", "tf-goes-on", debug_traps >= 1, "traps:%d", debug_traps);
    fault_hook = NULL;
}

/* ---- guests of the STM ---- */
static volatile uint32_t sguest_nmis;

static bool count_sguest_nmi(struct fault_frame *frame)
{
    sguest_nmis += frame->vector == 2;
    return frame->vector == 2;
}

static void sguest_sends_nmi(void)
{
    self_ipi(IPI_NMI, 0);
    wait_a_little();
    __asm__ volatile("vmcall" : : : "memory");
}

static void do_rsm(void *unused)
{
    (void)unused;
    __asm__ volatile("rsm" : : : "memory");
}

static void sguest_ring3_rsm(void)
{
    user_call(do_rsm, NULL);
    __asm__ volatile("vmcall" : : : "memory");
}

static uint64_t new_sguest(void (*entry)(void))
{
    uint64_t region = vmcs_new_guest(entry);

    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_TO_SMM);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    return region;
}

static void run_sguests(void)
{
    uint64_t transfer = vmptrst();
    uint64_t region = new_sguest(sguest_sends_nmi);

    /* DM-STM-18: bit 3 = 0 opens NMIs in the guest of the STM. */
    fault_hook = count_sguest_nmi;
    sguest_nmis = 0;
    guest_run(LAUNCH);
    check_eq("DM-STM-18", "nmi-taken", sguest_nmis, 1);
    vmclear(region);

    region = new_sguest(sguest_sends_nmi);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI | VMX_BLOCKING_BY_NMI);
    sguest_nmis = 0;
    guest_run(LAUNCH);
    check_eq("DM-STM-18", "nmi-blocked", sguest_nmis, 0);
    check_eq("DM-STM-20", "both-bits-saved", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE),
             VMX_BLOCKING_BY_SMI | VMX_BLOCKING_BY_NMI);
    vmclear(region);

    /* DM-STM-07, unconfirmed, golden result: RSM exits at CPL 3. */
    region = new_sguest(sguest_ring3_rsm);
    guest_run(LAUNCH);
    check_eq("DM-STM-07", "rsm-at-cpl3", last_exit.reason, VMX_REASON_RSM);
    vmclear(region);
    vmptrld(transfer);
}

/* ---- ordinary guests ---- */
static void do_getsec(void *unused)
{
    (void)unused;
    __asm__ volatile(".byte 0x0F, 0x37" : : "a"(0), "b"(0) : "memory");
}

static volatile uint32_t getsec_vector;

static void guest_getsec(void)
{
    getsec_vector = try_call(do_getsec, NULL);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_guest(void)
{
    uint64_t region = vmcs_new_guest(guest_getsec);

    wr(VMCS_GUEST_SMBASE, 0x77777);
    guest_run(LAUNCH);
    /* DM-INT-31: GETSEC is #UD without SMX. */
    check_eq("DM-INT-31", "getsec", getsec_vector, FAULT_UD);
    smi_port_write(0x80);
    /* DM-CTL-17: 4828H of an ordinary guest has no effect. */
    check_eq("DM-CTL-17", "smbase", stm_log.smbase, DEFAULT_SMBASE);
    vmclear(region);
}

void run_tests(void)
{
    stm_prepare();
    test_exec();
    test_activation();
    test_host_state();
    test_interruptibility();
    test_tf();
    stm_call(run_sguests);
    /* DM-RET-59: the NMI that the second guest left pending is exec's now. */
    wait_a_little();
    check_eq("DM-RET-59", "nmi-left-pending", sguest_nmis, 1);
    fault_hook = NULL;
    test_guest();
}
