/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The dual-monitor treatment beside the rest of the processor: XMM registers, HLT
 * and MWAIT, interrupts, virtual NMIs and IRET, EPTP switching, reserved bits.
 */
#include "guest_code.h"
#include "stm.h"

#define EPT_RWX  7u
#define EPT_LEAF (EPT_RWX | 6u << 3 | 1u << 7)
#define VECTOR   0x41u
#define WINDOW   0x3000000ull
#define FRAME    0x3200000ull

/* OUT, VMCALL, IRET, VMCALL. */
GUEST(g_iret, "out %al, $0xB2",
      "vmcall\n\tmov %ss, %eax\n\tpushq %rax\n\tlea 8(%rsp), %rcx\n\tpushq %rcx\n\t"
      "pushfq\n\tmov %cs, %eax\n\tpushq %rax\n\tlea 2f(%rip), %rcx\n\tpushq %rcx\n\tiretq\n2:");
/* VMFUNC 0 with ECX = 1, a look at the window, OUT, another look. */
GUEST(g_switch, "xor %eax, %eax\n\tmov $1, %ecx\n\tvmfunc\n\tmov (%rsi), %rbx\n\tout %al, $0xB2", "mov (%rsi), %rdx");
GUEST(g_out, "out %al, $0xB2", "inc %rbx");

static volatile uint32_t interrupts;

static bool count_interrupt(struct fault_frame *frame)
{
    if (frame->vector != VECTOR) {
        return false;
    }
    interrupts++;
    write32(0xFEE000B0, 0);
    return true;
}

static void add_proc(uint32_t set)
{
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, (uint32_t)rd(VMCS_PROCESSOR_CONTROLS) | set));
}

/* ---- XMM ---- */
static volatile uint64_t xmm_in_smm;

static uint64_t read_xmm0(void)
{
    uint64_t value;

    __asm__ volatile("movq %%xmm0, %0" : "=r"(value));
    return value;
}

static void write_xmm0(uint64_t value)
{
    __asm__ volatile("movq %0, %%xmm0" : : "r"(value));
}

static void touch_xmm(void)
{
    write_cr0(read_cr0() & ~(uint64_t)CR0_TS);
    write_cr4(read_cr4() | CR4_OSFXSR);
    xmm_in_smm = read_xmm0();
    write_xmm0(0x2222333344445555);
}

static void check_xmm(const char *name, void (*smi)(void (*)(void)))
{
    write_xmm0(0x1111222233334444);
    xmm_in_smm = 0;
    smi(touch_xmm);
    check_eq("DM-INT-38", name, xmm_in_smm, 0x1111222233334444);
    /* Neither saved nor restored by the processor. */
    check_eq("DM-INT-38", "not-restored", read_xmm0(), 0x2222333344445555);
}

static void smi_to_stm(void (*fn)(void))
{
    stm_hook = fn;
    smi_port_write(0x80);
}

/* ---- HLT and MWAIT ---- */
static uint8_t line[64] __attribute__((aligned(64)));
static volatile uint32_t activity, rounds;

/* Notes the state at every SMI; HLT is ended at its second one. */
static void note_activity(void)
{
    if ((stm_log.reason & 0xFFFF) != VMX_REASON_OTHER_SMI) {
        return;
    }
    activity = stm_log.activity;
    rounds++;
    if (activity == VMX_ACTIVITY_HLT && rounds >= 2) {
        wr(VMCS_GUEST_ACTIVITY_STATE, 0);
    }
}

static void test_wake(void)
{
    stm_always = note_activity;
    rounds = 0;
    smi_timer_start_at(SMI_EVERY_1_5_MS);
    __asm__ volatile("hlt" : : : "memory");
    smi_timer_stop();
    check_eq("DM-INT-17", "hlt", activity, VMX_ACTIVITY_HLT);
    check_eq("DM-INT-17", "hlt-entered-again", rounds, 2);

    /* The return clears the monitor, and MWAIT does not wait again. */
    activity = UINT32_MAX;
    rounds = 0;
    __asm__ volatile("monitor" : : "a"(line), "c"(0), "d"(0) : "memory");
    smi_timer_start_at(SMI_EVERY_1_5_MS);
    while (!rounds) {
        __asm__ volatile("monitor" : : "a"(line), "c"(0), "d"(0) : "memory");
        __asm__ volatile("mwait" : : "a"(0), "c"(0) : "memory");
    }
    smi_timer_stop();
    check_eq("DM-INT-17", "mwait", activity, 0);
    stm_always = NULL;
}

/* ---- reserved bits of the interruptibility state ---- */
static volatile uint32_t accepted;

static void try_reserved(void)
{
    uint64_t good = rd(VMCS_GUEST_INTERRUPTIBILITY_STATE);

    accepted = 0;
    for (unsigned bit = 4; bit < 32; bit++) {
        wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, good | 1u << bit);
        if (vm_enter(&stm_guest, stm_launch) != VMX_EXITED || rd(VMCS_EXIT_REASON) != REASON_BAD_GUEST) {
            accepted |= 1u << bit;
        }
    }
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, good);
}

/* ---- "acknowledge interrupt on exit" of the SMM-transfer VMCS ---- */
static void acknowledge(void)
{
    wr(VMCS_EXIT_CONTROLS, rd(VMCS_EXIT_CONTROLS) | VMX_EXIT_ACKNOWLEDGE_INTERRUPT);
}

static void test_acknowledge(void)
{
    stm_call(acknowledge);
    fault_hook = count_interrupt;
    interrupts = 0;
    self_ipi(IPI_FIXED, VECTOR);
    smi_port_write(0x80);
    check_eq("DM-INT-39", "no-vector", stm_log.intr >> 31, 0);
    check_eq("DM-INT-39", "still-requested", read32(0xFEE00200 + 0x10 * (VECTOR / 32)) >> VECTOR % 32 & 1, 1);
    check_eq("DM-INT-39", "not-in-service", read32(0xFEE00100 + 0x10 * (VECTOR / 32)) >> VECTOR % 32 & 1, 0);
    __asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
    check_eq("DM-INT-39", "taken-later", interrupts, 1);
    fault_hook = NULL;
}

/* ---- IRET and blocking by NMI ---- */
static void iret_case(const char *name, uint32_t pin, uint32_t want_behind)
{
    uint64_t region = vmcs_new_guest(g_iret);
    uint32_t before = stm_exits;

    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, pin));
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI);
    guest_run(LAUNCH);
    check_eq("DM-INT-42", "smi", stm_exits, before + 1);
    check_eq("DM-INT-42", "bit-3-at-the-smi", stm_log.interruptibility, VMX_BLOCKING_BY_NMI);
    check_eq("DM-INT-42", "before-iret", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), VMX_BLOCKING_BY_NMI);
    guest_skip();
    guest_run(RESUME);
    check_eq("DM-INT-42", name, rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), want_behind);
    vmclear(region);
}

/* ---- EPTP switching ---- */
/* Identity in 1-GB pages; the window's 2 MB are those of `frame`. */
static uint64_t make_ept(uint64_t frame)
{
    uint64_t pml4 = phys(page_alloc()), pdpt = phys(page_alloc()), pd = phys(page_alloc());

    write64(pml4, pdpt | EPT_RWX);
    write64(pdpt, pd | EPT_RWX);
    for (uint64_t i = 1; i < 4; i++) {
        write64(pdpt + 8 * i, i << 30 | EPT_LEAF);
    }
    for (uint64_t i = 0; i < 512; i++) {
        write64(pd + 8 * i, (i << 21 == WINDOW ? frame : i << 21) | EPT_LEAF);
    }
    return pml4 | 0x1E;
}

static void test_eptp_switch(void)
{
    uint64_t first = make_ept(WINDOW), second = make_ept(FRAME), list = phys(page_alloc()), region;

    write64(WINDOW, 0xAAAA);
    write64(FRAME, 0xBBBB);
    write64(list, first);
    write64(list + 8, second);
    region = vmcs_new_guest(g_switch);
    add_proc(VMX_CPU_SECONDARY_CONTROLS);
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT | VMX_CPU2_VMFUNC));
    wr(VMCS_EPT_POINTER, first);
    wr(VMCS_VM_FUNCTION_CONTROLS, 1);
    wr(VMCS_EPTP_LIST_ADDRESS, list);
    guest.rsi = WINDOW;
    check_eq("DM-INT-43", "guest", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-INT-43", "before-the-smi", guest.rbx, 0xBBBB);
    check_eq("DM-INT-43", "behind-the-return", guest.rdx, 0xBBBB);
    check_eq("DM-INT-43", "field", rd(VMCS_EPT_POINTER), second);
    vmclear(region);
}

/* ---- the executive VMCS behind a return ---- */
static void test_current(void)
{
    uint64_t region = vmcs_new_guest(g_out), value = 0;

    guest_run(LAUNCH);
    check_vmx("DM-INT-46", "vmread", vmread_flags(VMCS_GUEST_RIP, &value), SUCCESS);
    check_eq("DM-INT-46", "its-own-field", value, last_exit.rip);
    guest_skip();
    guest.rbx = 0;
    check_eq("DM-INT-46", "vmresume", vm_enter(&guest, RESUME), VMX_EXITED);
    check_eq("DM-INT-46", "reason", rd(VMCS_EXIT_REASON), VMX_REASON_VMCALL);
    vmclear(region);
}

void run_tests(void)
{
    stm_prepare();
    write_cr4(read_cr4() | CR4_OSFXSR);
    check_xmm("default", smm_call);
    activation_vmcs();
    if (vmcall()) {
        panic("activation");
    }
    write_cr4(read_cr4() | CR4_OSFXSR);
    check_xmm("stm", smi_to_stm);
    test_wake();
    stm_call(try_reserved);
    check_eq("DM-INT-19", "accepted", accepted, 0);
    test_acknowledge();
    iret_case("virtual-nmis", VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS, 0);
    iret_case("nmi-exiting", VMX_PIN_NMI, VMX_BLOCKING_BY_NMI);
    iret_here();
    test_eptp_switch();
    test_current();
}
