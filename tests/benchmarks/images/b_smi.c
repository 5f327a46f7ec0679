/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * SMIs of port B2H.  Default treatment: outside VMX operation, in root operation
 * and in a guest.  With DUAL=1 the dual-monitor treatment: the STM runs the
 * handler as its guest, four transitions an SMI.
 */
#include "stm.h"
#include "bench.h"

#define COMMAND 0x80u /* 2 and 3 would switch ACPI mode */

static uint64_t guest_vmcs; /* stays current except around VMXOFF */
static volatile uint64_t smis;

static void raise_smis(uint64_t count)
{
    while (count--) {
        smi_port_raise(COMMAND);
    }
}

static void guest_smis(void)
{
    for (;;) {
        raise_smis(smis);
        __asm__ volatile("vmcall" : : : "memory");
        /* The host goes on behind it. */
    }
}

static void in_guest(uint64_t count, bool launch)
{
    smis = count;
    if (guest_run(launch) != VMX_REASON_VMCALL) {
        panic("reason=%x", last_exit.reason);
    }
    guest_skip();
}

static void in_guest_again(uint64_t count)
{
    in_guest(count, RESUME);
}

#if DUAL

static uint64_t transfer, handler_vmcs;
static struct vm_registers handler_registers;
static volatile uint32_t handled;

static void handler(void)
{
    for (;;) {
        handled++;
        __asm__ volatile("rsm" : : : "memory");
        /* The STM lets it go on here. */
    }
}

/* The handler's VMCS lies in MSEG. */
static void make_handler(void)
{
    uint64_t built = vmcs_new_guest(handler);

    wr(VMCS_GUEST_CR3, phys(page_tables));
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_TO_SMM);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    wr(VMCS_CR4_GUEST_HOST_MASK, CR4_VMXE);
    wr(VMCS_CR4_READ_SHADOW, 0);
    wr(VMCS_GUEST_RSP, guest_stack_top() - 0x2008); /* apart from the guest's */
    vmclear(built);
    handler_vmcs = MSEG_BASE + MSEG_GUEST_VMCS;
    memcpy((void *)handler_vmcs, (void *)built, PAGE_SIZE);
    vmclear(handler_vmcs);
    vmptrld(transfer);
}

static void run_handler(void)
{
    bool launch = !handler_vmcs;

    if ((stm_log.reason & 0xFFFF) == VMX_REASON_VMCALL) {
        return;
    }
    transfer = vmptrst();
    if (launch) {
        make_handler();
    }
    vmptrld(handler_vmcs);
    if (vm_enter(&handler_registers, launch) != VMX_EXITED ||
        rd(VMCS_EXIT_REASON) != VMX_REASON_RSM) {
        panic("handler: reason=%q", rd(VMCS_EXIT_REASON));
    }
    guest_skip();
    vmptrld(transfer);
}

#define SERVED handled
#else
#define SERVED smi_count
#endif

static void measure(const char *name, void (*raise)(uint64_t), uint64_t rounds)
{
    uint32_t before = SERVED;
    uint64_t start = bench_ticks();
    uint64_t end;

    raise(rounds);
    end = bench_ticks();
    if (SERVED - before != rounds) {
        panic("%s: %d SMIs served", name, SERVED - before);
    }
    sample(name, NO_EPT, 0, rounds, end - start);
}

void run_tests(void)
{
    uint64_t rounds = ROUNDS;

    clock_start();
#if DUAL
    stm_always = run_handler;
    stm_activate();
#else
    vmx_start();
#endif
    raise_smis(1);
    check_eq("BENCH", "handled", SERVED, 1);
    guest_vmcs = vmcs_new_guest(guest_smis);
    in_guest(1, LAUNCH);
    for (unsigned i = 0; i <= REPEATS; i++) {
        if (i == REPEATS) {
            rounds *= 2;
        }
#if DUAL
        measure("smi-dual-root", raise_smis, rounds);
        measure("smi-dual-guest", in_guest_again, rounds);
#else
        vmxoff();
        measure("smi-outside", raise_smis, rounds);
        vmxon(vmxon_region);
        measure("smi-root", raise_smis, rounds);
        vmptrld(guest_vmcs);
        measure("smi-guest", in_guest_again, rounds);
#endif
    }
    clock_end();
}
