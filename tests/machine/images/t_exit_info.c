/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a VM exit tells of its instruction, RIP and RF that it saves, and what it
 * leaves alone. */
#include "entry_check.h"

#define PAGE      0x2000000ull
#define ALL_BITS  0xFFFFFFFFu
#define RFLAGS_RF (1u << 16)

CODE(p_cpuid, "cpuid");
CODE(p_int3_then, "int3");

/* ---- instruction information ---- */
CODE(p_invept, "invept 0x40(%rbx,%rcx,4), %rdx");
CODE(p_invvpid, "invvpid -0x20(%r13), %r9");
CODE(p_vmread_register, "vmread %rdx, %rsi");
CODE(p_vmread_memory, "vmread %r10, 8(%rbx,%r12,8)");
CODE(p_vmwrite_register, "vmwrite %r8, %rdi");
CODE(p_vmptrst_fs, "vmptrst %fs:8(%r12)");
CODE(p_vmclear_32, "addr32 vmclear 0x10(%ebx)");
CODE(p_vmxon_sp, "vmxon (%rsp)");
CODE(p_str_register, "str %r11d");
CODE(p_lldt_memory, "lldt 4(%rdi)");
CODE(p_vmptrld_absolute, "vmptrld 0x2000000");
CODE(p_sgdt_scaled, "sgdt 0x100(,%rbp,2)");

#define MEMORY(seg, size, scale, index, base)                                  \
    ((seg) << 15 | (size) << 7 | (scale) | ((index) < 0 ? 1u << 22 : (uint32_t)(index) << 18) | \
     ((base) < 0 ? 1u << 27 : (uint32_t)(base) << 23))
#define MEMORY_MASK(index, base)                                               \
    (0x7u << 15 | 1u << 22 | 1u << 27 | 7u << 7 | ((index) < 0 ? 0 : 3u | 0xFu << 18) | \
     ((base) < 0 ? 0 : 0xFu << 23))

static void test_information(void)
{
    static const struct {
        const char *id, *name;
        void (*code)(void);
        uint32_t info, mask;
        uint64_t displacement;
    } rows[] = {
        {"VMX-INF-30", "invept", p_invept, MEMORY(3, 2, 2, 1, 3) | 2u << 28,
         MEMORY_MASK(1, 3) | 0xFu << 28, 0x40},
        {"VMX-INF-30", "invvpid", p_invvpid, MEMORY(3, 2, 0, -1, 13) | 9u << 28,
         MEMORY_MASK(-1, 13) | 0xFu << 28, (uint64_t)-0x20},
        {"VMX-INF-35", "vmread-register", p_vmread_register, 1u << 10 | 6u << 3 | 2u << 28,
         1u << 10 | 0xFu << 3 | 0xFu << 28, 0},
        {"VMX-INF-35", "vmread-memory", p_vmread_memory, MEMORY(3, 2, 3, 12, 3) | 10u << 28,
         MEMORY_MASK(12, 3) | 1u << 10 | 0xFu << 28, 8},
        {"VMX-INF-35", "vmwrite-register", p_vmwrite_register, 1u << 10 | 8u << 3 | 7u << 28,
         1u << 10 | 0xFu << 3 | 0xFu << 28, 0},
        {"VMX-INF-34", "vmptrst-fs", p_vmptrst_fs, MEMORY(4, 2, 0, -1, 12), MEMORY_MASK(-1, 12), 8},
        {"VMX-INF-34", "vmclear-32", p_vmclear_32, MEMORY(3, 1, 0, -1, 3), MEMORY_MASK(-1, 3), 0x10},
        {"VMX-INF-34", "vmxon-stack", p_vmxon_sp, MEMORY(2, 2, 0, -1, 4), MEMORY_MASK(-1, 4), 0},
        {"VMX-INF-34", "vmptrld-absolute", p_vmptrld_absolute, MEMORY(3, 2, 0, -1, -1),
         MEMORY_MASK(-1, -1), 0x2000000},
        {"VMX-INF-32", "str-register", p_str_register, 1u << 10 | 11u << 3 | 1u << 28,
         1u << 10 | 0xFu << 3 | 3u << 28, 0},
        {"VMX-INF-32", "lldt-memory", p_lldt_memory, MEMORY(3, 2, 0, -1, 7) | 2u << 28,
         MEMORY_MASK(-1, 7) | 1u << 10 | 3u << 28, 4},
        {"VMX-INF-31", "sgdt-scaled", p_sgdt_scaled, MEMORY(3, 2, 1, 5, -1), MEMORY_MASK(5, -1) |
         3u << 28, 0x100},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t info;

        entry_code(rows[i].code);
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
        wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_DESCRIPTOR_TABLE));
        guest.rbx = guest.rcx = guest.rdi = guest.r12 = guest.r13 = guest.rbp = 0x1000;
        guest_run(LAUNCH);
        info = (uint32_t)rd(VMCS_EXIT_INSTRUCTION_INFO);
        check(rows[i].id, rows[i].name, (info & rows[i].mask) == rows[i].info,
              "reason:%d,info:%x,want:%x,mask:%x", last_exit.reason, info, rows[i].info,
              rows[i].mask);
        check_eq("VMX-INF-05", rows[i].name, last_exit.qualification, rows[i].displacement);
    }
}

/* ---- RIP and RF ---- */
CODE(p_prefixed, ".byte 0x48, 0x66\n\tcpuid");
CODE(p_ud, "ud2");
CODE(p_absent, "movabs $0x8000000000, %rbx\n\tmov (%rbx), %rax");

static void test_rip_and_rf(void)
{
    entry_code(p_cpuid);
    wr(VMCS_GUEST_RFLAGS, RFLAGS_RF | 2);
    guest_run(LAUNCH);
    check_eq("VMX-EXI-11", "instruction", last_exit.rip, phys((void *)p_cpuid));
    check_eq("VMX-EXI-13", "instruction", rd(VMCS_GUEST_RFLAGS) & RFLAGS_RF, 0);
    entry_code(p_prefixed);
    guest_run(LAUNCH);
    check_eq("VMX-INF-27", "prefixes", last_exit.length, 4);
    entry_code(p_ud);
    wr(VMCS_EXCEPTION_BITMAP, ALL_BITS);
    guest_run(LAUNCH);
    check_eq("VMX-EXI-11", "fault", last_exit.rip, phys((void *)p_ud));
    check_eq("VMX-EXI-13", "fault", rd(VMCS_GUEST_RFLAGS) & RFLAGS_RF, RFLAGS_RF);
    /* INT3 exits trap-like as to RF, and with the RIP of the instruction. */
    entry_code(p_int3_then);
    wr(VMCS_EXCEPTION_BITMAP, ALL_BITS);
    guest_run(LAUNCH);
    check_eq("VMX-EXI-11", "int3", last_exit.rip, phys((void *)p_int3_then));
    check_eq("VMX-EXI-13", "int3", rd(VMCS_GUEST_RFLAGS) & RFLAGS_RF, 0);
}

/* ---- what an exiting instruction leaves alone ---- */
CODE(p_ins, "mov $0x2000010, %edi\n\tmov $0x81, %edx\n\tinsb");
CODE(p_sti, "sti\n\tvmcall");
CODE(p_mov_ss_tf, "pushfq\n\torl $0x100, (%rsp)\n\tmov %ss, %eax\n\tpopfq\n\tmov %eax, %ss\n\tvmcall");

static void test_unchanged(void)
{
    *(uint8_t *)(PAGE + 0x10) = 0x5A;
    entry_code(p_ins);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_UNCONDITIONAL_IO));
    guest_run(LAUNCH);
    check_eq("VMX-EXI-01", "ins-memory", *(uint8_t *)(PAGE + 0x10), 0x5A);
    check_eq("VMX-EXI-01", "ins-rdi", guest.rdi, PAGE + 0x10);
    entry_code(p_absent);
    wr(VMCS_EXCEPTION_BITMAP, ALL_BITS);
    __asm__ volatile("mov %0, %%cr2" : : "r"(0x1234ull));
    guest_run(LAUNCH);
    check_eq("VMX-EXI-02", "cr2", read_cr2(), 0x1234);
    entry_code(p_sti);
    guest_run(LAUNCH);
    check_eq("VMX-EXI-15", "sti", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), VMX_BLOCKING_BY_STI);
    check_eq("VMX-EXI-16", "none-pending", rd(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
}

static void test_pending_debug(void)
{
    /* A single step that MOV SS delays is pending at the exit. */
    entry_code(p_mov_ss_tf);
    guest_run(LAUNCH);
    check_eq("VMX-EXI-16", "reason", last_exit.reason, VMX_REASON_VMCALL);
    check_eq("VMX-EXI-16", "delayed-single-step", rd(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 1u << 14);
    check_eq("VMX-EXI-15", "mov-ss-with-tf", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), VMX_BLOCKING_BY_MOV_SS);
}

/* ---- MONITOR and MWAIT ---- */
CODE(p_mwait, "xor %ecx, %ecx\n\txor %eax, %eax\n\tmwait");
CODE(p_monitor_mwait, "mov $0x2000000, %eax\n\txor %ecx, %ecx\n\txor %edx, %edx\n\tmonitor\n\t"
                      "xor %eax, %eax\n\tmwait");

static void test_mwait(void)
{
    entry_code(p_mwait);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MWAIT));
    check_eq("VMX-INT-21", "mwait", guest_run(LAUNCH), 36);
    check_eq("VMX-INF-11", "not-armed", last_exit.qualification, 0);
    entry_code(p_monitor_mwait);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MWAIT));
    check_eq("VMX-INT-21", "monitor-mwait", guest_run(LAUNCH), 36);
    check_eq("VMX-INF-11", "armed", last_exit.qualification & 1, 1);
}

void run_tests(void)
{
    vmx_start();
    memset((void *)PAGE, 0, PAGE_SIZE);
    test_information();
    test_rip_and_rf();
    test_unchanged();
    test_pending_debug();
    test_mwait();
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
