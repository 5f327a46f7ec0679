/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Calls of the SMI handler: in an SMI, in set-up and tear-down code, in its handler of protection exceptions. */
#include "orders.h"

#define LOOKUP_AT    (TSEG_BASE + 0x58000u)
#define SPE_STACK    (TSEG_BASE + 0x50000u)
#define LOOKUP_IA32E 0x10u
#define API_RETURN   4u /* RETURN_FROM_PROTECTION_EXCEPTION */

static const struct handler_order {
    const char *name;
    enum handler_context context;
    uint32_t call, status;
} orders[] = { HANDLER_ORDERS };

static struct {
    uint32_t status, flags;
    bool made, kept;
} answers[ARRAY_SIZE(orders)];

static uint64_t interrupted_cr3, protected_page;
static volatile uint32_t returned; /* to behind the access that was a violation */

/* The firmware's handler of protection exceptions: its calls, then back to behind MOV EAX, [RDI]. */
__asm__(".pushsection .text\n"
        "exception_entry:\n"
        "\tcall exception_main\n"
        "\taddq $2, 0xB8(%rsp)\n\txor %ebx, %ebx\n\tmov $4, %eax\n\tvmcall\n\tud2\n"
        "touch:\tmov (%rdi), %eax\n\tret\n"
        ".popsection\n");
extern uint8_t exception_entry[];
uint32_t touch(uint64_t address);
void exception_main(void);

/* STM_ADDRESS_LOOKUP_DESCRIPTOR: a byte of a page that nobody protects. */
static void good_lookup(void)
{
    memset((void *)(uintptr_t)LOOKUP_AT, 0, 52);
    write64(LOOKUP_AT, interrupted_cr3);
    write32(LOOKUP_AT + 8, 1);
    write64(LOOKUP_AT + 12, interrupted_cr3);
    write32(LOOKUP_AT + 28, LOOKUP_IA32E);
}

/* Set-up and tear-down code run within a call of the executive monitor, whose registers are kept. */
static void make_calls(enum handler_context context)
{
    const struct vm_registers before = call_before;
    const uint64_t rsp = call_rsp[0];

    for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
        if (orders[i].context != context || (context == IN_EXCEPTION && orders[i].call == API_RETURN)) {
            continue;
        }
        good_lookup();
        /* EBX of RETURN_FROM_PROTECTION_EXCEPTION is 0. */
        answers[i].status = make_call(orders[i].call, orders[i].call == API_RETURN ? 0 : LOOKUP_AT, 0);
        answers[i].flags = call_flags & RFLAGS_ARITHMETIC;
        answers[i].kept = registers_kept(false, false) && call_after.rax == answers[i].status;
        answers[i].made = true;
    }
    call_before = before;
    call_rsp[0] = rsp;
}

static void in_smi(void)
{
    make_calls(IN_SMI);
}

static void in_setup(void)
{
    make_calls(IN_SETUP);
}

static void in_teardown(void)
{
    make_calls(IN_TEARDOWN);
}

void exception_main(void)
{
    make_calls(IN_EXCEPTION);
}

static void in_violation(void)
{
    touch(protected_page);
    returned = 1;
}

static void set_exception_handler(void)
{
    write64(PSD_EXCEPTION, phys(exception_entry));
    write64(PSD_EXCEPTION + 8, SPE_STACK);
    write64(PSD_EXCEPTION + 16, SEL_DATA64 | 0x1Full << 16);
}

/* SmmEntryState of the PSD: bit 0 says whether the handler wants EFER.NXE. */
static volatile uint8_t entry_state;
static volatile uint64_t efer_at_entry;

static void set_entry_state(void)
{
    *(volatile uint8_t *)(uintptr_t)(PSD + 0x10) = entry_state;
}

static void read_efer(void)
{
    efer_at_entry = rdmsr(0xC0000080);
}

static void hooked_smi(void (*hook)(void))
{
    handler_hook = hook;
    smi(HANDLER_HOOK);
    handler_action = HANDLER_NOTHING;
}

static void check_entry_state(void)
{
    static const uint8_t states[] = { 0x0E, 0x0F, 0x02, 0x03 };

    for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
        entry_state = states[i];
        smm_call(set_entry_state);
        activation_vmcs();
        succeed(API_INITIALIZE);
        succeed(API_START);
        hooked_smi(read_efer);
        check_eq("ENTRY-STATE", "nxe", efer_at_entry >> 11 & 1, states[i] & 1);
        check_eq("ENTRY-STATE", "long-mode", efer_at_entry >> 8 & 5, 5);
        succeed(API_STOP);
    }
    entry_state = 0x0F;
    smm_call(set_entry_state);
}

void handler_orders(uint64_t list, uint64_t guarded)
{
    interrupted_cr3 = read_cr3();
    protected_page = guarded;
    smm_call(set_exception_handler);
    setup_hook = in_setup;
    teardown_hook = in_teardown;
    activation_vmcs();
    succeed(API_INITIALIZE);
    succeed(API_START);
    memset((void *)(uintptr_t)list, 0, PAGE_SIZE);
    write64(list, 1 | 32ull << 32);
    write64(list + 8, guarded);
    write64(list + 16, PAGE_SIZE);
    write64(list + 24, 7);
    write64(list + 32, 16ull << 32);
    check_eq("API-STATUS", "protect", make_call(API_PROTECT, list, 0), STM_SUCCESS);
    hooked_smi(in_smi);
    hooked_smi(in_violation);
    succeed(API_STOP);
    setup_hook = NULL;
    teardown_hook = NULL;
    check_entry_state();
    for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
        if (orders[i].context == IN_EXCEPTION && orders[i].call == API_RETURN) {
            check_eq("ORDER", orders[i].name, returned, orders[i].status == STM_SUCCESS);
            continue;
        }
        check_eq("MADE", orders[i].name, answers[i].made, true);
        check_eq("ORDER", orders[i].name, answers[i].status, orders[i].status);
        check_eq("ORDER-FLAGS", orders[i].name, answers[i].flags, orders[i].status ? RFLAGS_CF : 0);
        check_eq("REGISTERS", orders[i].name, answers[i].kept, true);
    }
}
