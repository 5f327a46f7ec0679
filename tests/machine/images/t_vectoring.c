/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Exits during event delivery: IDT-vectoring information, double fault. */
#include "vmx.h"

#define ABSENT 0x8000000000ull /* canonical, not mapped */

static uint64_t small_idt;

static void g_ud2(void)
{
    __asm__ volatile("ud2" : : : "memory");
}

static void g_int3(void)
{
    __asm__ volatile("int3" : : : "memory");
}

static void g_int80(void)
{
    __asm__ volatile("int $0x80" : : : "memory");
}

static void g_bad_stack(void)
{
    __asm__ volatile("mov %0, %%rsp\n\tud2" : : "r"(ABSENT + 0x1000) : "memory");
}

static void g_gp(void)
{
    __asm__ volatile("mov %%ax, %%ds" : : "a"(0x58) : "memory");
}

static const struct {
    const char *id, *name;
    void (*guest)(void);
    uint32_t bitmap;
    uint32_t idtr_limit;
    uint32_t reason, intr, vectoring, vectoring_error;
} rows[] = {
    /* The event being delivered when the exit occurred.  The IDT is
     * too short, so delivery raises #GP(vector * 8 + 2 [+ EXT]). */
    {"VMX-INF-22", "ud-then-gp", g_ud2, 1u << 13, 6 * 16 - 1, 0, 0x80000B0D, 0x80000306, 0},
    {"VMX-INF-22", "int3-then-gp", g_int3, 1u << 13, 3 * 16 - 1, 0, 0x80000B0D, 0x80000603, 0},
    {"VMX-INF-22", "int80-then-gp", g_int80, 1u << 13, 6 * 16 - 1, 0, 0x80000B0D, 0x80000480,
     0},
    {"VMX-INF-22", "ud-then-pf", g_bad_stack, 1u << 14, 0xFFF, 0, 0x80000B0E, 0x80000306, 0},
    /* A double fault exits through bit 8. */
    {"VMX-INF-24", "gp-then-gp-is-df", g_gp, 1u << 8, 13 * 16 - 1, 0, 0x80000B08, 0, 0},
    /* Without any bit: triple fault, no vectoring information. */
    {"VMX-INF-24", "triple", g_gp, 0, 0, 2, 0, 0, 0},
};

void run_tests(void)
{
    small_idt = read_idtr().base;
    vmx_start();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region = vmcs_new_guest(rows[i].guest);

        wr(VMCS_EXCEPTION_BITMAP, rows[i].bitmap);
        wr(VMCS_GUEST_IDTR_LIMIT, rows[i].idtr_limit);
        guest_run(LAUNCH);
        check_eq("VMX-INT-44", rows[i].name, last_exit.reason, rows[i].reason);
        check_eq("VMX-INF-17", rows[i].name, last_exit.intr, rows[i].intr);
        check_eq(rows[i].id, rows[i].name, rd(VMCS_IDT_VECTORING_INFO), rows[i].vectoring);
        vmclear(region);
    }
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
