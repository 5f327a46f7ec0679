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
static uint64_t host_target, host_bits; /* flipped; 0 if the host state is left alone */

static void guest_overwrites(void)
{
    write64(target, garbage);
    if (host_target) {
        write64(host_target, read64(host_target) ^ host_bits);
    }
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

/* Where a natural-width or 64-bit field lies in a region: found by its value. */
static uint32_t offset_of_field(uint64_t region, uint32_t field)
{
    const uint64_t magic = 0x5A17C0DE12345678, value = rd(field);
    uint32_t found = 0;

    wr(field, magic);
    vmclear(region);
    for (uint32_t i = 0; i < PAGE_SIZE; i += 4) {
        if (read64(region + i) == magic) {
            found = i;
        }
    }
    vmptrld(region);
    wr(field, value);
    if (!found) {
        panic("field %x is not in the region", field);
    }
    return found;
}

/*
 * As above, and the guest gives a field of the host state a value that no VM entry
 * takes: the executive monitor is told, and goes on with what the STM made of it.
 */
static void host_state_overwritten(const char *name, uint32_t pin, uint32_t field, uint64_t bits)
{
    uint64_t region = vmcs_new_guest(guest_overwrites);
    bool told = reason_writable();

    host_target = region + offset_of_field(region, field);
    host_bits = bits;
    target = region + pin;
    garbage = ~0ull;
    handler_action = HANDLER_NOTHING;
    check_eq("HOSTILE", name, guest_run(LAUNCH), told ? 0x80000021 : ~0u);
    check_eq("HOSTILE", "current-vmcs", vmptrst(), told ? region : NO_VMCS);
    host_target = 0;
    vmclear(region);
    smi(HANDLER_NOTHING);
}

#define NOT_CANONICAL (1ull << 63)

static void overwritten_host_states(uint32_t pin)
{
    static const struct {
        const char *name;
        uint32_t field;
        uint64_t bits;
    } rows[] = {
        {"host-cr0", VMCS_HOST_CR0, 1ull << 40 | 1ull << 29 | 0x20},
        {"host-cr3", VMCS_HOST_CR3, 1ull << 60},
        {"host-cr4", VMCS_HOST_CR4, 1ull << 63 | 1ull << 31 | 0x2000},
        {"host-efer", VMCS_HOST_IA32_EFER, 1ull << 63 | 0x2 | 0x500},
        {"host-pat", VMCS_HOST_IA32_PAT, 0xFFFFFFFFFFFFFFFF},
        {"host-fs-base", VMCS_HOST_FS_BASE, NOT_CANONICAL},
        {"host-gs-base", VMCS_HOST_GS_BASE, NOT_CANONICAL},
        {"host-tr-base", VMCS_HOST_TR_BASE, NOT_CANONICAL},
        {"host-gdtr-base", VMCS_HOST_GDTR_BASE, NOT_CANONICAL},
        {"host-idtr-base", VMCS_HOST_IDTR_BASE, NOT_CANONICAL},
        {"host-sysenter-esp", VMCS_HOST_IA32_SYSENTER_ESP, NOT_CANONICAL},
        {"host-sysenter-eip", VMCS_HOST_IA32_SYSENTER_EIP, NOT_CANONICAL},
        {"host-rip", VMCS_HOST_RIP, NOT_CANONICAL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        host_state_overwritten(rows[i].name, pin, rows[i].field, rows[i].bits);
    }
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
    overwritten_host_states(pin);
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
