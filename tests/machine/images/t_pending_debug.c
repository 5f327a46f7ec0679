/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The field for pending debug exceptions after VM exits of a guest with RFLAGS.TF,
 * by cause: most save it as clear, some leave what is pending.
 */
#include "vmx.h"

#define BS       (1u << 14)
#define DB_BIT   (1u << 1)
#define UD_BIT   (1u << 6)
#define PROC_MTF (1u << 27)
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
    {"step", p_nop, DB_BIT, 0, REASON_EXCEPTION, DEBUG_EXCEPTION, 0, 0},
    {"step-behind-sti", p_sti, DB_BIT, 0, REASON_EXCEPTION, DEBUG_EXCEPTION, BLOCKED_STI, 0},
    {"int1-behind-mov-ss", p_int1, DB_BIT, 0, REASON_EXCEPTION, 0x80000501, BLOCKED_MOV_SS, 0},
    /* Others, with blocking by MOV SS and without. */
    {"ud-behind-mov-ss", p_ud, UD_BIT, 0, REASON_EXCEPTION, 0x80000306, BLOCKED_MOV_SS, BS},
    {"cpuid-behind-mov-ss", p_cpuid, 0, 0, REASON_CPUID, NO_INTR, BLOCKED_MOV_SS, BS},
    {"cpuid", p_at_once, 0, 0, REASON_CPUID, NO_INTR, 0, 0},
    /* Monitor trap flag. */
    {"mtf", p_nop, 0, PROC_MTF, REASON_MTF, NO_INTR, 0, BS},
    {"mtf-behind-sti", p_sti, 0, PROC_MTF, REASON_MTF, NO_INTR, BLOCKED_STI, BS},
    {"mtf-before-db", p_nop, DB_BIT, PROC_MTF, REASON_MTF, NO_INTR, 0, BS},
};

void run_tests(void)
{
    vmx_start();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region = vmcs_new_guest(rows[i].code);

        wr(F_EXCEPTION_BITMAP, rows[i].bitmap);
        wr(F_PROC, controls(MSR_VMX_TRUE_PROC, (uint32_t)rd(F_PROC) | rows[i].proc));
        wr(F_GUEST_RFLAGS, 2 | RFLAGS_TF);
        guest.rax = SEL_DATA64;
        check_eq("VMX-EXI-16", rows[i].name, guest_run(LAUNCH), rows[i].reason);
        if (rows[i].intr) {
            check_eq("VMX-INF-17", rows[i].name, last_exit.intr, rows[i].intr);
        }
        /* "Saving Non-Register State" */
        check_eq("VMX-EXI-15", rows[i].name, rd(F_INTERRUPTIBILITY), rows[i].blocked);
        check_eq("VMX-EXI-16", rows[i].name, rd(F_PENDING_DEBUG), rows[i].pending);
        vmclear(region);
    }
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
