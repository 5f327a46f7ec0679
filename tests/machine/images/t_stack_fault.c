/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Addresses that are not canonical: #SS(0) through SS, #GP(0) through the others.
 * Vol. 1 "Segment Registers in 64-Bit Mode" says which registers imply SS.
 */
#include "vmx.h"

#define BAD        0x0000800000000000ull
#define FAULT_SS   12u
#define VECTOR     0x90u
#define TSS_IST1   0x24u
#define GATE_IST   4u /* byte in a gate of the IDT */

static uint64_t good;

/* arg: in RAX, RBP and RSI; R8 is the address of a good quadword. */
#define ACCESS(name, ...)                                                      \
    static void name(void *arg)                                                \
    {                                                                          \
        __asm__ volatile("mov %0, %%rax\n\tmov %1, %%r8\n\tpush %%rbp\n\t"     \
                         "mov %%rsp, %%r9\n\tmov %%rax, %%rbp\n\tmov %%rax, %%rsi\n\t" \
                         __VA_ARGS__ "\n\t"                                    \
                         "mov %%r9, %%rsp\n\tpop %%rbp"                        \
                         :                                                     \
                         : "r"(arg), "r"(&good)                                \
                         : "rax", "rcx", "rsi", "rdi", "r8", "r9", "memory");  \
    }

ACCESS(a_load_rax, "mov (%%rax), %%rcx")
ACCESS(a_load_rbp, "mov (%%rbp), %%rcx")
ACCESS(a_load_rbp_index, "mov 8(%%rbp,%%rcx,1), %%cl")
ACCESS(a_index_rbp, "mov (%%rax,%%rbp,1), %%rcx")
ACCESS(a_store_rax, "mov %%rcx, (%%rax)")
ACCESS(a_store_rbp, "mov %%rcx, (%%rbp)")
ACCESS(a_add_rbp, "lock addq $1, (%%rbp)")
ACCESS(a_fs_rbp, "mov %%fs:(%%rbp), %%rcx")
ACCESS(a_string, "mov %%r8, %%rdi\n\tmovsb")
ACCESS(a_load_rsp, "mov %%rax, %%rsp\n\tmov (%%rsp), %%rcx")
ACCESS(a_push, "mov %%rax, %%rsp\n\tpush %%rcx")
ACCESS(a_pop, "mov %%rax, %%rsp\n\tpop %%rcx")
ACCESS(a_call, "mov %%rax, %%rsp\n\tcall 1f\n1:")
ACCESS(a_ret, "mov %%rax, %%rsp\n\tret")
ACCESS(a_leave, "leave")
ACCESS(a_enter, "mov %%rax, %%rsp\n\tenter $0, $0")
ACCESS(a_iret, "mov %%rax, %%rsp\n\tiretq")
ACCESS(a_far_return, "mov %%rax, %%rsp\n\tlretq")
ACCESS(a_pushf, "mov %%rax, %%rsp\n\tpushfq")
/* Two accesses: one by the operand, one by the stack. */
ACCESS(a_push_memory, "push (%%rax)")
ACCESS(a_push_memory_stack, "mov %%rax, %%rsp\n\tpush (%%r8)")
ACCESS(a_pop_memory, "push (%%r8)\n\tpop (%%rax)")
ACCESS(a_pop_memory_stack, "mov %%rax, %%rsp\n\tpop (%%r8)")
ACCESS(a_call_memory, "call *(%%rax)")
ACCESS(a_call_memory_rbp, "call *(%%rbp)")
/* Instructions of VMX. */
ACCESS(a_vmptrst_rax, "vmptrst (%%rax)")
ACCESS(a_vmptrst_rbp, "vmptrst (%%rbp)")
ACCESS(a_vmclear_rbp, "vmclear (%%rbp)")
ACCESS(a_vmread_rbp, "mov $0x681E, %%ecx\n\tvmread %%rcx, (%%rbp)")

static const struct row {
    const char *name;
    void (*access)(void *);
    uint32_t vector;
} rows[] = {
    {"load-rax", a_load_rax, FAULT_GP},
    {"load-rbp", a_load_rbp, FAULT_SS},
    {"load-rbp-index", a_load_rbp_index, FAULT_SS},
    {"load-index-rbp", a_index_rbp, FAULT_GP},
    {"store-rax", a_store_rax, FAULT_GP},
    {"store-rbp", a_store_rbp, FAULT_SS},
    {"add-rbp", a_add_rbp, FAULT_SS},
    {"fs-rbp", a_fs_rbp, FAULT_GP},
    {"string", a_string, FAULT_GP},
    {"load-rsp", a_load_rsp, FAULT_SS},
    {"push", a_push, FAULT_SS},
    {"pop", a_pop, FAULT_SS},
    {"call", a_call, FAULT_SS},
    {"ret", a_ret, FAULT_SS},
    {"leave", a_leave, FAULT_SS},
    {"enter", a_enter, FAULT_SS},
    {"iret", a_iret, FAULT_SS},
    {"far-return", a_far_return, FAULT_SS},
    {"pushf", a_pushf, FAULT_SS},
    {"push-memory", a_push_memory, FAULT_GP},
    {"push-memory-stack", a_push_memory_stack, FAULT_SS},
    {"pop-memory", a_pop_memory, FAULT_GP},
    {"pop-memory-stack", a_pop_memory_stack, FAULT_SS},
    {"call-memory", a_call_memory, FAULT_GP},
    {"call-memory-rbp", a_call_memory_rbp, FAULT_SS},
}, vmx_rows[] = {
    {"vmptrst-rax", a_vmptrst_rax, FAULT_GP},
    {"vmptrst-rbp", a_vmptrst_rbp, FAULT_SS},
    {"vmclear-rbp", a_vmclear_rbp, FAULT_SS},
    {"vmread-rbp", a_vmread_rbp, FAULT_SS},
};

static void check_fault(const char *name, uint32_t got, uint32_t want)
{
    check("SDM-SS", name, got == want && last_fault.error == 0, "vector:%d,want:%d,error:%q", got, want,
          last_fault.error);
}

static void interrupt_on_bad_stack(void *unused)
{
    (void)unused;
    __asm__ volatile("mov %0, %%rsp\n\tint $0x90" : : "r"(BAD + 0x100) : "memory");
}

void run_tests(void)
{
    uint64_t idt = read_idtr().base;

    /* At CPL 3, so that the handler has a stack. */
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check_fault(rows[i].name, user_call(rows[i].access, (void *)(BAD + 0x100)), rows[i].vector);
    }
    /* At CPL 0, with a stack of the handler's own for #SS only. */
    write64(phys(tss) + TSS_IST1, phys(page_alloc()) + PAGE_SIZE);
    *(volatile uint8_t *)(uintptr_t)(idt + 16 * FAULT_SS + GATE_IST) = 1;
    check_fault("interrupt", try_call(interrupt_on_bad_stack, NULL), FAULT_SS);
    vmx_start();
    vmcs_new();
    for (size_t i = 0; i < ARRAY_SIZE(vmx_rows); i++) {
        check_fault(vmx_rows[i].name, try_call(vmx_rows[i].access, (void *)(BAD + 0x100)), vmx_rows[i].vector);
    }
    check_vmx("SDM-SS", "vmxoff", vmxoff(), SUCCESS);
}
