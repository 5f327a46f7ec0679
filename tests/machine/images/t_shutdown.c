/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Shutdown and VMX abort, one build each: CASE is a row of the table below. */
#include "stm.h"

#define SAVED_CR4 0x7F48u /* AMD64 save-state map, from SMBASE + 8000H */
#define SAVED_CR0 0x7F58u

static void change_image(uint32_t offset, uint32_t clear, uint32_t set)
{
    uint64_t at = DEFAULT_SMBASE + 0x8000u + offset;

    write32(at, (read32(at) & ~clear) | set);
}

static void image_vmxe(void)
{
    change_image(SAVED_CR4, 0, CR4_VMXE);
}

static void image_reserved_cr4(void)
{
    change_image(SAVED_CR4, 0, 1u << 31);
}

static void image_pg_without_pe(void)
{
    change_image(SAVED_CR0, CR0_PE, CR0_PG);
}

static void image_nw_without_cd(void)
{
    change_image(SAVED_CR0, CR0_CD, CR0_NW);
}

/* DM-DEF-15, DM-DEF-16: RSM with an illegal image. */
static void c_vmxe(void)
{
    vmx_start();
    smm_call(image_vmxe);
}

static void c_reserved_cr4(void)
{
    vmx_start();
    smm_call(image_reserved_cr4);
}

static void c_pg_without_pe(void)
{
    vmx_start();
    smm_call(image_pg_without_pe);
}

static void c_nw_without_cd(void)
{
    vmx_start();
    smm_call(image_nw_without_cd);
}

static void guest_code(void)
{
    __asm__ volatile("vmcall" : : : "memory");
}

static void exit_with(uint32_t msr, uint32_t address_field, uint32_t count_field)
{
    uint64_t area = phys(page_alloc());

    vmx_start();
    vmcs_new_guest(guest_code);
    write32(area, msr);
    wr(address_field, area);
    wr(count_field, 1);
    guest_run(LAUNCH);
}

/* DM-ENA-15: 9BH in a VM-exit MSR-load area outside SMM: abort 4. */
static void c_load_9bh(void)
{
    exit_with(MSR_SMM_MONITOR_CTL, VMCS_EXIT_MSR_LOAD_ADDRESS, VMCS_EXIT_MSR_LOAD_COUNT);
}

/* DM-ENA-32: 9EH in a VM-exit MSR-store area outside SMM: abort 1. */
static void c_store_9eh(void)
{
    exit_with(MSR_SMBASE, VMCS_EXIT_MSR_STORE_ADDRESS, VMCS_EXIT_MSR_STORE_COUNT);
}

/* VMX-EXI-30: FS base cannot be in a load area, x2APIC MSRs not in a store area. */
static void c_load_fs_base(void)
{
    exit_with(MSR_FS_BASE, VMCS_EXIT_MSR_LOAD_ADDRESS, VMCS_EXIT_MSR_LOAD_COUNT);
}

static void c_store_x2apic(void)
{
    exit_with(0x800, VMCS_EXIT_MSR_STORE_ADDRESS, VMCS_EXIT_MSR_STORE_COUNT);
}

static void list_x2apic(void)
{
    uint64_t area = MSEG_BASE + 0x40000;

    write32(area, 0x800);
    wr(VMCS_EXIT_MSR_STORE_ADDRESS, area);
    wr(VMCS_EXIT_MSR_STORE_COUNT, 1);
}

/* DM-EXI-49: a failing MSR store of an SMM VM exit: abort 1. */
static void c_store_in_smm(void)
{
    stm_activate();
    stm_call(list_x2apic);
    smi_port_write(0);
}

static void empty_idt(void)
{
    struct table_register idtr = {0, 0};

    __asm__ volatile("lidt %0\n\tud2" : : "m"(idtr));
}

/* DM-STM-32: a triple fault in the STM; DM-ACT-55: an empty IDT does that. */
static void c_stm_triple_fault(void)
{
    stm_activate();
    stm_call(empty_idt);
}

/* An STM that leaves its VMCS where exec can reach it (DM-INT-07). */
static void careless_stm(void)
{
    stm_transfer_state();
    wr(VMCS_GUEST_DR7, 0x400);
    wr(VMCS_GUEST_IA32_DEBUGCTL, 0);
    wr(VMCS_GUEST_IA32_EFER, rdmsr(MSR_EFER));
    wr(VMCS_GUEST_RIP, rd(VMCS_GUEST_RIP) + 3);
    (void)vm_enter(&stm_guest, LAUNCH);
    check("DM-EXI-51", "stm-entered", false, "");
    finish();
}

/* DM-EXI-51: exec makes the STM a 32-bit one while in IA-32e mode: abort 6. */
static void c_host_32(void)
{
    stm_prepare();
    stm_program = careless_stm;
    activation_vmcs();
    vmcall();
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, 0) & ~VMX_EXIT_HOST_ADDRESS_SPACE_SIZE);
    smi_port_write(0x80);
}

static const struct {
    const char *id, *name;
    void (*run)(void);
} cases[] = {
    {"DM-DEF-15", "vmxe-in-image", c_vmxe},
    {"DM-DEF-16", "reserved-cr4-in-image", c_reserved_cr4},
    {"DM-DEF-16", "pg-without-pe", c_pg_without_pe},
    {"DM-DEF-16", "nw-without-cd", c_nw_without_cd},
    {"DM-ENA-15", "exit-load-9bh", c_load_9bh},
    {"DM-ENA-32", "exit-store-9eh", c_store_9eh},
    {"DM-EXI-49", "smm-exit-store", c_store_in_smm},
    {"DM-STM-32", "stm-triple-fault", c_stm_triple_fault},
    {"DM-EXI-51", "stm-made-32-bit", c_host_32},
    {"VMX-EXI-30", "exit-load-fs-base", c_load_fs_base},
    {"VMX-EXI-30", "exit-store-x2apic", c_store_x2apic},
};

void run_tests(void)
{
    expect_shutdown(cases[CASE].id, cases[CASE].name);
    cases[CASE].run();
    check(cases[CASE].id, cases[CASE].name, false, "still-running");
}
