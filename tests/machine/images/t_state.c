/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The interrupted state is the same after an SMI: outside VMX operation, in
 * VMX root operation and in a guest, under both treatments.
 * (DM-EXI-61, DM-INT-38, DM-RET-43, DM-DEF-19)
 */
#include "stm.h"

#define OUT_SLOTS 17 /* 15 registers, RFLAGS, change of RSP */

void state_smi(const uint64_t in[16], uint64_t out[OUT_SLOTS]);
void state_fxsave(void *area);
void state_fxrstor(const void *area);

static uint8_t fx_in[512] __attribute__((aligned(16)));
static uint8_t fx_out[512] __attribute__((aligned(16)));

static const char *const register_names[OUT_SLOTS] = {
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",    "r8",  "r9",
    "r10", "r11", "r12", "r13", "r14", "r15", "rflags", "rsp",
};

static const struct {
    const char *name;
    uint32_t msr;
    uint64_t value; /* 0: left as it is */
} msrs[] = {
    {"efer", MSR_EFER, 0},
    {"sysenter-cs", MSR_SYSENTER_CS, 0x1234},
    {"sysenter-esp", MSR_SYSENTER_ESP, 0x5678000},
    {"sysenter-eip", MSR_SYSENTER_EIP, 0x9ABC000},
    {"star", MSR_STAR, 0x0013000800000000},
    {"lstar", MSR_LSTAR, 0xFFFF800012345678},
    {"fs-base", MSR_FS_BASE, 0x123456000},
    {"gs-base", MSR_GS_BASE, 0xFFFF8000ABCDE000},
    {"kernel-gs-base", MSR_KERNEL_GS_BASE, 0x777000},
    {"pat", MSR_PAT, 0x0007040600070106},
};

#define CONTROL_COUNT 20

static const char *const control_names[CONTROL_COUNT] = {
    "cr0",        "cr2",       "cr3",        "cr4",       "cr8",
    "dr0",        "dr1",       "dr2",        "dr3",       "dr6",
    "dr7",        "gdtr-base", "gdtr-limit", "idtr-base", "idtr-limit",
    "cs-ss",      "ds-es",     "fs-gs",      "tr",        "ldtr",
};

static uint64_t selectors(int pair)
{
    uint32_t a, b;

    switch (pair) {
    case 0:
        __asm__ volatile("mov %%cs, %0; mov %%ss, %1" : "=r"(a), "=r"(b));
        break;
    case 1:
        __asm__ volatile("mov %%ds, %0; mov %%es, %1" : "=r"(a), "=r"(b));
        break;
    default:
        __asm__ volatile("mov %%fs, %0; mov %%gs, %1" : "=r"(a), "=r"(b));
        break;
    }
    return (uint64_t)(a & 0xFFFF) << 16 | (b & 0xFFFF);
}

static uint64_t debug_register(int n)
{
    uint64_t value = 0;

    switch (n) {
    case 0:
        __asm__ volatile("mov %%dr0, %0" : "=r"(value));
        break;
    case 1:
        __asm__ volatile("mov %%dr1, %0" : "=r"(value));
        break;
    case 2:
        __asm__ volatile("mov %%dr2, %0" : "=r"(value));
        break;
    default:
        __asm__ volatile("mov %%dr3, %0" : "=r"(value));
        break;
    }
    return value;
}

static uint16_t read_ldtr(void)
{
    uint16_t value;

    __asm__ volatile("sldt %0" : "=r"(value));
    return value;
}

static void capture(uint64_t out[CONTROL_COUNT])
{
    struct table_register gdtr = read_gdtr(), idtr = read_idtr();
    const uint64_t values[CONTROL_COUNT] = {
        read_cr0(),        read_cr2(),        read_cr3(),        read_cr4(),
        read_cr8(),        debug_register(0), debug_register(1),
        debug_register(2), debug_register(3), read_dr6(),        read_dr7(),
        gdtr.base,         gdtr.limit,        idtr.base,         idtr.limit,
        selectors(0),      selectors(1),      selectors(2),      read_tr(),
        read_ldtr(),
    };

    memcpy(out, values, sizeof(values));
}

static void set_patterns(void)
{
    write_cr2(0xDEADBEEF000);
    write_cr8(7);
    __asm__ volatile("mov %0, %%dr0" : : "r"(0x1111000ull));
    __asm__ volatile("mov %0, %%dr1" : : "r"(0x2222000ull));
    __asm__ volatile("mov %0, %%dr2" : : "r"(0x3333000ull));
    __asm__ volatile("mov %0, %%dr3" : : "r"(0x4444000ull));
    write_dr6(0xFFFF0FF0);
    write_dr7(0x10402); /* a breakpoint that nothing touches */
    for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
        if (msrs[i].value) {
            wrmsr(msrs[i].msr, msrs[i].value);
        }
    }
    for (size_t i = 160; i < 416; i++) {
        fx_in[i] = (uint8_t)(i * 7); /* XMM0 to XMM15 */
    }
    for (size_t i = 32; i < 160; i++) {
        fx_in[i] = i % 16 < 10 ? (uint8_t)(i * 3) : 0; /* ST0 to ST7 */
    }
}

/* One SMI with everything compared; CHECKs carry `name`. */
static void compare(const char *id, const char *name)
{
    uint64_t in[16], out[OUT_SLOTS], before[CONTROL_COUNT],
        after[CONTROL_COUNT], msr_before[ARRAY_SIZE(msrs)];
    uint32_t served;

    for (size_t i = 0; i < 15; i++) {
        in[i] = 0x1020304050607080ull * (i + 1) + i;
    }
    in[15] = 2 | RFLAGS_DF | RFLAGS_AC | 0x8D5; /* RFLAGS */
    set_patterns();
    state_fxrstor(fx_in);
    capture(before);
    for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
        msr_before[i] = rdmsr(msrs[i].msr);
    }
    served = smis_served;
    state_smi(in, out);
    served = smis_served - served;
    capture(after);
    state_fxsave(fx_out);

    /* Without an SMI everything below would be equal, too. */
    check_eq(id, name, served, 1);
    if (served != 1) {
        return;
    }
    for (size_t i = 0; i < OUT_SLOTS; i++) {
        check_eq(id, register_names[i], out[i], i < 16 ? in[i] : 0);
    }
    for (size_t i = 0; i < CONTROL_COUNT; i++) {
        check_eq(id, control_names[i], after[i], before[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
        check_eq(id, msrs[i].name, rdmsr(msrs[i].msr), msr_before[i]);
    }
    check_eq(id, "x87-and-sse",
             (uint64_t)memcmp(fx_in + 32, fx_out + 32, 384), 0);
    check_eq(id, "fcw", *(uint16_t *)fx_out, *(uint16_t *)fx_in);
}

static void guest_default(void)
{
    compare("DM-DEF-19", "guest-default-treatment");
    __asm__ volatile("vmcall" : : : "memory");
}

static void guest_dual(void)
{
    compare("DM-RET-43", "guest-dual-monitor");
    __asm__ volatile("vmcall" : : : "memory");
}

static void run_guest(void (*code)(void))
{
    uint64_t region = vmcs_new_guest(code);

    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MSR_BITMAPS));
    wr(VMCS_MSR_BITMAP, phys(page_alloc()));
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));
    check_eq("VMX-EXI-26", "guest-finished", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);
    idt_load();
    wrmsr(MSR_PAT, 0x0007040600070406);
}

void run_tests(void)
{
    uint64_t flags;

    write_cr4(read_cr4() | CR4_OSFXSR);
    write_cr0(read_cr0() | CR0_MP | CR0_WP | CR0_AM);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE | EFER_SCE);
    __asm__ volatile("fninit");
    state_fxsave(fx_in);

    compare("DM-DEF-07", "outside-vmx");
    stm_prepare();
    compare("DM-DEF-19", "root-default-treatment");
    run_guest(guest_default);
    activation_vmcs();
    flags = vmcall();
    if (flags) {
        panic("activation failed, flags=%q", flags);
    }
    compare("DM-RET-43", "root-dual-monitor");
    run_guest(guest_dual);
    check("DM-EXI-02", "stm-served", stm_exits >= 3, "exits:%d", stm_exits);
}
