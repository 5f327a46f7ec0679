/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Activation: exit information, saved state and the state the STM starts in
 * (tables T8 and T11). */
#include "stm.h"

static uint64_t activating, exec_cr4, exec_efer, exec_rsp, vmcall_rip;
static uint32_t activations;

static uint64_t patterned_vmcall(void)
{
    uint64_t flags;

    __asm__ volatile("mov $0x1111, %%ebx\n\t"
                     "mov $0x2222, %%ecx\n\t"
                     "mov $0x3333, %%edx\n\t"
                     "mov $0x8888, %%r8\n\t"
                     "mov $0xffff, %%r15\n\t"
                     "mov %%rsp, %2\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "mov %%rax, %1\n\t"
                     "mov $0x10007, %%eax\n"
                     "1:\tvmcall\n\t"
                     "pushfq\n\tpopq %%rax\n\t"
                     : "=&a"(flags), "=m"(vmcall_rip), "=m"(exec_rsp)
                     :
                     : "rbx", "rcx", "rdx", "r8", "r15", "cc", "memory");
    return flags & RFLAGS_ARITHMETIC;
}

static void deactivate(void)
{
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
}

/* One activation and deactivation with this header; at_entry is filled. */
static void activate_with(const struct mseg_header *header)
{
    uint64_t flags;

    mseg_set_header(header);
    activating = activation_vmcs();
    flags = patterned_vmcall();
    check_vmx("DM-ACT-24", "vmcall", flags, SUCCESS);
    check_eq("DM-ACT-24", "stm-started", stm_starts, ++activations);
    if (stm_starts != activations) {
        finish();
    }
}

static void stop(void)
{
    stm_call(deactivate);
}

static void check_exit_information(void)
{
    /* The exec VMCS became the SMM-transfer VMCS. */
    check_eq("DM-ACT-26", "current-vmcs", stm_log.current, activating);
    /* DM-ACT-25: 200CH receives the VMXON pointer. */
    check_eq("DM-ACT-25", "executive", stm_log.executive, vmxon_region);
    check_eq("DM-ACT-28", "reason", stm_log.reason, 0x20000012);
    check_eq("DM-ACT-29", "qualification", stm_log.qualification, 0);
    check_eq("DM-ACT-29", "interruption", stm_log.intr >> 31, 0);
    check_eq("DM-ACT-29", "vectoring", stm_log.vectoring >> 31, 0);
    check_eq("DM-ACT-30", "length", stm_log.length, 3);
    check_eq("DM-ACT-31", "rip", stm_log.rip, vmcall_rip);
    check_eq("DM-ACT-32", "rsp", stm_log.rsp, exec_rsp);
    check_eq("DM-ACT-32", "cr4", stm_log.cr4, exec_cr4);
    check_eq("DM-ACT-32", "cr3", stm_log.cr3, phys(page_tables));
    check_eq("DM-ACT-34", "smbase", stm_log.smbase, DEFAULT_SMBASE);
    check_eq("DM-ACT-35", "interruptibility", stm_log.interruptibility, 0);
    check_eq("DM-ACT-36", "pending-debug", stm_log.pending_debug, 0);
    /* DM-ACT-37: both were preset to the opposite by the hook below. */
    check_eq("DM-ACT-37", "entry-interruption", stm_log.entry_intr >> 31, 0);
    check_eq("DM-ACT-37", "entry-ia32e", stm_log.entry & VMX_ENTRY_IA32E_GUEST,
             VMX_ENTRY_IA32E_GUEST);
    /* DM-EXI-62: the link pointer receives exec's current VMCS. */
    check_eq("DM-EXI-62", "link", stm_log.link, activating);
}

static void check_state(void)
{
    /* T11, DM-ACT-41 to DM-ACT-64. */
    check_eq("DM-ACT-41", "cr0", at_entry.cr0, 0x80000033);
    check_eq("DM-ACT-42", "cr3", at_entry.cr3, MSEG_BASE + MSEG_TABLES);
    check_eq("DM-ACT-43", "cr4", at_entry.cr4,
             (exec_cr4 & ~(uint64_t)(CR4_MCE | CR4_PGE | CR4_PSE)) | CR4_PAE);
    check_eq("DM-ACT-45", "dr7", at_entry.dr7, 0x400);
    check_eq("DM-ACT-45", "debugctl", at_entry.debugctl, 0);
    check_eq("DM-ACT-46", "cs", at_entry.cs, SEL_CODE64);
    check_eq("DM-ACT-47", "ss", at_entry.ss, SEL_DATA64);
    check_eq("DM-ACT-47", "ds", at_entry.ds, SEL_DATA64);
    check_eq("DM-ACT-47", "es", at_entry.es, SEL_DATA64);
    check_eq("DM-ACT-47", "fs", at_entry.fs, SEL_DATA64);
    check_eq("DM-ACT-47", "gs", at_entry.gs, SEL_DATA64);
    check_eq("DM-ACT-51", "fs-base", at_entry.fs_base, 0);
    check_eq("DM-ACT-51", "gs-base", at_entry.gs_base, 0);
    check_eq("DM-ACT-52", "ldtr", at_entry.ldtr, 0);
    /* DM-ACT-53 is unconfirmed: golden result, TR unchanged. */
    check_eq("DM-ACT-53", "tr", at_entry.tr, SEL_TSS);
    check_eq("DM-ACT-54", "gdtr-base", at_entry.gdtr_base, MSEG_BASE + MSEG_GDT);
    check_eq("DM-ACT-54", "gdtr-limit", at_entry.gdtr_limit, 0x57);
    check_eq("DM-ACT-55", "idtr-limit", at_entry.idtr_limit, 0);
    check_eq("DM-ACT-55", "idtr-base", at_entry.idtr_base, read_idtr().base);
    check_eq("DM-ACT-56", "rip", at_entry.rip, MSEG_BASE + MSEG_ENTRY);
    check_eq("DM-ACT-56", "rsp", at_entry.rsp, MSEG_BASE + MSEG_STACK_TOP);
    check_eq("DM-ACT-58", "rflags", at_entry.rflags, 2);
    check_eq("DM-ACT-62", "efer", at_entry.efer, exec_efer);
    /* DM-ACT-64: unlisted state is unchanged. */
    check_eq("DM-ACT-64", "rax", at_entry_registers.rax, 0x10007);
    check_eq("DM-ACT-64", "rbx", at_entry_registers.rbx, 0x1111);
    check_eq("DM-ACT-64", "rcx", at_entry_registers.rcx, 0x2222);
    check_eq("DM-ACT-64", "rdx", at_entry_registers.rdx, 0x3333);
    check_eq("DM-ACT-64", "r8", at_entry_registers.r8, 0x8888);
    check_eq("DM-ACT-64", "r15", at_entry_registers.r15, 0xFFFF);
    check_eq("DM-ACT-64", "cr8", at_entry.cr8, 5);
}

static volatile uint32_t in_stm_signature, in_stm_alias, in_stm_9e, nmi_seen;
static volatile uint64_t in_stm_smbase;

static void probe_smm(void)
{
    uint64_t value = 0;

    in_stm_signature = read32(MSEG_BASE + MSEG_SIGNATURE);
    in_stm_alias = read32(STM_ALIAS + MSEG_SIGNATURE);
    in_stm_9e = try_rdmsr(MSR_SMBASE, &value);
    in_stm_smbase = value;
}

static void test_default_header(void)
{
    struct mseg_header header = mseg_default_header();

    exec_efer = rdmsr(MSR_EFER);
    write_cr8(5);
    write_dr7(0x401);
    wrmsr(MSR_FS_BASE, 0x123000);
    wrmsr(MSR_GS_BASE, 0x456000);
    check("DM-ACT-63", "alias-outside",
          read32(STM_ALIAS + MSEG_SIGNATURE) != MSEG_SIGNATURE_VALUE, "");
    stm_hook = probe_smm;
    activate_with(&header);
    check_exit_information();
    check_state();
    /* DM-ACT-65: in SMM and in VMX root operation. */
    check_eq("DM-ACT-65", "smram", in_stm_signature, MSEG_SIGNATURE_VALUE);
    check_eq("DM-ACT-65", "smbase-readable", in_stm_9e, NO_FAULT);
    check_eq("DM-ACT-34", "smbase-msr", in_stm_smbase, DEFAULT_SMBASE);
    /* DM-ACT-63: the STM sees its own page tables. */
    check_eq("DM-ACT-63", "alias-in-stm", in_stm_alias, MSEG_SIGNATURE_VALUE);
    /* Back in exec: outside SMM, own state restored. */
    check_eq("DM-RET-62", "outside", try_rdmsr(MSR_SMBASE, NULL), FAULT_GP);
    check_eq("DM-RET-62", "mseg-closed", read32(MSEG_BASE), 0xFFFFFFFF);
    check_eq("DM-RET-43", "fs-base", rdmsr(MSR_FS_BASE), 0x123000);
    check_eq("DM-RET-43", "gs-base", rdmsr(MSR_GS_BASE), 0x456000);
    check_eq("DM-RET-43", "cr0-wp", read_cr0() & (CR0_WP | CR0_AM),
             CR0_WP | CR0_AM);
    check_eq("DM-RET-43", "cr4", read_cr4(), exec_cr4);
    check_eq("DM-RET-43", "idt-limit", read_idtr().limit, 0xFFF);
    stop();
}

static void test_selectors(void)
{
    static const struct {
        uint32_t header, cs, ss;
    } rows[] = {
        /* DM-ACT-46: low 16 bits, bits 2:0 cleared, 0 becomes 8. */
        {0x0000, 0x0008, 0x0010},
        {0x0003, 0x0008, 0x0010},
        {0x1234567B, 0x5678, 0x5680},
        /* DM-ACT-47: a sum that wraps to 0 becomes 8. */
        {0xFFFF, 0xFFF8, 0x0008},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct mseg_header header = mseg_default_header();

        header.cs = rows[i].header;
        activate_with(&header);
        check_eq("DM-ACT-46", "cs", at_entry.cs, rows[i].cs);
        check_eq("DM-ACT-47", "ss", at_entry.ss, rows[i].ss);
        check_eq("DM-ACT-47", "gs", at_entry.gs, rows[i].ss);
        stop();
    }
}

static void test_offsets(void)
{
    struct mseg_header header = mseg_default_header();

    /* DM-ACT-42: bits 11:5 and 2:0 of the CR3 offset do not survive. */
    header.cr3 |= 0xFFF;
    /* DM-ENA-37, DM-ACT-54: an absurd limit is taken modulo 2^16. */
    header.gdtr_limit = 0x1234FFFF;
    /* DM-ACT-57: offsets add modulo 2^32: a stack below MSEG. */
    header.esp = 0xFFFFF000;
    activate_with(&header);
    check_eq("DM-ACT-42", "cr3", at_entry.cr3, (MSEG_BASE + MSEG_TABLES) | 0x18);
    check_eq("DM-ACT-54", "gdtr-limit", at_entry.gdtr_limit, 0xFFFF);
    check_eq("DM-ENA-37", "accepted", at_entry.gdtr_base,
             MSEG_BASE + header.gdtr_offset);
    check_eq("DM-ACT-57", "rsp", at_entry.rsp, MSEG_BASE - 0x1000);
    stop();
}

static void test_unused_areas(void)
{
    struct mseg_header header = mseg_default_header();
    uint64_t area = phys(page_alloc());

    mseg_set_header(&header);
    activating = activation_vmcs();
    /* DM-ACT-38, DM-ACT-39, DM-ACT-14: MSR areas of the activating VMCS are
     * neither checked nor used.  Counts are 1 with a bad index. */
    write64(area, 0xDEAD);
    write64(area + 8, 0x5555);
    wr(VMCS_EXIT_MSR_STORE_ADDRESS, area);
    wr(VMCS_EXIT_MSR_STORE_COUNT, 1);
    wr(VMCS_EXIT_MSR_LOAD_ADDRESS, area + 4);
    wr(VMCS_EXIT_MSR_LOAD_COUNT, 1);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000306);
    check_vmx("DM-ACT-39", "vmcall", patterned_vmcall(), SUCCESS);
    activations++;
    check_eq("DM-ACT-38", "store-area", read64(area + 8), 0x5555);
    check_eq("DM-ACT-37", "entry-interruption", stm_log.entry_intr, 0x306);
    stop();
}

void run_tests(void)
{
    struct mseg_header header = mseg_default_header();

    mseg_build(&header);
    tseg_close();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    /* Distinctive bits that activation must clear or keep. */
    write_cr0(read_cr0() | CR0_WP | CR0_AM | CR0_TS);
    exec_cr4 = read_cr4() | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_DE;
    write_cr4(exec_cr4);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE | EFER_SCE);
    test_default_header();
    write_cr8(0);
    test_selectors();
    test_offsets();
    test_unused_areas();
    check_vmx("DM-DEA-21", "vmxoff", vmxoff(), SUCCESS);
}
