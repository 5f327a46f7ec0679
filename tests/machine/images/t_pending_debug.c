/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The field for pending debug exceptions after VM exits of a guest with RFLAGS.TF,
 * by cause: most save it as clear, some leave what is pending.
 */
#include "vmx.h"

#define BS       (1u << 14)
#define DB_BIT   (1u << 1)
#define UD_BIT   (1u << 6)
#define DEBUG_EXCEPTION 0x80000301u
#define NO_INTR  0u

/* The instructions that the guests begin with; TF is set for the first. */
#define GUEST(name, ...)                                                       \
    void name(void);                                                           \
    __asm__(".globl " #name "\n" #name ":\n\t" __VA_ARGS__ "\n1:\tvmcall\n\tjmp 1b\n")

GUEST(p_nop, "nop\n\tnop");
GUEST(p_sti, "sti\n\tnop");
GUEST(p_mov_ss, "mov %ss, %eax\n\tmov %eax, %ss");
GUEST(p_int1, "mov %eax, %ss\n\t.byte 0xF1");
GUEST(p_ud, "mov %eax, %ss\n\tud2");
GUEST(p_cpuid, "mov %eax, %ss\n\tcpuid");
GUEST(p_at_once, "cpuid");

static const struct {
    const char *name;
    void (*code)(void);
    uint32_t bitmap, proc, reason, intr, blocked, pending;
} rows[] = {
    /* VM exits due to debug exceptions. */
    {"step", p_nop, DB_BIT, 0, VMX_REASON_EXCEPTION_NMI, DEBUG_EXCEPTION, 0, 0},
    {"step-behind-sti", p_sti, DB_BIT, 0, VMX_REASON_EXCEPTION_NMI, DEBUG_EXCEPTION, VMX_BLOCKING_BY_STI, 0},
    {"int1-behind-mov-ss", p_int1, DB_BIT, 0, VMX_REASON_EXCEPTION_NMI, 0x80000501, VMX_BLOCKING_BY_MOV_SS, 0},
    /* Others, with blocking by MOV SS and without. */
    {"ud-behind-mov-ss", p_ud, UD_BIT, 0, VMX_REASON_EXCEPTION_NMI, 0x80000306, VMX_BLOCKING_BY_MOV_SS, BS},
    {"cpuid-behind-mov-ss", p_cpuid, 0, 0, VMX_REASON_CPUID, NO_INTR, VMX_BLOCKING_BY_MOV_SS, BS},
    {"cpuid", p_at_once, 0, 0, VMX_REASON_CPUID, NO_INTR, 0, 0},
    /* Monitor trap flag. */
    {"mtf", p_nop, 0, VMX_CPU_MONITOR_TRAP_FLAG, VMX_REASON_MONITOR_TRAP_FLAG, NO_INTR, 0, BS},
    {"mtf-behind-sti", p_sti, 0, VMX_CPU_MONITOR_TRAP_FLAG, VMX_REASON_MONITOR_TRAP_FLAG, NO_INTR, VMX_BLOCKING_BY_STI,
     BS},
    {"mtf-before-db", p_nop, DB_BIT, VMX_CPU_MONITOR_TRAP_FLAG, VMX_REASON_MONITOR_TRAP_FLAG, NO_INTR, 0, BS},
};

void run_tests(void)
{
    vmx_start();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region = vmcs_new_guest(rows[i].code);

        wr(VMCS_EXCEPTION_BITMAP, rows[i].bitmap);
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, (uint32_t)rd(VMCS_PROCESSOR_CONTROLS) | rows[i].proc));
        wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF);
        guest.rax = SEL_DATA64;
        check_eq("VMX-EXI-16", rows[i].name, guest_run(LAUNCH), rows[i].reason);
        if (rows[i].intr) {
            check_eq("VMX-INF-17", rows[i].name, last_exit.intr, rows[i].intr);
        }
        /* "Saving Non-Register State" */
        check_eq("VMX-EXI-15", rows[i].name, rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), rows[i].blocked);
        check_eq("VMX-EXI-16", rows[i].name, rd(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), rows[i].pending);
        vmclear(region);
    }
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
