/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Effect of each offered control: TSC offset, CR3 targets, RDTSCP, loads and
 * saves of PAT, EFER and debug controls, descriptor tables, exit details. */
#include "vmx.h"


static uint8_t memory[64] __attribute__((aligned(16)));
static volatile uint64_t observed, observed2;

static void end(void)
{
    for (;;) {
        __asm__ volatile("vmcall" : : : "memory");
    }
}

static uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static bool offered(uint32_t msr, uint32_t bits)
{
    return ((uint32_t)(rdmsr(msr) >> 32) & bits) == bits;
}

static void set_proc2(uint32_t bits)
{
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, bits));
}

/* ---- TSC offset ---- */
static void g_tsc(void)
{
    observed = rdtsc();
    observed2 = rdmsr(0x10);
    end();
}

static void test_tsc(void)
{
    uint64_t region = vmcs_new_guest(g_tsc);
    uint64_t offset = 1ull << 50, before, after;

    /* RDTSC and RDMSR 10H see the offset, if the control is 1. */
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_TSC_OFFSETTING | VMX_CPU_MSR_BITMAPS));
    wr(VMCS_MSR_BITMAP, phys(page_alloc()));
    wr(VMCS_TSC_OFFSET, offset);
    before = rdtsc();
    guest_run(LAUNCH);
    after = rdtsc();
    check("VMX-NRB-06", "rdtsc-offset",
          observed - offset >= before && observed - offset <= after,
          "guest:%q,before:%q,after:%q", observed, before, after);
    /* Stock TCG has no MSR 10H (it reads as 0 everywhere). */
    check("VMX-NRB-07", "rdmsr-offset",
          rdmsr(0x10) ? observed2 - offset >= before &&
                            observed2 - offset <= after
                      : !observed2,
          "guest:%q", observed2);
    check("VMX-NRB-06", "root-without-offset", after < offset, "after:%q", after);
    vmclear(region);
}

/* ---- CR3 targets ---- */
static void g_cr3(void)
{
    write_cr3(phys(page_tables));
    __asm__ volatile("vmcall" : : : "memory");
    write_cr3(phys(page_tables) | 8);
    end();
}

static void test_cr3_targets(void)
{
    uint64_t region = vmcs_new_guest(g_cr3);

    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_CR3_LOAD));
    wr(0x6008, 0x1000);
    wr(0x600A, phys(page_tables));
    wr(VMCS_CR3_TARGET_COUNT, 2);
    guest_run(LAUNCH);
    /* A load of a target value does not exit. */
    check_eq("VMX-INT-30", "target", last_exit.reason, VMX_REASON_VMCALL);
    guest_skip();
    guest_run(RESUME);
    check_eq("VMX-INT-30", "not-a-target", last_exit.reason, VMX_REASON_CR_ACCESS);
    vmclear(region);
}

/* ---- RDTSCP ---- */
static void do_rdtscp(void *unused)
{
    (void)unused;
    __asm__ volatile("rdtscp" : : : "rax", "rcx", "rdx");
}

static void g_rdtscp(void)
{
    observed = try_call(do_rdtscp, NULL);
    end();
}

static void test_rdtscp(void)
{
    uint64_t region = vmcs_new_guest(g_rdtscp);

    guest_run(LAUNCH);
    /* #UD while "enable RDTSCP" is 0. */
    check_eq("VMX-NRB-08", "rdtscp-disabled", observed, FAULT_UD);
    vmclear(region);
    region = vmcs_new_guest(g_rdtscp);
    set_proc2(VMX_CPU2_RDTSCP);
    guest_run(LAUNCH);
    check_eq("VMX-NRB-08", "rdtscp-enabled", observed, NO_FAULT);
    vmclear(region);
    region = vmcs_new_guest(g_rdtscp);
    set_proc2(VMX_CPU2_RDTSCP);
    wr(VMCS_PROCESSOR_CONTROLS, rd(VMCS_PROCESSOR_CONTROLS) | 1u << 12);
    guest_run(LAUNCH);
    check_eq("VMX-INT-20", "rdtscp-exits", last_exit.reason, 51);
    vmclear(region);
}

/* ---- loads and saves ---- */
static void g_state(void)
{
    observed = rdmsr(MSR_PAT);
    observed2 = read_dr7();
    wrmsr(MSR_PAT, 0x0606060606060606);
    write_dr7(0x402);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    end();
}

static void test_loads(void)
{
    uint64_t region = vmcs_new_guest(g_state);

    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MSR_BITMAPS));
    wr(VMCS_MSR_BITMAP, phys(page_alloc()));
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_IA32E_GUEST | VMX_ENTRY_LOAD_PAT |
                                                 VMX_ENTRY_LOAD_EFER |
                                                 VMX_ENTRY_LOAD_DEBUG));
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT,
                        VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_PAT | VMX_EXIT_LOAD_PAT |
                            VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER | VMX_EXIT_SAVE_DEBUG));
    wr(VMCS_GUEST_IA32_PAT, 0x0001040600070406);
    wr(VMCS_GUEST_DR7, 0x401);
    wr(VMCS_HOST_IA32_PAT, 0x0007010600070406);
    guest_run(LAUNCH);
    check_eq("VMX-ENT-07", "loaded-pat", observed, 0x0001040600070406);
    check_eq("VMX-ENT-03", "loaded-dr7", observed2, 0x401);
    check_eq("VMX-EXI-06", "saved-pat", rd(VMCS_GUEST_IA32_PAT), 0x0606060606060606);
    check_eq("VMX-EXI-04", "saved-dr7", rd(VMCS_GUEST_DR7), 0x402);
    check_eq("VMX-EXI-06", "saved-efer", rd(VMCS_GUEST_IA32_EFER) & EFER_NXE, EFER_NXE);
    check_eq("VMX-EXI-22", "host-pat", rdmsr(MSR_PAT), 0x0007010600070406);
    check_eq("VMX-EXI-21", "host-efer", rdmsr(MSR_EFER) & EFER_NXE, 0);
    check_eq("VMX-EXI-19", "host-dr7", read_dr7(), 0x400);
    vmclear(region);

    /* Without the controls the registers pass through. */
    region = vmcs_new_guest(g_state);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MSR_BITMAPS));
    wr(VMCS_MSR_BITMAP, phys(page_alloc()));
    wr(VMCS_GUEST_IA32_PAT, 0x0001040600070406);
    guest_run(LAUNCH);
    check_eq("VMX-ENT-07", "pat-kept", observed, 0x0007010600070406);
    check_eq("VMX-EXI-22", "pat-kept", rdmsr(MSR_PAT), 0x0606060606060606);
    check_eq("VMX-EXI-06", "pat-not-saved", rd(VMCS_GUEST_IA32_PAT), 0x0001040600070406);
    vmclear(region);
    wrmsr(MSR_PAT, 0x0007040600070406);
}

/* ---- descriptor tables and instruction information ---- */
#define GUEST(name, ...)                                                       \
    static void name(void)                                                     \
    {                                                                          \
        __asm__ volatile(__VA_ARGS__);                                         \
        end();                                                                 \
    }

GUEST(g_sgdt, "sgdt (%0)" : : "b"(memory) : "memory")
GUEST(g_sidt, "sidt (%0)" : : "b"(memory) : "memory")
GUEST(g_lgdt, "lgdt (%0)" : : "b"(memory) : "memory")
GUEST(g_lidt, "lidt 16(%0)" : : "b"(memory) : "memory")
GUEST(g_sldt, "sldt %%eax" : : : "rax")
GUEST(g_str, "str (%0)" : : "b"(memory) : "memory")
GUEST(g_lldt, "lldt %%cx" : : "c"(0))
GUEST(g_ltr, "ltr %%dx" : : "d"(SEL_TSS))

static void test_descriptor_tables(void)
{
    /* Identity in 29:28; register flag in bit 10 for the
     * second kind. */
    static const struct {
        const char *name;
        void (*guest)(void);
        uint32_t reason, identity, length;
        uint64_t displacement;
    } rows[] = {
        {"sgdt", g_sgdt, 46, 0, 3, 0}, {"sidt", g_sidt, 46, 1, 3, 0},
        {"lgdt", g_lgdt, 46, 2, 3, 0}, {"lidt", g_lidt, 46, 3, 4, 16},
        {"sldt", g_sldt, 47, 0, 3, 0}, {"str", g_str, 47, 1, 3, 0},
        {"lldt", g_lldt, 47, 2, 3, 0}, {"ltr", g_ltr, 47, 3, 3, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region = vmcs_new_guest(rows[i].guest);

        set_proc2(VMX_CPU2_DESCRIPTOR_TABLE);
        check_eq(rows[i].reason == 46 ? "VMX-INT-38" : "VMX-INT-39",
                 rows[i].name, guest_run(LAUNCH), rows[i].reason);
        check_eq(rows[i].reason == 46 ? "VMX-INF-31" : "VMX-INF-32",
                 rows[i].name, rd(VMCS_EXIT_INSTRUCTION_INFO) >> 28 & 3,
                 rows[i].identity);
        check_eq("VMX-INF-27", rows[i].name, last_exit.length, rows[i].length);
        check_eq("VMX-INF-05", rows[i].name, last_exit.qualification,
                 rows[i].displacement);
        vmclear(region);
    }
}

GUEST(g_vmptrld, "vmptrld 0x20(%0)" : : "b"(memory) : "memory")
GUEST(g_vmclear, "vmclear -8(%0,%1,2)" : : "b"(memory), "c"(4ull) : "memory")
GUEST(g_outs, "outsb" : : "S"(memory), "d"(0x80))
GUEST(g_ins, "insl" : : "D"(memory + 4), "d"(0x80))

static void test_operands(void)
{
    uint64_t region = vmcs_new_guest(g_vmptrld);
    uint32_t info;

    guest_run(LAUNCH);
    info = (uint32_t)rd(VMCS_EXIT_INSTRUCTION_INFO);
    /* Base RBX in 26:23, no index (bit 22), 64-bit address (2 in
     * 9:7), DS (3 in 17:15); the displacement is the qualification. */
    check_eq("VMX-INF-05", "vmptrld-displacement", last_exit.qualification, 0x20);
    check_eq("VMX-INF-34", "vmptrld-base", info >> 23 & 0xF, 3);
    check_eq("VMX-INF-34", "vmptrld-base-valid", info >> 27 & 1, 0);
    check_eq("VMX-INF-34", "vmptrld-no-index", info >> 22 & 1, 1);
    check_eq("VMX-INF-34", "vmptrld-address-size", info >> 7 & 7, 2);
    check_eq("VMX-INF-34", "vmptrld-segment", info >> 15 & 7, 3);
    vmclear(region);

    region = vmcs_new_guest(g_vmclear);
    guest_run(LAUNCH);
    info = (uint32_t)rd(VMCS_EXIT_INSTRUCTION_INFO);
    check_eq("VMX-INF-05", "vmclear-displacement", last_exit.qualification,
             (uint64_t)-8);
    check_eq("VMX-INF-34", "vmclear-scaling", info & 3, 1);
    check_eq("VMX-INF-34", "vmclear-index", info >> 18 & 0xF, 1);
    check_eq("VMX-INF-34", "vmclear-index-valid", info >> 22 & 1, 0);
    vmclear(region);

    /* INS and OUTS report the linear address. */
    region = vmcs_new_guest(g_outs);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_UNCONDITIONAL_IO));
    guest_run(LAUNCH);
    check_eq("VMX-INF-13", "outs-linear", rd(VMCS_GUEST_LINEAR_ADDRESS), phys(memory));
    check_eq("VMX-INF-29", "outs-address-size", rd(VMCS_EXIT_INSTRUCTION_INFO) >> 7 & 7, 2);
    check_eq("VMX-INF-29", "outs-segment", rd(VMCS_EXIT_INSTRUCTION_INFO) >> 15 & 7, 3);
    vmclear(region);
    region = vmcs_new_guest(g_ins);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_UNCONDITIONAL_IO));
    guest_run(LAUNCH);
    check_eq("VMX-INF-13", "ins-linear", rd(VMCS_GUEST_LINEAR_ADDRESS), phys(memory) + 4);
    vmclear(region);
}

void run_tests(void)
{
    vmx_start();
    test_tsc();
    test_cr3_targets();
    if (offered(MSR_VMX_PROC2, VMX_CPU2_RDTSCP)) {
        test_rdtscp();
    }
    test_loads();
    if (offered(MSR_VMX_PROC2, VMX_CPU2_DESCRIPTOR_TABLE)) {
        test_descriptor_tables();
    }
    test_operands();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
