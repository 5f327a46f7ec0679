/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* MANAGE_VMCS_DATABASE of the real STM, and what its records do. */
#include "stm_under_test.h"

#define SCENE_TYPES    1
#define SCENE_EXCLUDED 2 /* an SMI that takes a degradation which the executive monitor excludes */

#define LIMIT 192u /* records there is room for */

/* Domain types; XState policies as the request has them. */
#define NO_OUT       1u
#define INTEGRITY    4u
#define CONFIDENTIAL 8u
#define FULLY_PROTECTED_OUT_IN (INTEGRITY | CONFIDENTIAL)
#define FULLY_PROTECTED 15u
#define READ_ONLY (1u << 4)
#define SCRUB     (3u << 4)
#define KEEPS(type) ((type) << 6) /* degradation policy */

#define PSD_STATE     (PSD + 0x12u)
#define PSD_HANDLER   (PSD + 0x38u)
#define EPT_ENABLED   0x40u
#define BIOS_LIST     (TSEG_BASE + 0x60000u)
#define TRAP_OUT      2u
#define TRAP_API      4u
#define MSR_KERNEL_GS 0xC0000102u
#define MXCSR_INITIAL 0x1F80u
#define DR6_INITIAL   0xFFFF0FF0u
#define DEGRADED      9u
#define REGISTERS     15u

volatile uint32_t nmi_count;
static uint64_t request_page;

/* STM_VMCS_DATABASE_REQUEST */
struct request {
    uint64_t vmcs;
    uint32_t policy, add;
};

static void expect_request(const char *name, const struct request *request, uint32_t status)
{
    struct request *there = (struct request *)(uintptr_t)request_page;

    *there = *request;
    /* Low bits of the page's address do not count. */
    check_eq("DATABASE", name, call_stm_at(API_VMCS_DATABASE, request_page | 0x123),
             status ? 1ull << 32 | status : STM_SUCCESS);
    check_eq("DATABASE-INPUT", name, memcmp(there, request, sizeof(*request)), 0);
}

static void add(const char *name, uint64_t vmcs, uint32_t policy, uint32_t status)
{
    expect_request(name, &(struct request){ vmcs, policy, 1 }, status);
}

static void take_out(const char *name, uint64_t vmcs, uint32_t status)
{
    expect_request(name, &(struct request){ vmcs, 0, 0 }, status);
}

static void expect_call(const char *name, uint32_t number, uint32_t status)
{
    check_eq("API-STATUS", name, call_stm_at(number, 0), status ? 1ull << 32 | status : STM_SUCCESS);
}

/* ---- what the handler sees, from its first instruction on ---- */
uint64_t seen[REGISTERS]; /* general registers, in the order of struct vm_registers */
extern uint8_t handler_entry[], spying_entry[];
__asm__(".pushsection .text\n"
        "spying_entry:\n"
        "\tmov %rax, seen(%rip)\n\tmov %rbx, seen + 8(%rip)\n\tmov %rcx, seen + 16(%rip)\n"
        "\tmov %rdx, seen + 24(%rip)\n\tmov %rsi, seen + 32(%rip)\n\tmov %rdi, seen + 40(%rip)\n"
        "\tmov %rbp, seen + 48(%rip)\n\tmov %r8, seen + 56(%rip)\n\tmov %r9, seen + 64(%rip)\n"
        "\tmov %r10, seen + 72(%rip)\n\tmov %r11, seen + 80(%rip)\n\tmov %r12, seen + 88(%rip)\n"
        "\tmov %r13, seen + 96(%rip)\n\tmov %r14, seen + 104(%rip)\n\tmov %r15, seen + 112(%rip)\n"
        "\tjmp handler_entry\n"
        "domain_guest:\n\tout %al, $0xB2\n\tvmcall\n"
        ".popsection\n");
void domain_guest(void);

/* STAR, CSTAR, FMASK, TSC_AUX: what they hold when the SMI comes. */
static const struct {
    uint32_t number;
    uint64_t value;
} secret_msrs[] = {
    { 0xC0000081, 0x0023001000000000 },
    { 0xC0000083, 0x5555 },
    { 0xC0000084, 0x40700 },
    { 0xC0000103, 0x66 },
};
#define SECRET_MSRS ARRAY_SIZE(secret_msrs)

static struct {
    uint64_t dr0, dr6, cr2, kernel_gs, lstar;
    uint64_t dr[3], msrs[SECRET_MSRS];
    uint64_t xmm[2];
    uint32_t mxcsr, pkru;
    uint8_t psd;
} spied;
static const uint64_t secret_xmm[2] = { 0x1234567812345678, 0x8765432187654321 };
static const uint64_t other_xmm[2] = { 0x6666, 0x7777 };

static void put_xmm(const uint64_t value[2])
{
    __asm__ volatile("movups (%0), %%xmm0" : : "r"(value) : "memory");
}

static void get_xmm(uint64_t value[2])
{
    __asm__ volatile("movups %%xmm0, (%0)" : : "r"(value) : "memory");
}

static uint32_t read_mxcsr(void)
{
    uint32_t value;

    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

static void write_mxcsr(uint32_t value)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

/* In the handler: look at everything, change everything. */
static void spy(void)
{
    spied.dr0 = read_dr0();
    spied.dr6 = read_dr6();
    spied.cr2 = read_cr2();
    spied.kernel_gs = rdmsr(MSR_KERNEL_GS);
    spied.lstar = rdmsr(MSR_LSTAR);
    spied.dr[0] = read_dr1();
    spied.dr[1] = read_dr2();
    spied.dr[2] = read_dr3();
    for (unsigned i = 0; i < SECRET_MSRS; i++) {
        spied.msrs[i] = rdmsr(secret_msrs[i].number);
    }
    get_xmm(spied.xmm);
    spied.mxcsr = read_mxcsr();
    spied.psd = *(volatile uint8_t *)(uintptr_t)PSD_STATE;
    put_xmm(other_xmm);
    write_mxcsr(0x1F00);
    write_dr0(0x999);
    for (unsigned i = 0; i < 16; i++) {
        if (i != 5) { /* RSP, in the order of the map: R15 first */
            write64(SAVE_MAP + 0x180 + 8 * i, 0x4141414141410000 + i);
        }
    }
    write32(SAVE_MAP + 0x170, 0x0AD7); /* RFLAGS */
}

static uint64_t pattern(unsigned i)
{
    return 0x0101010101010101ull * (i + 3);
}

static uint64_t xmm_after[2];
static uint32_t mxcsr_after;

/* One SMI of a guest with known registers, by OUT. */
static void guest_smi(const char *name)
{
    uint64_t *const registers = &guest.rax;

    for (unsigned i = 0; i < REGISTERS; i++) {
        registers[i] = pattern(i);
    }
    write_dr0(0x1111);
    write_cr2(0x2222);
    wrmsr(MSR_KERNEL_GS, 0x3333);
    wrmsr(MSR_LSTAR, 0x4444);
    write_dr1(0x1112);
    write_dr2(0x1113);
    write_dr3(0x1114);
    for (unsigned i = 0; i < SECRET_MSRS; i++) {
        wrmsr(secret_msrs[i].number, secret_msrs[i].value);
    }
    put_xmm(secret_xmm);
    write_mxcsr(0x1FA0);
    handler_hook = spy;
    handler_action = HANDLER_HOOK;
    memset(seen, 0x5A, sizeof(seen));
    check_eq("DOMAIN", name, guest_run(LAUNCH), VMX_REASON_VMCALL);
    get_xmm(xmm_after);
    mxcsr_after = read_mxcsr();
    write_mxcsr(MXCSR_INITIAL);
}

static void saw_registers(const char *name, bool all, uint64_t rax, uint64_t rdx)
{
    for (unsigned i = 0; i < REGISTERS; i++) {
        uint64_t wanted = all ? pattern(i) : i == 0 ? rax : i == 3 ? rdx : 0;

        check_eq("SEEN", name, seen[i], wanted);
    }
    check_eq("SEEN-MAP", name, *(uint64_t *)(handler_map + 0x1F8), all ? pattern(0) : rax);
    check_eq("SEEN-MAP", name, *(uint64_t *)(handler_map + 0x1E0), all ? pattern(1) : 0);
    check_eq("SEEN-MAP", name, *(uint64_t *)(handler_map + 0x180), all ? pattern(14) : 0);
    check_eq("SEEN-RIP", name, *(uint64_t *)(handler_map + 0x178), all ? phys(domain_guest) + 2 : 0);
    check_eq("SEEN-CR3", name, *(uint64_t *)(handler_map + 0x150), all ? read_cr3() : 0);
    check_eq("SEEN-REVISION", name, *(uint32_t *)(handler_map + 0x0FC), 0x20064);
    check_eq("SEEN-SMBASE", name, *(uint32_t *)(handler_map + 0x100), SMBASE);
    check_eq("SEEN-DR0", name, spied.dr0, all ? 0x1111 : 0);
    check_eq("SEEN-CR2", name, spied.cr2, all ? 0x2222 : 0);
    check_eq("SEEN-KERNEL-GS", name, spied.kernel_gs, all ? 0x3333 : 0);
    check_eq("SEEN-LSTAR", name, spied.lstar, all ? 0x4444 : 0);
    for (unsigned i = 0; i < ARRAY_SIZE(spied.dr); i++) {
        check_eq("SEEN-DR", name, spied.dr[i], all ? 0x1112 + i : 0);
    }
    for (unsigned i = 0; i < SECRET_MSRS; i++) {
        check_eq("SEEN-MSR", name, spied.msrs[i], all ? secret_msrs[i].value : 0);
    }
}

/* Whether the handler's changes of the save state have arrived; other registers come back in any case. */
static void changed(const char *name, bool all)
{
    const uint64_t *const registers = &guest.rax;

    check_eq("CHANGED", name, registers[0], all ? 0x414141414141000F : pattern(0));
    check_eq("CHANGED", name, registers[1], all ? 0x414141414141000C : pattern(1));
    check_eq("CHANGED", name, registers[14], all ? 0x4141414141410000 : pattern(14));
    check_eq("RESTORED", name, read_dr0(), 0x1111);
    check_eq("RESTORED", name, read_cr2(), 0x2222);
    check_eq("RESTORED", name, rdmsr(MSR_KERNEL_GS), 0x3333);
    check_eq("RESTORED", name, rdmsr(MSR_LSTAR), 0x4444);
    check_eq("RESTORED", name, read_dr1() + read_dr2() + read_dr3(), 3 * 0x1113);
    for (unsigned i = 0; i < SECRET_MSRS; i++) {
        check_eq("RESTORED", name, rdmsr(secret_msrs[i].number), secret_msrs[i].value);
    }
}

/* What the handler leaves in x87 and SSE never stays. */
static void xstate(const char *name, const uint64_t was[2], uint32_t mxcsr_was)
{
    check_eq("XSTATE-SEEN", name, spied.xmm[0], was[0]);
    check_eq("XSTATE-SEEN", name, spied.xmm[1], was[1]);
    check_eq("XSTATE-SEEN", name, spied.mxcsr, mxcsr_was);
    check_eq("XSTATE-AFTER", name, xmm_after[0], secret_xmm[0]);
    check_eq("XSTATE-AFTER", name, xmm_after[1], secret_xmm[1]);
    check_eq("XSTATE-AFTER", name, mxcsr_after, 0x1FA0);
}

/* ---- an SMI of each kind of domain ---- */
static uint64_t domain_vmcs;

static void begin_domain(const char *name, uint32_t policy)
{
    vmclear(domain_vmcs);
    domain_vmcs = vmcs_new_guest(domain_guest);
    add(name, domain_vmcs, policy, STM_SUCCESS);
    guest_smi(name);
    take_out(name, domain_vmcs, STM_SUCCESS);
}

static void check_types(void)
{
    static const uint64_t zero[2];

    domain_vmcs = vmcs_new_guest(domain_guest);
    guest_smi("none");
    saw_registers("none", true, 0, 0);
    changed("none", true);
    xstate("none", secret_xmm, 0x1FA0);
    check_eq("PSD", "none", spied.psd, EPT_ENABLED);

    begin_domain("unprotected", 0);
    saw_registers("unprotected", true, 0, 0);
    changed("unprotected", true);
    begin_domain("integrity", INTEGRITY);
    saw_registers("integrity", true, 0, 0);
    changed("integrity", false);
    xstate("integrity", secret_xmm, 0x1FA0);
    begin_domain("full", FULLY_PROTECTED | SCRUB);
    saw_registers("full", false, 0, 0);
    changed("full", false);
    xstate("full", zero, MXCSR_INITIAL);
    check_eq("SEEN-DR6", "full", spied.dr6, DR6_INITIAL);
    check_eq("PSD", "full", spied.psd, EPT_ENABLED | SCRUB | FULLY_PROTECTED);
    begin_domain("confidential", CONFIDENTIAL | READ_ONLY);
    saw_registers("confidential", false, 0, 0);
    changed("confidential", false);
    xstate("confidential", secret_xmm, 0x1FA0);
    begin_domain("scrubbed", SCRUB);
    saw_registers("scrubbed", true, 0, 0);
    changed("scrubbed", true);
    xstate("scrubbed", zero, MXCSR_INITIAL);

    /* A record that was removed matches no longer. */
    vmclear(domain_vmcs);
    domain_vmcs = vmcs_new_guest(domain_guest);
    guest_smi("removed");
    saw_registers("removed", true, 0, 0);
    changed("removed", true);
    check_eq("PSD", "removed", spied.psd, EPT_ENABLED);
}

/* ---- ports that the firmware traps ---- */
static uint32_t trap_flags;

static void spy_from_the_start(void)
{
    write64(PSD_HANDLER, phys(spying_entry));
}

static void trap_port(void)
{
    write64(BIOS_LIST, 6 | 16ull << 32);
    write64(BIOS_LIST + 8, 0xB2 | 1ull << 16 | (uint64_t)trap_flags << 32);
    write64(BIOS_LIST + 16, 16ull << 32);
    write64(BIOS_LIST + 24, 0);
    write64(PSD_RESOURCES, BIOS_LIST);
}

static void start_with_trap(uint32_t flags)
{
    trap_flags = flags;
    smm_call(trap_port);
    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, STM_SUCCESS);
    expect_call("start", API_START, STM_SUCCESS);
}

static uint64_t log_request, log_page;

static void log_call(uint32_t function, uint32_t value)
{
    write32(log_request, function);
    write32(log_request + 4, value);
    write64(log_request + 8, log_page);
    check_eq("EVENT-LOG", "call", call_stm_at(API_EVENT_LOG, log_request), STM_SUCCESS);
}

/* The event behind the one of the start. */
static void degraded(const char *name, uint32_t expected, uint32_t type)
{
    check_eq("DEGRADED", name, read32(log_page + 256 + 4), DEGRADED | 2u << 16);
    check_eq("DEGRADED-VMCS", name, read64(log_page + 256 + 8), domain_vmcs);
    check_eq("DEGRADED-TYPES", name, read32(log_page + 256 + 16) & 0xFFFF, expected | type << 8);
    log_call(4, 0);
    log_call(5, 0);
    log_call(3, 0);
}

static void check_traps(void)
{
    start_with_trap(TRAP_OUT);
    log_call(1, 1);
    log_call(2, 0x3FF);
    log_call(3, 0);
    begin_domain("trapped", FULLY_PROTECTED_OUT_IN | KEEPS(FULLY_PROTECTED));
    saw_registers("trapped", false, pattern(0) & 0xFF, pattern(3) & 0xFFFF);
    changed("trapped", false);
    check_eq("DEGRADED", "not", read32(log_page + 256 + 4), 0);
    begin_domain("degraded", FULLY_PROTECTED | KEEPS(FULLY_PROTECTED_OUT_IN));
    saw_registers("degraded", false, pattern(0) & 0xFF, pattern(3) & 0xFFFF);
    changed("degraded", false);
    check_eq("PSD", "degraded", spied.psd, EPT_ENABLED | (FULLY_PROTECTED & ~NO_OUT));
    degraded("degraded", FULLY_PROTECTED, FULLY_PROTECTED & ~NO_OUT);
    expect_call("stop", API_STOP, STM_SUCCESS);

    start_with_trap(TRAP_API);
    log_call(1, 1);
    log_call(2, 0x3FF);
    log_call(3, 0);
    begin_domain("api", FULLY_PROTECTED);
    saw_registers("api", true, 0, 0);
    changed("api", true);
    degraded("api", FULLY_PROTECTED, 0);
    expect_call("stop", API_STOP, STM_SUCCESS);
}

/* The executive monitor itself is a domain, by its VMXON region. */
static void check_root(void)
{
    write_dr0(0x1111);
    add("root", vmxon_region, FULLY_PROTECTED | SCRUB, STM_SUCCESS);
    handler_hook = spy;
    memset(seen, 0x5A, sizeof(seen));
    smi(HANDLER_HOOK);
    for (unsigned i = 0; i < REGISTERS; i++) {
        check_eq("SEEN", "root", seen[i], 0);
    }
    check_eq("RESTORED", "root", read_dr0(), 0x1111);
    take_out("root", vmxon_region, STM_SUCCESS);
}

static void check_parameters(void)
{
    add("address", request_page + 0x800, CONFIDENTIAL, STM_INVALID_PARAMETER);
    add("reserved", request_page, 1u << 10, STM_INVALID_PARAMETER);
    add("reserved-high", request_page, 1u << 31, STM_INVALID_PARAMETER);
    add("xstate", request_page, 2u << 4, STM_INVALID_PARAMETER);
    expect_request("add-or-remove", &(struct request){ request_page, 0, 2 }, STM_INVALID_PARAMETER);
    add("mseg", MSEG_BASE, CONFIDENTIAL, STM_SECURITY_VIOLATION);
    add("tseg", SMBASE, CONFIDENTIAL, STM_SECURITY_VIOLATION);
    add("legacy-smram", 0xA0000, CONFIDENTIAL, STM_SECURITY_VIOLATION);
    add("mmio", 0xFEE00000, CONFIDENTIAL, STM_SECURITY_VIOLATION);
    add("beyond", 1ull << 40, CONFIDENTIAL, STM_SECURITY_VIOLATION);
    take_out("remove-tseg", SMBASE, STM_SECURITY_VIOLATION);
    check_eq("DATABASE", "page-in-tseg", call_stm_at(API_VMCS_DATABASE, SMBASE), 1ull << 32 | STM_SECURITY_VIOLATION);
    /* Nothing of that was taken. */
    take_out("nothing-changed", request_page, 0x8001000C);
}

static void check_records(void)
{
    add("add", request_page, CONFIDENTIAL, STM_SUCCESS);
    add("twice", request_page, CONFIDENTIAL, 0x8001000C);
    add("other-policy", request_page, 0, 0x8001000C);
    take_out("remove", request_page, STM_SUCCESS);
    take_out("remove-twice", request_page, 0x8001000C);
    for (uint32_t i = 0; i < LIMIT; i++) {
        add("fill", 0x100000 + i * PAGE_SIZE, CONFIDENTIAL, STM_SUCCESS);
    }
    add("full", 0x100000 + LIMIT * PAGE_SIZE, CONFIDENTIAL, STM_OUT_OF_RESOURCES);
    take_out("one-less", 0x100000 + 7 * PAGE_SIZE, STM_SUCCESS);
    add("room-again", 0x100000 + LIMIT * PAGE_SIZE, CONFIDENTIAL, STM_SUCCESS);
}

void run_tests(void)
{
    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    write_cr4(read_cr4() | 0x600);
    request_page = phys(page_alloc());
    log_request = phys(page_alloc());
    log_page = phys(page_alloc());
    if (SCENE_DOMAIN == SCENE_EXCLUDED) {
        smm_call(spy_from_the_start);
        start_with_trap(TRAP_OUT);
        expect_shutdown("CRASH", "the STM resets the platform");
        begin_domain("excluded", FULLY_PROTECTED | KEEPS(FULLY_PROTECTED));
        panic("the STM survived");
    }

    /* As a first call it is none. */
    activation_vmcs();
    add("wrong-order", request_page, CONFIDENTIAL, STM_UNSPECIFIED);
    smi_port_write(0);

    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, STM_SUCCESS);
    check_parameters();
    add("before-start", request_page, CONFIDENTIAL, STM_SUCCESS);
    expect_call("start", API_START, STM_SUCCESS);
    take_out("after-start", request_page, STM_SUCCESS);
    check_records();
    smi(HANDLER_NOTHING);
    expect_call("stop", API_STOP, STM_SUCCESS);

    /* Another session knows none of them. */
    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, STM_SUCCESS);
    take_out("next-session", 0x100000, 0x8001000C);
    expect_call("stop", API_STOP, STM_SUCCESS);

    smm_call(spy_from_the_start);
    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, STM_SUCCESS);
    expect_call("start", API_START, STM_SUCCESS);
    check_types();
    check_root();
    expect_call("stop", API_STOP, STM_SUCCESS);
    check_traps();
}
