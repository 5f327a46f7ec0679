/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What comes first, the fault or the VM exit; conditions of conditional exits. */
#include "entry_check.h"

#define PAGE        0x2000000ull
#define ALL_BITS    0xFFFFFFFFu
#define GP_EXIT     0x80000B0Du
#define UD_EXIT     0x80000306u
#define ABSENT      0x8000000000ull
#define RFLAGS_IOPL (3u << 12)

CODE(p_hlt, "hlt");
CODE(p_rdmsr, "mov $0x174, %ecx\n\trdmsr");
CODE(p_wrmsr, "mov $0x174, %ecx\n\twrmsr");
CODE(p_to_cr0, "mov %rax, %cr0");
CODE(p_from_cr3, "mov %cr3, %rax");
CODE(p_to_cr8, "mov %rax, %cr8");
CODE(p_dr, "mov %dr7, %rax");
CODE(p_clts, "clts");
CODE(p_lmsw, "lmsw %ax");
CODE(p_invd, "invd");
CODE(p_wbinvd, "wbinvd");
CODE(p_invlpg, "invlpg (%rax)");
CODE(p_xsetbv, "xor %ecx, %ecx\n\txsetbv");
CODE(p_rdpmc, "rdpmc");
CODE(p_in, "inb $0x81, %al");
CODE(p_cpuid, "cpuid");
CODE(p_vmcall, "vmcall");
CODE(p_vmclear, "vmclear 0x2000000");
CODE(p_vmptrld, "vmptrld 0x2000000");
CODE(p_vmread, "vmread %rax, %rcx");
CODE(p_vmxoff, "vmxoff");
CODE(p_vmlaunch, "vmlaunch");
CODE(p_vmxon, "vmxon 0x2000000");
CODE(p_lock_vmcall, ".byte 0xF0, 0x0F, 0x01, 0xC1");
CODE(p_lock_cpuid, ".byte 0xF0, 0x0F, 0xA2");
CODE(p_lock_hlt, ".byte 0xF0, 0xF4");
CODE(p_cr1, ".byte 0x0F, 0x22, 0xC8");
CODE(p_monitor, "monitor");
CODE(p_int_6, "int $6");

static const struct {
    const char *id, *name;
    void (*code)(void);
    uint32_t intr;   /* the exception, or 0 */
    uint32_t reason; /* of the exit without an exception */
} cpl3[] = {
    {"VMX-INT-01", "hlt", p_hlt, GP_EXIT, 0},
    {"VMX-INT-01", "rdmsr", p_rdmsr, GP_EXIT, 0},
    {"VMX-INT-01", "wrmsr", p_wrmsr, GP_EXIT, 0},
    {"VMX-INT-01", "mov-to-cr0", p_to_cr0, GP_EXIT, 0},
    {"VMX-INT-01", "mov-from-cr3", p_from_cr3, GP_EXIT, 0},
    {"VMX-INT-01", "mov-to-cr8", p_to_cr8, GP_EXIT, 0},
    {"VMX-INT-01", "mov-dr", p_dr, GP_EXIT, 0},
    {"VMX-INT-01", "clts", p_clts, GP_EXIT, 0},
    {"VMX-INT-01", "lmsw", p_lmsw, GP_EXIT, 0},
    {"VMX-INT-01", "invd", p_invd, GP_EXIT, 0},
    {"VMX-INT-01", "wbinvd", p_wbinvd, GP_EXIT, 0},
    {"VMX-INT-01", "invlpg", p_invlpg, GP_EXIT, 0},
    {"VMX-INT-01", "xsetbv", p_xsetbv, GP_EXIT, 0},
    {"VMX-INT-01", "rdpmc", p_rdpmc, GP_EXIT, 0},
    {"VMX-INT-04", "in", p_in, GP_EXIT, 0},
    {"VMX-INT-02", "monitor", p_monitor, UD_EXIT, 0},
    {"VMX-INT-07", "cpuid", p_cpuid, 0, VMX_REASON_CPUID},
    {"VMX-INT-03", "vmcall", p_vmcall, 0, 18},
    {"VMX-INT-03", "vmclear", p_vmclear, 0, 19},
    {"VMX-INT-03", "vmlaunch", p_vmlaunch, 0, 20},
    {"VMX-INT-03", "vmptrld", p_vmptrld, 0, 21},
    {"VMX-INT-03", "vmread", p_vmread, 0, 23},
    {"VMX-INT-03", "vmxoff", p_vmxoff, 0, 26},
    {"VMX-INT-03", "vmxon", p_vmxon, 0, 27},
};

static void everything_exits(void)
{
    uint32_t secondary = VMX_CPU2_DESCRIPTOR_TABLE | VMX_CPU2_WBINVD;

    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC,
                        VMX_CPU_HLT | VMX_CPU_INVLPG | VMX_CPU_MWAIT | VMX_CPU_RDPMC | VMX_CPU_CR3_LOAD |
                            VMX_CPU_CR3_STORE | VMX_CPU_CR8_LOAD | VMX_CPU_CR8_STORE | VMX_CPU_MOV_DR |
                            VMX_CPU_UNCONDITIONAL_IO | VMX_CPU_MONITOR | VMX_CPU_PAUSE | VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, secondary));
    wr(VMCS_EXCEPTION_BITMAP, ALL_BITS);
    wr(VMCS_CR0_GUEST_HOST_MASK, UINT64_MAX);
    wr(VMCS_CR4_GUEST_HOST_MASK, UINT64_MAX);
}

static void at_cpl3(void)
{
    wr(VMCS_GUEST_CS_SELECTOR, SEL_USER_CODE | 3);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0xA0FB);
    wr(VMCS_GUEST_SS_SELECTOR, SEL_USER_DATA | 3);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_SS), 0xC0F3);
    for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
        if (seg != SEG_CS && seg != SEG_SS) {
            wr(VMCS_GUEST_ES_SELECTOR + 2 * seg, SEL_USER_DATA | 3);
            wr(VMCS_GUEST_ACCESS_RIGHTS(seg), 0xC0F3);
        }
    }
}

static void test_cpl3(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(cpl3); i++) {
        entry_code(cpl3[i].code);
        at_cpl3();
        everything_exits();
        wr(VMCS_GUEST_CR4, rd(VMCS_GUEST_CR4) | 1ull << 18); /* OSXSAVE */
        guest_run(LAUNCH);
        check(cpl3[i].id, cpl3[i].name,
              last_exit.reason == cpl3[i].reason && last_exit.intr == cpl3[i].intr &&
                  (cpl3[i].intr != GP_EXIT || !last_exit.error),
              "reason:%d,intr:%x,error:%x", last_exit.reason, last_exit.intr, last_exit.error);
    }
    /* With IOPL 3 the TSS does not matter, and the exit comes. */
    entry_code(p_in);
    at_cpl3();
    everything_exits();
    wr(VMCS_GUEST_RFLAGS, RFLAGS_IOPL | 2);
    check_eq("VMX-INT-04", "iopl-3", guest_run(LAUNCH), VMX_REASON_IO);
}

static void test_undefined(void)
{
    static const struct {
        const char *name;
        void (*code)(void);
    } rows[] = {
        {"lock-vmcall", p_lock_vmcall}, {"lock-cpuid", p_lock_cpuid},
        {"lock-hlt", p_lock_hlt},       {"mov-to-cr1", p_cr1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        entry_code(rows[i].code);
        everything_exits();
        guest_run(LAUNCH);
        check_eq("VMX-INT-02", rows[i].name, last_exit.intr, UD_EXIT);
    }
    /* Without CR4.OSXSAVE there is no XSETBV, whatever its operands. */
    entry_code(p_xsetbv);
    everything_exits();
    wr(VMCS_GUEST_CR4, rd(VMCS_GUEST_CR4) & ~(1ull << 18));
    guest_run(LAUNCH);
    check_eq("VMX-INT-02", "xsetbv-without-osxsave", last_exit.intr, UD_EXIT);
    /* In compatibility mode VMX instructions but VMCALL are undefined. */
    entry_fresh(MODE_COMPAT);
    wr(VMCS_GUEST_RIP, phys((void *)p_vmxoff));
    wr(VMCS_EXCEPTION_BITMAP, ALL_BITS);
    guest_run(LAUNCH);
    check_eq("VMX-INT-02", "vmxoff-in-compatibility", last_exit.intr, UD_EXIT);
}

/* ---- exits that come before checks of values ---- */
static void test_values(void)
{
    static const struct {
        const char *id, *name;
        void (*code)(void);
        uint64_t rax, rcx;
        uint32_t reason;
    } rows[] = {
        {"VMX-INT-05", "rdmsr-absent", p_rdmsr, 0, 0, VMX_REASON_RDMSR},
        {"VMX-INT-05", "wrmsr-absent", p_wrmsr, 0, 0, VMX_REASON_WRMSR},
        {"VMX-INT-06", "mov-to-cr0-bit-63", p_to_cr0, 1ull << 63 | 0x31, 0, VMX_REASON_CR_ACCESS},
        {"VMX-INT-06", "mov-to-cr0-without-pe", p_to_cr0, 0x80000020, 0, VMX_REASON_CR_ACCESS},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        entry_code(rows[i].code);
        if (rows[i].reason != VMX_REASON_CR_ACCESS) { /* behind the MOV to ECX */
            wr(VMCS_GUEST_RIP, rd(VMCS_GUEST_RIP) + 5);
            guest.rcx = 0x7FFFFFFF;
        }
        wr(VMCS_CR0_GUEST_HOST_MASK, UINT64_MAX);
        wr(VMCS_CR0_READ_SHADOW, read_cr0());
        wr(VMCS_EXCEPTION_BITMAP, ALL_BITS);
        guest.rax = rows[i].rax;
        check_eq(rows[i].id, rows[i].name, guest_run(LAUNCH), rows[i].reason);
    }
}

/* ---- I/O and MSR bitmaps ---- */
CODE(p_in_wrap, "mov $0xFFFE, %edx\n\tinl %dx, %eax");
CODE(p_in_wrap2, "mov $0xFFFF, %edx\n\tinw %dx, %ax");
CODE(p_in_last, "mov $0xFFFF, %edx\n\tinb %dx, %al");
CODE(p_in_80, "inb $0x80, %al");

static void test_io(void)
{
    static const struct {
        const char *id, *name;
        void (*code)(void);
        uint32_t bit; /* port whose bit is set, 0 none */
        uint32_t reason;
    } rows[] = {
        {"VMX-INT-35", "wrap-dword", p_in_wrap, 0, VMX_REASON_IO},
        {"VMX-INT-35", "wrap-word", p_in_wrap2, 0, VMX_REASON_IO},
        {"VMX-INT-35", "last-port", p_in_last, 0, VMX_REASON_VMCALL},
        {"VMX-INT-35", "last-port-set", p_in_last, 0xFFFF, VMX_REASON_IO},
        {"VMX-INT-34", "bitmap-overrides", p_in_80, 0, VMX_REASON_VMCALL},
        {"VMX-INT-34", "bitmap-overrides-set", p_in_80, 0x80, VMX_REASON_IO},
    };
    uint64_t bitmaps = phys(page_alloc());

    (void)page_alloc();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        entry_code(rows[i].code);
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_UNCONDITIONAL_IO | VMX_CPU_IO_BITMAPS));
        wr(VMCS_IO_BITMAP_A, bitmaps);
        wr(VMCS_IO_BITMAP_B, bitmaps + PAGE_SIZE);
        memset((void *)bitmaps, 0, 2 * PAGE_SIZE);
        if (rows[i].bit) {
            *(uint8_t *)(bitmaps + rows[i].bit / 8) = 1u << rows[i].bit % 8;
        }
        check_eq(rows[i].id, rows[i].name, guest_run(LAUNCH), rows[i].reason);
    }
}

CODE(p_rdmsr_rcx, "rdmsr");
CODE(p_wrmsr_rcx, "wrmsr");

static void test_msr_bitmaps(void)
{
    static const struct {
        const char *name;
        uint32_t msr, offset; /* of the bit in the read bitmap */
        bool ranged;
    } rows[] = {
        {"low", 0x174, 0, true},          {"low-last", 0x1FFF, 0, true},
        {"high", 0xC0000081, 1024, true}, {"behind-low", 0x2000, 0, false},
        {"middle", 0x40000000, 0, false}, {"before-high", 0xBFFFFFFF, 0, false},
        {"behind-high", 0xC0002000, 0, false},
    };
    uint64_t bitmap = phys(page_alloc());

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        for (unsigned write = 0; write < 2; write++) {
            const char *id = write ? "VMX-INT-37" : "VMX-INT-36";
            uint32_t reason = write ? VMX_REASON_WRMSR : VMX_REASON_RDMSR;

            for (unsigned set = 0; set < 2; set++) {
                uint64_t at = bitmap + rows[i].offset + write * 2048;

                if (!rows[i].ranged && set) {
                    continue;
                }
                memset((void *)bitmap, 0, PAGE_SIZE);
                if (set) {
                    *(uint8_t *)(at + (rows[i].msr & 0x1FFF) / 8) = 1u << rows[i].msr % 8;
                }
                entry_code(write ? p_wrmsr_rcx : p_rdmsr_rcx);
                wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MSR_BITMAPS));
                wr(VMCS_MSR_BITMAP, bitmap);
                wr(VMCS_EXCEPTION_BITMAP, 0);
                wr(VMCS_GUEST_IDTR_LIMIT, 0);
                guest.rcx = rows[i].msr;
                guest.rax = 0;
                guest.rdx = 0;
                guest_run(LAUNCH);
                /* A clear bit: executed, be it with a fault. */
                check(id, rows[i].name,
                      (last_exit.reason == reason) == (set || !rows[i].ranged),
                      "bit:%d,reason:%d", set, last_exit.reason);
            }
        }
    }
}

/* ---- CLTS, LMSW, PAUSE, exceptions ---- */
CODE(p_lmsw_memory, "lmsw 8(%rbx)");
CODE(p_pause, "pause");
CODE(p_int3_then, "int3");

static void test_cr0_conditions(void)
{
    static const struct {
        const char *id, *name;
        void (*code)(void);
        uint64_t mask, shadow, rax;
        bool exits;
        uint64_t clear, set; /* bits of the real CR0 afterwards */
    } rows[] = {
        {"VMX-INT-28", "owned-set", p_clts, CR0_TS, CR0_TS, 0, true, 0, CR0_TS},
        {"VMX-NRB-05", "owned-clear", p_clts, CR0_TS, 0, 0, false, 0, CR0_TS},
        {"VMX-INT-28", "not-owned", p_clts, 0, 0, 0, false, CR0_TS, 0},
        {"VMX-INT-29", "no-change", p_lmsw, 0xF, CR0_PE | CR0_TS, 9, false, 0, CR0_TS},
        {"VMX-INT-29", "ts-changes", p_lmsw, CR0_TS, CR0_TS, 1, true, 0, CR0_TS},
        {"VMX-INT-29", "pe-cannot-be-cleared", p_lmsw, CR0_PE, CR0_PE, 8, false, 0, CR0_PE},
        {"VMX-INT-29", "pe-set", p_lmsw, CR0_PE, 0, 9, true, 0, CR0_PE},
        {"VMX-NRB-03", "lmsw-owned", p_lmsw, CR0_MP, CR0_MP, 3, false, CR0_MP | CR0_TS, 0},
        {"VMX-INT-26", "high-bits-ignored-by-lmsw", p_lmsw, CR0_NE | CR0_WP, 0, 9, false, 0, CR0_TS},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t cr0;

        entry_code(rows[i].code);
        wr(VMCS_GUEST_CR0, (read_cr0() & ~(uint64_t)CR0_MP) | CR0_TS);
        wr(VMCS_CR0_GUEST_HOST_MASK, rows[i].mask);
        wr(VMCS_CR0_READ_SHADOW, rows[i].shadow);
        guest.rax = rows[i].rax;
        guest_run(LAUNCH);
        cr0 = rd(VMCS_GUEST_CR0);
        check(rows[i].id, rows[i].name,
              last_exit.reason == (rows[i].exits ? VMX_REASON_CR_ACCESS : VMX_REASON_VMCALL) &&
                  !(cr0 & rows[i].clear) && (cr0 & rows[i].set) == rows[i].set,
              "reason:%d,cr0:%q", last_exit.reason, cr0);
    }
    /* LMSW from memory: bit 6, the data and the linear address. */
    *(uint16_t *)(PAGE + 8) = 0x0001;
    entry_code(p_lmsw_memory);
    wr(VMCS_CR0_GUEST_HOST_MASK, CR0_TS);
    wr(VMCS_CR0_READ_SHADOW, CR0_TS);
    guest.rbx = PAGE;
    check_eq("VMX-INT-29", "memory", guest_run(LAUNCH), VMX_REASON_CR_ACCESS);
    check_eq("VMX-INF-08", "lmsw-memory", last_exit.qualification, 0x10070);
    check_eq("VMX-INF-08", "lmsw-linear", rd(VMCS_GUEST_LINEAR_ADDRESS), PAGE + 8);
    /* Its operand comes first. */
    entry_code(p_lmsw_memory);
    wr(VMCS_CR0_GUEST_HOST_MASK, CR0_TS);
    wr(VMCS_EXCEPTION_BITMAP, ALL_BITS);
    guest.rbx = ABSENT;
    guest_run(LAUNCH);
    check_eq("VMX-INT-29", "memory-absent", last_exit.intr, 0x80000B0E);
}

static void test_others(void)
{
    entry_code(p_pause);
    check_eq("VMX-NRB-12", "pause", guest_run(LAUNCH), VMX_REASON_VMCALL);
    entry_code(p_int_6);
    wr(VMCS_EXCEPTION_BITMAP, ALL_BITS);
    wr(VMCS_GUEST_IDTR_LIMIT, 0);
    guest_run(LAUNCH);
    /* Not #UD but the fault of its delivery. */
    check_eq("VMX-INT-47", "exit", last_exit.intr, GP_EXIT);
    check_eq("VMX-INT-47", "vectoring", rd(VMCS_IDT_VECTORING_INFO), 0x80000406);
    entry_code(p_vmcall);
    guest_run(LAUNCH);
    check_eq("VMX-INF-01", "vmcall", rd(VMCS_EXIT_REASON), VMX_REASON_VMCALL);
    entry_code(p_int3_then);
    wr(VMCS_EXCEPTION_BITMAP, 1u << 3);
    guest_run(LAUNCH);
    check_eq("VMX-INF-01", "int3", rd(VMCS_EXIT_REASON), VMX_REASON_EXCEPTION_NMI);
}

void run_tests(void)
{
    vmx_start();
    memset((void *)PAGE, 0, PAGE_SIZE);
    *(uint16_t *)(tss + 0x66) = 0x68; /* no I/O permission bitmap */
    test_cpl3();
    test_undefined();
    test_values();
    test_io();
    test_msr_bitmaps();
    test_cr0_conditions();
    test_others();
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
