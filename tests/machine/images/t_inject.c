/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Event injection, masks and shadows, host state after exits, MSR areas. */
#include "vmx.h"

static volatile uint32_t seen_vector, seen_error, sequence;
static volatile uint64_t seen_rip;
static uint8_t vmcall_at[1];

static void one_vmcall(void *unused)
{
    (void)unused;
    __asm__ volatile("vmcall" : : : "memory");
}

/* Reports each injected event by the next VMCALL. */
static void receiver(void)
{
    for (;;) {
        seen_vector = try_call(one_vmcall, NULL);
        seen_error = (uint32_t)last_fault.error;
        seen_rip = last_fault.rip;
        sequence++;
    }
}

static void test_injection(void)
{
    static const struct {
        const char *id, *name;
        uint32_t intr, error, length, vector;
    } rows[] = {
        /* Hardware exceptions, with and without error code. */
        {"VMX-EVT-03", "ud", 0x80000306, 0, 0, 6},
        {"VMX-EVT-03", "gp", 0x80000B0D, 0x1238, 0, 13},
        {"VMX-EVT-03", "gp-bit-15", 0x80000B0D, 0xBEEF, 0, 13},
        {"VMX-EVT-03", "gp-zero", 0x80000B0D, 0, 0, 13},
        {"VMX-EVT-03", "pf", 0x80000B0E, 2, 0, 14},
        {"VMX-EVT-01", "external", 0x80000040, 0, 0, 0x40},
        {"VMX-EVT-04", "software-interrupt", 0x80000441, 0, 2, 0x41},
        {"VMX-EVT-04", "int3", 0x80000603, 0, 1, 3},
    };
    uint64_t region = vmcs_new_guest(receiver);
    bool launch = LAUNCH;

    wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
    guest_run(launch);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t rip = last_exit.rip;

        wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
        wr(VMCS_ENTRY_INTERRUPTION_INFO, rows[i].intr);
        wr(VMCS_ENTRY_EXCEPTION_ERROR_CODE, rows[i].error);
        wr(VMCS_ENTRY_INSTRUCTION_LENGTH, rows[i].length);
        guest_run(RESUME);
        check_eq(rows[i].id, rows[i].name, seen_vector, rows[i].vector);
        check_eq(rows[i].id, "error-code", seen_error, rows[i].error);
        check_eq(rows[i].id, "rip", seen_rip, rip + rows[i].length);
        /* Exits clear the valid bit. */
        check_eq("VMX-EVT-24", "valid-clear", rd(VMCS_ENTRY_INTERRUPTION_INFO) >> 31, 0);
    }
    vmclear(region);
}

static volatile uint32_t guest_nmis;

static bool count_nmi(struct fault_frame *frame)
{
    guest_nmis += frame->vector == 2;
    return frame->vector == 2;
}

static void nmi_guest(void)
{
    __asm__ volatile("vmcall" : : : "memory");
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_nmi(void)
{
    uint64_t region = vmcs_new_guest(nmi_guest);

    fault_hook = count_nmi;
    guest_run(LAUNCH);
    guest_skip();
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000202);
    guest_run(RESUME);
    check_eq("VMX-EVT-02", "nmi", guest_nmis, 1);
    fault_hook = NULL;
    vmclear(region);
}

/* ---- masks and shadows ---- */
static volatile uint64_t guest_cr0, guest_cr4, guest_smsw;

static void mask_guest(void)
{
    uint64_t smsw;

    guest_cr0 = read_cr0();
    guest_cr4 = read_cr4();
    __asm__ volatile("smsw %0" : "=r"(smsw));
    guest_smsw = smsw;
    /* Writes that change only unmasked bits, or none, do not exit. */
    write_cr0(guest_cr0 ^ CR0_WP);
    write_cr4(guest_cr4 ^ CR4_DE);
    __asm__ volatile("vmcall" : : : "memory");
    write_cr4(guest_cr4 ^ CR4_PGE);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_masks(void)
{
    uint64_t region, cr0 = read_cr0(), cr4 = read_cr4();

    region = vmcs_new_guest(mask_guest);
    wr(VMCS_CR0_GUEST_HOST_MASK, CR0_TS | CR0_NE);
    wr(VMCS_CR0_READ_SHADOW, CR0_TS);
    wr(VMCS_CR4_GUEST_HOST_MASK, CR4_VMXE | CR4_PGE);
    wr(VMCS_CR4_READ_SHADOW, CR4_PGE);
    guest_run(LAUNCH);
    /* Reads combine the shadow's masked bits with the real ones. */
    check_eq("VMX-INT-26", "no-exit-on-free-bits", last_exit.reason, VMX_REASON_VMCALL);
    check_eq("VMX-NRB-01", "cr0-read", guest_cr0,
             (cr0 & ~(uint64_t)(CR0_TS | CR0_NE)) | CR0_TS);
    check_eq("VMX-NRB-02", "cr4-read", guest_cr4,
             (cr4 & ~(uint64_t)(CR4_VMXE | CR4_PGE)) | CR4_PGE);
    check_eq("VMX-NRB-01", "smsw-read", guest_smsw & 0xFFFF, guest_cr0 & 0xFFFF);
    /* The real registers keep masked bits. */
    check_eq("VMX-NRB-03", "real-cr0", rd(VMCS_GUEST_CR0), cr0 ^ CR0_WP);
    check_eq("VMX-NRB-03", "real-cr4", rd(VMCS_GUEST_CR4), cr4 ^ CR4_DE);
    guest_skip();
    guest_run(RESUME);
    check_eq("VMX-INT-27", "masked-bit-exits", last_exit.reason, VMX_REASON_CR_ACCESS);
    check_eq("VMX-INF-08", "masked-bit-exits", last_exit.qualification & 0x3F, 4);
    vmclear(region);
}

/* Fixed bits also bind the guest's unmasked bits. */
static volatile uint32_t fixed_vector;

static void drop_ne(void *unused)
{
    (void)unused;
    write_cr0(read_cr0() & ~(uint64_t)CR0_NE);
}

static void fixed_guest(void)
{
    fixed_vector = try_call(drop_ne, NULL);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_fixed(void)
{
    uint64_t region = vmcs_new_guest(fixed_guest);

    guest_run(LAUNCH);
    check_eq("VMX-NRB-04", "guest-fixed-bit", fixed_vector, FAULT_GP);
    vmclear(region);
}

/* ---- registers and host state ---- */
static void state_guest(void)
{
    struct table_register tables = {0x3F, phys(vmcall_at)};

    __asm__ volatile("lgdt %0" : : "m"(tables));
    __asm__ volatile("lidt %0" : : "m"(tables));
    write_dr7(0x401);
    wrmsr(MSR_SYSENTER_CS, 0x99);
    wrmsr(MSR_SYSENTER_ESP, 0x123456789);
    wrmsr(MSR_SYSENTER_EIP, 0x98765432100);
    wrmsr(MSR_GS_BASE, 0xDEF000);
    wrmsr(MSR_FS_BASE, 0xABC000);
    __asm__ volatile("std; sub %%eax, %%eax; mov $0x77, %%ebx; mov $0x88, %%ecx;"
                     "mov $0x99, %%r14d; vmcall"
                     :
                     :
                     : "rax", "rbx", "rcx", "r14", "memory");
}

static void test_state(void)
{
    struct table_register gdtr = read_gdtr();
    uint64_t region = vmcs_new_guest(state_guest);

    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MSR_BITMAPS));
    wr(VMCS_MSR_BITMAP, phys(page_alloc()));
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_DEBUG));
    guest_run(LAUNCH);
    check_eq("VMX-EXI-10", "saved-gdtr-limit", rd(VMCS_GUEST_GDTR_LIMIT), 0x3F);
    check_eq("VMX-EXI-10", "saved-gdtr-base", rd(VMCS_GUEST_GDTR_BASE),
             phys(vmcall_at));
    check_eq("VMX-EXI-10", "saved-idtr-limit", rd(VMCS_GUEST_IDTR_LIMIT), 0x3F);
    check_eq("VMX-EXI-04", "saved-dr7", rd(VMCS_GUEST_DR7), 0x401);
    check_eq("VMX-EXI-05", "saved-sysenter-cs", rd(VMCS_GUEST_IA32_SYSENTER_CS), 0x99);
    check_eq("VMX-EXI-08", "saved-fs-base", rd(VMCS_GUEST_BASE(SEG_FS)), 0xABC000);
    check_eq("VMX-EXI-12", "saved-rflags", rd(VMCS_GUEST_RFLAGS) & (RFLAGS_DF | 0x40),
             RFLAGS_DF | 0x40);
    check_eq("VMX-EXI-08", "saved-cs-rights", rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS)), 0xA09B);
    check_eq("VMX-EXI-08", "saved-ss-rights", rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_SS)), 0xC093);
    check_eq("VMX-EXI-08", "saved-tr-rights", rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_TR)), 0x8B);
    check_eq("VMX-EXI-09", "saved-ldtr-unusable", rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR)) >> 16 & 1,
             1);
    check_eq("VMX-EXI-26", "guest-rbx", guest.rbx, 0x77);
    check_eq("VMX-EXI-26", "guest-r14", guest.r14, 0x99);
    /* Host state. */
    check_eq("VMX-EXI-19", "host-dr7", read_dr7(), 0x400);
    check_eq("VMX-EXI-20", "host-sysenter-cs", rdmsr(MSR_SYSENTER_CS), 0);
    check_eq("VMX-EXI-20", "host-fs-base", rdmsr(MSR_FS_BASE), 0);
    check_eq("VMX-EXI-20", "host-gs-base", rdmsr(MSR_GS_BASE), 0);
    check_eq("VMX-EXI-20", "host-sysenter-esp", rdmsr(MSR_SYSENTER_ESP), 0);
    check_eq("VMX-EXI-20", "host-sysenter-eip", rdmsr(MSR_SYSENTER_EIP), 0);
    check_eq("VMX-EXI-05", "saved-sysenter-esp", rd(VMCS_GUEST_IA32_SYSENTER_ESP), 0x123456789);
    check_eq("VMX-EXI-05", "saved-sysenter-eip", rd(VMCS_GUEST_IA32_SYSENTER_EIP), 0x98765432100);
    check_eq("VMX-EXI-08", "saved-gs-base", rd(VMCS_GUEST_BASE(SEG_GS)), 0xDEF000);
    check_eq("VMX-EXI-24", "host-gdtr-base", read_gdtr().base, gdtr.base);
    check_eq("VMX-EXI-24", "host-gdtr-limit", read_gdtr().limit, 0xFFFF);
    check_eq("VMX-EXI-24", "host-idtr-limit", read_idtr().limit, 0xFFFF);
    check_eq("VMX-EXI-24", "host-tr", read_tr(), SEL_TSS);
    check_eq("VMX-EXI-25", "host-rflags", read_rflags() & RFLAGS_DF, 0);
    vmclear(region);
    idt_load();
}

/* ---- MSR areas ---- */
static volatile uint64_t guest_star;

static void msr_guest(void)
{
    guest_star = rdmsr(MSR_STAR);
    wrmsr(MSR_STAR, 0x3333);
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_msr_areas(void)
{
    uint64_t area = phys(page_alloc());
    uint64_t region = vmcs_new_guest(msr_guest);

    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MSR_BITMAPS));
    wr(VMCS_MSR_BITMAP, phys(page_alloc()));
    write32(area, MSR_STAR);
    write64(area + 8, 0x1111);
    write32(area + 0x100, MSR_STAR);
    write32(area + 0x200, MSR_STAR);
    write64(area + 0x208, 0x2222);
    wr(VMCS_ENTRY_MSR_LOAD_ADDRESS, area);
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
    wr(VMCS_EXIT_MSR_STORE_ADDRESS, area + 0x100);
    wr(VMCS_EXIT_MSR_STORE_COUNT, 1);
    wr(VMCS_EXIT_MSR_LOAD_ADDRESS, area + 0x200);
    wr(VMCS_EXIT_MSR_LOAD_COUNT, 1);
    guest_run(LAUNCH);
    check_eq("VMX-ENT-15", "entry-load", guest_star, 0x1111);
    check_eq("VMX-EXI-17", "exit-store", read64(area + 0x108), 0x3333);
    check_eq("VMX-EXI-29", "exit-load", rdmsr(MSR_STAR), 0x2222);
    vmclear(region);

    /* DM-ENA-16: 9BH, FS_BASE and unknown MSRs in the load area. */
    static const struct {
        const char *id, *name;
        uint32_t msr;
    } rows[] = {
        {"DM-ENA-16", "9bh", MSR_SMM_MONITOR_CTL},
        {"DM-ENA-31", "9eh", MSR_SMBASE},
        {"VMX-ENT-16", "fs-base", MSR_FS_BASE},
        {"VMX-ENT-16", "x2apic", 0x800},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        region = vmcs_new_guest(msr_guest);
        write32(area + 16, rows[i].msr);
        write64(area + 24, 0);
        wr(VMCS_ENTRY_MSR_LOAD_ADDRESS, area);
        wr(VMCS_ENTRY_MSR_LOAD_COUNT, 2);
        guest_run(LAUNCH);
        check_eq(rows[i].id, rows[i].name, last_exit.reason, REASON_BAD_MSR);
        check_eq("VMX-ENT-18", rows[i].name, last_exit.qualification, 2);
        vmclear(region);
    }
}

static void hlt_guest(void)
{
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_activity(void)
{
    uint64_t region = vmcs_new_guest(hlt_guest);

    /* Entered in HLT; the injected NMI wakes it. */
    fault_hook = count_nmi;
    guest_nmis = 0;
    wr(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000202);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-16", "hlt-woken-by-injection", guest_nmis, 1);
    check_eq("VMX-EXI-14", "active-after", rd(VMCS_GUEST_ACTIVITY_STATE), 0);
    fault_hook = NULL;
    vmclear(region);
}

void run_tests(void)
{
    vmx_start();
    test_injection();
    test_nmi();
    test_masks();
    test_fixed();
    test_state();
    test_msr_areas();
    test_activity();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
