/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* SMM VM exits from guests in every processor mode, and from CPL 3. */
#include "stm.h"

#define V86_BASE   0x7000u
#define LARGE_PAGE 0xE7u /* P, RW, US, A, D, PS */

extern uint8_t guest32[], guest32_out[], guest32_next[], guest32_text[],
    guest32_task[];
extern uint8_t guest_v86[], guest_v86_end[], guest_v86_next[];

static uint64_t directory32, pdpt_pae;

/* Page directory of 4-MiB pages, and four PDPTEs on the existing tables. */
static void make_tables(void)
{
    directory32 = phys(page_alloc());
    pdpt_pae = phys(page_alloc());
    for (uint32_t i = 0; i < 1024; i++) {
        write32(directory32 + 4 * i, i << 22 | LARGE_PAGE);
    }
    for (uint64_t i = 0; i < 4; i++) {
        write64(pdpt_pae + 8 * i, (phys(page_tables) + (2 + i) * PAGE_SIZE) | 1);
    }
}

static void leave_ia32e(void)
{
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_EFER));
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_EFER));
    wr(VMCS_GUEST_IA32_EFER, 0);
}

static void code32(void)
{
    wr(VMCS_GUEST_CS_SELECTOR, SEL_CODE32);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0xC09B);
    wr(VMCS_GUEST_RIP, phys(guest32));
}

static void m_compatibility(void)
{
    code32();
}

static void m_paging32(void)
{
    code32();
    leave_ia32e();
    wr(VMCS_GUEST_CR4, CR4_VMXE | CR4_PSE);
    wr(VMCS_GUEST_CR3, directory32);
}

static void m_pae(void)
{
    code32();
    leave_ia32e();
    wr(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
    wr(VMCS_GUEST_CR3, pdpt_pae);
}

static const struct {
    const char *name;
    void (*mode)(void);
    bool ia32e;
} rows[] = {
    {"compatibility", m_compatibility, true},
    {"32-bit-paging", m_paging32, false},
    {"pae-paging", m_pae, false},
};

static void run_32(const char *name, void (*mode)(void), bool ia32e)
{
    uint64_t region = vmcs_new_guest((void (*)(void))guest32);
    uint32_t before = stm_exits;
    uint64_t cr3, cr4;

    mode();
    cr3 = rd(VMCS_GUEST_CR3);
    cr4 = rd(VMCS_GUEST_CR4);
    /* Host state with efer of the exec after an exit from a 32-bit guest. */
    guest_run(LAUNCH);
    check_eq("DM-EXI-34", name, stm_exits, before + 1);
    check_eq("DM-EXI-34", name, stm_log.reason, 0x00000005);
    check_eq("DM-EXI-32", name, stm_log.entry & VMX_ENTRY_IA32E_GUEST,
             ia32e ? VMX_ENTRY_IA32E_GUEST : 0);
    check_eq("DM-EXI-24", name, stm_log.io_rip, phys(guest32_out));
    check_eq("DM-EXI-35", name, stm_log.rip, phys(guest32_next));
    check_eq("DM-EXI-33", name, stm_log.cr3, cr3);
    check_eq("DM-EXI-33", name, stm_log.cr4, cr4);
    check_eq("DM-EXI-33", name, stm_log.efer & EFER_LMA, ia32e ? EFER_LMA : 0);
    /* DM-RET-43: the guest goes on in its mode. */
    check_eq("DM-RET-43", name, last_exit.reason, VMX_REASON_VMCALL);
    check_eq("DM-RET-43", name, guest.rbx, 0x12345678);
    check_eq("VMX-EXI-08", name, rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS)), 0xC09B);
    check_eq("VMX-EXI-07", name, rd(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_GUEST, ia32e ? VMX_ENTRY_IA32E_GUEST : 0);
    guest_skip();
    guest_run(RESUME);
    check_eq("DM-EXI-20", name, stm_log.qualification, 0xB20010);
    /* DM-EXI-22, DM-EXI-23. */
    check_eq("DM-EXI-23", name, stm_log.linear, phys(guest32_text));
    check_eq("DM-RET-43", name, guest.rbx, 0x87654321);
    guest_skip();
    guest_run(RESUME);
    check_eq("VMX-INT-07", name, last_exit.reason, VMX_REASON_CPUID);
    check_eq("VMX-EXI-21", name, rdmsr(MSR_EFER) & EFER_LMA, EFER_LMA);
    vmclear(region);
}

static void test_v86(void)
{
    uint64_t region = vmcs_new_guest(NULL);
    uint32_t before = stm_exits;

    memcpy((void *)(uintptr_t)V86_BASE, guest_v86,
           (size_t)(guest_v86_end - guest_v86));
    leave_ia32e();
    wr(VMCS_GUEST_CR4, CR4_VMXE | CR4_PSE);
    wr(VMCS_GUEST_CR3, directory32);
    for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
        wr(VMCS_GUEST_ES_SELECTOR + 2 * seg, V86_BASE >> 4);
        wr(VMCS_GUEST_BASE(seg), V86_BASE);
        wr(VMCS_GUEST_LIMIT(seg), 0xFFFF);
        wr(VMCS_GUEST_ACCESS_RIGHTS(seg), 0xF3);
    }
    wr(VMCS_GUEST_RIP, 0);
    wr(VMCS_GUEST_RSP, 0x800);
    wr(VMCS_GUEST_RFLAGS, 1u << 17 | 3u << 12 | 2);
    guest_run(LAUNCH);
    check_eq("DM-EXI-34", "v86-one-exit", stm_exits, before + 1);
    check_eq("DM-EXI-34", "v86-reason", stm_log.reason, 0x00000005);
    check_eq("DM-EXI-34", "v86-rip", stm_log.rip,
             (uint64_t)(guest_v86_next - guest_v86));
    check_eq("DM-EXI-34", "v86-rflags-vm", stm_log.rflags >> 17 & 1, 1);
    check_eq("DM-RET-43", "v86-resumed", last_exit.reason, VMX_REASON_VMCALL);
    check_eq("DM-RET-43", "v86-bx", guest.rbx & 0xFFFF, 0x4321);
    check_eq("DM-RET-43", "v86-still", rd(VMCS_GUEST_RFLAGS) >> 17 & 1, 1);
    vmclear(region);
}

/* 25.4.2: every task switch exits; 27.2.1, Table 27-2: its qualification. */
static void test_task_switch(void)
{
    uint64_t region = vmcs_new_guest((void (*)(void))guest32_task);
    uint64_t tables = phys(page_alloc());

    m_paging32();
    wr(VMCS_GUEST_RIP, phys(guest32_task));
    memcpy((void *)tables, gdt, 0x58);
    write64(tables + 0x58, 0x0000890000000067 | (tables + 0x800) << 16);
    wr(VMCS_GUEST_GDTR_BASE, tables);
    wr(VMCS_GUEST_GDTR_LIMIT, 0x5F);
    guest_run(LAUNCH);
    check_eq("VMX-INT-49", "task-switch", last_exit.reason, 9);
    check_eq("VMX-INF-07", "task-switch-by-jmp", last_exit.qualification,
             0x80000058);
    check_eq("VMX-INF-28", "task-switch", last_exit.length, 7);
    vmclear(region);
}

static void ring3_smi(void *unused)
{
    uint32_t before = stm_exits;

    (void)unused;
    self_ipi(IPI_SMI, 0);
    while (stm_exits == before) {
    }
}

static volatile uint32_t ring3_result;

static void guest_ring3(void)
{
    ring3_result = user_call(ring3_smi, NULL);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_ring3(void)
{
    uint64_t region = vmcs_new_guest(guest_ring3);

    guest_run(LAUNCH);
    check_eq("DM-EXI-34", "cpl3-reason", stm_log.reason, 0x00000006);
    check_eq("DM-RET-43", "cpl3-resumed", ring3_result, USER_RETURN);
    check_eq("DM-RET-43", "cpl3-exit", last_exit.reason, VMX_REASON_VMCALL);
    vmclear(region);
}

void run_tests(void)
{
    make_tables();
    stm_activate();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        run_32(rows[i].name, rows[i].mode, rows[i].ia32e);
    }
    test_v86();
    test_task_switch();
    test_ring3();
}
