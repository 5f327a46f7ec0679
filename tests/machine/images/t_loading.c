/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What VM entry loads, what a failed one leaves alone, what VM exits save of it
 * and what they load for the host. */
#include "entry_check.h"

#define STABLE_CR0  (1u << 4 | 1u << 6 | 1u << 15 | 1u << 17 | 1u << 19 | 1u << 28 | CR0_NW | CR0_CD)
#define PAGE        0x2000000ull
#define UNUSABLE    0x10000u
#define MARK        0x123456789ABCull

static struct {
    uint64_t cr0, cr3, cr4, dr7, rsp, rflags, rax, r15;
    uint64_t cs, esp, eip, fs, gs, efer, debugctl;
    uint16_t sel_ds, sel_fs, sel_ldtr, sel_tr;
    struct table_register gdtr, idtr;
} seen;

static void show(void)
{
    seen.cr0 = read_cr0();
    seen.cr3 = read_cr3();
    seen.cr4 = read_cr4();
    seen.dr7 = read_dr7();
    seen.cs = rdmsr(MSR_SYSENTER_CS);
    seen.esp = rdmsr(MSR_SYSENTER_ESP);
    seen.eip = rdmsr(MSR_SYSENTER_EIP);
    seen.fs = rdmsr(MSR_FS_BASE);
    seen.gs = rdmsr(MSR_GS_BASE);
    seen.efer = rdmsr(MSR_EFER);
    seen.debugctl = rdmsr(MSR_DEBUGCTL);
    __asm__ volatile("mov %%ds, %0" : "=m"(seen.sel_ds));
    __asm__ volatile("mov %%fs, %0" : "=m"(seen.sel_fs));
    __asm__ volatile("sldt %0" : "=m"(seen.sel_ldtr));
    __asm__ volatile("str %0" : "=m"(seen.sel_tr));
    seen.gdtr = read_gdtr();
    seen.idtr = read_idtr();
}

void loading_guest(void);
__asm__(".globl loading_guest\n"
        "loading_guest:\n\t"
        "pushfq\n\t"
        "pop %rcx\n\t"
        "mov %rsp, %rdx\n\t"
        "cld\n\t"
        "mov %rax, %rdi\n\t"
        "mov %r15, %rsi\n\t"
        "call loading_main\n"
        "1:\tvmcall\n\t"
        "jmp 1b\n");

void loading_main(uint64_t rax, uint64_t r15, uint64_t rsp, uint64_t rflags);
void loading_main(uint64_t rax, uint64_t r15, uint64_t rsp, uint64_t rflags)
{
    seen.rax = rax;
    seen.r15 = r15;
    seen.rsp = rsp;
    seen.rflags = rflags;
    show();
    write_cr0(read_cr0() ^ CR0_WP);
    write_cr3(read_cr3() | 8);
    write_cr4(read_cr4() ^ CR4_DE);
}

static void fresh(void)
{
    entry_fresh(MODE_64);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MSR_BITMAPS));
    wr(VMCS_MSR_BITMAP, PAGE);
    wr(VMCS_GUEST_RIP, phys((void *)loading_guest));
}

static void test_registers(void)
{
    uint64_t cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();

    fresh();
    wr(VMCS_GUEST_CR0, (cr0 ^ CR0_MP) ^ STABLE_CR0);
    wr(VMCS_GUEST_CR3, cr3 | 0x10);
    wr(VMCS_GUEST_CR4, cr4 ^ CR4_PGE);
    wr(VMCS_GUEST_IA32_SYSENTER_CS, 0x8888);
    wr(VMCS_GUEST_IA32_SYSENTER_ESP, MARK);
    wr(VMCS_GUEST_IA32_SYSENTER_EIP, MARK + 1);
    wr(VMCS_GUEST_BASE(SEG_FS), MARK + 2);
    wr(VMCS_GUEST_BASE(SEG_GS), MARK + 3);
    wr(VMCS_GUEST_DS_SELECTOR, 0x1230);
    wr(VMCS_GUEST_FS_SELECTOR, 0x7654);
    wr(VMCS_GUEST_TR_SELECTOR, 0x4320);
    wr(VMCS_GUEST_LDTR_SELECTOR, 0x5550);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR), 0x82);
    wr(VMCS_GUEST_LIMIT(SEG_LDTR), 0xFFF);
    wr(VMCS_GUEST_GDTR_LIMIT, 0x1234);
    wr(VMCS_GUEST_IDTR_BASE, MARK + 4);
    wr(VMCS_GUEST_RSP, guest_stack_top() - 0x100);
    wr(VMCS_GUEST_RFLAGS, RFLAGS_ARITHMETIC | RFLAGS_DF | RFLAGS_AC | 2);
    guest.rax = MARK + 5;
    guest.r15 = MARK + 6;
    check_eq("VMX-ENT-13", "rip", entry_outcome(), ENTERED);
    idt_load();
    /* CR0 bits that VM entry and VM exit leave alone. */
    check_eq("VMX-ENT-02", "cr0", seen.cr0, cr0 ^ CR0_MP);
    check_eq("VMX-ENT-01", "cr0", seen.cr0 & CR0_MP, (cr0 ^ CR0_MP) & CR0_MP);
    check_eq("VMX-ENT-01", "cr3", seen.cr3, cr3 | 0x10);
    check_eq("VMX-ENT-01", "cr4", seen.cr4, cr4 ^ CR4_PGE);
    check_eq("VMX-ENT-05", "cs", seen.cs, 0x8888);
    check_eq("VMX-ENT-05", "esp", seen.esp, MARK);
    check_eq("VMX-ENT-05", "eip", seen.eip, MARK + 1);
    check_eq("VMX-ENT-06", "fs", seen.fs, MARK + 2);
    check_eq("VMX-ENT-06", "gs", seen.gs, MARK + 3);
    check_eq("VMX-ENT-10", "ds", seen.sel_ds, 0x1230);
    check_eq("VMX-ENT-10", "fs", seen.sel_fs, 0x7654);
    check_eq("VMX-ENT-10", "tr", seen.sel_tr, 0x4320);
    check_eq("VMX-ENT-10", "ldtr", seen.sel_ldtr, 0x5550);
    check_eq("VMX-ENT-12", "gdtr-limit", seen.gdtr.limit, 0x1234);
    check_eq("VMX-ENT-12", "gdtr-base", seen.gdtr.base, phys(gdt));
    check_eq("VMX-ENT-12", "idtr-base", seen.idtr.base, MARK + 4);
    check_eq("VMX-ENT-13", "rsp", seen.rsp, guest_stack_top() - 0x100);
    check_eq("VMX-ENT-13", "rflags", seen.rflags,
             RFLAGS_ARITHMETIC | RFLAGS_DF | RFLAGS_AC | 2);
    check_eq("VMX-ENT-13", "rax", seen.rax, MARK + 5);
    check_eq("VMX-ENT-13", "r15", seen.r15, MARK + 6);
    /* What the guest changed is saved, and the host has its own again. */
    check_eq("VMX-EXI-03", "cr0", rd(VMCS_GUEST_CR0), cr0 ^ CR0_MP ^ CR0_WP);
    check_eq("VMX-EXI-03", "cr3", rd(VMCS_GUEST_CR3), cr3 | 0x18);
    check_eq("VMX-EXI-03", "cr4", rd(VMCS_GUEST_CR4), cr4 ^ CR4_PGE ^ CR4_DE);
    check_eq("VMX-EXI-18", "cr0", read_cr0(), cr0);
    check_eq("VMX-EXI-18", "cr3", read_cr3(), cr3);
    check_eq("VMX-EXI-18", "cr4", read_cr4(), cr4);
    check_eq("VMX-EXI-08", "ds", rd(VMCS_GUEST_DS_SELECTOR), 0x1230);
    check_eq("VMX-EXI-08", "ldtr-rights", rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR)), 0x82);
    check_eq("VMX-EXI-12", "rsp", rd(VMCS_GUEST_RSP), guest_stack_top() - 0x100);
    check_eq("VMX-EXI-12", "rflags", rd(VMCS_GUEST_RFLAGS) & RFLAGS_AC, RFLAGS_AC);
}

static void test_host(void)
{
    uint64_t cr0 = read_cr0();
    uint16_t es, ds, fs, gs, ldtr, ss, cs;

    fresh();
    wr(VMCS_HOST_CR0, cr0 ^ STABLE_CR0);
    wr(VMCS_HOST_ES_SELECTOR, 0);
    wr(VMCS_HOST_DS_SELECTOR, 0);
    wr(VMCS_HOST_FS_SELECTOR, SEL_DATA32);
    wr(VMCS_HOST_GS_SELECTOR, 0);
    wr(VMCS_HOST_FS_BASE, MARK);
    wr(VMCS_HOST_GS_BASE, MARK + 1);
    wr(VMCS_GUEST_LDTR_SELECTOR, 0x5550);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR), 0x82);
    wr(VMCS_GUEST_LIMIT(SEG_LDTR), 0xFFF);
    check_eq("VMX-EXI-18", "entered", entry_outcome(), ENTERED);
    check_eq("VMX-EXI-18", "stable-bits", read_cr0(), cr0);
    check_eq("VMX-EXI-20", "fs-base", rdmsr(MSR_FS_BASE), MARK);
    check_eq("VMX-EXI-20", "gs-base", rdmsr(MSR_GS_BASE), MARK + 1);
    __asm__ volatile("mov %%es, %0; mov %%ds, %1; mov %%fs, %2; mov %%gs, %3;"
                     "mov %%ss, %4; mov %%cs, %5; sldt %6"
                     : "=m"(es), "=m"(ds), "=m"(fs), "=m"(gs), "=m"(ss), "=m"(cs), "=m"(ldtr));
    check_eq("VMX-EXI-23", "es", es, 0);
    check_eq("VMX-EXI-23", "ds", ds, 0);
    check_eq("VMX-EXI-23", "fs", fs, SEL_DATA32);
    check_eq("VMX-EXI-23", "gs", gs, 0);
    check_eq("VMX-EXI-23", "ss", ss, SEL_DATA64);
    check_eq("VMX-EXI-23", "cs", cs, SEL_CODE64);
    check_eq("VMX-EXI-23", "ldtr", ldtr, 0);
    __asm__ volatile("mov %0, %%es; mov %0, %%ds; mov %0, %%fs; mov %0, %%gs"
                     :
                     : "r"((uint32_t)SEL_DATA64));
}

static void test_debug_registers(void)
{
    struct defect load = {.entry = VMX_ENTRY_LOAD_DEBUG};

    fresh();
    if (!entry_controls(&load)) {
        not_offered("VMX-ENT-04", "dr7");
        return;
    }
    wr(VMCS_GUEST_DR7, 0xD001);
    wr(VMCS_GUEST_IA32_DEBUGCTL, 2);
    check_eq("VMX-ENT-04", "entered", entry_outcome(), ENTERED);
    check_eq("VMX-ENT-04", "dr7", seen.dr7, 0x401);
    check_eq("VMX-ENT-03", "debugctl", seen.debugctl, 2);
    check_eq("VMX-EXI-19", "debugctl", rdmsr(MSR_DEBUGCTL), 0);
    /* Without the control both pass through. */
    fresh();
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) & ~VMX_ENTRY_LOAD_DEBUG);
    wrmsr(MSR_DEBUGCTL, 2);
    write_dr7(0x402);
    wr(VMCS_GUEST_DR7, 0x401);
    wr(VMCS_GUEST_IA32_DEBUGCTL, 1);
    check_eq("VMX-ENT-03", "entered", entry_outcome(), ENTERED);
    check_eq("VMX-ENT-03", "dr7-kept", seen.dr7, 0x402);
    check_eq("VMX-ENT-03", "debugctl-kept", seen.debugctl, 2);
}

static void test_efer(void)
{
    struct defect load = {.entry = VMX_ENTRY_LOAD_EFER, .exit = VMX_EXIT_SAVE_EFER};
    struct defect save = {.exit = VMX_EXIT_SAVE_EFER};
    uint64_t efer = rdmsr(MSR_EFER);

    fresh();
    if (!entry_controls(&load)) {
        not_offered("VMX-ENT-08", "efer");
        not_offered("VMX-ENT-09", "efer");
        return;
    }
    wr(VMCS_GUEST_IA32_EFER, EFER_LMA | EFER_LME | EFER_NXE | EFER_SCE);
    check_eq("VMX-ENT-08", "entered", entry_outcome(), ENTERED);
    check_eq("VMX-ENT-08", "efer", seen.efer, EFER_LMA | EFER_LME | EFER_NXE | EFER_SCE);
    check_eq("VMX-EXI-06", "efer", rd(VMCS_GUEST_IA32_EFER), EFER_LMA | EFER_LME | EFER_NXE | EFER_SCE);
    /* The host's control does not load EFER: NXE and SCE stay. */
    check_eq("VMX-EXI-21", "efer-kept", rdmsr(MSR_EFER),
             EFER_LMA | EFER_LME | EFER_NXE | EFER_SCE);
    wrmsr(MSR_EFER, efer);

    entry_fresh(MODE_32);
    entry_controls(&save);
    check_eq("VMX-ENT-09", "entered", entry_outcome(), ENTERED);
    check_eq("VMX-ENT-09", "32-bit", rd(VMCS_GUEST_IA32_EFER) & (EFER_LMA | EFER_LME), 0);
    check_eq("VMX-EXI-07", "32-bit", rd(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_GUEST, 0);
    check_eq("VMX-EXI-21", "64-bit-host", rdmsr(MSR_EFER), efer);
    entry_fresh(MODE_64);
    entry_controls(&save);
    check_eq("VMX-ENT-09", "entered-64", entry_outcome(), ENTERED);
    check_eq("VMX-ENT-09", "64-bit", rd(VMCS_GUEST_IA32_EFER) & (EFER_LMA | EFER_LME),
             EFER_LMA | EFER_LME);
    check_eq("VMX-EXI-07", "64-bit", rd(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_GUEST, VMX_ENTRY_IA32E_GUEST);
}

/* A 32-bit guest that uses FS. */
void loading_fs(void);
__asm__(".code32\n"
        ".globl loading_fs\n"
        "loading_fs:\n\t"
        "movl %fs:0x10, %eax\n\t"
        "vmcall\n"
        ".code64\n");

static void test_segments(void)
{
    write32(PAGE + 0x10, 0xCAFE);
    entry_fresh(MODE_32);
    wr(VMCS_GUEST_RIP, phys((void *)loading_fs));
    wr(VMCS_GUEST_BASE(SEG_FS), PAGE);
    wr(VMCS_GUEST_LIMIT(SEG_FS), 0xFFF);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_FS), 0x93);
    wr(VMCS_GUEST_FS_SELECTOR, 0x7770);
    guest.rax = 0;
    check_eq("VMX-ENT-10", "entered", entry_outcome(), ENTERED);
    check_eq("VMX-ENT-10", "base", guest.rax, 0xCAFE);
    check_eq("VMX-EXI-08", "fs-limit", rd(VMCS_GUEST_LIMIT(SEG_FS)), 0xFFF);
    check_eq("VMX-EXI-08", "fs-rights", rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_FS)), 0x93);
    /* TCG checks neither the limit nor whether a register is usable. */
    entry_fresh(MODE_32);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_FS), UNUSABLE);
    check_eq("VMX-EXI-09", "fs-entered", entry_outcome(), ENTERED);
    check_eq("VMX-EXI-09", "fs", rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_FS)) >> 16 & 1, 1);
    write32(PAGE + 0x10, 0);
}

static void test_msr_area(void)
{
    static const struct {
        const char *id, *name;
        uint64_t index, value;
    } bad[] = {
        {"VMX-ENT-17", "efer-reserved", MSR_EFER, EFER_LMA | EFER_LME | 2},
        {"VMX-ENT-17", "efer-lme", MSR_EFER, EFER_LMA},
        {"VMX-ENT-17", "non-canonical", MSR_SYSENTER_EIP, NON_CANONICAL},
        {"VMX-ENT-17", "pat-type", MSR_PAT, 2},
        {"VMX-ENT-17", "reserved-dword", 1ull << 32 | MSR_STAR, 0},
        {"VMX-ENT-16", "gs-base", MSR_GS_BASE, 0},
        {"VMX-ENT-16", "x2apic-last", 0x8FF, 0},
        {"VMX-ENT-16", "read-only", MSR_VMX_BASIC, 0},
        {"VMX-ENT-16", "no-such-msr", 0x12345678, 0},
    };
    uint64_t area = phys(page_alloc());

    write64(area, MSR_STAR);
    write64(area + 8, 0x1111);
    write64(area + 16, MSR_STAR);
    write64(area + 24, 0x2222);
    entry_fresh(MODE_64);
    wr(VMCS_ENTRY_MSR_LOAD_ADDRESS, area);
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 2);
    check_eq("VMX-ENT-15", "entered", entry_outcome(), ENTERED);
    check_eq("VMX-ENT-15", "last-wins", rdmsr(MSR_STAR), 0x2222);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        bool refused = true;

        /* TCG's WRMSR ignores some of them, and so must the area. */
        if (bad[i].index == MSR_SYSENTER_EIP || bad[i].index == MSR_PAT ||
            bad[i].index == 0x12345678 || bad[i].value & 2) {
            uint64_t old = rdmsr((uint32_t)bad[i].index);

            refused = try_wrmsr((uint32_t)bad[i].index, bad[i].value) != NO_FAULT;
            (void)try_wrmsr((uint32_t)bad[i].index, old);
        }
        write64(area + 32, bad[i].index);
        write64(area + 40, bad[i].value);
        entry_fresh(MODE_64);
        wr(VMCS_ENTRY_MSR_LOAD_ADDRESS, area);
        wr(VMCS_ENTRY_MSR_LOAD_COUNT, 3);
        check_eq(bad[i].id, bad[i].name, entry_outcome(), refused ? REASON_BAD_MSR : ENTERED);
        if (refused) {
            check_eq("VMX-ENT-18", bad[i].name, rd(VMCS_EXIT_QUALIFICATION), 3);
        }
        (void)try_wrmsr(MSR_PAT, 0x0007040600070406);
    }
}

static void test_failed_entry(void)
{
    uint64_t area = phys(page_alloc());

    write64(area, MSR_STAR);
    write64(area + 8, 0x7777);
    write64(area + 0x100, MSR_STAR);
    write64(area + 0x108, 0x9999);
    fresh();
    wr(VMCS_EXIT_MSR_LOAD_ADDRESS, area);
    wr(VMCS_EXIT_MSR_LOAD_COUNT, 1);
    wr(VMCS_EXIT_MSR_STORE_ADDRESS, area + 0x100);
    wr(VMCS_EXIT_MSR_STORE_COUNT, 1);
    wr(VMCS_HOST_FS_BASE, MARK);
    wr(VMCS_GUEST_RIP, 0x4444);
    wr(VMCS_GUEST_RSP, 0x5555);
    wr(VMCS_GUEST_CR3, 0x6000);
    wr(VMCS_GUEST_IA32_SYSENTER_CS, 0x66);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000306);
    wr(VMCS_GUEST_RFLAGS, 0); /* the defect */
    check_eq("VMX-ENT-20", "continues-at-host-rip", entry_outcome(), BAD_GUEST);
    check_eq("VMX-ENT-20", "host-fs-base", rdmsr(MSR_FS_BASE), MARK);
    check_eq("VMX-ENT-20", "host-dr7", read_dr7(), 0x400);
    check_eq("VMX-ENT-21", "exit-load", rdmsr(MSR_STAR), 0x7777);
    check_eq("VMX-ENT-21", "no-exit-store", read64(area + 0x108), 0x9999);
    check_eq("VMX-ENT-22", "rip", rd(VMCS_GUEST_RIP), 0x4444);
    check_eq("VMX-ENT-22", "rsp", rd(VMCS_GUEST_RSP), 0x5555);
    check_eq("VMX-ENT-22", "cr3", rd(VMCS_GUEST_CR3), 0x6000);
    check_eq("VMX-ENT-22", "sysenter-cs", rd(VMCS_GUEST_IA32_SYSENTER_CS), 0x66);
    check_eq("VMX-ENT-22", "interruption-information", rd(VMCS_ENTRY_INTERRUPTION_INFO), 0x80000306);
    wrmsr(MSR_FS_BASE, 0);
    wrmsr(MSR_STAR, 0);
}

/* Host RIP at a VMLAUNCH: error 4 without blocking by MOV SS, 26 with it. */
void loading_mov_ss(void);
__asm__(".globl loading_mov_ss\n"
        "loading_mov_ss:\n\t"
        "mov %ss, %eax\n\t"
        "mov %eax, %ss\n\t"
        "vmcall\n\t"
        "vmcall\n");

static void test_no_blocking(void)
{
    uint64_t flags;

    entry_fresh(MODE_64);
    wr(VMCS_GUEST_RIP, phys((void *)loading_mov_ss));
    __asm__ volatile("push %%rbp\n\t"
                     "mov $0x6C14, %%eax\n\t"
                     "vmwrite %%rsp, %%rax\n\t"
                     "mov $0x6C16, %%eax\n\t"
                     "lea 1f(%%rip), %%rcx\n\t"
                     "vmwrite %%rcx, %%rax\n\t"
                     "vmlaunch\n\t"
                     "1:\tvmlaunch\n\t"
                     "pushfq\n\tpopq %0\n\t"
                     "pop %%rbp\n\t"
                     : "=b"(flags)
                     :
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
                       "r14", "r15", "cc", "memory");
    check_vmx("VMX-EXI-28", "after-mov-ss", flags & RFLAGS_ARITHMETIC, VMX_ERROR_VMLAUNCH_NOT_CLEAR);
    check_eq("VMX-EXI-15", "mov-ss", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), VMX_BLOCKING_BY_MOV_SS);
}

void run_tests(void)
{
    vmx_start();
    memset((void *)PAGE, 0, PAGE_SIZE);
    test_registers();
    test_host();
    test_debug_registers();
    test_efer();
    test_segments();
    test_msr_area();
    test_failed_entry();
    test_no_blocking();
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
