/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Failing returns from SMM, one defect a row, and failures that stay in SMM. */
#include "stm.h"

#define BEYOND_WIDTH (1ull << 45)

static uint64_t zero_page, clear_vmcs, exec_vmcs;

/* Checks DM-RET-25: in SMM as before, same current VMCS. */
static void check_still_in_stm(const char *name, uint64_t transfer)
{
    uint64_t smbase = 0;

    check_eq("DM-RET-25", name, try_rdmsr(MSR_SMBASE, &smbase), NO_FAULT);
    check_eq("DM-RET-25", "smbase", smbase, DEFAULT_SMBASE);
    check_eq("DM-RET-25", "current", vmptrst(), transfer);
}

struct defect {
    const char *id, *name;
    uint32_t field;
    uint64_t value;
    uint32_t entry; /* VM-entry controls to set */
    uint32_t error; /* VM-instruction error, 0: VM-entry failure */
    uint32_t qualification;
};

static void run_defect(const struct defect *d)
{
    uint64_t transfer = vmptrst();
    uint64_t old_entry = rd(VMCS_ENTRY_CONTROLS), old = rd(d->field);
    uint64_t old_executive = rd(VMCS_EXECUTIVE_VMCS_POINTER);
    uint64_t result;

    wr(VMCS_ENTRY_CONTROLS, old_entry | d->entry);
    wr(d->field, d->value);
    result = vm_enter(&stm_guest, stm_launch);
    if (result == VMX_EXITED && !(rd(VMCS_EXIT_REASON) >> 31)) {
        panic("%s %s: returned from SMM", d->id, d->name);
    }
    if (d->error) {
        check_vmx(d->id, d->name, result, d->error);
    } else {
        check(d->id, d->name,
              result == VMX_EXITED && rd(VMCS_EXIT_REASON) == REASON_BAD_GUEST,
              "result:%q,reason:%q,error:%q", result, rd(VMCS_EXIT_REASON),
              rd(VMCS_INSTRUCTION_ERROR));
        check_eq("DM-RET-36", d->name, rd(VMCS_EXIT_QUALIFICATION), d->qualification);
        check_eq("DM-RET-37", "executive-unchanged", rd(VMCS_EXECUTIVE_VMCS_POINTER),
                 d->field == VMCS_EXECUTIVE_VMCS_POINTER ? d->value : old_executive);
    }
    check_still_in_stm(d->name, transfer);
    wr(d->field, old);
    wr(VMCS_ENTRY_CONTROLS, old_entry);
}

static void run_defects(const struct defect *defects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        run_defect(&defects[i]);
    }
}

/* From root operation: the executive-VMCS pointer is the VMXON pointer. */
static void in_stm_from_root(void)
{
    const struct defect defects[] = {
        {"DM-RET-03", "misaligned", VMCS_EXECUTIVE_VMCS_POINTER, vmxon_region + 1, 0,
         VMX_ERROR_EXECUTIVE_POINTER, 0},
        {"DM-RET-04", "width", VMCS_EXECUTIVE_VMCS_POINTER, vmxon_region | BEYOND_WIDTH, 0,
         VMX_ERROR_EXECUTIVE_POINTER, 0},
        {"DM-RET-05", "revision", VMCS_EXECUTIVE_VMCS_POINTER, zero_page, 0,
         VMX_ERROR_EXECUTIVE_POINTER, 0},
        {"DM-RET-07", "misaligned-and-deactivate", VMCS_EXECUTIVE_VMCS_POINTER,
         vmxon_region + 1, VMX_ENTRY_DEACTIVATE, VMX_ERROR_EXECUTIVE_POINTER, 0},
        {"DM-RET-08", "not-launched", VMCS_EXECUTIVE_VMCS_POINTER, clear_vmcs, 0,
         VMX_ERROR_EXECUTIVE_NOT_LAUNCHED, 0},
        {"DM-RET-09", "deactivate-not-vmxon", VMCS_EXECUTIVE_VMCS_POINTER, clear_vmcs,
         VMX_ENTRY_DEACTIVATE, VMX_ERROR_EXECUTIVE_NOT_VMXON, 0},
        {"DM-RET-16", "exit-controls", VMCS_EXIT_CONTROLS, 0, 0, VMX_ERROR_ENTRY_CONTROLS, 0},
        {"DM-RET-17", "inject-type-1", VMCS_ENTRY_INTERRUPTION_INFO, 0x80000120, 0,
         VMX_ERROR_ENTRY_CONTROLS, 0},
        {"DM-RET-18", "inject-into-root", VMCS_ENTRY_INTERRUPTION_INFO, 0x80000020, 0,
         VMX_ERROR_ENTRY_CONTROLS, 0},
        {"DM-RET-18", "inject-gp-into-root", VMCS_ENTRY_INTERRUPTION_INFO, 0x80000B0D, 0,
         VMX_ERROR_ENTRY_CONTROLS, 0},
        {"DM-RET-22", "host-cs", VMCS_HOST_CS_SELECTOR, 0, 0, VMX_ERROR_ENTRY_HOST_STATE, 0},
        {"DM-RET-22", "host-cr4", VMCS_HOST_CR4, CR4_PAE, 0, VMX_ERROR_ENTRY_HOST_STATE, 0},
        {"DM-DEA-03", "smm-and-deactivate", VMCS_ENTRY_INSTRUCTION_LENGTH, 0,
         VMX_ENTRY_TO_SMM | VMX_ENTRY_DEACTIVATE, VMX_ERROR_ENTRY_CONTROLS, 0},
        /* Guest state: reason 33. */
        {"DM-RET-26", "cr0-pe", VMCS_GUEST_CR0, 0x80000020, 0, 0, 0},
        {"DM-RET-26", "cr4-vmxe", VMCS_GUEST_CR4, CR4_PAE, 0, 0, 0},
        {"DM-RET-32", "wait-for-sipi", VMCS_GUEST_ACTIVITY_STATE, 3, 0, 0, 0},
        {"DM-RET-29", "link-misaligned", VMCS_LINK_POINTER, zero_page + 4, 0, 0, 4},
        {"DM-RET-29", "link-width", VMCS_LINK_POINTER, BEYOND_WIDTH, 0, 0, 4},
        {"DM-RET-29", "link-revision", VMCS_LINK_POINTER, zero_page, 0, 0, 4},
        {"DM-RET-31", "link-is-executive", VMCS_LINK_POINTER, vmxon_region, 0, 0, 4},
        {"DM-DEA-05", "deactivate-bad-guest", VMCS_GUEST_CR0, 0x80000020,
         VMX_ENTRY_DEACTIVATE, 0, 0},
    };

    run_defects(defects, ARRAY_SIZE(defects));
    check_vmx("DM-RET-02", "vmlaunch-launched", vm_enter(&stm_guest, LAUNCH),
              VMX_ERROR_VMLAUNCH_NOT_CLEAR);
}

/* The first return: VMRESUME fails, a failed VMLAUNCH keeps the state clear. */
static void in_stm_first(void)
{
    uint64_t transfer = vmptrst(), flags;

    check_vmx("DM-ACT-66", "vmresume-clear", vm_enter(&stm_guest, RESUME),
              VMX_ERROR_VMRESUME_NOT_LAUNCHED);
    __asm__ volatile("mov %%ss, %%eax\n\tmov %%eax, %%ss\n\tvmlaunch\n\t"
                     "pushfq\n\tpopq %0"
                     : "=r"(flags)
                     :
                     : "rax", "cc", "memory");
    check_vmx("DM-RET-02", "mov-ss", flags & RFLAGS_ARITHMETIC, VMX_ERROR_ENTRY_BLOCKED_BY_MOV_SS);
    vmclear(transfer);
    check_vmx("DM-RET-02", "no-vmcs", vm_enter(&stm_guest, LAUNCH),
              FAIL_INVALID);
    vmptrld(transfer);
    /* DM-RET-38: after a failure during guest-state loading VMLAUNCH is
     * still needed, and SMIs still reach the same transfer VMCS. */
    const struct defect defect = {
        "DM-RET-38", "launch-failure", VMCS_GUEST_RFLAGS, 0, 0, 0, 0};
    run_defect(&defect);
    check_vmx("DM-RET-38", "still-clear", vm_enter(&stm_guest, RESUME),
              VMX_ERROR_VMRESUME_NOT_LAUNCHED);
}

/* From non-root operation. */
static void in_stm_from_guest(void)
{
    uint64_t transfer = vmptrst(), executive = rd(VMCS_EXECUTIVE_VMCS_POINTER);
    const struct defect defects[] = {
        {"DM-RET-09", "deactivate-from-guest", VMCS_ENTRY_INSTRUCTION_LENGTH, 0,
         VMX_ENTRY_DEACTIVATE, VMX_ERROR_EXECUTIVE_NOT_VMXON, 0},
        {"DM-RET-31", "link-is-executive-guest", VMCS_LINK_POINTER, executive, 0, 0, 4},
        {"DM-RET-70", "pointer-into-smram", VMCS_EXECUTIVE_VMCS_POINTER,
         MSEG_BASE + MSEG_TRANSFER_2, 0, VMX_ERROR_EXECUTIVE_NOT_LAUNCHED, 0},
    };

    write32(MSEG_BASE + MSEG_TRANSFER_2, vmcs_revision());
    vmclear(MSEG_BASE + MSEG_TRANSFER_2);
    vmptrld(transfer);
    run_defects(defects, ARRAY_SIZE(defects));

    /* DM-RET-12: controls of the executive VMCS: error 25. */
    vmptrld(executive);
    uint64_t pin = rd(VMCS_PIN_CONTROLS);
    wr(VMCS_PIN_CONTROLS, 0);
    vmptrld(transfer);
    check_vmx("DM-RET-12", "executive-pin", vm_enter(&stm_guest, stm_launch),
              VMX_ERROR_EXECUTIVE_CONTROLS);
    vmptrld(executive);
    wr(VMCS_PIN_CONTROLS, pin);
    vmptrld(transfer);
}

static void clear_executive(void)
{
    uint64_t transfer = vmptrst(), guest_region = rd(VMCS_EXECUTIVE_VMCS_POINTER);
    uint64_t host_rip, host_rsp;

    vmptrld(guest_region);
    host_rip = rd(VMCS_HOST_RIP);
    host_rsp = rd(VMCS_HOST_RSP);
    vmclear(guest_region);
    vmptrld(transfer);
    /* DM-INT-47: the live launch state counts. */
    check_vmx("DM-INT-47", "executive-cleared", vm_enter(&stm_guest, stm_launch),
              VMX_ERROR_EXECUTIVE_NOT_LAUNCHED);
    wr(VMCS_EXECUTIVE_VMCS_POINTER, vmxon_region);
    wr(VMCS_LINK_POINTER, guest_region);
    wr(VMCS_GUEST_RIP, host_rip);
    wr(VMCS_GUEST_RSP, host_rsp);
}

/* MSR-load areas of the return. */
static void in_stm_msr_areas(void)
{
    uint64_t area = MSEG_BASE + 0x40000;
    uint64_t monitor_ctl = rdmsr(MSR_SMM_MONITOR_CTL);
    uint64_t result;

    memset((void *)area, 0, 64);
    write32(area, MSR_SYSENTER_CS);
    write32(area + 16, MSR_SMBASE);
    write64(area + 24, DEFAULT_SMBASE);
    wr(VMCS_ENTRY_MSR_LOAD_ADDRESS, area);
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 2);
    /* DM-ENA-31: 9EH never: reason 34, the index of the entry. */
    result = vm_enter(&stm_guest, stm_launch);
    check("DM-ENA-31", "smbase-entry",
          result == VMX_EXITED && rd(VMCS_EXIT_REASON) == REASON_BAD_MSR,
          "result:%q,reason:%q", result, rd(VMCS_EXIT_REASON));
    check_eq("DM-ENA-31", "index", rd(VMCS_EXIT_QUALIFICATION), 2);
    /* DM-ENA-17, DM-RET-39: 9BH is allowed; bit 2 shows that it was loaded. */
    write32(area + 16, MSR_SMM_MONITOR_CTL);
    write64(area + 24, monitor_ctl | 4);
}

static void drop_msr_areas(void)
{
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    wrmsr(MSR_SMM_MONITOR_CTL, rdmsr(MSR_SMM_MONITOR_CTL) & ~4ull);
}

static void guest_code(void)
{
    smi_port_write(0);
    __asm__ volatile("vmcall" : : : "memory");
    smi_port_write(0);
    __asm__ volatile("vmcall" : : : "memory");
}

void run_tests(void)
{
    uint64_t guest_vmcs;
    uint32_t before;

    zero_page = phys(page_alloc());
    stm_hook = in_stm_first;
    stm_activate();
    clear_vmcs = vmcs_alloc();
    vmclear(clear_vmcs);
    exec_vmcs = vmcs_new();

    stm_call(in_stm_from_root);
    before = stm_exits;
    smi_port_write(0);
    /* DM-DEA-26: the failed deactivations left the treatment active. */
    check_eq("DM-DEA-26", "still-active", stm_exits, before + 1);

    stm_call(in_stm_msr_areas);
    check_eq("DM-ENA-17", "9bh-loaded", rdmsr(MSR_SMM_MONITOR_CTL),
             MSEG_BASE | 5);
    stm_call(drop_msr_areas);

    guest_vmcs = vmcs_new_guest(guest_code);
    stm_hook = in_stm_from_guest;
    guest_run(LAUNCH);
    check_eq("DM-RET-12", "guest-resumed", last_exit.reason, VMX_REASON_VMCALL);
    guest_skip();
    stm_hook = clear_executive;
    guest_run(RESUME);
    check_eq("DM-INT-47", "root-again", vmptrst(), guest_vmcs);
}
