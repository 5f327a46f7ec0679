/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Regions of the executive monitor where they must not be: in SMRAM, or
 * overwritten by itself or by its guest.
 */
#include "stm_under_test.h"

/* A region in SMRAM that the chipset shows outside SMM, too. */
#define LEGACY 0xA0000u

static void legacy_region(void)
{
    memset((void *)(uintptr_t)LEGACY, 0, PAGE_SIZE);
    write32(LEGACY, vmcs_revision());
}

/* Runs the guest of the VMCS at LEGACY, which the STM does not return to. */
static void guest_in_legacy_smram(void)
{
    struct vm_registers registers = { 0 };

    legacy_region();
    vmclear(LEGACY);
    vmptrld(LEGACY);
    vmcs_fill_guest(guest_main);
    check("LEGACY", "guest-ends", vm_enter(&registers, LAUNCH) == VMX_EXITED, "-");
    check_eq("LEGACY", "guest-no-current-vmcs", vmptrst(), NO_VMCS);
}

void use_legacy_smram(void)
{
    uint32_t before;

    legacy_smram(true);
    legacy_region();
    check_eq("LEGACY", "activation-vmcs", vmclear(LEGACY) | vmptrld(LEGACY), 0);
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));
    expect("legacy-activation", API_INITIALIZE, STM_SECURITY_VIOLATION);
    check_eq("LEGACY", "no-current-vmcs", vmptrst(), NO_VMCS);

    check_eq("LEGACY", "vmxoff", vmxoff(), 0);
    legacy_region();
    check_eq("LEGACY", "vmxon", vmxon(LEGACY), 0);
    activation_vmcs();
    expect("legacy-vmxon", API_INITIALIZE, STM_SECURITY_VIOLATION);
    before = smi_count;
    smi_port_write(0);
    check_eq("LEGACY", "default-treatment", smi_count, before + 1);
    check_eq("LEGACY", "vmxoff-again", vmxoff(), 0);
    check_eq("LEGACY", "vmxon-elsewhere", vmxon(vmxon_region), 0);

    start_stm();
    legacy_region();
    vmclear(LEGACY);
    vmptrld(LEGACY);
    smi(HANDLER_NOTHING);
    check_eq("LEGACY", "current-vmcs", vmptrst(), NO_VMCS);
    guest_in_legacy_smram();
    smi(HANDLER_NOTHING);
    activation_vmcs();
    expect("legacy-stop", API_STOP, STM_SUCCESS);
}

static uint64_t target, garbage;

static void guest_overwrites(void)
{
    write64(target, garbage);
    smi_port_write(0);
    vmcall();
}

/* Where a control lies in this machine's VMCS region: found by its value. */
static uint32_t offset_of_pin_controls(void)
{
    const uint32_t magic = 0x5A17C0DE;
    uint64_t region = vmcs_new();

    wr(VMCS_PIN_CONTROLS, magic);
    vmclear(region);
    for (uint32_t i = 0; i < PAGE_SIZE; i += 4) {
        if (read32(region + i) == magic) {
            return i;
        }
    }
    panic("VM-execution controls are not in the region");
}

/* Whether an exit reason can be written (IA32_VMX_MISC[29]); else there is no current VMCS. */
static bool reason_writable(void)
{
    return rdmsr(MSR_VMX_MISC) >> 29 & 1;
}

/* The guest writes to its own VMCS, and an SMI comes. */
static void overwritten_by_guest(const char *name, uint32_t offset, uint64_t value, uint32_t reason)
{
    uint64_t region = vmcs_new_guest(guest_overwrites);
    uint32_t before = handler_count;
    bool told = reason == VMX_REASON_VMCALL || reason_writable();

    target = region + offset;
    garbage = value;
    handler_action = HANDLER_NOTHING;
    check_eq("HOSTILE", name, guest_run(LAUNCH), told ? reason : ~0u);
    check_eq("HOSTILE", "current-vmcs", vmptrst(), told ? region : NO_VMCS);
    check_eq("HOSTILE", "handler", handler_count, before + 1);
    check_eq("HOSTILE", "state-kept", read_cr4() & 0x2000, 0x2000);
    vmclear(region);
    smi(HANDLER_NOTHING);
}

static void overwritten_by_root(void)
{
    uint64_t region = vmcs_new();

    write64(region, 0);
    smi(HANDLER_NOTHING);
    check_eq("HOSTILE", "no-current-vmcs", vmptrst(), NO_VMCS);
    memset((void *)(uintptr_t)vmxon_region, 0, PAGE_SIZE);
    smi(HANDLER_NOTHING);
    check_eq("HOSTILE", "vmxon-region", read32(vmxon_region), vmcs_revision());
    write32(vmxon_region, ~0u);
    expect("hostile-start", API_START, STM_ALREADY_STARTED);
    check_eq("HOSTILE", "vmxon-region-call", read32(vmxon_region), vmcs_revision());
}

void overwrite_regions(void)
{
    uint32_t pin = offset_of_pin_controls(), before;

    start_stm();
    overwritten_by_root();
    overwritten_by_guest("revision", 0, 0, VMX_REASON_VMCALL);
    overwritten_by_guest("revision-and-abort", 0, ~0ull, VMX_REASON_VMCALL);
    overwritten_by_guest("launch-state", 8, 0, 0x80000021);
    overwritten_by_guest("controls", pin, ~0ull, 0x80000021);
    check_guest_smis();
    vmclear(guest_vmcs);

    /* The same as the processor leaves. */
    vmptrld(vmcs_alloc());
    write32(vmptrst(), 0);
    write32(vmxon_region, 0);
    expect("hostile-stop", API_STOP, STM_SUCCESS);
    check_eq("HOSTILE", "stop-no-current-vmcs", vmptrst(), NO_VMCS);
    before = smi_count;
    smi_port_write(0);
    check_eq("HOSTILE", "default-treatment", smi_count, before + 1);
    check_eq("HOSTILE", "vmxoff", vmxoff(), 0);
}
