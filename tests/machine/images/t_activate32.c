/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Activation from 32-bit protected mode: a 64-bit and a 32-bit STM.
 * ABORT: the 32-bit STM has PAE paging with PDPTEs that no SMM VM exit can load.
 */
#include "stm.h"

#define LARGE_PAGE 0xE7u
#define TOP        0xFFFFFFF0u
#define ZERO_GDT   0x25000u
#define RESERVED   2u /* bit 1 of a PDPTE */

extern volatile uint64_t exec32_directory, exec32_vmxon, exec32_vmcs;
extern volatile uint32_t exec32_exit_controls, exec32_smi, exec32_again,
    exec32_ebx, exec32_flags[3];
extern uint8_t exec32_vmcall[], stm32_entry[], stm32_entry_end[];
extern volatile uint32_t stm32_count, stm32_flags, stm32_state[16], stm32_tops[6], stm32_marks[7];
extern volatile struct {
    uint32_t field, value;
} stm32_fields[64];
void exec32_run(void);

static const struct mseg_header *header32;

static uint64_t make_directory(uint64_t at)
{
    for (uint32_t i = 0; i < 1024; i++) {
        write32(at + 4 * i, i << 22 | LARGE_PAGE);
    }
    return at;
}

#ifndef ABORT
static void deactivate_at_third(void)
{
    if (stm_exits == 3) {
        wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
    }
}

/* DM-ACT-19: a 32-bit exec activates a 64-bit STM. */
static void test_stm64(void)
{
    exec32_smi = 1;
    exec32_again = 1;
    stm_always = deactivate_at_third;
    exec32_run();
    stm_always = NULL;
    check_eq("DM-ACT-19", "vmxon", exec32_flags[0] & RFLAGS_ARITHMETIC, 0);
    check_eq("DM-ACT-19", "vmcall", exec32_flags[1] & RFLAGS_ARITHMETIC, 0);
    check_eq("DM-ACT-19", "stm-started", stm_starts, 1);
    check_eq("DM-ACT-62", "efer", at_entry.efer & (EFER_LMA | EFER_LME),
             EFER_LMA | EFER_LME);
    check_eq("DM-ACT-43", "cr4", at_entry.cr4 & (CR4_PAE | CR4_PSE), CR4_PAE);
    check_eq("DM-ACT-64", "rbx", at_entry_registers.rbx & 0xFFFFFFFF, 0xBBBB);
    check_eq("DM-ACT-31", "rip", at_entry.rip, MSEG_BASE + MSEG_ENTRY);
    /* The SMI and the second VMCALL came from 32-bit root operation. */
    check_eq("DM-EXI-34", "exits", stm_exits, 3);
    check_eq("DM-EXI-32", "ia32e", stm_log.entry & VMX_ENTRY_IA32E_GUEST, 0);
    check_eq("DM-RET-43", "ebx-back", exec32_ebx, 0xBBBB);
    check_eq("DM-DEA-21", "vmxoff", exec32_flags[2] & RFLAGS_ARITHMETIC, 0);
}

#endif

static void set_stm32(void)
{
    memcpy((void *)(uintptr_t)MSEG_BASE, header32, sizeof(*header32));
    memcpy((void *)(uintptr_t)(MSEG_BASE + 0x50000), stm32_entry,
           (size_t)(stm32_entry_end - stm32_entry));
    make_directory(MSEG_BASE + 0x60000);
}

static void field(uint32_t number, uint32_t value)
{
    stm32_fields[stm32_count].field = number;
    stm32_fields[stm32_count].value = value;
    stm32_count++;
}

/* What the 32-bit STM writes before its deactivating return. */
static void make_fields(void)
{
    stm32_count = 0;
    field(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, 0));
    field(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_DEACTIVATE));
    field(VMCS_EXIT_MSR_STORE_COUNT, 0);
    field(VMCS_EXIT_MSR_LOAD_COUNT, 0);
    field(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    field(VMCS_HOST_CR0, 0x80000033);
    field(VMCS_HOST_CR3, MSEG_BASE + 0x60000);
    field(VMCS_HOST_CR4, CR4_VMXE | CR4_PSE);
    for (uint32_t selector = VMCS_HOST_ES_SELECTOR; selector <= VMCS_HOST_GS_SELECTOR; selector += 2) {
        field(selector, selector == VMCS_HOST_CS_SELECTOR ? SEL_CODE32 : SEL_DATA32);
    }
    field(VMCS_HOST_TR_SELECTOR, SEL_TSS);
    for (uint32_t base = VMCS_HOST_FS_BASE; base <= VMCS_HOST_IA32_SYSENTER_EIP; base += 2) {
        field(base, 0);
    }
    field(VMCS_HOST_IA32_SYSENTER_CS, 0);
    field(VMCS_HOST_RSP, MSEG_BASE + MSEG_STACK_TOP);
    field(VMCS_HOST_RIP, MSEG_BASE + 0x50000);
}

static void run_stm32(void)
{
    struct mseg_header header = mseg_default_header();

    header.features = 0;
    header.cs = SEL_CODE32;
    header.eip = 0x50000;
    header.cr3 = 0x60000;
    header.gdtr_offset = ZERO_GDT;
    header32 = &header;
    smm_call(set_stm32);
    exec32_run();
}

#ifdef ABORT
static void test_abort(void)
{
    uint64_t table = phys(page_alloc());

    /* Good but for a reserved bit of the second, which maps nothing of the STM. */
    for (uint64_t i = 0; i < 4; i++) {
        write64(table + 8 * i, (phys(page_tables) + (2 + i) * PAGE_SIZE) | 1 | (i == 1 ? RESERVED : 0));
    }
    make_fields();
    field(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, 0));
    field(VMCS_HOST_CR3, (uint32_t)table);
    field(VMCS_HOST_CR4, CR4_VMXE | CR4_PAE);
    exec32_smi = 1;
    exec32_again = 0;
    expect_shutdown("DM-EXI-52", "pdpte-of-the-stm");
    run_stm32();
    check("DM-EXI-52", "still-running", false, "");
}
#else
/* Flat segments out of nothing: the GDT is all zeros. */
static void test_segments(void)
{
    static const char *const names[] = {"ds", "es", "fs", "gs", "ss", "cs"};
    static const uint32_t marks[] = {0xD0D0D0D0, 0xE0E0E0E0, 0xF0F0F0F0, 0x60606060, 0x55555555};

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        check_eq("DM-ACT-48", names[i], stm32_tops[i], read32(TOP));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(marks); i++) {
        check_eq("DM-ACT-50", names[i], stm32_marks[i], marks[i]);
    }
    check_eq("DM-ACT-50", "push", stm32_marks[5], 0x12345678);
    check_eq("DM-ACT-50", "with-esp", stm32_marks[6], MSEG_BASE + MSEG_STACK_TOP - 4);
}

/* DM-ACT-49 and T11 with feature bit 0 = 0. */
static void test_stm32(void)
{
    make_fields();
    exec32_smi = 0;
    exec32_again = 0;
    run_stm32();
    check_eq("DM-ACT-49", "vmcall", exec32_flags[1] & RFLAGS_ARITHMETIC,
             exec32_flags[0] & RFLAGS_ARITHMETIC);
    check_eq("DM-ACT-49", "32-bit-code", stm32_state[0], 0xFFFFFFFF);
    check_eq("DM-ACT-41", "cr0", stm32_state[1], 0x80000033);
    check_eq("DM-ACT-42", "cr3", stm32_state[2], MSEG_BASE + 0x60000);
    check_eq("DM-ACT-43", "cr4", stm32_state[3], CR4_VMXE | CR4_PSE);
    check_eq("DM-ACT-62", "efer", stm32_state[4] & (EFER_LMA | EFER_LME), 0);
    check_eq("DM-ACT-56", "esp", stm32_state[5], MSEG_BASE + MSEG_STACK_TOP);
    check_eq("DM-ACT-46", "cs", stm32_state[6], SEL_CODE32);
    check_eq("DM-ACT-47", "ss", stm32_state[7], SEL_DATA32);
    check_eq("DM-ACT-64", "ebx", stm32_state[8], 0xBBBB);
    check_eq("DM-RET-23", "returned", exec32_ebx, 0xCCCC);
    check_eq("DM-DEA-21", "vmxoff", exec32_flags[2] & RFLAGS_ARITHMETIC, 0);
    test_segments();
}
#endif

void run_tests(void)
{
    struct mseg_header header = mseg_default_header();

    mseg_build(&header);
    tseg_close();
    vmx_prepare();
    smm_monitor_ctl(MSEG_BASE | 1);
    exec32_directory = make_directory(phys(page_alloc()));
    exec32_vmxon = vmxon_region;
    exec32_vmcs = vmcs_alloc();
    exec32_exit_controls = controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE);
#ifdef ABORT
    test_abort();
#else
    test_stm64();
    test_stm32();
#endif
}
