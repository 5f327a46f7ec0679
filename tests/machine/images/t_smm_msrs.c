/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* MSR areas of SMM VM exits, of ordinary exits and of returns: 9BH and 9EH. */
#include "stm.h"

#define AREA (MSEG_BASE + 0x40000u)

static volatile uint64_t in_stm;

static void store_area(void)
{
    memset((void *)(uintptr_t)AREA, 0, 64);
    write32(AREA, MSR_SMM_MONITOR_CTL);
    write32(AREA + 16, MSR_SMBASE);
    write32(AREA + 32, MSR_STAR);
    wr(VMCS_EXIT_MSR_STORE_ADDRESS, AREA);
    wr(VMCS_EXIT_MSR_STORE_COUNT, 3);
}

static volatile uint64_t stored[3];

static void read_stored(void)
{
    for (unsigned i = 0; i < 3; i++) {
        stored[i] = read64(AREA + 16 * i + 8);
    }
    wr(VMCS_EXIT_MSR_STORE_COUNT, 0);
}

static void test_store(void)
{
    wrmsr(MSR_STAR, 0xABCD00000000);
    stm_call(store_area);
    stm_hook = read_stored;
    smi_port_write(0);
    /* DM-EXI-48, DM-ENA-18, DM-ENA-33. */
    check_eq("DM-ENA-18", "smm-exit-9bh", stored[0], MSEG_BASE | 1);
    check_eq("DM-ENA-33", "smm-exit-9eh", stored[1], DEFAULT_SMBASE);
    check_eq("DM-EXI-48", "smm-exit-star", stored[2], 0xABCD00000000);
}

static void load_area(void)
{
    memset((void *)(uintptr_t)AREA, 0, 64);
    write32(AREA, MSR_STAR);
    write64(AREA + 8, 0x777700000000);
    write32(AREA + 16, MSR_SMM_MONITOR_CTL);
    write64(AREA + 24, MSEG_BASE | 5);
    wr(VMCS_EXIT_MSR_LOAD_ADDRESS, AREA);
    wr(VMCS_EXIT_MSR_LOAD_COUNT, 2);
}

static void read_loaded(void)
{
    in_stm = rdmsr(MSR_STAR);
    wr(VMCS_EXIT_MSR_LOAD_COUNT, 0);
}

static void restore_ctl(void)
{
    wrmsr(MSR_SMM_MONITOR_CTL, MSEG_BASE | 1);
}

static void test_load(void)
{
    stm_call(load_area);
    stm_hook = read_loaded;
    smi_port_write(0);
    /* DM-EXI-53, DM-ENA-17. */
    check_eq("DM-EXI-53", "smm-exit-load", in_stm, 0x777700000000);
    check_eq("DM-ENA-17", "9bh-by-exit", rdmsr(MSR_SMM_MONITOR_CTL),
             MSEG_BASE | 5);
    stm_call(restore_ctl);
    check_eq("DM-ENA-13", "stm-writes-9bh", rdmsr(MSR_SMM_MONITOR_CTL),
             MSEG_BASE | 1);
}

static void guest_code(void)
{
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_ordinary_exit(void)
{
    uint64_t area = phys(page_alloc());
    uint64_t region = vmcs_new_guest(guest_code);

    write32(area, MSR_SMM_MONITOR_CTL);
    wr(VMCS_EXIT_MSR_STORE_ADDRESS, area);
    wr(VMCS_EXIT_MSR_STORE_COUNT, 1);
    guest_run(LAUNCH);
    /* DM-ENA-18: any exit may store 9BH. */
    check_eq("DM-ENA-18", "ordinary-exit", read64(area + 8), MSEG_BASE | 1);
    vmclear(region);
}

static void return_list_bad_bits(void)
{
    uint64_t result;

    memset((void *)(uintptr_t)AREA, 0, 64);
    write32(AREA, MSR_SMM_MONITOR_CTL);
    write64(AREA + 8, MSEG_BASE | 2);
    wr(VMCS_ENTRY_MSR_LOAD_ADDRESS, AREA);
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
    result = vm_enter(&stm_guest, stm_launch);
    /* DM-ENA-17: the reserved bits of WRMSR apply. */
    check("DM-ENA-17", "reserved-bit-in-list",
          result == VMX_EXITED && rd(VMCS_EXIT_REASON) == REASON_BAD_MSR,
          "result:%q,reason:%q", result, rd(VMCS_EXIT_REASON));
    check_eq("DM-ENA-17", "index", rd(VMCS_EXIT_QUALIFICATION), 1);
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
}

static void change_base(void)
{
    wrmsr(MSR_SMM_MONITOR_CTL, (MSEG_BASE + 0x100000) | 1);
}

static void test_change_base(void)
{
    uint32_t before;

    /* DM-ENA-26: a new base does not disturb the running STM. */
    stm_call(change_base);
    before = stm_exits;
    smi_port_write(0);
    check_eq("DM-ENA-26", "smi", stm_exits, before + 1);
    stm_call(restore_ctl);
    check_eq("DM-ENA-26", "vmcall", stm_exits, before + 2);
}

#define TIMER_START 0x10000000u

static volatile uint64_t timer_in_stm;

static void save_timer(void)
{
    wr(VMCS_EXIT_CONTROLS, rd(VMCS_EXIT_CONTROLS) | VMX_EXIT_SAVE_PREEMPTION_TIMER);
}

static void read_timer(void)
{
    timer_in_stm = rd(VMCS_PREEMPTION_TIMER_VALUE);
}

static void guest_smi(void)
{
    smi_port_write(0);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_timer(void)
{
    uint64_t region;

    stm_call(save_timer);
    region = vmcs_new_guest(guest_smi);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_PREEMPTION_TIMER));
    wr(VMCS_PREEMPTION_TIMER_VALUE, TIMER_START);
    stm_hook = read_timer;
    guest_run(LAUNCH);
    /* DM-EXI-43: saved in the SMM-transfer VMCS, not above what it began at. */
    check("DM-EXI-43", "saved", timer_in_stm && timer_in_stm <= TIMER_START,
          "value:%q", timer_in_stm);
    /* DM-RET-15: the return accepts the control, whatever the guest has. */
    check_eq("DM-RET-15", "returned", last_exit.reason, VMX_REASON_VMCALL);
    vmclear(region);
}

void run_tests(void)
{
    stm_activate();
    test_store();
    test_load();
    test_ordinary_exit();
    stm_call(return_list_bad_bits);
    test_change_base();
    test_timer();
}
