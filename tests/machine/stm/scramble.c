/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What an SMI handler leaves behind under the real STM: nothing. Every register gets an
 * odd value, the handler writes another one to each, and both are compared behind the
 * SMI. In VMX root operation, and in a guest of the executive monitor.
 */
#include "stm_under_test.h"

#define CR0_CACHING   0x60000000u
#define CR4_OSXSAVE   0x40000u
#define CR4_PKE       0x400000u
#define CR4_SMXE      0x4000u
#define APIC_TPR_AT   0xFEE00080u
#define XCR0_X87      1u
#define XCR0_SSE      2u
#define EXTENDED_SIZE 4096u
#define XSAVE_HEADER  512u
#define FX_DEFINED    416u /* what lies behind belongs to software */
#define COMPONENTS    32u

/* Who has an MSR. */
enum owner {
    SWITCHED, /* a VMCS: the handler writes its own */
    KEPT,     /* the STM gives it back */
    CLOSED,   /* the handler takes #GP */
};

/* MSRs, what they hold before the SMI as a change of what they held, and what the handler changes. */
static const struct msr {
    uint32_t number;
    enum owner owner;
    uint64_t odd, flip;
} msrs[] = {
    { 0x174, SWITCHED, 0x33, 0xF0 },
    { 0x175, SWITCHED, 0x11117001, 0xFF00 },
    { 0x176, SWITCHED, 0x11117002, 0xFF00 },
    { 0x1D9, SWITCHED, 2, 0 },
    { 0x277, SWITCHED, 2, 1 },
    { 0xC0000080, SWITCHED, 1, 1 },
    { 0xC0000100, SWITCHED, 0x11117003, 0xFF00 },
    { 0xC0000101, SWITCHED, 0x11117004, 0xFF00 },
    { 0xC0000102, KEPT, 0x11117005, 0xFF00 },
    { 0xC0000081, KEPT, 0x23001000000000, 0xFF00000000 },
    { 0xC0000082, KEPT, 0xFFFF800000001234, 0xFF00 },
    { 0xC0000083, KEPT, 0x11117006, 0xFF00 },
    { 0xC0000084, KEPT, 0x44444, 0xFF00 },
    { 0xC0000103, KEPT, 0x55, 0xFF00 },
    { 0x1A0, KEPT, 1 << 18, 1 << 16 },
    { 0xD90, KEPT, 0x5000, 0xA000 },
    { 0x6E1, KEPT, 0x55, 0xFF },
    { 0x1B, CLOSED, 0, 0x1000 },
    { 0x3A, CLOSED, 0, 2 },
    { 0x3B, CLOSED, 0, 0x1000 },
    { 0x9B, CLOSED, 0, 1 },
    { 0x10, CLOSED, 0, 0 },
    { 0x1F2, CLOSED, 0, 0x1000 },
    { 0x1F3, CLOSED, 0, 0x800 },
    { 0x200, CLOSED, 0x7000006, 6 },
    { 0x201, CLOSED, 0xFF000800, 0x800 },
    { 0x20E, CLOSED, 0x9000006, 6 },
    { 0x213, CLOSED, 0, 0x800 },
    { 0x250, CLOSED, 0x0606060606060606, 6 },
    { 0x258, CLOSED, 0x0606060606060606, 6 },
    { 0x268, CLOSED, 0x0505050505050505, 5 },
    { 0x26F, CLOSED, 0x0505050505050505, 5 },
    { 0x2FF, CLOSED, 6, 6 },
    { 0x4E0, CLOSED, 0, 1 },
    { 0x560, CLOSED, 0, 0x1000 },
    { 0x570, CLOSED, 0, 1 },
};
#define MSRS ARRAY_SIZE(msrs)
#define MSR_TSC 0x10u
#define MSR_XSS 0xDA0u

/* Registers other than MSRs, in the order of struct state. */
static const char *const names[] = {
    "cr0", "cr2", "cr3", "cr4", "cr8", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7", "xcr0", "xss",
};
#define NAMES ARRAY_SIZE(names)

struct state {
    uint64_t registers[NAMES];
    uint64_t msrs[MSRS];
    uint8_t fx[512] __attribute__((aligned(16)));
    uint8_t extended[EXTENDED_SIZE] __attribute__((aligned(64)));
};

static struct state before, during, after;
static uint8_t image[EXTENDED_SIZE] __attribute__((aligned(64)));
static uint64_t supported; /* of XCR0 */
static uint64_t supported_xss;
static volatile uint32_t xss_fault;
static struct component {
    uint32_t size, offset;
} components[COMPONENTS];  /* of XSAVE's area */
static bool extended_here; /* CR4.OSXSAVE is set */
static volatile uint32_t refused, accepted, not_refused, control_faults;
static volatile uint32_t chosen; /* register of check_each() */
volatile uint32_t nmi_count;     /* of the handler in firmware.c, which is not used here */

static uint64_t xgetbv(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static void xsetbv(void *arg)
{
    __asm__ volatile("xsetbv" : : "a"((uint32_t)*(uint64_t *)arg), "d"(0), "c"(0));
}

/* What an MSR holds; 0 if it is not there, or counts. */
static uint64_t read_msr(const struct msr *msr)
{
    uint64_t value = 0;

    if (msr->number == MSR_TSC || try_rdmsr(msr->number, &value) != NO_FAULT) {
        return 0;
    }
    return value;
}

static void capture(struct state *state)
{
    uint64_t *r = state->registers;
    uint32_t low = (uint32_t)supported;

    r[0] = read_cr0();
    r[1] = read_cr2();
    r[2] = read_cr3();
    r[3] = read_cr4();
    r[4] = read_cr8();
    r[5] = read_dr0();
    r[6] = read_dr1();
    r[7] = read_dr2();
    r[8] = read_dr3();
    r[9] = read_dr6();
    r[10] = read_dr7();
    memset(state->fx, 0, sizeof(state->fx));
    __asm__ volatile("fxsave64 %0" : "+m"(state->fx));
    if (extended_here) {
        r[11] = xgetbv();
        memset(state->extended, 0, EXTENDED_SIZE);
        __asm__ volatile("xsave64 %0" : "+m"(state->extended) : "a"(low), "d"(0));
    }
    r[12] = 0;
    try_rdmsr(MSR_XSS, &r[12]);
    for (unsigned i = 0; i < MSRS; i++) {
        state->msrs[i] = read_msr(&msrs[i]);
    }
}

/* x87 and SSE: every register that FXRSTOR loads. */
static void load_fx(uint8_t seed)
{
    memset(image, 0, sizeof(image));
    for (unsigned i = 32; i < FX_DEFINED; i++) {
        image[i] = (uint8_t)(seed + 7 * i);
    }
    image[0] = 0x7F ^ (seed & 0x3F); /* FCW */
    image[1] = 3;
    image[4] = 0xFF;                          /* FTW: all in use */
    *(uint32_t *)(image + 24) = 0x1F80 ^ (seed & 0x3Fu) << 7; /* MXCSR */
    __asm__ volatile("fxrstor64 %0" : : "m"(image));
}

/* What XSAVE manages beyond them. */
static void load_extended(uint8_t seed)
{
    uint32_t low = (uint32_t)supported & ~(XCR0_X87 | XCR0_SSE);

    memset(image, 0, sizeof(image));
    for (unsigned i = 2; i < COMPONENTS; i++) {
        for (unsigned byte = 0; byte < components[i].size; byte++) {
            /* Configuration of MPX has reserved bits. */
            image[components[i].offset + byte] = i == 4 ? 0 : (uint8_t)(seed + 13 * byte);
        }
    }
    write64(phys(image) + XSAVE_HEADER, low);
    __asm__ volatile("xrstor64 %0" : : "m"(image), "a"(low), "d"(0));
}

/* Odd values, in root operation or in a guest. */
static void fill(void)
{
    for (unsigned i = 0; i < MSRS; i++) {
        if (msrs[i].odd) {
            wrmsr(msrs[i].number, read_msr(&msrs[i]) ^ msrs[i].odd);
        }
    }
    write_cr0(read_cr0() | 0x10002);
    write_cr2(0xA5A5000);
    write_cr8(5);
    write_dr0(0x9000099);
    write_dr1(0x900009A);
    write_dr2(0x900009B);
    write_dr3(0x900009C);
    write_dr6(0xFFFF0FF5);
    write_dr7(0xF0D00400);
    load_fx(0x11);
    if (extended_here) {
        load_extended(0x22);
    }
}

static void set_cr4(void *arg)
{
    write_cr4(read_cr4() | *(uint64_t *)arg);
}

/* Bits and instructions that would show the handler what nobody gives back. */
static void try_controls(void)
{
    static uint64_t bits[] = { CR4_OSXSAVE, CR4_PKE, CR4_SMXE };
    uint64_t all = 1;

    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
        control_faults += try_call(set_cr4, &bits[i]) == FAULT_GP;
    }
    control_faults += try_call(xsetbv, &all) == FAULT_UD;
}

static void scramble_msr(const struct msr *msr)
{
    uint32_t fault = try_wrmsr(msr->number, read_msr(msr) ^ msr->flip);

    if (msr->owner == CLOSED) {
        refused += fault == FAULT_GP;
        not_refused = fault == FAULT_GP ? not_refused : msr->number;
    } else {
        accepted += fault == NO_FAULT;
    }
}

static void scramble(void)
{
    uint64_t xss = 0;

    refused = accepted = not_refused = control_faults = 0;
    for (unsigned i = 0; i < MSRS; i++) {
        scramble_msr(&msrs[i]);
    }
    try_controls();
    try_rdmsr(MSR_XSS, &xss);
    xss_fault = try_wrmsr(MSR_XSS, xss ^ supported_xss);
    write_cr0(read_cr0() | CR0_CACHING);
    write_cr2(0x5A5A000);
    write_cr8(9);
    write32(APIC_TPR_AT, 0x70);
    write_dr0(0x8000011);
    write_dr1(0x8000012);
    write_dr2(0x8000013);
    write_dr3(0x8000014);
    write_dr6(0xFFFF0FFA);
    write_dr7(0x455);
    write_dr7(0x400);
    load_fx(0x77);
    __asm__ volatile("swapgs" : : : "memory");
    capture(&during);
    __asm__ volatile("swapgs" : : : "memory");
    write_cr0(read_cr0() | CR0_TS);
}

/* The handler has had its way with all that it may write. */
static void check_scrambled(void)
{
    static const uint8_t written[] = { 0, 1, 4, 5, 6, 7, 8, 9 };
    unsigned changed = 0, msr_changes = 0, owned = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(written); i++) {
        changed += during.registers[written[i]] != before.registers[written[i]];
    }
    check_eq("SCRAMBLE", "registers", changed, ARRAY_SIZE(written));
    check("SCRAMBLE", "x87-sse", memcmp(during.fx, before.fx, FX_DEFINED) != 0, "unchanged");
    for (unsigned i = 0; i < MSRS; i++) {
        owned += msrs[i].owner != CLOSED;
        msr_changes += msrs[i].owner != CLOSED && during.msrs[i] != before.msrs[i];
        if (msrs[i].owner == CLOSED) {
            check_eq("SCRAMBLE", "closed", during.msrs[i], before.msrs[i]);
        }
    }
    check_eq("SCRAMBLE", "msrs", msr_changes, owned);
    check_eq("SCRAMBLE", "accepted", accepted, owned);
    check_eq("SCRAMBLE", "refused", refused, MSRS - owned);
    check_eq("SCRAMBLE", "not-refused", not_refused, 0);
    check_eq("SCRAMBLE", "control-bits", control_faults, 4);
    /* A processor without supervisor components need not have the MSR: the machine does not. */
    check_eq("SCRAMBLE", "xss", xss_fault, supported_xss ? NO_FAULT : FAULT_GP);
}

static void check_bytes(const char *id, const char *name, const uint8_t *got, const uint8_t *want, unsigned size)
{
    unsigned differences = 0, first = 0;

    for (unsigned i = 0; i < size; i++) {
        if (got[i] != want[i] && differences++ == 0) {
            first = i;
        }
    }
    check(id, name, differences == 0, "%d bytes, first at %x: %x, was %x", differences, first, got[first], want[first]);
}

static void check_unchanged(const char *where)
{

    for (unsigned i = 0; i < NAMES; i++) {
        check_eq(where, names[i], after.registers[i], before.registers[i]);
    }
    for (unsigned i = 0; i < MSRS; i++) {
        check(where, "msr", after.msrs[i] == before.msrs[i], "%x: got:%q,want:%q", msrs[i].number, after.msrs[i],
              before.msrs[i]);
    }
    check_bytes(where, "x87-sse", after.fx, before.fx, FX_DEFINED);
    check_bytes("EXTENDED", where, after.extended, before.extended, EXTENDED_SIZE);
}

static void compare_over_smi(void)
{
    fill();
    capture(&before);
    smi(HANDLER_HOOK);
    capture(&after);
}

/* The values after a run of fill(), as they were before it. */
static void restore(const struct state *old)
{
    for (unsigned i = 0; i < MSRS; i++) {
        if (msrs[i].odd) {
            wrmsr(msrs[i].number, old->msrs[i]);
        }
    }
}

static void one_msr(void)
{
    scramble_msr(&msrs[chosen]);
}

/* One after the other, so that each is seen to come back by itself. */
static void check_each(void)
{
    handler_hook = one_msr;
    for (chosen = 0; chosen < MSRS; chosen++) {
        uint64_t value = read_msr(&msrs[chosen]);

        refused = accepted = 0;
        smi(HANDLER_HOOK);
        check("EACH", "msr", refused + accepted == 1 && read_msr(&msrs[chosen]) == value, "%x: %q, was %q",
              msrs[chosen].number, read_msr(&msrs[chosen]), value);
    }
}

static void in_guest(void)
{
    compare_over_smi();
    vmcall();
}

static void check_guest(void)
{
    uint64_t region = vmcs_new_guest(in_guest), bitmap = phys(page_alloc());

    wr(VMCS_PROCESSOR_CONTROLS, rd(VMCS_PROCESSOR_CONTROLS) | VMX_CPU_MSR_BITMAPS);
    wr(VMCS_MSR_BITMAP, bitmap);
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER);
    wr(VMCS_EXIT_CONTROLS, rd(VMCS_EXIT_CONTROLS) | VMX_EXIT_SAVE_DEBUG | VMX_EXIT_SAVE_PAT | VMX_EXIT_LOAD_PAT |
                               VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER);
    wr(0x2C00, rdmsr(0x277));
    wr(0x2C02, rdmsr(0xC0000080));
    memset(&before, 0, sizeof(before));
    memset(&after, 0xFF, sizeof(after));
    check_eq("GUEST", "ends", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_scrambled();
    check_unchanged("GUEST");
    vmclear(region);
}

static void use_extended(void)
{
    uint32_t out[4];

    write_cr4(read_cr4() | CR4_OSXSAVE | 0x600);
    cpuid(0xD, 0, out);
    supported = (uint64_t)out[3] << 32 | out[0];
    check("EXTENDED", "room", out[2] <= EXTENDED_SIZE && (supported & 4), "%x bytes, %q", out[2], supported);
    for (unsigned i = 2; i < COMPONENTS; i++) {
        if (supported & 1ull << i) {
            cpuid(0xD, i, out);
            components[i] = (struct component){ out[0], out[1] };
        }
    }
    xsetbv(&supported);
    cpuid(0xD, 1, out);
    supported_xss = (uint64_t)out[3] << 32 | out[2];
    for (unsigned i = 2; i < COMPONENTS; i++) {
        check("EXTENDED", "component", !(supported >> i & 1) || components[i].size != 0, "%d: %d", i,
              supported >> i & 1 ? 1 : 0);
    }
    extended_here = true;
}

static void handler_scramble(void)
{
    bool here = extended_here;

    extended_here = false; /* not for the handler */
    scramble();
    extended_here = here;
}

void run_tests(void)
{
    static struct state first;
    uint64_t control;

    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    control = rdmsr(0x9B);
    use_extended();
    capture(&first);
    handler_hook = handler_scramble;
    activation_vmcs();
    check_eq("CALL", "initialize", call_stm_at(API_INITIALIZE, 0), STM_SUCCESS);
    check_eq("CALL", "start", call_stm_at(API_START, 0), STM_SUCCESS);
    compare_over_smi();
    check_scrambled();
    check_unchanged("ROOT");
    check_each();
    restore(&first);
    handler_hook = handler_scramble;
    check_guest();
    restore(&first);
    check_eq("CALL", "stop", call_stm_at(API_STOP, 0), STM_SUCCESS);
    check_eq("CALL", "monitor-ctl-restored", rdmsr(0x9B), control);
    for (unsigned i = 0; i < MSRS; i++) {
        check_eq("STOP", "msr", read_msr(&msrs[i]), first.msrs[i]);
    }
}
