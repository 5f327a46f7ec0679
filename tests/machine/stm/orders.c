/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Each call in each state, of the executive monitor and of the SMI handler: what it is
 * answered with, what follows, and that no register changes but those of the answer. The
 * rows, ORDERS and HANDLER_ORDERS, are those of orders.toml.
 */
#include "orders.h"

volatile uint32_t nmi_count;
struct vm_registers call_before, call_after;
uint64_t call_flags, call_rsp[2];

/* Arithmetic flags are all set before: the answer says which stay. */
__asm__(".pushsection .text\n"
        "api_call:\n"
        "\tpush %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n"
        "\tmov %rsp, call_rsp(%rip)\n"
        "\tpushfq\n\torq $0x8D5, (%rsp)\n\tpopfq\n"
        "\tmov call_before(%rip), %rax\n\tmov call_before + 8(%rip), %rbx\n"
        "\tmov call_before + 16(%rip), %rcx\n\tmov call_before + 24(%rip), %rdx\n"
        "\tmov call_before + 32(%rip), %rsi\n\tmov call_before + 40(%rip), %rdi\n"
        "\tmov call_before + 48(%rip), %rbp\n\tmov call_before + 56(%rip), %r8\n"
        "\tmov call_before + 64(%rip), %r9\n\tmov call_before + 72(%rip), %r10\n"
        "\tmov call_before + 80(%rip), %r11\n\tmov call_before + 88(%rip), %r12\n"
        "\tmov call_before + 96(%rip), %r13\n\tmov call_before + 104(%rip), %r14\n"
        "\tmov call_before + 112(%rip), %r15\n"
        "\tvmcall\n"
        "\tmov %rax, call_after(%rip)\n\tmov %rbx, call_after + 8(%rip)\n"
        "\tmov %rcx, call_after + 16(%rip)\n\tmov %rdx, call_after + 24(%rip)\n"
        "\tmov %rsi, call_after + 32(%rip)\n\tmov %rdi, call_after + 40(%rip)\n"
        "\tmov %rbp, call_after + 48(%rip)\n\tmov %r8, call_after + 56(%rip)\n"
        "\tmov %r9, call_after + 64(%rip)\n\tmov %r10, call_after + 72(%rip)\n"
        "\tmov %r11, call_after + 80(%rip)\n\tmov %r12, call_after + 88(%rip)\n"
        "\tmov %r13, call_after + 96(%rip)\n\tmov %r14, call_after + 104(%rip)\n"
        "\tmov %r15, call_after + 112(%rip)\n"
        "\tmov %rsp, call_rsp + 8(%rip)\n"
        "\tmov call_rsp(%rip), %rsp\n"
        "\tpushfq\n\tpopq call_flags(%rip)\n"
        "\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n"
        ".popsection\n");
void api_call(void);

/* The registers behind RAX that a call takes; the high halves are none of its business. */
uint32_t make_call(uint32_t number, uint64_t page, uint32_t edx)
{
    const uint64_t high = 0xABCD1234ull << 32;
    uint64_t *const registers = &call_before.rax;

    for (unsigned i = 0; i < 15; i++) {
        registers[i] = 0x0101010101010101ull * (i + 0x81);
    }
    call_before.rax = high | number;
    call_before.rbx = high | (uint32_t)page;
    call_before.rcx = high | page >> 32;
    call_before.rdx = high | edx;
    api_call();
    return (uint32_t)call_after.rax;
}

/* But for RAX, and what the call returns in RBX or RDX. */
bool registers_kept(bool rbx, bool rdx)
{
    const uint64_t *const before = &call_before.rax, *const after = &call_after.rax;

    for (unsigned i = 1; i < 15; i++) {
        if (before[i] != after[i] && !(i == 1 && rbx) && !(i == 3 && rdx)) {
            return false;
        }
    }
    return call_rsp[0] == call_rsp[1];
}

/* ---- what else a call could change ---- */
static const uint32_t kept_msrs[] = {
    0x10A, 0x174, 0x175, 0x176, 0x1D9, 0x277, 0xC0000080, 0xC0000081, 0xC0000082, 0xC0000083,
    0xC0000084, 0xC0000100, 0xC0000101, 0xC0000102, 0xC0000103,
};

static struct system {
    uint64_t cr[5], dr[6], msrs[ARRAY_SIZE(kept_msrs)], vmcs, xmm[2];
    uint64_t gdtr_base, idtr_base;
    uint32_t gdtr_limit, idtr_limit, mxcsr;
    uint16_t selectors[8];
} before, after;

static void read_system(struct system *state)
{
    const struct table_register gdtr = read_gdtr(), idtr = read_idtr();
    uint16_t *const selector = state->selectors;

    memset(state, 0, sizeof(*state));
    state->cr[0] = read_cr0();
    state->cr[1] = read_cr2();
    state->cr[2] = read_cr3();
    state->cr[3] = read_cr4();
    state->cr[4] = read_cr8();
    state->dr[0] = read_dr0();
    state->dr[1] = read_dr1();
    state->dr[2] = read_dr2();
    state->dr[3] = read_dr3();
    state->dr[4] = read_dr6();
    state->dr[5] = read_dr7();
    for (unsigned i = 0; i < ARRAY_SIZE(kept_msrs); i++) {
        state->msrs[i] = rdmsr(kept_msrs[i]);
    }
    state->vmcs = vmptrst();
    __asm__ volatile("movups %%xmm0, %0\n\tstmxcsr %1" : "=m"(state->xmm), "=m"(state->mxcsr));
    state->gdtr_base = gdtr.base;
    state->idtr_base = idtr.base;
    state->gdtr_limit = gdtr.limit;
    state->idtr_limit = idtr.limit;
    __asm__ volatile("mov %%cs, %0\n\tmov %%ss, %1\n\tmov %%ds, %2\n\tmov %%es, %3\n\tmov %%fs, %4\n\tmov %%gs, %5\n\t"
                     "sldt %6\n\tstr %7"
                     : "=m"(selector[0]), "=m"(selector[1]), "=m"(selector[2]), "=m"(selector[3]), "=m"(selector[4]),
                       "=m"(selector[5]), "=m"(selector[6]), "=m"(selector[7]));
}

static void fill_system(void)
{
    static const uint64_t xmm[2] = { 0x1234567812345678, 0x8765432187654321 };

    write_dr0(0x99);
    write_dr1(0x9A);
    write_dr2(0x9B);
    write_dr3(0x9C);
    write_cr2(0x77);
    write_cr8(3);
    wrmsr(0xC0000102, 0x6000);
    __asm__ volatile("movups %0, %%xmm0" : : "m"(xmm));
}

static void check_system(const char *name)
{
    const uint8_t *const was = (const uint8_t *)&before, *const is = (const uint8_t *)&after;
    unsigned at = 0;

    read_system(&after);
    while (at < sizeof(before) && was[at] == is[at]) {
        at++;
    }
    check("UNCHANGED", name, at == sizeof(before), "first difference at byte %d of %d", at, sizeof(before));
}

/* ---- calls with good parameters ---- */
static uint64_t request_page, log_page, guarded;
static uint8_t request_before[PAGE_SIZE];

static void good_request(uint32_t number)
{
    memset((void *)(uintptr_t)request_page, 0, PAGE_SIZE);
    if (number == API_PROTECT || number == API_UNPROTECT) {
        write64(request_page, 1 | 32ull << 32);
        write64(request_page + 8, guarded);
        write64(request_page + 16, PAGE_SIZE);
        write64(request_page + 24, 7);
        write64(request_page + 32, 16ull << 32);
    } else if (number == API_VMCS_DATABASE) {
        write64(request_page, guarded);
        write32(request_page + 12, 1);
    } else if (number == API_EVENT_LOG) {
        write32(request_page, 1); /* NEW_LOG */
        write32(request_page + 4, 1);
        write64(request_page + 8, log_page);
    } else {
        memset((void *)(uintptr_t)request_page, 0x5A, PAGE_SIZE);
    }
    memcpy(request_before, (void *)(uintptr_t)request_page, PAGE_SIZE);
}

/* Requests are inputs, but for ReturnStatus of a descriptor that is granted. */
static void check_request(const struct order *order)
{
    const bool granted = (order->call == API_PROTECT || order->call == API_UNPROTECT) && order->status == STM_SUCCESS;

    if (order->call == API_RESOURCES && order->status == STM_SUCCESS) {
        check_eq("REQUEST", order->name, read64(request_page), 16ull << 32); /* a lone END: the firmware has no list */
        check_eq("REQUEST", order->name, read64(request_page + 8), 0);
        memset((void *)(uintptr_t)request_page, 0x5A, 16);
    }
    check_eq("RETURN-STATUS", order->name, read32(request_page + 4) >> 16 & 1, granted ? 1 : request_before[6] & 1);
    if (granted) {
        write32(request_page + 4, read32(request_page + 4) & ~(1u << 16));
    }
    check_eq("REQUEST", order->name, memcmp((void *)(uintptr_t)request_page, request_before, PAGE_SIZE), 0);
}

/* ---- the executive monitor ---- */
void succeed(uint32_t number)
{
    uint32_t status = make_call(number, 0, 0);

    if (status != STM_SUCCESS) {
        panic("call %x: status %x", number, status);
    }
}

static void reach(enum processor_state state)
{
    activation_vmcs();
    if (state != OFF) {
        succeed(API_INITIALIZE);
    }
    if (state == STARTED) {
        succeed(API_START);
    }
}

/* What an SMI meets tells the state, and not only what the STM says. */
static void check_state(const char *name, enum processor_state state)
{
    uint32_t defaults = smi_count, handled = handler_count;

    smi_port_raise(0);
    check_eq("SMI-DEFAULT", name, smi_count - defaults, state == OFF);
    check_eq("SMI-STM", name, handler_count - handled, state == STARTED);
}

/* Back to OFF; an SMI that waits is served by the default treatment then. */
static void leave(const char *name, enum processor_state state)
{
    uint32_t defaults = smi_count, setups = setup_count, teardowns = teardown_count;

    if (state != OFF) {
        succeed(API_STOP);
    }
    check_eq("SMI-AFTER-STOP", name, smi_count - defaults, state == INITIALIZED);
    check_eq("TEARDOWN", name, teardown_count - teardowns, state == STARTED);
    check_eq("SETUP", name, setup_count - setups, 0);
}

static void check_order(const struct order *order)
{
    uint64_t control = rdmsr(0x9B);
    uint32_t status;

    fill_system();
    reach(order->state);
    good_request(order->call);
    read_system(&before);
    status = make_call(order->call, request_page | 0x123, 0);
    check_system(order->name);
    check_eq("ORDER", order->name, status, order->status);
    check_eq("ORDER-RAX", order->name, call_after.rax, order->status);
    check_eq("ORDER-FLAGS", order->name, call_flags & RFLAGS_ARITHMETIC, order->status ? RFLAGS_CF : 0);
    check_eq("REGISTERS", order->name,
             registers_kept(order->call == API_INITIALIZE && order->status == STM_SUCCESS,
                            order->call == API_RESOURCES && order->status == STM_SUCCESS), true);
    if (order->call == API_INITIALIZE && order->status == STM_SUCCESS) {
        check_eq("CAPABILITIES", order->name, call_after.rbx, 0);
    }
    if (order->call == API_RESOURCES && order->status == STM_SUCCESS) {
        check_eq("NEXT-PAGE", order->name, call_after.rdx, 0);
    }
    check_request(order);
    check_eq("MONITOR-CTL", order->name, rdmsr(0x9B), control);
    check_state(order->name, order->next);
    leave(order->name, order->next);
    check_state(order->name, OFF);
}

void run_tests(void)
{
    static const struct order orders[] = { ORDERS };
    uint64_t *const pages[] = { &request_page, &log_page, &guarded };

    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    write_cr4(read_cr4() | 0x600); /* OSFXSR, OSXMMEXCPT */
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        *pages[i] = phys(page_alloc());
    }
    for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
        check_order(&orders[i]);
    }
    handler_orders(request_page, guarded);
    parameters();
    check_eq("VMX", "vmxoff", vmxoff(), 0);
}
