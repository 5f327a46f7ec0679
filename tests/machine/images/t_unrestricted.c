/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* "Unrestricted guest": a guest without paging, in real mode, in every other
 * mode, and on its way between them. */
#include "vmx.h"

#define EPT_RWX    7u
#define EPT_LEAF   (EPT_RWX | 6u << 3 | 1u << 7)
#define EPTP_WB4   0x1Eu
#define EXTERNAL   (1u << 31)
#define EXCEPTION  (1u << 31 | 3u << 8)

/* Guest-physical 0 to 1FFFFFH is at MEMORY; the page at the end of 4 GiB at
 * LAST; nothing else is mapped. */
#define MEMORY     0x2000000ull
#define LAST       0x2400000ull
#define BASE       0x7000u
#define PDPT       0x10000u
#define PD         0x11000u
#define PML4       0x12000u
#define PDPT64     0x13000u
#define LAST_STEP  99

extern uint8_t ug_block[], ug_block_end[], ug_start[], ug_again[], ug_vm86[],
    ug_handler[], ug_violation[], ug_wrap[], ug_lmsw[];

static uint64_t ept_pml4, ept_pd;
static void *msr_bitmap;

static void make_ept(void)
{
    uint64_t pdpt = phys(page_alloc()), last_pd = phys(page_alloc());
    uint64_t last_pt = phys(page_alloc());

    ept_pml4 = phys(page_alloc());
    ept_pd = phys(page_alloc());
    write64(ept_pml4, pdpt | EPT_RWX);
    write64(pdpt, ept_pd | EPT_RWX);
    write64(ept_pd, MEMORY | EPT_LEAF);
    write64(pdpt + 8 * 3, last_pd | EPT_RWX);
    write64(last_pd + 8 * 511, last_pt | EPT_RWX);
    write64(last_pt + 8 * 511, LAST | (EPT_LEAF & ~(1u << 7)));
}

static void make_memory(void)
{
    memset((void *)MEMORY, 0, 0x20000);
    memcpy((void *)(MEMORY + BASE), ug_block, (size_t)(ug_block_end - ug_block));
    for (unsigned vector = 0; vector < 256; vector++) {
        write32(MEMORY + 4 * vector,
                (BASE >> 4) << 16 | (uint32_t)(ug_handler - ug_block));
    }
    write64(MEMORY + PDPT, PD | 1);
    write64(MEMORY + PD, 0xE7);
    write64(MEMORY + PML4, PDPT64 | 7);
    write64(MEMORY + PDPT64, PD | 7);
}

static void real_segment(unsigned segment, uint16_t selector, uint32_t rights)
{
    wr(VMCS_GUEST_ES_SELECTOR + 2 * segment, selector);
    wr(VMCS_GUEST_BASE(segment), (uint32_t)selector << 4);
    wr(VMCS_GUEST_LIMIT(segment), 0xFFFF);
    wr(VMCS_GUEST_ACCESS_RIGHTS(segment), rights);
}

/* A guest in real mode at `start` of the block. */
static uint64_t new_guest(uint8_t *start)
{
    uint64_t region = vmcs_new_guest(NULL);

    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS | VMX_CPU_MSR_BITMAPS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT | VMX_CPU2_UNRESTRICTED_GUEST));
    wr(VMCS_EPT_POINTER, ept_pml4 | EPTP_WB4);
    wr(VMCS_MSR_BITMAP, phys(msr_bitmap));
    wr(VMCS_EXCEPTION_BITMAP, UINT32_MAX);
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_EFER));
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_EFER |
                                               VMX_EXIT_LOAD_EFER));
    wr(VMCS_GUEST_IA32_EFER, 0);
    wr(VMCS_GUEST_CR0, CR0_NE | CR0_ET);
    wr(VMCS_GUEST_CR3, 0);
    wr(VMCS_GUEST_CR4, CR4_VMXE);
    wr(VMCS_CR4_GUEST_HOST_MASK, CR4_VMXE);
    wr(VMCS_CR4_READ_SHADOW, 0);
    for (unsigned segment = SEG_ES; segment <= SEG_GS; segment++) {
        real_segment(segment, 0, 0x93);
    }
    real_segment(SEG_CS, BASE >> 4, 0x9B);
    wr(VMCS_GUEST_TR_SELECTOR, 0);
    wr(VMCS_GUEST_BASE(SEG_TR), 0);
    wr(VMCS_GUEST_GDTR_BASE, 0);
    wr(VMCS_GUEST_IDTR_BASE, 0);
    wr(VMCS_GUEST_IDTR_LIMIT, 0x3FF);
    wr(VMCS_GUEST_RSP, 0x6000);
    wr(VMCS_GUEST_RIP, (uint64_t)(start - ug_block));
    return region;
}

/* Every field of the guest-state area that an exit saves. */
static const uint16_t saved_fields[] = {
    VMCS_GUEST_ES_SELECTOR,
    VMCS_GUEST_CS_SELECTOR,
    VMCS_GUEST_SS_SELECTOR,
    VMCS_GUEST_DS_SELECTOR,
    VMCS_GUEST_FS_SELECTOR,
    VMCS_GUEST_GS_SELECTOR,
    VMCS_GUEST_LDTR_SELECTOR,
    VMCS_GUEST_TR_SELECTOR,
    VMCS_GUEST_IA32_EFER,
    VMCS_GUEST_LIMIT(0),
    VMCS_GUEST_LIMIT(1),
    VMCS_GUEST_LIMIT(2),
    VMCS_GUEST_LIMIT(3),
    VMCS_GUEST_LIMIT(4),
    VMCS_GUEST_LIMIT(5),
    VMCS_GUEST_LIMIT(6),
    VMCS_GUEST_LIMIT(7),
    VMCS_GUEST_ACCESS_RIGHTS(0),
    VMCS_GUEST_ACCESS_RIGHTS(1),
    VMCS_GUEST_ACCESS_RIGHTS(2),
    VMCS_GUEST_ACCESS_RIGHTS(3),
    VMCS_GUEST_ACCESS_RIGHTS(4),
    VMCS_GUEST_ACCESS_RIGHTS(5),
    VMCS_GUEST_ACCESS_RIGHTS(6),
    VMCS_GUEST_ACCESS_RIGHTS(7),
    VMCS_GUEST_BASE(0),
    VMCS_GUEST_BASE(1),
    VMCS_GUEST_BASE(2),
    VMCS_GUEST_BASE(3),
    VMCS_GUEST_BASE(4),
    VMCS_GUEST_BASE(5),
    VMCS_GUEST_BASE(6),
    VMCS_GUEST_BASE(7),
    VMCS_GUEST_GDTR_BASE,
    VMCS_GUEST_GDTR_LIMIT,
    VMCS_GUEST_IDTR_BASE,
    VMCS_GUEST_IDTR_LIMIT,
    VMCS_GUEST_CR0,
    VMCS_GUEST_CR3,
    VMCS_GUEST_CR4,
    VMCS_GUEST_RSP,
    VMCS_GUEST_RIP,
    VMCS_GUEST_RFLAGS,
    VMCS_ENTRY_CONTROLS,
    VMCS_GUEST_INTERRUPTIBILITY_STATE,
    VMCS_GUEST_ACTIVITY_STATE,
    VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
};

static uint64_t saved[ARRAY_SIZE(saved_fields)];

static void remember_state(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(saved_fields); i++) {
        saved[i] = rd(saved_fields[i]);
    }
}

static void check_state_kept(const char *name)
{
    size_t i = 0;

    while (i < ARRAY_SIZE(saved_fields) && rd(saved_fields[i]) == saved[i]) {
        i++;
    }
    check("VMX-URG-02", name, i == ARRAY_SIZE(saved_fields), "equal:%d,then-field:%x",
          (uint32_t)i, i < ARRAY_SIZE(saved_fields) ? saved_fields[i] : 0u);
}

#define PE CR0_PE
#define PG CR0_PG
#define ME EFER_LME
#define MA EFER_LMA

static const struct {
    uint32_t number;
    const char *name;
    uint32_t cr0, efer;
    uint16_t cs;
    uint32_t cs_base, cs_rights;
} steps[] = {
    {1, "real", 0, 0, 0x700, BASE, 0x9B},
    {2, "real-interrupt", 0, 0, 0x700, BASE, 0x9B},
    {3, "real-data", 0, 0, 0x700, BASE, 0x9B},
    {4, "protected-real-cs", PE, 0, 0x700, BASE, 0x9B},
    {5, "protected", PE, 0, 8, 0, 0xC09B},
    {6, "pae", PE | PG, 0, 8, 0, 0xC09B},
    {7, "paging-off", PE, 0, 8, 0, 0xC09B},
    {8, "lme", PE, ME, 8, 0, 0xC09B},
    {9, "compatibility", PE | PG, ME | MA, 8, 0, 0xC09B},
    {10, "64-bit", PE | PG, ME | MA, 0x18, 0, 0xA09B},
    {11, "compatibility-again", PE | PG, ME | MA, 8, 0, 0xC09B},
    {12, "ia32e-left", PE, ME, 8, 0, 0xC09B},
    {13, "protected-16", PE, 0, 0x20, 0, 0x9B},
    {14, "real-protected-cs", 0, 0, 0x20, 0, 0x9B},
    {15, "real-again", 0, 0, 0x700, BASE, 0x9B},
    {16, "injected", 0, 0, 0x700, BASE, 0x9B},
    {17, "violation", 0, 0, 0x700, BASE, 0x9B},
    {18, "vm86", PE, 0, 0x700, BASE, 0xF3},
    {19, "wrap", PE, 0, 8, 0, 0xC09B},
};

static const struct {
    uint32_t number;
    const char *name;
    uint32_t length, intr;
} bad[] = {
    {101, "pg-without-pe", 3, 0x8000030D}, /* no error code in real mode */
    {102, "lme-without-pae", 3, 0x80000B0D},
    {103, "pg-in-64-bit", 3, 0x80000B0D},
    {104, "pae-in-64-bit", 3, 0x80000B0D},
    {105, "lme-with-paging", 2, 0x80000B0D},
};

static void check_step(uint32_t number)
{
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        const char *name = steps[i].name;

        if (steps[i].number != number) {
            continue;
        }
        check_eq("VMX-URG-02", name, rd(VMCS_GUEST_CR0),
                 steps[i].cr0 | CR0_NE | CR0_ET);
        check_eq("VMX-URG-02", name, rd(VMCS_GUEST_IA32_EFER), steps[i].efer);
        /* 27.2: the control follows IA32_EFER.LMA. */
        check_eq("VMX-URG-02", name, rd(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_GUEST,
                 steps[i].efer & MA ? VMX_ENTRY_IA32E_GUEST : 0);
        check_eq("VMX-URG-02", name, rd(VMCS_GUEST_CS_SELECTOR), steps[i].cs);
        check_eq("VMX-URG-02", name, rd(VMCS_GUEST_BASE(SEG_CS)), steps[i].cs_base);
        check_eq("VMX-URG-02", name, rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS)), steps[i].cs_rights);
        /* 26.3: an entry with the saved state finds nothing wrong with it. */
        remember_state();
        check_eq("VMX-URG-02", name, guest_run(RESUME), VMX_REASON_VMCALL);
        check_state_kept(name);
        /* Half-way between two modes the exit is that of any instruction. */
        guest_skip();
        check_eq("VMX-URG-02", name, guest_run(RESUME), VMX_REASON_CPUID);
        check_eq("VMX-INF-27", name, last_exit.length, 2);
        guest_skip();
        return;
    }
    panic("step=%d", number);
}

static void check_bad(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (bad[i].number == (uint32_t)guest.rbp) {
            check_eq("VMX-NRB-04", bad[i].name, last_exit.intr, bad[i].intr);
            wr(VMCS_GUEST_RIP, last_exit.rip + bad[i].length);
            guest.rbp = 0;
            return;
        }
    }
    panic("exception=%x rip=%q step=%q", last_exit.intr, last_exit.rip, guest.rax);
}

/* Runs to the last step; the number of steps seen. */
static unsigned run(bool launch)
{
    unsigned count = 0;

    for (;;) {
        uint32_t reason = guest_run(launch);

        launch = RESUME;
        if (reason == VMX_REASON_EXCEPTION_NMI) {
            check_bad();
            count++;
        } else if (reason != VMX_REASON_VMCALL) {
            panic("reason=%x qualification=%q physical=%q rip=%q", reason,
                  last_exit.qualification, rd(VMCS_GUEST_PHYSICAL_ADDRESS), last_exit.rip);
        } else if ((uint32_t)guest.rax == LAST_STEP) {
            return count;
        } else {
            uint32_t number = (uint32_t)guest.rax;

            check_step(number);
            count++;
            if (number == 2) {
                check_eq("VMX-URG-02", "int-21h", guest.rbx & 0xFFFF, 0x2121);
            }
            if (number == 6) {
                check_eq("VMX-EPT-16", "pdpte-0", rd(0x280A), PD | 1);
                check_eq("VMX-EPT-16", "pdpte-1", rd(0x280C), 0);
            }
        }
    }
}

static void test_modes(void)
{
    uint64_t region = new_guest(ug_start);

    check_eq("VMX-URG-02", "modes", run(LAUNCH), 15 + 5);
    check_eq("VMX-URG-02", "store", read32(MEMORY + 0x18010), 0x5A5A);
    vmclear(region);
    region = new_guest(ug_vm86);
    check_eq("VMX-URG-02", "vm86", run(LAUNCH), 1);
    vmclear(region);
}

/* 26.5: events that an entry injects into real mode. */
static void test_injection(void)
{
    uint64_t region = new_guest(ug_again);

    wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, EXTERNAL | 0x21);
    check_eq("VMX-URG-03", "external", run(LAUNCH), 1);
    check_eq("VMX-URG-03", "external", guest.rbx & 0xFFFF, 0x2121);
    vmclear(region);
    region = new_guest(ug_again);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, EXCEPTION | FAULT_GP);
    check_eq("VMX-URG-03", "exception", run(LAUNCH), 1);
    check_eq("VMX-URG-03", "exception", guest.rbx & 0xFFFF, 0x2121);
    vmclear(region);
    region = new_guest(ug_again);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, EXCEPTION | 1u << 11 | FAULT_GP);
    check_vmx("VMX-CTL-30", "error-code", vm_enter(&guest, LAUNCH), VMX_ERROR_ENTRY_CONTROLS);
    vmclear(region);
}

/* An EPT violation of a linear address that is the physical one. */
static void test_violation(void)
{
    uint64_t region = new_guest(ug_violation);
    uint64_t pt = phys(page_alloc());

    for (uint64_t i = 0; i < 512; i++) {
        write64(pt + 8 * i, MEMORY | i << 12 | (EPT_LEAF & ~(1u << 7)));
    }
    write64(pt + 8 * 0xFF, 0);
    write64(ept_pd, pt | EPT_RWX);
    check_eq("VMX-URG-01", "real", guest_run(LAUNCH), VMX_REASON_EPT_VIOLATION);
    check_eq("VMX-URG-01", "real", last_exit.qualification, 0x181);
    check_eq("VMX-URG-01", "real", rd(VMCS_GUEST_PHYSICAL_ADDRESS), 0xFFFFE);
    check_eq("VMX-URG-01", "real", rd(VMCS_GUEST_LINEAR_ADDRESS), 0xFFFFE);
    write64(ept_pd, MEMORY | EPT_LEAF);
    check_eq("VMX-URG-01", "resumed", run(RESUME), 1);
    vmclear(region);
    /* Without paging linear addresses wrap at 4 GiB. */
    region = new_guest(ug_wrap);
    wr(VMCS_GUEST_CR0, CR0_NE | CR0_ET | CR0_PE);
    wr(VMCS_GUEST_CS_SELECTOR, 8);
    wr(VMCS_GUEST_BASE(SEG_CS), 0);
    wr(VMCS_GUEST_LIMIT(SEG_CS), UINT32_MAX);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0xC09B);
    wr(VMCS_GUEST_LIMIT(SEG_DS), UINT32_MAX);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_DS), 0xC093);
    wr(VMCS_GUEST_RIP, BASE + (uint64_t)(ug_wrap - ug_block));
    write32(LAST + 0xFFC, 0xBEEF0000);
    write32(MEMORY, 0x0000DEAD);
    guest_run(LAUNCH);
    check_eq("VMX-URG-02", "wrap", last_exit.reason, VMX_REASON_VMCALL);
    check_eq("VMX-URG-02", "wrap", guest.rcx, 0xDEADBEEF);
    vmclear(region);
}

static void c_no_control(void) { wr(VMCS_SECONDARY_CONTROLS, VMX_CPU2_EPT); }
static void c_no_ept(void) { wr(VMCS_SECONDARY_CONTROLS, VMX_CPU2_UNRESTRICTED_GUEST); }
static void c_pg_without_pe(void) { wr(VMCS_GUEST_CR0, rd(VMCS_GUEST_CR0) | CR0_PG); }
static void c_no_ne(void) { wr(VMCS_GUEST_CR0, CR0_ET); }
static void c_ia32e(void) { wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_IA32E_GUEST); }
static void c_cs_3(void) { wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0x93); }
static void c_cs_3_dpl(void) { wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0xF3); }
static void c_cs_7(void) { wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0x97); }
static void c_ss_dpl(void) { wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_SS), 0xF3); }
static void c_rpl(void) { wr(VMCS_GUEST_SS_SELECTOR, 3); }
static void c_ds_dpl(void) { wr(VMCS_GUEST_DS_SELECTOR, 3); }
static void c_vm86(void) { wr(VMCS_GUEST_RFLAGS, 1u << 17 | 2); }
static void c_ss_unusable(void) { wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_SS), 0x10000); }
static void c_cs_3_protected(void)
{
    wr(VMCS_GUEST_CR0, rd(VMCS_GUEST_CR0) | CR0_PE);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0x93);
}

static void test_checks(void)
{
    static const struct {
        const char *name;
        void (*change)(void);
        uint32_t result; /* exit reason, or VMX_ERROR_ENTRY_CONTROLS */
    } rows[] = {
        {"no-control", c_no_control, REASON_BAD_GUEST},
        {"no-ept", c_no_ept, VMX_ERROR_ENTRY_CONTROLS},
        {"pg-without-pe", c_pg_without_pe, REASON_BAD_GUEST},
        {"no-ne", c_no_ne, REASON_BAD_GUEST},
        {"ia32e-without-pg", c_ia32e, REASON_BAD_GUEST},
        {"cs-type-3", c_cs_3, VMX_REASON_VMCALL},
        {"cs-type-3-dpl", c_cs_3_dpl, REASON_BAD_GUEST},
        {"cs-type-7", c_cs_7, REASON_BAD_GUEST},
        {"ss-dpl", c_ss_dpl, REASON_BAD_GUEST},
        {"ss-rpl", c_rpl, VMX_REASON_VMCALL},
        {"ds-rpl", c_ds_dpl, VMX_REASON_VMCALL},
        {"vm86-without-pe", c_vm86, REASON_BAD_GUEST},
        {"ss-unusable", c_ss_unusable, VMX_REASON_VMCALL},
        {"cs-type-3-protected", c_cs_3_protected, VMX_REASON_VMCALL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region = new_guest(ug_start);

        rows[i].change();
        if (rows[i].result == VMX_ERROR_ENTRY_CONTROLS) {
            check_vmx("VMX-CTL-18", rows[i].name, vm_enter(&guest, LAUNCH),
                      VMX_ERROR_ENTRY_CONTROLS);
        } else {
            check_eq("VMX-URG-01", rows[i].name, guest_run(LAUNCH), rows[i].result);
        }
        vmclear(region);
    }
}

/* VMX operation itself demands PE and PG as ever. */
static void test_root(void)
{
    check_eq("VMX-CAP-21", "cr0-fixed0", rdmsr(MSR_VMX_CR0_FIXED0), PE | PG | CR0_NE);
    check_eq("VMX-CAP-16", "store-lma", rdmsr(MSR_VMX_MISC) >> 5 & 1, 1);
}

/* LMSW can set PE and not clear it, so that a 0 is no reason to exit whatever the guest sees there. */
static void test_lmsw(void)
{
    uint64_t region = new_guest(ug_lmsw);

    wr(VMCS_CR0_GUEST_HOST_MASK, CR0_PE);
    wr(VMCS_CR0_READ_SHADOW, CR0_PE);
    check_eq("VMX-INT-29", "in-real-mode", guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(region);
}

/* Before they can exit. */
static void test_vmx_instructions(void)
{
    static const struct {
        const char *name;
        uint8_t code[7];
    } rows[] = {
        {"vmxon", {0xF3, 0x0F, 0xC7, 0x36, 0x00, 0x01}},
        {"vmclear", {0x66, 0x0F, 0xC7, 0x36, 0x00, 0x01}},
        {"vmptrld", {0x0F, 0xC7, 0x36, 0x00, 0x01}},
        {"vmptrst", {0x0F, 0xC7, 0x3E, 0x00, 0x01}},
        {"vmread", {0x0F, 0x78, 0xC0}},
        {"vmwrite", {0x0F, 0x79, 0xC0}},
        {"vmlaunch", {0x0F, 0x01, 0xC2}},
        {"vmresume", {0x0F, 0x01, 0xC3}},
        {"vmxoff", {0x0F, 0x01, 0xC4}},
        {"invept", {0x66, 0x0F, 0x38, 0x80, 0x06, 0x00, 0x01}},
        {"invvpid", {0x66, 0x0F, 0x38, 0x81, 0x06, 0x00, 0x01}},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t region = new_guest(ug_block_end);

        memcpy((void *)(MEMORY + BASE + (size_t)(ug_block_end - ug_block)), rows[i].code, sizeof(rows[i].code));
        check_eq("VMX-INS-54", rows[i].name, guest_run(LAUNCH), VMX_REASON_EXCEPTION_NMI);
        check_eq("VMX-INS-54", rows[i].name, last_exit.intr, EXCEPTION | FAULT_UD);
        vmclear(region);
    }
}

void run_tests(void)
{
    vmx_start();
    if (!(rdmsr(MSR_VMX_PROC2) >> 32 & VMX_CPU2_UNRESTRICTED_GUEST)) {
        panic("unrestricted guest is not offered");
    }
    msr_bitmap = page_alloc();
    make_ept();
    make_memory();
    test_root();
    test_modes();
    test_injection();
    test_violation();
    test_checks();
    test_lmsw();
    test_vmx_instructions();
}
