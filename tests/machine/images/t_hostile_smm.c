/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * MSEG, the executive-VMCS pointer, the link pointer and the VMCSs of the STM
 * at places that are no good for them.  Every failure is the one of the manual
 * and the treatment goes on.
 */
#include "stm.h"

static const struct place {
    const char *name;
    uint64_t address;
} places[] = {
    {"page-0", 0},
    {"local-apic", 0xFEE00000},
    {"ioapic", 0xFEC00000},
    {"hpet", 0xFED00000},
    {"nothing", 0x80000000},
    {"rom", 0xFFFE0000},
    {"rom-below-1-mib", 0xE0000},
    {"legacy-smram", 0xA0000},
    {"tseg", TSEG_BASE + 0x1000},
    {"below-4-gib", 0xFFFFF000},
    {"4-gib", 0x100000000},
    {"last-page", (1ull << 40) - PAGE_SIZE},
};

static volatile uint64_t header_at;
static volatile uint32_t header_revision;

static void read_revision(void)
{
    header_revision = read32(header_at);
}

/*
 * 9BH holds an address below 4 GiB.  Zeros have a revision that fits, but features
 * that do not.
 */
static void mseg_places(void)
{
    bool fits;

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        if (places[i].address >> 32) {
            continue;
        }
        smm_monitor_ctl(places[i].address | 1);
        activation_vmcs();
        header_at = places[i].address;
        smm_call(read_revision);
        fits = header_revision == mseg_default_header().revision;
        check_vmx(fits ? "DM-ACT-18" : "DM-ACT-15", places[i].name, vmcall(),
                  fits ? VMX_ERROR_VMCALL_MSEG_FEATURES : VMX_ERROR_VMCALL_MSEG_REVISION);
    }
    smm_monitor_ctl(MSEG_BASE | 1);
}

static void return_fails(const char *id, const struct place *p, uint32_t error)
{
    uint64_t result = vm_enter(&stm_guest, stm_launch);

    if (error) {
        check_vmx(id, p->name, result, error);
    } else {
        check(id, p->name,
              result == VMX_EXITED && rd(VMCS_EXIT_REASON) == REASON_BAD_GUEST &&
                  rd(VMCS_EXIT_QUALIFICATION) == 4,
              "result:%q,reason:%q,qualification:%q", result, rd(VMCS_EXIT_REASON),
              rd(VMCS_EXIT_QUALIFICATION));
    }
}

static void in_stm(void)
{
    uint64_t transfer = vmptrst(), executive = rd(VMCS_EXECUTIVE_VMCS_POINTER);

    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        const struct place *p = &places[i];

        wr(VMCS_EXECUTIVE_VMCS_POINTER, p->address);
        return_fails("DM-RET-05", p, VMX_ERROR_EXECUTIVE_POINTER);
        wr(VMCS_EXECUTIVE_VMCS_POINTER, executive);
        wr(VMCS_LINK_POINTER, p->address);
        return_fails("DM-RET-29", p, 0);
        wr(VMCS_LINK_POINTER, NO_VMCS);
        check_vmx("DM-INT-06", p->name, vmptrld(p->address),
                  VMX_ERROR_VMPTRLD_REVISION);
        vmclear(p->address);
        check_eq("DM-RET-25", "current", vmptrst(), transfer);
    }
}

static void guest_code(void)
{
    for (;;) {
        __asm__ volatile("outb %%al, $0xB2\n\tvmcall" : : "a"(0x80) : "memory");
    }
}

void run_tests(void)
{
    uint32_t before;

    stm_prepare();
    mseg_places();
    activation_vmcs();
    check_eq("DM-ACT-24", "activates", vmcall(), 0);
    check_eq("DM-ACT-24", "starts", stm_starts, 1);
    stm_call(in_stm);
    before = stm_exits;
    vmcs_new_guest(guest_code);
    stm_hook = in_stm;
    check_eq("DM-RET-25", "guest-goes-on", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-RET-25", "stm-served", stm_exits, before + 1);
}
