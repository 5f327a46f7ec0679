/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* XSAVEC, XSAVES and XRSTORS, and the control "enable XSAVES/XRSTORS". */
#include "vmx.h"

#define CR4_OSXSAVE  (1u << 18)
#define CR4_PKE      (1u << 22)
#define XCR0_FP      1u
#define XCR0_SSE     2u
#define XCR0_AVX     4u
#define XCR0_PKRU    (1u << 9)
#define ALL          (XCR0_FP | XCR0_SSE | XCR0_AVX | XCR0_PKRU)
#define COMPACTED    (1ull << 63)
#define MSR_XSS      0xDA0
#define EXCEPTION_UD 0x80000306u

/* The compacted format: legacy region, header, then what is there. */
#define MXCSR        24
#define XMM0         160
#define XSTATE_BV    512
#define XCOMP_BV     520
#define FIRST        576

static uint8_t area[4096] __attribute__((aligned(64)));
static uint8_t pattern[32], result[32];

static uint64_t field(unsigned offset)
{
    return read64(phys(area) + offset);
}

static void set_field(unsigned offset, uint64_t value)
{
    write64(phys(area) + offset, value);
}

static void xsetbv(uint32_t value)
{
    __asm__ volatile("xsetbv" : : "a"(value), "d"(0), "c"(0) : "memory");
}

struct operation {
    uint64_t mask;
    uint8_t *area;
};

#define DEFINE_OPERATION(name)                                                 \
    static void do_##name(void *arg)                                           \
    {                                                                          \
        const struct operation *o = arg;                                       \
        __asm__ volatile(#name " (%0)"                                         \
                         :                                                     \
                         : "r"(o->area), "a"((uint32_t)o->mask),               \
                           "d"((uint32_t)(o->mask >> 32))                      \
                         : "memory");                                          \
    }

DEFINE_OPERATION(xsaves)
DEFINE_OPERATION(xsavec)
DEFINE_OPERATION(xrstors)
DEFINE_OPERATION(xrstor)

static uint32_t attempt(void (*operation)(void *), uint64_t mask)
{
    struct operation o = {mask, area};

    return try_call(operation, &o);
}

static void load_ymm0(const uint8_t *from)
{
    __asm__ volatile("vmovdqu (%0), %%ymm0" : : "r"(from) : "memory");
}

static void store_ymm0(uint8_t *to)
{
    __asm__ volatile("vmovdqu %%ymm0, (%0)" : : "r"(to) : "memory");
}

static uint32_t cpuid_d1_ebx(void)
{
    uint32_t r[4];

    cpuid(0xD, 1, r);
    return r[1];
}

static void test_enumeration(void)
{
    uint32_t r[4];

    cpuid(0xD, 1, r);
    check_eq("VMX-NRB-18", "xsavec", r[0] >> 1 & 1, 1);
    check_eq("VMX-NRB-18", "xsaves", r[0] >> 3 & 1, 1);
    check_eq("VMX-NRB-18", "xss", (uint64_t)r[3] << 32 | r[2], 0);
    xsetbv(XCR0_FP);
    check_eq("VMX-NRB-18", "size-x87", cpuid_d1_ebx(), FIRST);
    xsetbv(XCR0_FP | XCR0_SSE | XCR0_AVX);
    check_eq("VMX-NRB-18", "size-avx", cpuid_d1_ebx(), FIRST + 256);
    xsetbv(ALL);
    check_eq("VMX-NRB-18", "size-all", cpuid_d1_ebx(), FIRST + 256 + 8);
    check_eq("VMX-NRB-18", "read", rdmsr(MSR_XSS), 0);
    check_eq("VMX-NRB-18", "write-0", try_wrmsr(MSR_XSS, 0), NO_FAULT);
    check_eq("VMX-NRB-18", "write-1", try_wrmsr(MSR_XSS, 1), FAULT_GP);
    check_eq("VMX-NRB-18", "write-pt", try_wrmsr(MSR_XSS, 1u << 8), FAULT_GP);
}

static void test_save(const char *name, void (*operation)(void *))
{
    memset(area, 0xCC, sizeof(area));
    load_ymm0(pattern);
    check_eq("VMX-NRB-18", name, attempt(operation, UINT64_MAX), NO_FAULT);
    check_eq("VMX-NRB-18", "xstate-bv", field(XSTATE_BV), ALL);
    check_eq("VMX-NRB-18", "xcomp-bv", field(XCOMP_BV), COMPACTED | ALL);
    check("VMX-NRB-18", "xmm0", !memcmp(area + XMM0, pattern, 16), name);
    check("VMX-NRB-18", "ymm0", !memcmp(area + FIRST, pattern + 16, 16), name);
    check_eq("VMX-NRB-18", "mxcsr", (uint32_t)field(MXCSR), 0x1F80);
    check_eq("VMX-NRB-18", "pkru", (uint32_t)field(FIRST + 256), 0);
    check_eq("VMX-NRB-18", "end", field(FIRST + 264), 0xCCCCCCCCCCCCCCCC);
    check_eq("VMX-NRB-18", "header-rest", field(XCOMP_BV + 8), 0xCCCCCCCCCCCCCCCC);
    /* Without AVX, PKRU moves down; the legacy region is untouched. */
    memset(area, 0xCC, sizeof(area));
    check_eq("VMX-NRB-18", name, attempt(operation, XCR0_PKRU), NO_FAULT);
    check_eq("VMX-NRB-18", "xcomp-bv-pkru", field(XCOMP_BV), COMPACTED | XCR0_PKRU);
    check_eq("VMX-NRB-18", "pkru-first", (uint32_t)field(FIRST), 0);
    check_eq("VMX-NRB-18", "legacy", field(0), 0xCCCCCCCCCCCCCCCC);
}

static void saved_area(void)
{
    memset(area, 0, sizeof(area));
    load_ymm0(pattern);
    attempt(do_xsaves, UINT64_MAX);
    memset(result, 0, sizeof(result));
    load_ymm0(result);
}

static void test_restore(const char *name, void (*operation)(void *))
{
    static const uint8_t zero[32];

    saved_area();
    check_eq("VMX-NRB-18", name, attempt(operation, UINT64_MAX), NO_FAULT);
    store_ymm0(result);
    check("VMX-NRB-18", "ymm0", !memcmp(result, pattern, 32), name);
    /* A component whose bit is 0 gets its initial state. */
    saved_area();
    load_ymm0(pattern);
    set_field(XSTATE_BV, field(XSTATE_BV) & ~(uint64_t)XCR0_AVX);
    check_eq("VMX-NRB-18", name, attempt(operation, UINT64_MAX), NO_FAULT);
    store_ymm0(result);
    check("VMX-NRB-18", "init", !memcmp(result, pattern, 16) &&
                                 !memcmp(result + 16, zero, 16), name);
    /* Only what is asked for. */
    saved_area();
    check_eq("VMX-NRB-18", name, attempt(operation, XCR0_AVX), NO_FAULT);
    store_ymm0(result);
    check("VMX-NRB-18", "only-avx", !memcmp(result, zero, 16) &&
                                     !memcmp(result + 16, pattern + 16, 16),
          name);
}

static void test_restore_faults(void)
{
    static const struct {
        const char *name;
        unsigned offset;
        uint64_t value;
    } rows[] = {
        {"not-compacted", XCOMP_BV, ALL},
        {"xcomp-beyond-xcr0", XCOMP_BV, COMPACTED | ALL | 1u << 5},
        {"xcomp-pt", XCOMP_BV, COMPACTED | ALL | 1u << 8},
        {"xstate-beyond-xcomp", XCOMP_BV, COMPACTED | XCR0_FP},
        {"xstate-bit-63", XSTATE_BV, COMPACTED | ALL},
        {"reserved-16", XCOMP_BV + 8, 1},
        {"reserved-56", XSTATE_BV + 56, 1ull << 63},
        {"mxcsr", MXCSR, 0x1F80 | 1u << 16},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        saved_area();
        set_field(rows[i].offset, rows[i].value);
        check_eq("VMX-NRB-18", rows[i].name, attempt(do_xrstors, UINT64_MAX),
                 FAULT_GP);
    }
    saved_area();
    check_eq("VMX-NRB-18", "compacted", attempt(do_xrstor, UINT64_MAX), NO_FAULT);
}

static void test_faults(void)
{
    struct operation odd = {UINT64_MAX, area + 8}, good = {UINT64_MAX, area};

    check_eq("VMX-NRB-18", "unaligned", try_call(do_xsaves, &odd), FAULT_GP);
    check_eq("VMX-NRB-18", "unaligned", try_call(do_xrstors, &odd), FAULT_GP);
    check_eq("VMX-NRB-18", "unaligned", try_call(do_xsavec, &odd), FAULT_GP);
    check_eq("VMX-NRB-18", "user", user_call(do_xsaves, &good), FAULT_GP);
    check_eq("VMX-NRB-18", "user", user_call(do_xrstors, &good), FAULT_GP);
    check_eq("VMX-NRB-18", "user", user_call(do_xsavec, &good), USER_RETURN);
    write_cr0(read_cr0() | CR0_TS);
    check_eq("VMX-NRB-18", "nm", try_call(do_xsaves, &good), 7);
    check_eq("VMX-NRB-18", "nm", try_call(do_xrstors, &good), 7);
    write_cr0(read_cr0() & ~(uint64_t)CR0_TS);
    write_cr4(read_cr4() & ~(uint64_t)CR4_OSXSAVE);
    check_eq("VMX-NRB-18", "ud", try_call(do_xsaves, &good), FAULT_UD);
    check_eq("VMX-NRB-18", "ud", try_call(do_xrstors, &good), FAULT_UD);
    check_eq("VMX-NRB-18", "ud", try_call(do_xsavec, &good), FAULT_UD);
    write_cr4(read_cr4() | CR4_OSXSAVE);
}

static void (*guest_operation)(void *);

static void g_operation(void)
{
    struct operation o = {UINT64_MAX, area};

    guest_operation(&o);
    __asm__ volatile("vmcall" : : : "memory");
}

static uint32_t run_guest(void (*operation)(void *), uint32_t proc2)
{
    uint64_t region = vmcs_new_guest(g_operation);

    guest_operation = operation;
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, proc2));
    wr(VMCS_XSS_EXITING_BITMAP, UINT64_MAX);
    wr(VMCS_EXCEPTION_BITMAP, UINT32_MAX);
    saved_area();
    guest_run(LAUNCH);
    vmclear(region);
    return last_exit.reason;
}

/* 25.3: #UD without the control.  With it IA32_XSS decides, which is 0. */
static void test_guest(void)
{
    check_eq("VMX-NRB-10", "xsaves-ud", run_guest(do_xsaves, 0), VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-NRB-10", "xsaves-ud", last_exit.intr, EXCEPTION_UD);
    check_eq("VMX-NRB-10", "xrstors-ud", run_guest(do_xrstors, 0), VMX_REASON_EXCEPTION_NMI);
    check_eq("VMX-NRB-10", "xrstors-ud", last_exit.intr, EXCEPTION_UD);
    check_eq("VMX-NRB-10", "xsavec", run_guest(do_xsavec, 0), VMX_REASON_VMCALL);
    check_eq("VMX-INT-42", "xsaves", run_guest(do_xsaves, VMX_CPU2_XSAVES),
             VMX_REASON_VMCALL);
    check_eq("VMX-INT-42", "xrstors", run_guest(do_xrstors, VMX_CPU2_XSAVES),
             VMX_REASON_VMCALL);
}

void run_tests(void)
{
    vmx_start();
    check_eq("VMX-CAP-14", "offered", rdmsr(MSR_VMX_PROC2) >> 32 & VMX_CPU2_XSAVES,
             VMX_CPU2_XSAVES);
    for (unsigned i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)(i * 7 + 1);
    }
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXSAVE | CR4_PKE);
    __asm__ volatile("fninit");
    test_enumeration();
    test_save("xsaves", do_xsaves);
    test_save("xsavec", do_xsavec);
    test_restore("xrstors", do_xrstors);
    test_restore("xrstor", do_xrstor);
    test_restore_faults();
    test_faults();
    test_guest();
}
