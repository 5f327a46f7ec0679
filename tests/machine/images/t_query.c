/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Waits for test_query.py in every mode: it says where it is, and goes on with a byte from the serial port. */
#include "stm.h"

#define UART      0x3F8u
#define UART_LSR  5u
#define LSR_READY 1u
#define PATTERN   0xA5A5F00D5A5A0000ull

static void stop_here(const char *where)
{
    print("READY %s\n", where);
    while (!(inb(UART + UART_LSR) & LSR_READY)) {
        __asm__ volatile("pause" : : : "memory");
    }
    (void)inb(UART);
}

static void say(const char *name, uint64_t value)
{
    print("VALUE %s %q\n", name, value);
}

/* Each field that VMWRITE takes gets a value of its own. */
static void fill_fields(void)
{
    uint32_t fields = 0;

    for (uint32_t field = 0; field < 0x8000; field += 2) {
        uint64_t value = 0;

        fields += !vmread_flags(field, &value);
        (void)vmwrite_flags(field, PATTERN + field);
    }
    say("fields", fields);
}

static void in_smm(void)
{
    stop_here("smm");
}

static void guest_code(void)
{
    stop_here("guest");
    __asm__ volatile("vmcall" : : : "memory");
}

static void in_stm(void)
{
    say("transfer", vmptrst());
    stop_here("stm");
}

static void smm_guest_code(void)
{
    stop_here("handler");
    __asm__ volatile("vmcall" : : : "memory");
}

static void enter_smm_guest(void)
{
    uint64_t transfer = vmptrst(), region = vmcs_new_guest(smm_guest_code);

    say("smm-guest", region);
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_TO_SMM);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    guest_run(LAUNCH);
    vmclear(region);
    vmptrld(transfer);
}

static void smi_code(void)
{
    smi_port_write(0);
    stop_here("guest-of-the-executive");
    __asm__ volatile("vmcall" : : : "memory");
}

static void in_stm_from_guest(void)
{
    stop_here("stm-from-guest");
}

static void test_default(void)
{
    uint64_t region;

    stop_here("none");
    smm_call(in_smm);
    stm_prepare();
    say("vmxon", vmxon_region);
    (void)vmptrld(vmxon_region);
    stop_here("root");
    smm_call(in_smm);
    say("current", vmcs_new());
    fill_fields();
    (void)vmptrld(vmxon_region);
    stop_here("root-with-vmcs");

    region = vmcs_new_guest(guest_code);
    say("current", region);
    guest_run(LAUNCH);
    guest_skip();
    wr(VMCS_GUEST_RFLAGS, 0);
    (void)vm_enter(&guest, RESUME);
    stop_here("root-after-failure");
    vmclear(region);
}

static void test_dual_monitor(void)
{
    uint64_t region;

    (void)vmcall(); /* no current VMCS */
    stop_here("root-not-activated");
    say("activating", activation_vmcs());
    stm_hook = in_stm;
    if (vmcall()) {
        panic("activation");
    }
    stm_call(enter_smm_guest);
    region = vmcs_new_guest(smi_code);
    say("current", region);
    stm_hook = in_stm_from_guest;
    guest_run(LAUNCH);
    vmclear(region);
    stop_here("root-under-the-stm");
}

void run_tests(void)
{
    test_default();
    test_dual_monitor();
}
