/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * No stale translation survives a change of context: page tables are edited in
 * memory, without INVLPG, by the other side of an SMI.
 */
#include "stm.h"

#define WINDOW  0x3000000ull /* 2-MiB page whose mapping changes */
#define FRAME_A 0x2000000ull
#define FRAME_B 0x2200000ull
#define MARK_A  0xAAAAull
#define MARK_B  0xBBBBull
#define FLAGS   0xE7u

static volatile uint64_t guest_first, guest_second, handler_saw;

static uint64_t *entry_of(uint64_t tables, uint64_t address)
{
    return (uint64_t *)(uintptr_t)(tables + 2 * PAGE_SIZE + 8 * (address >> 21));
}

static void map(uint64_t tables, uint64_t frame)
{
    *(volatile uint64_t *)entry_of(tables, WINDOW) = frame | FLAGS;
}

static void to_b(void)
{
    map(phys(page_tables), FRAME_B);
}

static void check_around(const char *id, const char *name, void (*smi)(void))
{
    map(phys(page_tables), FRAME_A);
    write_cr3(read_cr3());
    check_eq(id, name, read64(WINDOW), MARK_A);
    smi();
    check_eq(id, name, read64(WINDOW), MARK_B);
}

static void smi_by_default(void)
{
    smm_call(to_b);
}

static void smi_to_stm(void)
{
    stm_hook = to_b;
    smi_port_write(0x80);
}

static void vmcall_to_stm(void)
{
    stm_call(to_b);
}

static void guest_code(void)
{
    guest_first = read64(WINDOW);
    smi_port_write(0x80);
    guest_second = read64(WINDOW);
    __asm__ volatile("vmcall" : : : "memory");
}

static void check_guest(const char *id, const char *name, uint32_t vpid)
{
    uint64_t region;

    map(phys(page_tables), FRAME_A);
    region = vmcs_new_guest(guest_code);
    if (vpid) {
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
        wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, 1u << 5));
        wr(VMCS_VPID, vpid);
    }
    guest_run(LAUNCH);
    check_eq(id, name, guest_first, MARK_A);
    check_eq(id, name, guest_second, MARK_B);
    vmclear(region);
}

/* The STM's own tables are edited between two SMIs, from the other SMI. */
static volatile uint64_t stm_saw;
static uint64_t stm_frame;

static void stm_reads(void)
{
    stm_saw = read64(WINDOW);
    map(MSEG_BASE + MSEG_TABLES, stm_frame);
}

static void test_stm_view(void)
{
    stm_frame = FRAME_B;
    stm_call(stm_reads);
    stm_call(stm_reads);
    /* DM-EXI-58: VPID 0 mappings are gone at the next SMM VM exit. */
    check_eq("DM-EXI-58", "stm-fresh", stm_saw, MARK_B);
    /* DM-ACT-63: exec's view is its own. */
    map(phys(page_tables), FRAME_A);
    write_cr3(read_cr3());
    check_eq("DM-ACT-63", "exec-view", read64(WINDOW), MARK_A);
}

/* DM-STM-34: a guest of the STM sees edits made between its entries. */
static volatile uint64_t sguest_saw;

static void sguest_code(void)
{
    for (;;) {
        sguest_saw = read64(WINDOW);
        __asm__ volatile("vmcall" : : : "memory");
    }
}

static void run_sguest(void)
{
    uint64_t transfer = vmptrst();
    uint64_t region;

    map(phys(page_tables), FRAME_A);
    region = vmcs_new_guest(sguest_code);
    wr(VMCS_GUEST_CR3, phys(page_tables));
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_TO_SMM);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    guest_run(LAUNCH);
    check_eq("DM-STM-34", "before", sguest_saw, MARK_A);
    map(phys(page_tables), FRAME_B);
    guest_skip();
    guest_run(RESUME);
    check_eq("DM-STM-34", "after", sguest_saw, MARK_B);
    vmclear(region);
    vmptrld(transfer);
}

static void handler_with_own_view(void)
{
    static uint64_t tables[6 * 512] __attribute__((aligned(4096)));
    uint64_t cr3 = read_cr3();

    memcpy(tables, page_tables, sizeof(tables));
    tables[0] = phys(tables + 512) | 7;
    for (unsigned i = 0; i < 4; i++) {
        tables[512 + i] = phys(tables + 512 * (2 + i)) | 7;
    }
    map(phys(tables), FRAME_B);
    write_cr3(phys(tables));
    handler_saw = read64(WINDOW);
    write_cr3(cr3);
}

static void guest_view(void)
{
    guest_first = read64(WINDOW);
    smi_port_write(0x80);
    guest_second = read64(WINDOW);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_default_guest(void)
{
    uint64_t region;

    /* DM-DEF-13: the handler's mapping is not the guest's. */
    map(phys(page_tables), FRAME_A);
    region = vmcs_new_guest(guest_view);
    smi_hook = handler_with_own_view;
    guest_run(LAUNCH);
    check_eq("DM-DEF-13", "handler-view", handler_saw, MARK_B);
    check_eq("DM-DEF-13", "guest-view", guest_second, MARK_A);
    vmclear(region);
    /* DM-DEF-17: RSM drops the mappings of every VPID. */
    smi_hook = to_b;
    check_guest("DM-DEF-17", "guest-default", 0);
    check_guest("DM-DEF-17", "guest-default-vpid", 1);
    smi_hook = NULL;
}

void run_tests(void)
{
    write64(FRAME_A, MARK_A);
    write64(FRAME_B, MARK_B);
    check_around("DM-DEF-09", "outside-vmx", smi_by_default);
    stm_prepare();
    check_around("DM-DEF-09", "root", smi_by_default);
    test_default_guest();
    activation_vmcs();
    if (vmcall()) {
        panic("activation failed");
    }
    /* DM-RET-42: a return from SMM drops the mappings of every VPID. */
    check_around("DM-RET-42", "root-smi", smi_to_stm);
    check_around("DM-RET-42", "root-vmcall", vmcall_to_stm);
    stm_always = to_b;
    check_guest("DM-RET-42", "guest", 0);
    check_guest("DM-RET-42", "guest-vpid", 1);
    stm_always = NULL;
    test_stm_view();
    stm_call(run_sguest);
}
