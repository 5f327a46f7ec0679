/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* One guest instruction a row: exit reason, qualification and length. */
#include "vmx.h"

#define ANY      UINT64_MAX
#define PORT     0x81u /* nothing is there */

static uint8_t memory[16] __attribute__((aligned(16)));

static void end(void)
{
    for (;;) {
        __asm__ volatile("vmcall" : : : "memory");
    }
}

/* The guest of a row: the instruction, then VMCALLs. */
#define GUEST(name, ...)                                                       \
    static void name(void)                                                     \
    {                                                                          \
        __asm__ volatile(__VA_ARGS__);                                         \
        end();                                                                 \
    }

GUEST(g_cpuid, "cpuid" : : "a"(0) : "rbx", "rcx", "rdx")
GUEST(g_vmcall, "vmcall" : : : "memory")
GUEST(g_hlt, "hlt" : : : "memory")
GUEST(g_rdmsr, "rdmsr" : : "c"(MSR_EFER) : "rax", "rdx")
GUEST(g_wrmsr, "wrmsr" : : "c"(MSR_SYSENTER_CS), "a"(0), "d"(0))
GUEST(g_out_imm8, "outb %%al, $0x81" : : "a"(0))
GUEST(g_out_dx32, "outl %%eax, %%dx" : : "a"(0), "d"(PORT))
GUEST(g_out_dx16, "outw %%ax, %%dx" : : "a"(0), "d"(0x1234))
GUEST(g_in_dx8, "inb %%dx, %%al" : : "d"(PORT) : "rax")
GUEST(g_in_imm32, "inl $0x81, %%eax" : : : "rax")
GUEST(g_outsb, "outsb" : : "S"(memory), "d"(PORT))
GUEST(g_rep_insb, "rep insb" : : "D"(memory), "d"(PORT), "c"(4))
GUEST(g_cr3_load, "mov %%rbx, %%cr3" : : "b"(phys(page_tables)))
GUEST(g_cr3_store, "mov %%cr3, %%rcx" : : : "rcx")
GUEST(g_cr0_load, "mov %%rdx, %%cr0" : : "d"(0x80050023ull))
GUEST(g_cr4_load, "mov %%rax, %%cr4" : : "a"(0x2020ull))
GUEST(g_cr8_load, "mov %%rax, %%cr8" : : "a"(3))
GUEST(g_cr8_store, "mov %%cr8, %%rsi" : : : "rsi")
GUEST(g_clts, "clts" : : : "memory")
GUEST(g_lmsw, "lmsw %%ax" : : "a"(0x23))
GUEST(g_dr_load, "mov %%rcx, %%dr1" : : "c"(0))
GUEST(g_dr_store, "mov %%dr7, %%rax" : : : "rax")
GUEST(g_ud2, "ud2" : : : "memory")
GUEST(g_int3, "int3" : : : "memory")
GUEST(g_gp, "mov %%ax, %%ds" : : "a"(0x58))
GUEST(g_pf, "movb $1, (%0)" : : "r"(0x8000000123ull))
GUEST(g_invd, "invd" : : : "memory")
GUEST(g_wbinvd, "wbinvd" : : : "memory")
GUEST(g_invlpg, "invlpg (%%rax)" : : "a"(0x700000ull) : "memory")
GUEST(g_rdtsc, "rdtsc" : : : "rax", "rdx")
GUEST(g_rdpmc, "rdpmc" : : "c"(0) : "rax", "rdx")
GUEST(g_pause, "pause" : : : "memory")
GUEST(g_mwait, "mwait" : : "a"(0), "c"(0))
GUEST(g_monitor, "monitor" : : "a"(memory), "c"(0), "d"(0))
GUEST(g_vmclear, "vmclear %0" : : "m"(memory))
GUEST(g_vmlaunch, "vmlaunch" : : : "memory")
GUEST(g_vmptrld, "vmptrld %0" : : "m"(memory))
GUEST(g_vmptrst, "vmptrst %0" : : "m"(memory))
GUEST(g_vmread, "vmread %%rax, %%rcx" : : "a"(0) : "rcx")
GUEST(g_vmresume, "vmresume" : : : "memory")
GUEST(g_vmwrite, "vmwrite %%rcx, %%rax" : : "a"(0), "c"(0))
GUEST(g_vmxoff, "vmxoff" : : : "memory")
GUEST(g_vmxon, "vmxon %0" : : "m"(memory))
GUEST(g_rsm, "rsm" : : : "memory")
GUEST(g_sgdt, "sgdt %0" : "=m"(memory))
GUEST(g_str, "str %%eax" : : : "rax")

static uint64_t io_bitmaps, msr_bitmaps;

/* Set-up of a row besides its processor-based controls. */
static void s_none(void)
{
}

static void s_exceptions(void)
{
    wr(VMCS_EXCEPTION_BITMAP, 0xFFFFFFFF);
}

static void s_cr0(void)
{
    wr(VMCS_CR0_GUEST_HOST_MASK, UINT64_MAX);
    wr(VMCS_CR0_READ_SHADOW, 0x80000033 | CR0_TS);
}

static void s_cr4(void)
{
    wr(VMCS_CR4_GUEST_HOST_MASK, UINT64_MAX);
    wr(VMCS_CR4_READ_SHADOW, 0);
}

static void s_no_idt(void)
{
    wr(VMCS_GUEST_IDTR_LIMIT, 0);
}

static void s_io_bitmaps(void)
{
    wr(VMCS_IO_BITMAP_A, io_bitmaps);
    wr(VMCS_IO_BITMAP_B, io_bitmaps + PAGE_SIZE);
}

static void s_msr_bitmaps(void)
{
    wr(VMCS_MSR_BITMAP, msr_bitmaps);
}

static const struct row {
    const char *id, *name;
    void (*guest)(void);
    void (*setup)(void);
    uint32_t proc; /* processor-based controls */
    uint32_t reason;
    uint32_t length; /* 0: not compared */
    uint64_t qualification;
    uint32_t intr; /* VM-exit interruption information */
} rows[] = {
    /* Instructions that exit unconditionally. */
    {"VMX-INT-07", "cpuid", g_cpuid, s_none, 0, 10, 2, 0, 0},
    {"VMX-INT-09", "vmcall", g_vmcall, s_none, 0, 18, 3, 0, 0},
    {"VMX-INT-08", "invd", g_invd, s_none, 0, 13, 2, 0, 0},
    {"VMX-INT-10", "vmclear", g_vmclear, s_none, 0, 19, 0, ANY, 0},
    {"VMX-INT-11", "vmlaunch", g_vmlaunch, s_none, 0, 20, 3, 0, 0},
    {"VMX-INT-12", "vmptrld", g_vmptrld, s_none, 0, 21, 0, ANY, 0},
    {"VMX-INT-12", "vmptrst", g_vmptrst, s_none, 0, 22, 0, ANY, 0},
    {"VMX-INT-13", "vmread", g_vmread, s_none, 0, 23, 3, 0, 0},
    {"VMX-INT-11", "vmresume", g_vmresume, s_none, 0, 24, 3, 0, 0},
    {"VMX-INT-13", "vmwrite", g_vmwrite, s_none, 0, 25, 3, 0, 0},
    {"VMX-INT-14", "vmxoff", g_vmxoff, s_none, 0, 26, 3, 0, 0},
    {"VMX-INT-14", "vmxon", g_vmxon, s_none, 0, 27, 0, ANY, 0},
    /* Conditional exits. */
    {"VMX-INT-17", "hlt", g_hlt, s_none, VMX_CPU_HLT, 12, 1, 0, 0},
    {"VMX-INT-36", "rdmsr-no-bitmaps", g_rdmsr, s_none, 0, 31, 2, 0, 0},
    {"VMX-INT-37", "wrmsr-no-bitmaps", g_wrmsr, s_none, 0, 32, 2, 0, 0},
    {"VMX-INT-36", "rdmsr-bit-set", g_rdmsr, s_msr_bitmaps, VMX_CPU_MSR_BITMAPS, 31, 2, 0, 0},
    {"VMX-INT-37", "wrmsr-bit-clear", g_wrmsr, s_msr_bitmaps, VMX_CPU_MSR_BITMAPS, 18, 3, 0, 0},
    {"VMX-INT-18", "invlpg", g_invlpg, s_none, 1u << 9, 14, 3, 0x700000, 0},
    {"VMX-INT-21", "mwait", g_mwait, s_none, 1u << 10, 36, 3, ANY, 0},
    {"VMX-INT-19", "rdpmc", g_rdpmc, s_none, 1u << 11, 15, 2, 0, 0},
    {"VMX-INT-20", "rdtsc", g_rdtsc, s_none, 1u << 12, 16, 2, 0, 0},
    {"VMX-INT-22", "monitor", g_monitor, s_none, 1u << 29, 39, 3, 0, 0},
    {"VMX-INT-23", "pause", g_pause, s_none, 1u << 30, 40, 2, 0, 0},
    /* I/O instructions. */
    {"VMX-INT-34", "out-imm8", g_out_imm8, s_none, VMX_CPU_UNCONDITIONAL_IO, 30, 2, 0x810040, 0},
    {"VMX-INT-34", "out-dx32", g_out_dx32, s_none, VMX_CPU_UNCONDITIONAL_IO, 30, 1, 0x810003, 0},
    {"VMX-INT-34", "out-dx16", g_out_dx16, s_none, VMX_CPU_UNCONDITIONAL_IO, 30, 2, 0x12340001, 0},
    {"VMX-INT-34", "in-dx8", g_in_dx8, s_none, VMX_CPU_UNCONDITIONAL_IO, 30, 1, 0x810008, 0},
    {"VMX-INT-34", "in-imm32", g_in_imm32, s_none, VMX_CPU_UNCONDITIONAL_IO, 30, 2, 0x81004B, 0},
    {"VMX-INT-34", "outsb", g_outsb, s_none, VMX_CPU_UNCONDITIONAL_IO, 30, 1, 0x810010, 0},
    {"VMX-INT-34", "rep-insb", g_rep_insb, s_none, VMX_CPU_UNCONDITIONAL_IO, 30, 2, 0x810038, 0},
    {"VMX-INT-35", "io-bit-set", g_out_imm8, s_io_bitmaps, VMX_CPU_IO_BITMAPS, 30, 2, 0x810040, 0},
    {"VMX-INT-35", "io-bit-clear", g_out_dx16, s_io_bitmaps, VMX_CPU_IO_BITMAPS, 18, 3, 0, 0},
    {"VMX-INT-35", "io-wide-hits-bit", g_in_imm32, s_io_bitmaps, VMX_CPU_IO_BITMAPS, 30, 2,
     0x81004B, 0},
    /* Control registers. */
    {"VMX-INT-30", "mov-to-cr3", g_cr3_load, s_none, VMX_CPU_CR3_LOAD, 28, 3, 0x303, 0},
    {"VMX-INT-31", "mov-from-cr3", g_cr3_store, s_none, VMX_CPU_CR3_STORE, 28, 3, 0x113, 0},
    {"VMX-INT-26", "mov-to-cr0", g_cr0_load, s_cr0, 0, 28, 3, 0x200, 0},
    {"VMX-INT-27", "mov-to-cr4", g_cr4_load, s_cr4, 0, 28, 3, 0x004, 0},
    {"VMX-INT-32", "mov-to-cr8", g_cr8_load, s_none, VMX_CPU_CR8_LOAD, 28, 4, 0x008, 0},
    {"VMX-INT-32", "mov-from-cr8", g_cr8_store, s_none, VMX_CPU_CR8_STORE, 28, 4, 0x618, 0},
    {"VMX-INT-28", "clts", g_clts, s_cr0, 0, 28, 2, 0x020, 0},
    {"VMX-INT-29", "lmsw", g_lmsw, s_cr0, 0, 28, 3, 0x230030, 0},
    /* Debug registers. */
    {"VMX-INT-33", "mov-to-dr1", g_dr_load, s_none, VMX_CPU_MOV_DR, 29, 3, 0x101, 0},
    {"VMX-INT-33", "mov-from-dr7", g_dr_store, s_none, VMX_CPU_MOV_DR, 29, 3, 0x017, 0},
    /* Exceptions. */
    {"VMX-INT-44", "ud2", g_ud2, s_exceptions, 0, 0, 0, 0, 0x80000306},
    {"VMX-INT-46", "int3", g_int3, s_exceptions, 0, 0, 1, 0, 0x80000603},
    {"VMX-INT-44", "gp", g_gp, s_exceptions, 0, 0, 0, 0, 0x80000B0D},
    {"VMX-INT-44", "pf", g_pf, s_exceptions, 0, 0, 0, 0x8000000123, 0x80000B0E},
    /* DM-DEF-32: RSM outside SMM is #UD, never reason 17. */
    {"VMX-INT-43", "rsm", g_rsm, s_exceptions, 0, 0, 0, 0, 0x80000306},
    {"VMX-INT-48", "triple-fault", g_ud2, s_no_idt, 0, 2, 0, 0, 0},
};

/* Rows that need a secondary control. */
static const struct {
    const char *id, *name;
    void (*guest)(void);
    uint32_t proc2, reason, length;
} secondary_rows[] = {
    {"VMX-INT-25", "wbinvd", g_wbinvd, 1u << 6, 54, 2},
    {"VMX-INT-38", "sgdt", g_sgdt, 1u << 2, 46, 0},
    {"VMX-INT-39", "str", g_str, 1u << 2, 47, 3},
};

static bool offered(uint32_t msr, uint32_t bits)
{
    return ((uint32_t)(rdmsr(msr) >> 32) & bits) == bits;
}

static const char *qualification_rule(const struct row *row)
{
    switch (row->reason) {
    case VMX_REASON_EXCEPTION_NMI:
        return row->intr == 0x80000B0E ? "VMX-INF-03" : "VMX-INF-12";
    case VMX_REASON_INVLPG:
        return "VMX-INF-04";
    case VMX_REASON_CR_ACCESS:
        return "VMX-INF-08";
    case VMX_REASON_MOV_DR:
        return "VMX-INF-09";
    case VMX_REASON_IO:
        return "VMX-INF-10";
    default:
        return "VMX-INF-12";
    }
}

static void run_row(const struct row *row)
{
    uint64_t region;

    if (!offered(MSR_VMX_TRUE_PROC, row->proc)) {
        not_offered(row->id, row->name);
        return;
    }
    region = vmcs_new_guest(row->guest);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, row->proc));
    row->setup();
    guest_run(LAUNCH);
    check(row->id, row->name, last_exit.reason == row->reason,
          "reason:%d,want:%d,qualification:%q,intr:%x", last_exit.reason,
          row->reason, last_exit.qualification, last_exit.intr);
    if (last_exit.reason == row->reason) {
        if (row->qualification != ANY) {
            check_eq(qualification_rule(row), row->name, last_exit.qualification,
                     row->qualification);
        }
        if (row->length) {
            check_eq(row->reason ? "VMX-INF-27" : "VMX-INF-28", row->name, last_exit.length, row->length);
        }
        check_eq(row->intr ? "VMX-INF-17" : "VMX-INF-19", row->name, last_exit.intr, row->intr);
    }
    vmclear(region);
}

static void test_secondary(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(secondary_rows); i++) {
        const char *name = secondary_rows[i].name;
        uint64_t region;

        if (!offered(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS) ||
            !offered(MSR_VMX_PROC2, secondary_rows[i].proc2)) {
            not_offered(secondary_rows[i].id, name);
            continue;
        }
        region = vmcs_new_guest(secondary_rows[i].guest);
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
        wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, secondary_rows[i].proc2));
        check_eq(secondary_rows[i].id, name, guest_run(LAUNCH), secondary_rows[i].reason);
        if (secondary_rows[i].length) {
            check_eq("VMX-INF-27", name, last_exit.length, secondary_rows[i].length);
        }
        vmclear(region);
    }
}

static void test_details(void)
{
    uint64_t region = vmcs_new_guest(g_gp);

    wr(VMCS_EXCEPTION_BITMAP, 1u << 13);
    guest_run(LAUNCH);
    check_eq("VMX-INF-18", "gp-error-code", last_exit.error, 0x58);
    vmclear(region);

    region = vmcs_new_guest(g_pf);
    wr(VMCS_EXCEPTION_BITMAP, 1u << 14);
    guest_run(LAUNCH);
    check_eq("VMX-INF-18", "pf-error-code", last_exit.error, 2);
    vmclear(region);

    /* The I/O exit leaves the registers of before the instruction. */
    region = vmcs_new_guest(g_rep_insb);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_UNCONDITIONAL_IO));
    guest_run(LAUNCH);
    check_eq("VMX-EXI-01", "rep-insb-rcx", guest.rcx, 4);
    check_eq("VMX-EXI-01", "rep-insb-rdi", guest.rdi, phys(memory));
    vmclear(region);
}

/* A #PF exits by mask and match. */
static void test_pf_match(void)
{
    static const struct {
        const char *name;
        uint32_t bitmap, mask, match;
        bool exits;
    } cases[] = {
        {"bit-set-equal", 1u << 14, 2, 2, true},
        {"bit-set-unequal", 1u << 14, 2, 0, false},
        {"bit-clear-equal", 0, 2, 2, false},
        {"bit-clear-unequal", 0, 2, 0, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t region = vmcs_new_guest(g_pf);

        wr(VMCS_EXCEPTION_BITMAP, cases[i].bitmap);
        wr(VMCS_PAGE_FAULT_ERROR_CODE_MASK, cases[i].mask);
        wr(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, cases[i].match);
        wr(VMCS_GUEST_IDTR_LIMIT, 0); /* not exiting: triple fault */
        check_eq("VMX-INT-45", cases[i].name, guest_run(LAUNCH),
                 cases[i].exits ? VMX_REASON_EXCEPTION_NMI : VMX_REASON_TRIPLE_FAULT);
        vmclear(region);
    }
}

static void test_many(void)
{
    uint64_t region = vmcs_new_guest(end);
    uint32_t exits = 0;
    bool launch = LAUNCH;

    for (; exits < 1000; exits++, launch = RESUME) {
        guest.rbx = exits;
        if (guest_run(launch) != VMX_REASON_VMCALL || guest.rbx != exits) {
            break;
        }
        guest_skip();
    }
    check_eq("VMX-EXI-26", "thousand-exits", exits, 1000);
    vmclear(region);
}

void run_tests(void)
{
    io_bitmaps = phys(page_alloc());
    (void)page_alloc();
    *(uint8_t *)(io_bitmaps + PORT / 8) = 1u << (PORT % 8);
    msr_bitmaps = phys(page_alloc());
    /* EFER is MSR 80H of the high read bitmap at offset 400H. */
    *(uint8_t *)(msr_bitmaps + 0x400 + 0x80 / 8) = 1;
    vmx_start();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        run_row(&rows[i]);
    }
    test_secondary();
    test_details();
    test_pf_match();
    test_many();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
