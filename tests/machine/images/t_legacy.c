/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* 32-bit guests: task switches from every source, INTO and BOUND. */
#include "entry_check.h"

#define PAGE       0x2000000ull
#define IDT_AT     (PAGE + 0x1000)
#define TSS_AT     (PAGE + 0x2000)
#define TSS2       0x58u
#define FROM_CALL  (0u << 30)
#define FROM_IRET  (1u << 30)
#define FROM_JMP   (2u << 30)
#define FROM_GATE  (3u << 30)
#define AVAILABLE  0x89u
#define BUSY       0x8Bu

#define CODE32(name, ...)                                                      \
    void name(void);                                                           \
    __asm__(".code32\n.globl " #name "\n" #name ":\n\t" __VA_ARGS__                \
            "\n1:\tvmcall\n\tjmp 1b\n.code64\n")

CODE32(l_jmp, "ljmp $0x58, $0");
CODE32(l_call, "lcall $0x58, $0");
CODE32(l_iret, "pushfl\n\torl $0x4000, (%esp)\n\tpopfl\n\tiretl");
CODE32(l_int, "int $0x21");
CODE32(l_ud, "ud2");
CODE32(l_into, "movl $0x7FFFFFFF, %eax\n\taddl $1, %eax\n\tinto");
CODE32(l_bound, "movl $0x2000000, %ebx\n\txorl %eax, %eax\n\tbound %eax, (%ebx)");

static void fresh(void (*code)(void), uint32_t rights)
{
    memset((void *)PAGE, 0, 3 * PAGE_SIZE);
    memcpy((void *)PAGE, gdt, TSS2);
    write64(PAGE + TSS2, 0x67ull | ((PAGE + 0x800) & 0xFFFFFF) << 16 | (uint64_t)rights << 40);
    *(uint8_t *)(PAGE + TSS2 + 7) = (PAGE + 0x800) >> 24;
    /* A task gate for every vector; the back link of the guest's own task. */
    for (unsigned vector = 0; vector < 64; vector++) {
        write64(IDT_AT + 8 * vector, (uint64_t)TSS2 << 16 | 0x85ull << 40);
    }
    write32(TSS_AT, TSS2);
    entry_fresh(MODE_32);
    wr(VMCS_GUEST_RIP, phys((void *)code));
    wr(VMCS_GUEST_GDTR_BASE, PAGE);
    wr(VMCS_GUEST_GDTR_LIMIT, TSS2 + 7);
    wr(VMCS_GUEST_IDTR_BASE, IDT_AT);
    wr(VMCS_GUEST_IDTR_LIMIT, 0x1FF);
    wr(VMCS_GUEST_BASE(SEG_TR), TSS_AT);
}

static void test_task_switches(void)
{
    static const struct {
        const char *name;
        void (*code)(void);
        uint32_t rights, source, length, vectoring;
    } rows[] = {
        {"jmp", l_jmp, AVAILABLE, FROM_JMP, 7, 0},
        {"call", l_call, AVAILABLE, FROM_CALL, 7, 0},
        {"iret", l_iret, BUSY, FROM_IRET, 1, 0},
        {"gate-int", l_int, AVAILABLE, FROM_GATE, 2, 0x80000421},
        {"gate-ud", l_ud, AVAILABLE, FROM_GATE, 0, 0x80000306},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t vectoring;

        fresh(rows[i].code, rows[i].rights);
        check_eq("VMX-INT-49", rows[i].name, guest_run(LAUNCH), VMX_REASON_TASK_SWITCH);
        if (last_exit.reason != VMX_REASON_TASK_SWITCH) {
            continue;
        }
        vectoring = (uint32_t)rd(VMCS_IDT_VECTORING_INFO);
        check_eq("VMX-INF-07", rows[i].name, last_exit.qualification, rows[i].source | TSS2);
        if (rows[i].length) {
            check_eq("VMX-INF-28", rows[i].name, last_exit.length, rows[i].length);
        }
        check_eq("VMX-INF-23", rows[i].name, rows[i].vectoring ? vectoring : vectoring >> 31,
                 rows[i].vectoring);
        check_eq("VMX-NRB-14", rows[i].name, *(uint8_t *)(PAGE + TSS2 + 5), rows[i].rights);
    }
    /* Injected through a task gate. */
    fresh(l_jmp, AVAILABLE);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000306);
    check_eq("VMX-INT-49", "injected", guest_run(LAUNCH), VMX_REASON_TASK_SWITCH);
    check_eq("VMX-INF-07", "injected", last_exit.qualification, FROM_GATE | TSS2);
    check_eq("VMX-INF-23", "injected", rd(VMCS_IDT_VECTORING_INFO), 0x80000306);
}

/* ---- injection into 32-bit and virtual-8086 guests ---- */
CODE32(l_handler, "nop");
CODE32(l_nops, "nop\n\tnop\n\tnop");
#define STACK_TOP (PAGE + 0x2F00)

static void test_injection(void)
{
    static const struct {
        const char *id, *name;
        uint32_t info, error, length;
    } rows[] = {
        {"VMX-EVT-01", "external", 0x80000020, 0, 0},
        {"VMX-EVT-02", "nmi", 0x80000202, 0, 0},
        {"VMX-EVT-03", "ud", 0x80000306, 0, 0},
        {"VMX-EVT-03", "gp", 0x80000B0D, 0x1238, 0},
        {"VMX-EVT-04", "int-n", 0x80000421, 0, 2},
        {"VMX-EVT-04", "int3", 0x80000603, 0, 1},
        {"VMX-EVT-05", "int1", 0x80000501, 0, 1},
    };

    for (unsigned vm86 = 0; vm86 < 2; vm86++) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
            uint64_t handler = phys((void *)l_handler), sp, rip;
            uint32_t frame[10], *at = frame;

            fresh(l_nops, AVAILABLE);
            if (vm86) {
                entry_fresh(MODE_VM86);
                wr(VMCS_GUEST_GDTR_BASE, PAGE);
                wr(VMCS_GUEST_IDTR_BASE, IDT_AT);
                wr(VMCS_GUEST_IDTR_LIMIT, 0x1FF);
                wr(VMCS_GUEST_BASE(SEG_TR), TSS_AT);
                wr(VMCS_GUEST_RFLAGS, 1u << 17 | 3u << 12 | 2 | RFLAGS_IF);
                wr(VMCS_GUEST_RSP, 0x800);
            } else {
                wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
                wr(VMCS_GUEST_RSP, STACK_TOP);
            }
            write32(TSS_AT + 4, STACK_TOP);
            write32(TSS_AT + 8, SEL_DATA32);
            for (unsigned vector = 0; vector < 64; vector++) {
                write64(IDT_AT + 8 * vector, (handler & 0xFFFF) | (uint64_t)SEL_CODE32 << 16 |
                                                 0xEEull << 40 | (handler >> 16) << 48);
            }
            rip = rd(VMCS_GUEST_RIP);
            wr(VMCS_ENTRY_INTERRUPTION_INFO, rows[i].info);
            wr(VMCS_ENTRY_EXCEPTION_ERROR_CODE, rows[i].error);
            wr(VMCS_ENTRY_INSTRUCTION_LENGTH, rows[i].length);
            check_eq(rows[i].id, rows[i].name, guest_run(LAUNCH), VMX_REASON_VMCALL);
            sp = rd(VMCS_GUEST_RSP);
            memcpy(frame, (void *)sp, sizeof(frame));
            check(rows[i].id, "stack",
                  STACK_TOP - sp == 4u * ((vm86 ? 9 : 3) + !!(rows[i].info & 0x800)),
                  "vm86:%d,rsp:%q", vm86, sp);
            if (rows[i].info & 0x800) {
                check_eq(rows[i].id, "error-code", *at++, rows[i].error);
            }
            check_eq(rows[i].id, "eip", at[0], (uint32_t)rip + rows[i].length);
            check_eq(rows[i].id, "cs", at[1] & 0xFFFF, vm86 ? 0x700 : SEL_CODE32);
            check_eq(rows[i].id, "eflags-vm", at[2] >> 17 & 1, vm86);
            check_eq("VMX-EVT-10", rows[i].name, rd(VMCS_GUEST_RFLAGS) >> 17 & 1, 0);
        }
    }
}

static void test_exceptions(void)
{
    fresh(l_into, AVAILABLE);
    wr(VMCS_EXCEPTION_BITMAP, 1u << 4);
    guest_run(LAUNCH);
    check_eq("VMX-INT-46", "into", last_exit.intr, 0x80000604);
    check_eq("VMX-INF-28", "into", last_exit.length, 1);
    fresh(l_bound, AVAILABLE);
    write32(PAGE, 1); /* bounds 1 to 2, index 0 */
    write32(PAGE + 4, 2);
    wr(VMCS_EXCEPTION_BITMAP, 1u << 5);
    guest_run(LAUNCH);
    check_eq("VMX-INT-46", "bound", last_exit.intr, 0x80000305);
}

void run_tests(void)
{
    vmx_start();
    test_task_switches();
    test_injection();
    test_exceptions();
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
