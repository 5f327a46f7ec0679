/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Debug exceptions of guests, and the rarer unconditional exits. */
#include "vmx.h"

#define DB_BIT      (1u << 1)
#define CR4_OSXSAVE (1ull << 18)

static volatile uint64_t watched;
static uint8_t memory[32] __attribute__((aligned(16)));

static void end(void)
{
    for (;;) {
        __asm__ volatile("vmcall" : : : "memory");
    }
}

#define GUEST(name, ...)                                                       \
    static void name(void)                                                     \
    {                                                                          \
        __asm__ volatile(__VA_ARGS__);                                         \
        end();                                                                 \
    }

GUEST(g_step, "pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tnop\n\tnop" : : : "memory")
GUEST(g_watch, "movq $1, %0\n\tnop" : "=m"(watched))
GUEST(g_int1, ".byte 0xF1" : : : "memory")
GUEST(g_gd, "mov %%dr3, %%rax" : : : "rax")
GUEST(g_xsetbv, "xsetbv" : : "a"(1), "c"(0), "d"(0))
GUEST(g_invept, "invept %0, %%rax" : : "m"(memory), "a"(2ull))
GUEST(g_invvpid, "invvpid %0, %%rax" : : "m"(memory), "a"(2ull))
GUEST(g_vmfunc, ".byte 0x0F, 0x01, 0xD4" : : "a"(0), "c"(0))

static void s_none(void)
{
}

static void s_watch(void)
{
    uint64_t at = phys(&watched);

    __asm__ volatile("mov %0, %%dr0" : : "r"(at));
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_IA32E_GUEST | VMX_ENTRY_LOAD_DEBUG));
    wr(VMCS_GUEST_DR7, 0x400 | 1u << 1 | 1u << 16 | 2u << 18); /* G0, write, 8 */
}

static void s_gd(void)
{
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_IA32E_GUEST | VMX_ENTRY_LOAD_DEBUG));
    wr(VMCS_GUEST_DR7, 0x400 | 1u << 13);
}

static void s_osxsave(void)
{
    wr(VMCS_GUEST_CR4, rd(VMCS_GUEST_CR4) | CR4_OSXSAVE);
}

static const struct {
    const char *id, *name;
    void (*guest)(void);
    void (*setup)(void);
    uint32_t bitmap, reason, intr, length;
    uint64_t qualification;
} rows[] = {
    /* Debug exceptions; DR6 itself is not written. */
    {"VMX-INT-44", "single-step", g_step, s_none, DB_BIT, 0, 0x80000301, 0, 1u << 14},
    {"VMX-INT-44", "data-breakpoint", g_watch, s_watch, DB_BIT, 0, 0x80000301, 0, 1},
    {"VMX-INT-44", "general-detect", g_gd, s_gd, DB_BIT, 0, 0x80000301, 0, 1u << 13},
    {"VMX-INT-46", "int1", g_int1, s_none, DB_BIT, 0, 0x80000501, 1, 0},
    /* Unconditional exits. */
    {"VMX-INT-16", "xsetbv", g_xsetbv, s_osxsave, 0, 55, 0, 3, 0},
    {"VMX-INT-15", "invept", g_invept, s_none, 0, 50, 0, 0, UINT64_MAX},
    {"VMX-INT-15", "invvpid", g_invvpid, s_none, 0, 53, 0, 0, UINT64_MAX},
    /* VM functions are not enabled: #UD. */
    {"VMX-FUN-01", "vmfunc", g_vmfunc, s_none, 1u << 6, 0, 0x80000306, 0, 0},
};

static void test_rows(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region = vmcs_new_guest(rows[i].guest), dr6;

        wr(VMCS_EXCEPTION_BITMAP, rows[i].bitmap);
        rows[i].setup();
        write_dr6(0xFFFF0FF0);
        guest_run(LAUNCH);
        dr6 = read_dr6();
        check_eq(rows[i].id, rows[i].name, last_exit.reason, rows[i].reason);
        check_eq("VMX-INF-17", rows[i].name, last_exit.intr, rows[i].intr);
        if (rows[i].qualification != UINT64_MAX) {
            check_eq(rows[i].bitmap == DB_BIT ? "VMX-INF-02" : "VMX-INF-12",
                     rows[i].name, last_exit.qualification,
                     rows[i].qualification);
        }
        if (rows[i].length) {
            check_eq(rows[i].intr ? "VMX-INF-28" : "VMX-INF-27", rows[i].name, last_exit.length, rows[i].length);
        }
        if (rows[i].bitmap == DB_BIT) {
            check_eq("VMX-EXI-02", rows[i].name, dr6, 0xFFFF0FF0);
        }
        vmclear(region);
    }
}

/* Without the bit the guest's own handler gets them. */
static volatile uint32_t traps;
static volatile uint64_t trap_dr6;

static bool count_traps(struct fault_frame *frame)
{
    if (frame->vector == FAULT_DB) {
        traps++;
        trap_dr6 = read_dr6();
        frame->rflags &= ~(uint64_t)RFLAGS_TF;
    }
    return frame->vector == FAULT_DB;
}

static void test_own_handler(void)
{
    uint64_t region = vmcs_new_guest(g_step);

    fault_hook = count_traps;
    traps = 0;
    write_dr6(0xFFFF0FF0);
    guest_run(LAUNCH);
    check_eq("VMX-INT-44", "step-in-guest", traps, 1);
    check_eq("VMX-INT-44", "step-dr6", trap_dr6 >> 14 & 1, 1);
    check_eq("VMX-INT-44", "goes-on", last_exit.reason, VMX_REASON_VMCALL);
    fault_hook = NULL;
    vmclear(region);
}

/* Pending debug exceptions of the guest-state area are delivered. */
static void test_pending(void)
{
    uint64_t region = vmcs_new_guest(end);

    fault_hook = count_traps;
    traps = 0;
    wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF);
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 1u << 14);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-20", "pending-bs", traps, 1);
    check_eq("VMX-EVT-20", "first-instruction", last_exit.rip, phys((void *)end));
    fault_hook = NULL;
    vmclear(region);
}

void run_tests(void)
{
    vmx_start();
    test_rows();
    test_own_handler();
    test_pending();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
