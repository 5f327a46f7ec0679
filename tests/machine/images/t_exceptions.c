/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Every exception that a guest can raise against the exception bitmap: its own
 * bit alone makes it exit, all the others together do not. */
#include "entry_check.h"

#define GDT_AT    0x2000000ull
#define ABSENT_AT 0x58u /* a selector whose descriptor is not present */

#define CODE32(name, ...) CODE(name, ".code32\n\t" __VA_ARGS__ "\n\t.code64")

CODE(e_de, "xor %ecx, %ecx\n\tdiv %ecx");
CODE(e_db, "pushfq\n\torl $0x100, (%rsp)\n\tpopfq\n\tnop");
CODE(e_bp, "int3");
CODE32(e_of, "movl $0x7FFFFFFF, %eax\n\taddl $1, %eax\n\tinto");
CODE32(e_br, "movl $0x2000800, %ebx\n\txorl %eax, %eax\n\tbound %eax, (%ebx)");
CODE(e_ud, "ud2");
CODE(e_nm, "fninit");
CODE(e_np, "mov $0x58, %eax\n\tmov %eax, %ds");
CODE(e_ss, "mov $0x58, %eax\n\tmov %eax, %ss");
CODE(e_gp, "mov $0x60, %eax\n\tmov %eax, %ds");
CODE(e_pf, "movabs $0x8000000123, %rax\n\tmovb $1, (%rax)");
CODE(e_mf, "fninit\n\tmovl $0x37B, -4(%rsp)\n\tfldcw -4(%rsp)\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait");
static const struct {
    const char *name;
    void (*code)(void);
    enum mode mode;
    uint32_t info, error, length;
    bool trap; /* RF is not set, RIP is behind */
} rows[] = {
    {"de", e_de, MODE_64, 0x80000300, 0, 0, false},
    {"db", e_db, MODE_64, 0x80000301, 0, 0, true},
    {"bp", e_bp, MODE_64, 0x80000603, 0, 1, true},
    {"of", e_of, MODE_32, 0x80000604, 0, 1, true},
    {"br", e_br, MODE_32, 0x80000305, 0, 0, false},
    {"ud", e_ud, MODE_64, 0x80000306, 0, 0, false},
    {"nm", e_nm, MODE_64, 0x80000307, 0, 0, false},
    {"np", e_np, MODE_64, 0x80000B0B, ABSENT_AT, 0, false},
    {"ss", e_ss, MODE_64, 0x80000B0C, ABSENT_AT, 0, false},
    {"gp", e_gp, MODE_64, 0x80000B0D, 0x60, 0, false},
    {"pf", e_pf, MODE_64, 0x80000B0E, 2, 0, false},
    {"mf", e_mf, MODE_64, 0x80000310, 0, 0, false},
};

static void fresh(size_t row)
{
    entry_fresh(rows[row].mode);
    wr(VMCS_GUEST_RIP, phys((void *)rows[row].code));
    wr(VMCS_GUEST_GDTR_BASE, GDT_AT);
    wr(VMCS_GUEST_GDTR_LIMIT, ABSENT_AT + 7);
    wr(VMCS_GUEST_CR0, (rd(VMCS_GUEST_CR0) | CR0_MP) & ~(uint64_t)(1u << 2));
    if (rows[row].code == e_nm) {
        wr(VMCS_GUEST_CR0, rd(VMCS_GUEST_CR0) | CR0_TS);
    }
    wr(VMCS_GUEST_IDTR_LIMIT, 0); /* what does not exit cannot be delivered */
}

static void test_row(size_t i)
{
    const char *name = rows[i].name;
    uint32_t vector = rows[i].info & 31;

    fresh(i);
    wr(VMCS_EXCEPTION_BITMAP, 1u << vector);
    guest_run(LAUNCH);
    check("VMX-INT-44", name, last_exit.reason == VMX_REASON_EXCEPTION_NMI, "reason:%d,intr:%x",
          last_exit.reason, last_exit.intr);
    check_eq("VMX-INF-17", name, last_exit.intr, rows[i].info);
    if (rows[i].info & 0x800) {
        check_eq("VMX-INF-18", name, last_exit.error, rows[i].error);
    }
    if (rows[i].length) {
        check_eq("VMX-INF-28", name, last_exit.length, rows[i].length);
    }
    check_eq("VMX-INF-24", name, rd(VMCS_IDT_VECTORING_INFO) >> 31, 0);
    check_eq("VMX-EXI-13", name, rd(VMCS_GUEST_RFLAGS) >> 16 & 1, !rows[i].trap);
    check_eq("VMX-EXI-14", name, rd(VMCS_GUEST_ACTIVITY_STATE), 0);

    /* All other bits: it is delivered, which fails and exits by #GP or #DF. */
    fresh(i);
    wr(VMCS_EXCEPTION_BITMAP, ~(1u << vector));
    guest_run(LAUNCH);
    check("VMX-INT-44", name, last_exit.intr == (vector == 13 ? 0x80000B08 : 0x80000B0D),
          "others,intr:%x", last_exit.intr);
    if (vector != 13) {
        check_eq("VMX-INF-22", name, rd(VMCS_IDT_VECTORING_INFO), rows[i].info);
    }
    /* No bit at all. */
    fresh(i);
    check_eq("VMX-INT-48", name, guest_run(LAUNCH), VMX_REASON_TRIPLE_FAULT);
}

void run_tests(void)
{
    vmx_start();
    memset((void *)GDT_AT, 0, PAGE_SIZE);
    memcpy((void *)GDT_AT, gdt, ABSENT_AT);
    write64(GDT_AT + ABSENT_AT, 0x00CF13000000FFFF); /* data, not present */
    write32(GDT_AT + 0x800, 1); /* bounds of e_br */
    write32(GDT_AT + 0x804, 2);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        test_row(i);
    }
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
