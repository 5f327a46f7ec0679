/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Checks of VM entry, one defect at a time: controls (error 7), host state
 * (error 8), guest state (reason 33), each restored before the next. */
#include "vmx.h"

#define NON_CANONICAL 0x0000800000000000ull
#define BEYOND_WIDTH  (1ull << 45)

static void guest_code(void)
{
    for (;;) {
        __asm__ volatile("vmcall" : : : "memory");
    }
}

struct defect {
    const char *name;
    uint32_t field;
    uint64_t value;
    uint32_t field2; /* a second field, 0 = none */
    uint64_t value2;
};

static uint32_t pin, proc, exit_ctl, entry;

static const struct defect host_defects[] = {
    /* 26.2.2, 26.2.3, 26.2.4 */
    {"cr0-ne", F_HOST_CR0, 0x80000001, 0, 0},
    {"cr0-pe", F_HOST_CR0, 0x80000020, 0, 0},
    {"cr4-vmxe", F_HOST_CR4, CR4_PAE, 0, 0},
    {"cr4-pae", F_HOST_CR4, CR4_VMXE, 0, 0},
    {"cr3-width", F_HOST_CR3, BEYOND_WIDTH, 0, 0},
    {"sysenter-esp", F_HOST_SYSENTER_ESP, NON_CANONICAL, 0, 0},
    {"sysenter-eip", F_HOST_SYSENTER_EIP, NON_CANONICAL, 0, 0},
    {"cs-zero", F_HOST_CS, 0, 0, 0},
    {"tr-zero", F_HOST_TR, 0, 0, 0},
    {"cs-rpl", F_HOST_CS, SEL_CODE64 | 3, 0, 0},
    {"ds-ti", F_HOST_DS, SEL_DATA64 | 4, 0, 0},
    {"tr-rpl", F_HOST_TR, SEL_TSS | 1, 0, 0},
    {"fs-base", F_HOST_FS_BASE, NON_CANONICAL, 0, 0},
    {"gs-base", F_HOST_GS_BASE, NON_CANONICAL, 0, 0},
    {"tr-base", F_HOST_TR_BASE, NON_CANONICAL, 0, 0},
    {"gdtr-base", F_HOST_GDTR_BASE, NON_CANONICAL, 0, 0},
    {"idtr-base", F_HOST_IDTR_BASE, NON_CANONICAL, 0, 0},
};

static const struct defect guest_defects[] = {
    /* 26.3.1.1 */
    {"cr0-pe", F_GUEST_CR0, 0x80000020, 0, 0},
    {"cr0-ne", F_GUEST_CR0, 0x80000001, 0, 0},
    {"cr4-vmxe", F_GUEST_CR4, CR4_PAE, 0, 0},
    {"cr4-pae-in-ia32e", F_GUEST_CR4, CR4_VMXE, 0, 0},
    {"cr3-width", F_GUEST_CR3, BEYOND_WIDTH, 0, 0},
    {"sysenter-esp", F_GUEST_SYSENTER_ESP, NON_CANONICAL, 0, 0},
    {"sysenter-eip", F_GUEST_SYSENTER_EIP, NON_CANONICAL, 0, 0},
    /* 26.3.1.2 */
    {"cs-type", F_RIGHTS(SEG_CS), 0xA093, 0, 0},
    {"cs-l-and-d", F_RIGHTS(SEG_CS), 0xE09B, 0, 0},
    {"cs-not-accessed", F_RIGHTS(SEG_CS), 0xA09A, 0, 0},
    {"cs-not-present", F_RIGHTS(SEG_CS), 0xA01B, 0, 0},
    {"cs-reserved", F_RIGHTS(SEG_CS), 0xA19B, 0, 0},
    {"cs-system", F_RIGHTS(SEG_CS), 0xA08B, 0, 0},
    {"cs-dpl", F_RIGHTS(SEG_CS), 0xA0FB, 0, 0},
    {"cs-base", F_BASE(SEG_CS), 1ull << 32, 0, 0},
    {"ss-dpl", F_RIGHTS(SEG_SS), 0xC0F3, 0, 0},
    {"ss-type", F_RIGHTS(SEG_SS), 0xC091, 0, 0},
    {"ss-rpl", F_GUEST_SS, SEL_DATA64 | 3, 0, 0},
    {"ds-not-accessed", F_RIGHTS(SEG_DS), 0xC092, 0, 0},
    {"ds-granularity", F_RIGHTS(SEG_DS), 0x4093, 0, 0},
    {"es-reserved", F_RIGHTS(SEG_ES), 0x20C093, 0, 0},
    {"fs-base", F_BASE(SEG_FS), NON_CANONICAL, 0, 0},
    {"gs-base", F_BASE(SEG_GS), NON_CANONICAL, 0, 0},
    {"tr-unusable", F_RIGHTS(SEG_TR), 0x1008B, 0, 0},
    {"tr-available", F_RIGHTS(SEG_TR), 0x89, 0, 0},
    {"tr-ti", F_GUEST_TR, SEL_TSS | 4, 0, 0},
    {"tr-base", F_BASE(SEG_TR), NON_CANONICAL, 0, 0},
    {"ldtr-type", F_RIGHTS(SEG_LDTR), 0x83, 0, 0},
    /* 26.3.1.3 */
    {"gdtr-base", F_GUEST_GDTR_BASE, NON_CANONICAL, 0, 0},
    {"gdtr-limit", F_GUEST_GDTR_LIMIT, 0x10000, 0, 0},
    {"idtr-base", F_GUEST_IDTR_BASE, NON_CANONICAL, 0, 0},
    {"idtr-limit", F_GUEST_IDTR_LIMIT, 0x10000, 0, 0},
    /* 26.3.1.4 */
    {"rip", F_GUEST_RIP, NON_CANONICAL, 0, 0},
    {"rflags-bit-1", F_GUEST_RFLAGS, 0, 0, 0},
    {"rflags-bit-15", F_GUEST_RFLAGS, 0x8002, 0, 0},
    {"rflags-bit-63", F_GUEST_RFLAGS, 1ull << 63 | 2, 0, 0},
    {"rflags-vm-in-ia32e", F_GUEST_RFLAGS, 1u << 17 | 2, 0, 0},
    /* 26.3.1.5 */
    {"activity-4", F_ACTIVITY, 4, 0, 0},
    {"interruptibility-bit-5", F_INTERRUPTIBILITY, 1u << 5, 0, 0},
    {"sti-and-mov-ss", F_INTERRUPTIBILITY, 3, F_GUEST_RFLAGS, 0x202},
    {"sti-without-if", F_INTERRUPTIBILITY, BLOCKED_STI, 0, 0},
    {"hlt-with-sti", F_ACTIVITY, 1, F_INTERRUPTIBILITY, BLOCKED_MOV_SS},
    {"pending-debug-reserved", F_PENDING_DEBUG, 1u << 4, 0, 0},
    {"pending-debug-bs", F_PENDING_DEBUG, 1u << 14, F_INTERRUPTIBILITY,
     BLOCKED_MOV_SS},
    {"external-without-if", F_ENTRY_INTR, 0x80000040, 0, 0},
    {"nmi-in-mov-ss", F_ENTRY_INTR, 0x80000202, F_INTERRUPTIBILITY,
     BLOCKED_MOV_SS},
};

static void check_failed_entry(const char *id, const char *name,
                               uint64_t qualification)
{
    uint64_t result = vm_enter(&guest, LAUNCH);

    check(id, name, result == VMX_EXITED && rd(F_REASON) == REASON_BAD_GUEST,
          "result:%q,reason:%q,error:%q", result, rd(F_REASON),
          rd(F_INSTRUCTION_ERROR));
    if (result == VMX_EXITED && rd(F_REASON) == REASON_BAD_GUEST) {
        check_eq("26.7", name, rd(F_QUALIFICATION), qualification);
    }
    if (result == VMX_EXITED && !(rd(F_REASON) >> 31)) {
        panic("%s: the guest was entered", name);
    }
}

/* Plants a defect, calls one of the checks below and repairs it. */
static void with_defect(const struct defect *defect, uint32_t error,
                        const char *id)
{
    uint64_t old = rd(defect->field);
    uint64_t old2 = defect->field2 ? rd(defect->field2) : 0;
    uint64_t old_entry = rd(F_ENTRY_INTR);

    if (defect->field2) {
        wr(defect->field2, defect->value2);
    }
    wr(defect->field, defect->value);
    if (error) {
        uint64_t result = vm_enter(&guest, LAUNCH);

        if (result == VMX_EXITED && !(rd(F_REASON) >> 31)) {
            panic("%s %s: the guest was entered", id, defect->name);
        }
        check_vmx(id, defect->name, result, error);
    } else {
        check_failed_entry(id, defect->name, 0);
    }
    if (defect->field2) {
        wr(defect->field2, old2);
    }
    wr(F_ENTRY_INTR, old_entry);
    wr(defect->field, old);
}

static void test_controls(void)
{
    const struct defect defects[] = {
        /* 26.2.1.1 */
        {"pin-allowed0", F_PIN, 0, 0, 0},
        {"pin-allowed1", F_PIN, 0xFFFFFFFF, 0, 0},
        {"proc-allowed0", F_PROC, 0, 0, 0},
        {"proc-allowed1", F_PROC, 0xFFFFFFFF, 0, 0},
        {"proc2-allowed1", F_PROC2, 0xFFFFFFFF, F_PROC, proc | PROC_SECONDARY},
        {"cr3-targets", F_CR3_TARGETS, 5, 0, 0},
        {"io-bitmap-a", F_IO_BITMAP_A, 0x800, F_PROC, proc | PROC_IO_BITMAPS},
        {"io-bitmap-b", F_IO_BITMAP_B, BEYOND_WIDTH, F_PROC,
         proc | PROC_IO_BITMAPS},
        {"msr-bitmap", F_MSR_BITMAP, 0x10, F_PROC, proc | PROC_MSR_BITMAPS},
        {"virtual-nmis-alone", F_PIN, pin | PIN_VIRTUAL_NMI, 0, 0},
        {"nmi-window-alone", F_PROC, proc | PROC_NMI_WINDOW, 0, 0},
        /* 26.2.1.2 */
        {"exit-allowed0", F_EXIT, 0, 0, 0},
        {"exit-allowed1", F_EXIT, 0xFFFFFFFF, 0, 0},
        {"exit-store-alignment", F_EXIT_MSR_STORE, 8, F_EXIT_STORE_COUNT, 1},
        {"exit-load-width", F_EXIT_MSR_LOAD, BEYOND_WIDTH, F_EXIT_LOAD_COUNT, 1},
        /* 26.2.1.3 */
        {"entry-allowed0", F_ENTRY, 0, 0, 0},
        {"entry-allowed1", F_ENTRY, 0xFFFFFFFF, 0, 0},
        {"entry-load-alignment", F_ENTRY_MSR_LOAD, 4, F_ENTRY_LOAD_COUNT, 1},
        {"inject-type-1", F_ENTRY_INTR, 0x80000120, 0, 0},
        {"inject-nmi-vector", F_ENTRY_INTR, 0x80000203, 0, 0},
        {"inject-exception-32", F_ENTRY_INTR, 0x80000320, 0, 0},
        {"inject-reserved", F_ENTRY_INTR, 0x80001306, 0, 0},
        {"inject-ud-with-code", F_ENTRY_INTR, 0x80000B06, 0, 0},
        {"inject-gp-without-code", F_ENTRY_INTR, 0x8000030D, 0, 0},
        {"inject-code-high", F_ENTRY_INTR, 0x80000B0D, F_ENTRY_ERROR, 0x8000},
        {"inject-software-length-16", F_ENTRY_INTR, 0x80000421, F_ENTRY_LENGTH,
         16},
        /* DM-CTL-01 to DM-CTL-03, DM-DEA-02. */
        {"entry-to-smm", F_ENTRY, entry | ENTRY_SMM, 0, 0},
        {"deactivate", F_ENTRY, entry | ENTRY_DEACTIVATE, 0, 0},
        {"both", F_ENTRY, entry | ENTRY_SMM | ENTRY_DEACTIVATE, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(defects); i++) {
        with_defect(&defects[i], ERR_CONTROLS, "26.2.1");
    }
}

static void test_loads(void)
{
    uint32_t offered = (uint32_t)(rdmsr(MSR_VMX_TRUE_ENTRY) >> 32);

    if (offered & ENTRY_LOAD_EFER) {
        const struct defect defects[] = {
            /* 26.3.1.1: EFER.LMA as "IA-32e mode guest", LME as LMA. */
            {"efer-lma", F_GUEST_EFER, 0, F_ENTRY, entry | ENTRY_LOAD_EFER},
            {"efer-lme", F_GUEST_EFER, EFER_LMA, F_ENTRY,
             entry | ENTRY_LOAD_EFER},
            {"efer-reserved", F_GUEST_EFER, EFER_LMA | EFER_LME | 2, F_ENTRY,
             entry | ENTRY_LOAD_EFER},
        };
        for (size_t i = 0; i < ARRAY_SIZE(defects); i++) {
            with_defect(&defects[i], 0, "26.3.1.1");
        }
    }
    if (offered & ENTRY_LOAD_PAT) {
        const struct defect defect = {"pat", F_GUEST_PAT, 2, F_ENTRY,
                                      entry | ENTRY_LOAD_PAT};
        with_defect(&defect, 0, "26.3.1.1");
    }
    if (offered & ENTRY_LOAD_DEBUG) {
        const struct defect defect = {"dr7", F_GUEST_DR7, 1ull << 32, F_ENTRY,
                                      entry | ENTRY_LOAD_DEBUG};
        with_defect(&defect, 0, "26.3.1.1");
    }
    if ((rdmsr(MSR_VMX_TRUE_EXIT) >> 32) & EXIT_LOAD_EFER) {
        const struct defect defect = {"host-efer", F_HOST_EFER, 0, F_EXIT,
                                      exit_ctl | EXIT_LOAD_EFER};
        with_defect(&defect, ERR_HOST_STATE, "26.2.2");
    }
}

static void test_link(uint64_t current)
{
    uint64_t page = phys(page_alloc());
    const struct {
        const char *id, *name;
        uint64_t link;
    } rows[] = {
        /* DM-CTL-12, DM-RET-29 and 26.3.1.5: qualification 4. */
        {"26.3.1.5", "link-misaligned", current + 8},
        {"26.3.1.5", "link-width", BEYOND_WIDTH},
        {"26.3.1.5", "link-revision", page},
        {"DM-CTL-12", "link-is-current", current},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        wr(F_LINK, rows[i].link);
        check_failed_entry(rows[i].id, rows[i].name, 4);
    }
    wr(F_LINK, NO_VMCS);
}

void run_tests(void)
{
    uint64_t current, flags;

    vmx_start();
    current = vmcs_new_guest(guest_code);
    pin = (uint32_t)rd(F_PIN);
    proc = (uint32_t)rd(F_PROC);
    exit_ctl = (uint32_t)rd(F_EXIT);
    entry = (uint32_t)rd(F_ENTRY);
    wr(F_HOST_EFER, rdmsr(MSR_EFER));

    test_controls();
    /* DM-CTL-08: none of these wrote exit information. */
    check_eq("DM-CTL-08", "reason-untouched", rd(F_REASON), 0);
    for (size_t i = 0; i < ARRAY_SIZE(host_defects); i++) {
        with_defect(&host_defects[i], ERR_HOST_STATE, "26.2.2");
    }
    for (size_t i = 0; i < ARRAY_SIZE(guest_defects); i++) {
        with_defect(&guest_defects[i], 0, "26.3.1");
    }
    /* DM-CTL-11: outside SMM interruptibility bit 2 must be 0. */
    wr(F_INTERRUPTIBILITY, BLOCKED_SMI);
    check_failed_entry("DM-CTL-11", "blocked-by-smi", 0);
    wr(F_INTERRUPTIBILITY, 0);
    test_loads();
    test_link(current);

    /* DM-RET-68, DM-CTL-14: 200CH plays no part outside SMM. */
    wr(F_EXECUTIVE_VMCS, NO_VMCS);
    /* 26.7: failed entries left the launch state clear: VMLAUNCH succeeds. */
    guest_run(LAUNCH);
    check_eq("DM-CTL-14", "repaired", last_exit.reason, REASON_VMCALL);
    check_vmx("26.1", "launched", vm_enter(&guest, LAUNCH),
              ERR_LAUNCH_NOT_CLEAR);
    /* 26.1: blocking by MOV SS comes before the launch state. */
    __asm__ volatile("mov %%ss, %%eax\n\tmov %%eax, %%ss\n\tvmlaunch\n\t"
                     "pushfq\n\tpopq %0"
                     : "=r"(flags)
                     :
                     : "rax", "cc", "memory");
    check_vmx("26.1", "mov-ss", flags & RFLAGS_ARITHMETIC, ERR_MOV_SS);
    vmclear(current);
    check_vmx("30.3-VMXOFF", "success", vmxoff(), SUCCESS);
}
