/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* VMXON, VMXOFF, the VMCS instructions and their errors; no guest is run. */
#include "vmx.h"

static void do_vmxon(void *region)
{
    (void)vmxon((uint64_t)(uintptr_t)region);
}

static void do_vmxoff(void *unused)
{
    (void)unused;
    (void)vmxoff();
}

static void do_vmcall(void *unused)
{
    (void)unused;
    (void)vmcall();
}

static void do_vmptrst(void *unused)
{
    (void)unused;
    (void)vmptrst();
}

static void do_vmclear(void *region)
{
    (void)vmclear((uint64_t)(uintptr_t)region);
}

static void do_vmread(void *unused)
{
    (void)unused;
    (void)rd(VMCS_GUEST_RIP);
}

static void do_vmlaunch(void *unused)
{
    (void)unused;
    (void)vmlaunch_plain();
}

static void do_rsm(void *unused)
{
    (void)unused;
    __asm__ volatile("rsm" : : : "memory");
}

static void do_vmptrld(void *region)
{
    (void)vmptrld((uint64_t)(uintptr_t)region);
}

static void do_vmwrite(void *unused)
{
    (void)unused;
    (void)vmwrite_flags(VMCS_GUEST_RIP, 0);
}

static void do_vmresume(void *unused)
{
    (void)unused;
    (void)vmresume_plain();
}

static void do_invept(void *unused)
{
    uint64_t descriptor[2] = {0, 0};

    (void)unused;
    __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(2ull) : "cc", "memory");
}

static void do_invvpid(void *unused)
{
    uint64_t descriptor[2] = {0, 0};

    (void)unused;
    __asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"(2ull) : "cc", "memory");
}

static const struct {
    const char *name;
    void (*run)(void *);
} instructions[] = {
    {"vmxoff", do_vmxoff},     {"vmcall", do_vmcall},   {"vmptrst", do_vmptrst},
    {"vmread", do_vmread},     {"vmlaunch", do_vmlaunch}, {"vmclear", do_vmclear},
    {"vmptrld", do_vmptrld},   {"vmwrite", do_vmwrite}, {"vmresume", do_vmresume},
    {"invept", do_invept},     {"invvpid", do_invvpid},
};

static void test_outside(void)
{
    /* #UD outside VMX operation. */
    check_eq("DM-ACT-01", "vmcall", try_call(do_vmcall, NULL), FAULT_UD);
    for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
        check_eq("VMX-INS-13", instructions[i].name, try_call(instructions[i].run, NULL),
                 FAULT_UD);
    }
    /* DM-DEF-32: RSM outside SMM raises #UD. */
    check_eq("DM-DEF-32", "rsm-outside-vmx", try_call(do_rsm, NULL), FAULT_UD);
}

static void register_vmxon(void *unused)
{
    (void)unused;
    __asm__ volatile(".byte 0xF3, 0x0F, 0xC7, 0xF0" : : : "cc", "memory");
}

static void vmxon_without_ne(void *region)
{
    write_cr0(read_cr0() & ~(uint64_t)CR0_NE);
    do_vmxon(region);
}

/* The operand of VMXON and the bits that it demands; outside VMX operation. */
static void test_vmxon_operand(void)
{
    check_eq("VMX-INS-08", "register-operand", try_call(register_vmxon, NULL), FAULT_UD);
    check_eq("VMX-INS-09", "cr0-ne", try_call(vmxon_without_ne, (void *)vmxon_region), FAULT_GP);
    write_cr0(read_cr0() | CR0_NE);
}

static void test_vmxon(void)
{
    void *region = page_alloc();

    /* VMXON with CR4.VMXE = 0: #UD. */
    check_eq("VMX-INS-01", "vmxe-clear", try_call(do_vmxon, region), FAULT_UD);
    write_cr4(read_cr4() | CR4_VMXE);
    /* DM-INT-02: IA32_FEATURE_CONTROL not locked: #GP(0). */
    check_eq("DM-INT-02", "unlocked", try_call(do_vmxon, region), FAULT_GP);
    check_eq("VMX-INS-02", "unlocked", last_fault.error, 0);
    vmx_prepare();
    check_eq("VMX-INS-03", "cpl3", user_call(do_vmxon, region), FAULT_GP);

    test_vmxon_operand();

    /* Region checks: VMfailInvalid, since there is no current VMCS. */
    check_vmx("VMX-INS-05", "revision", vmxon(phys(region)), FAIL_INVALID);
    check_vmx("VMX-INS-04", "misaligned", vmxon(vmxon_region + 8), FAIL_INVALID);
    check_vmx("VMX-INS-04", "address-width", vmxon(vmxon_region | 1ull << 45),
              FAIL_INVALID);
    check_vmx("VMX-INS-16", "vmxon", vmxon(vmxon_region), SUCCESS);
    /* VMXON leaves no current VMCS. */
    check_eq("VMX-INS-06", "no-current-vmcs", vmptrst(), NO_VMCS);
    /* DM-INT-04, DM-INT-27: error 15 becomes VMfailInvalid without VMCS. */
    check_vmx("DM-INT-27", "vmxon-in-root-no-vmcs", vmxon(vmxon_region),
              FAIL_INVALID);
}

static void clear_cr4_vmxe(void *unused)
{
    (void)unused;
    write_cr4(read_cr4() & ~(uint64_t)CR4_VMXE);
}

static void clear_cr0(void *bits)
{
    write_cr0(read_cr0() & ~(uint64_t)(uintptr_t)bits);
}

static uint64_t *const absent = (uint64_t *)0x8000000000; /* not mapped */

static void absent_vmclear(void *unused)
{
    (void)unused;
    __asm__ volatile("vmclear %0" : : "m"(*absent) : "cc", "memory");
}

static void absent_vmptrld(void *unused)
{
    (void)unused;
    __asm__ volatile("vmptrld %0" : : "m"(*absent) : "cc", "memory");
}

static void absent_vmptrst(void *unused)
{
    (void)unused;
    __asm__ volatile("vmptrst %0" : "=m"(*absent) : : "cc", "memory");
}

static void absent_vmread(void *unused)
{
    (void)unused;
    __asm__ volatile("vmread %1, %0" : "=m"(*absent) : "r"((uint64_t)VMCS_GUEST_RIP) : "cc", "memory");
}

static void absent_vmwrite(void *unused)
{
    (void)unused;
    __asm__ volatile("vmwrite %0, %1" : : "m"(*absent), "r"((uint64_t)VMCS_GUEST_RIP) : "cc", "memory");
}

/* A current VMCS is needed for the last two. */
static void test_absent_operands(void)
{
    static const struct {
        const char *name;
        void (*run)(void *);
        uint64_t error;
    } rows[] = {
        {"vmclear", absent_vmclear, 0},
        {"vmptrld", absent_vmptrld, 0}, {"vmptrst", absent_vmptrst, 2},
        {"vmread", absent_vmread, 2},   {"vmwrite", absent_vmwrite, 0},
    };

    vmcs_new();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check_eq("VMX-INS-10", rows[i].name, try_call(rows[i].run, NULL), FAULT_PF);
        check_eq("VMX-INS-10", "error-code", last_fault.error, rows[i].error);
        check_eq("VMX-INS-10", "address", read_cr2(), phys(absent));
    }
}

/* Memory operands of VMREAD and VMWRITE. */
static void test_memory_operands(void)
{
    uint64_t source = 0xABCDEF0123456789, target = UINT64_MAX;

    vmcs_new();
    __asm__ volatile("vmwrite %0, %1" : : "m"(source), "r"((uint64_t)VMCS_GUEST_ES_SELECTOR) : "cc", "memory");
    __asm__ volatile("vmread %1, %0" : "=m"(target) : "r"((uint64_t)VMCS_GUEST_ES_SELECTOR) : "cc", "memory");
    check_eq("VMX-INS-35", "memory-source", rd(VMCS_GUEST_ES_SELECTOR), 0x6789);
    check_eq("VMX-INS-31", "memory-target", target, 0x6789);
    wr(VMCS_PIN_CONTROLS, UINT64_MAX);
    check_eq("VMX-INS-31", "zeros-above", rd(VMCS_PIN_CONTROLS), 0xFFFFFFFF);
    check_vmx("VMX-INS-36", "high-of-natural-width", vmread_flags(VMCS_GUEST_RIP + 1, &target),
              VMX_ERROR_UNSUPPORTED_COMPONENT);
    check_vmx("VMX-INS-36", "high-of-32-bit", vmread_flags(VMCS_PIN_CONTROLS + 1, &target),
              VMX_ERROR_UNSUPPORTED_COMPONENT);
}

static void do_vmfunc(void *unused)
{
    (void)unused;
    __asm__ volatile(".byte 0x0F, 0x01, 0xD4" : : "a"(0), "c"(0) : "memory");
}

static void test_root_calls(void)
{
    check_eq("VMX-INS-51", "vmfunc-in-root", try_call(do_vmfunc, NULL), FAULT_UD);
    if (!(rdmsr(MSR_VMX_BASIC) >> 49 & 1)) {
        vmcs_new();
        check_vmx("VMX-INS-42", "vmcall", vmcall(), VMX_ERROR_VMCALL_IN_ROOT);
    }
}

static void test_fixed_bits(void)
{
    /* Clearing a fixed bit in VMX operation raises #GP(0). */
    check_eq("VMX-CAP-28", "cr4-vmxe", try_call(clear_cr4_vmxe, NULL), FAULT_GP);
    check_eq("VMX-CAP-27", "cr0-ne", try_call(clear_cr0, (void *)CR0_NE), FAULT_GP);
    check_eq("VMX-CAP-27", "cr0-pg", try_call(clear_cr0, (void *)(uintptr_t)CR0_PG),
             FAULT_GP);
    check_eq("VMX-CAP-29", "cr0-free-bit", try_call(clear_cr0, (void *)CR0_TS),
             NO_FAULT);
}

static void test_no_current(void)
{
    uint64_t value = 0;

    /* Without a current VMCS these fail with VMfailInvalid. */
    check_vmx("VMX-INS-28", "vmread-no-vmcs", vmread_flags(VMCS_GUEST_RIP, &value),
              FAIL_INVALID);
    check_vmx("VMX-INS-32", "vmwrite-no-vmcs", vmwrite_flags(VMCS_GUEST_RIP, 0),
              FAIL_INVALID);
    check_vmx("VMX-INS-38", "vmlaunch-no-vmcs", vm_enter(&guest, LAUNCH), FAIL_INVALID);
    check_vmx("VMX-INS-38", "vmresume-no-vmcs", vm_enter(&guest, RESUME), FAIL_INVALID);
    check_vmx("VMX-INS-17", "vmclear-misaligned-no-vmcs", vmclear(0x1001),
              FAIL_INVALID);
    check_vmx("VMX-INS-17", "vmptrld-misaligned-no-vmcs", vmptrld(0x1001),
              FAIL_INVALID);
}

static void test_pointers(void)
{
    uint64_t first = vmcs_new();
    uint64_t second = vmcs_alloc();
    uint64_t bad = phys(page_alloc());

    check_eq("VMX-INS-27", "current", vmptrst(), first);
    /* DM-INT-06, DM-INT-07: the errors of VMPTRLD and VMCLEAR. */
    check_vmx("VMX-INS-23", "vmptrld-misaligned", vmptrld(second + 4),
              VMX_ERROR_VMPTRLD_ADDRESS);
    check_vmx("VMX-INS-23", "vmptrld-width", vmptrld(second | 1ull << 40),
              VMX_ERROR_VMPTRLD_ADDRESS);
    check_vmx("DM-INT-06", "vmptrld-vmxon", vmptrld(vmxon_region),
              VMX_ERROR_VMPTRLD_VMXON_POINTER);
    check_vmx("VMX-INS-24", "vmptrld-vmxon", vmptrld(vmxon_region),
              VMX_ERROR_VMPTRLD_VMXON_POINTER);
    check_vmx("VMX-INS-25", "vmptrld-revision", vmptrld(bad),
              VMX_ERROR_VMPTRLD_REVISION);
    write32(bad, vmcs_revision() | 1u << 31);
    check_vmx("VMX-INS-25", "vmptrld-shadow", vmptrld(bad), VMX_ERROR_VMPTRLD_REVISION);
    check_eq("VMX-INS-26", "unchanged", vmptrst(), first);
    check_vmx("VMX-INS-19", "vmclear-misaligned", vmclear(second + 8),
              VMX_ERROR_VMCLEAR_ADDRESS);
    check_vmx("VMX-INS-19", "vmclear-width", vmclear(second | 1ull << 52),
              VMX_ERROR_VMCLEAR_ADDRESS);
    check_vmx("DM-INT-07", "vmclear-vmxon", vmclear(vmxon_region),
              VMX_ERROR_VMCLEAR_VMXON_POINTER);
    check_vmx("VMX-INS-20", "vmclear-vmxon", vmclear(vmxon_region),
              VMX_ERROR_VMCLEAR_VMXON_POINTER);
    check_vmx("DM-INT-04", "vmxon-in-root", vmxon(vmxon_region),
              VMX_ERROR_VMXON_IN_ROOT);
    check_vmx("VMX-INS-07", "vmxon-in-root", vmxon(vmxon_region),
              VMX_ERROR_VMXON_IN_ROOT);
    check_eq("VMX-INS-18", "error-field", rd(VMCS_INSTRUCTION_ERROR),
             VMX_ERROR_VMXON_IN_ROOT);

    /* Fields belong to their VMCS. */
    wr(VMCS_GUEST_RIP, 0x1111);
    check_vmx("VMX-INS-16", "vmclear", vmclear(second), SUCCESS);
    check_eq("VMX-INS-22", "other-keeps-current", vmptrst(), first);
    check_vmx("VMX-INS-52", "second", vmptrld(second), SUCCESS);
    wr(VMCS_GUEST_RIP, 0x2222);
    check_vmx("VMX-INS-52", "first", vmptrld(first), SUCCESS);
    check_eq("VMX-INS-26", "first-value", rd(VMCS_GUEST_RIP), 0x1111);
    check_vmx("VMX-INS-16", "vmclear-current", vmclear(first), SUCCESS);
    check_eq("VMX-INS-22", "none-current", vmptrst(), NO_VMCS);
    check_vmx("VMX-INS-52", "second-again", vmptrld(second), SUCCESS);
    check_eq("VMX-INS-26", "second-value", rd(VMCS_GUEST_RIP), 0x2222);
    check_vmx("VMX-INS-40", "clear-vmcs", vm_enter(&guest, RESUME),
              VMX_ERROR_VMRESUME_NOT_LAUNCHED);
}

/* A VMCLEARed region may be copied as plain bytes (DM-STM-35). */
static void test_copy(void)
{
    uint64_t original = vmcs_new();
    uint64_t copy = vmcs_alloc();

    wr(VMCS_GUEST_RIP, 0xABCD);
    wr(VMCS_EXECUTIVE_VMCS_POINTER, 0x123000);
    vmclear(original);
    memcpy((void *)copy, (void *)original, PAGE_SIZE);
    check_vmx("DM-STM-35", "load-copy", vmptrld(copy), SUCCESS);
    check_eq("DM-STM-35", "copied-rip", rd(VMCS_GUEST_RIP), 0xABCD);
    check_eq("VMX-INS-21", "written-to-memory", rd(VMCS_GUEST_RIP), 0xABCD);
    check_eq("DM-STM-35", "copied-executive", rd(VMCS_EXECUTIVE_VMCS_POINTER), 0x123000);
}

static void test_fields(void)
{
    static const struct {
        uint32_t field;
        uint64_t mask; /* the field's width */
    } rows[] = {
        {VMCS_GUEST_ES_SELECTOR, 0xFFFF},
        {VMCS_GUEST_TR_SELECTOR, 0xFFFF},
        {VMCS_HOST_TR_SELECTOR, 0xFFFF},
        {VMCS_IO_BITMAP_A, UINT64_MAX},
        {VMCS_MSR_BITMAP, UINT64_MAX},
        {VMCS_EXECUTIVE_VMCS_POINTER, UINT64_MAX}, /* DM-INT-10: writable */
        {VMCS_TSC_OFFSET, UINT64_MAX},
        {VMCS_EPT_POINTER, UINT64_MAX},
        {VMCS_LINK_POINTER, UINT64_MAX},
        {VMCS_GUEST_IA32_EFER, UINT64_MAX},
        {VMCS_HOST_IA32_EFER, UINT64_MAX},
        {VMCS_PIN_CONTROLS, 0xFFFFFFFF},
        {VMCS_PROCESSOR_CONTROLS, 0xFFFFFFFF},
        {VMCS_ENTRY_CONTROLS, 0xFFFFFFFF}, /* DM-CTL-07: any value */
        {VMCS_SECONDARY_CONTROLS, 0xFFFFFFFF},
        {VMCS_GUEST_LIMIT(SEG_GS), 0xFFFFFFFF},
        {VMCS_GUEST_ACCESS_RIGHTS(SEG_TR), 0xFFFFFFFF},
        {VMCS_GUEST_INTERRUPTIBILITY_STATE, 0xFFFFFFFF},
        {VMCS_GUEST_ACTIVITY_STATE, 0xFFFFFFFF},
        {VMCS_GUEST_SMBASE, 0xFFFFFFFF}, /* DM-INT-10: writable */
        {VMCS_HOST_IA32_SYSENTER_CS, 0xFFFFFFFF},
        {VMCS_CR0_GUEST_HOST_MASK, UINT64_MAX},
        {VMCS_CR4_READ_SHADOW, UINT64_MAX},
        {VMCS_GUEST_CR3, UINT64_MAX},
        {VMCS_GUEST_BASE(SEG_FS), UINT64_MAX},
        {VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, UINT64_MAX},
        {VMCS_HOST_RIP, UINT64_MAX},
    };
    uint64_t region = vmcs_new(), value = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        wr(rows[i].field, 0xA5A5F00D5A5A0000ull + rows[i].field);
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check_eq("VMX-INS-35", "field-width", rd(rows[i].field),
                 (0xA5A5F00D5A5A0000ull + rows[i].field) & rows[i].mask);
    }
    check_eq("DM-CTL-07", "any-value", rd(VMCS_ENTRY_CONTROLS), (0x5A5A0000u + VMCS_ENTRY_CONTROLS) & 0xFFFFFFFF);
    /* High access reads and writes bits 63:32 of a 64-bit field. */
    wr(VMCS_LINK_POINTER + 1, 0x11223344);
    check_eq("VMX-INS-36", "high-read", rd(VMCS_LINK_POINTER + 1), 0x11223344);
    check_eq("VMX-INS-36", "high-write", rd(VMCS_LINK_POINTER),
             0x1122334400000000ull | (0x5A5A0000u + VMCS_LINK_POINTER));

    check_vmx("VMX-INS-29", "unsupported", vmread_flags(0x7FFE, &value),
              VMX_ERROR_UNSUPPORTED_COMPONENT);
    check_vmx("VMX-INS-30", "wide-encoding",
              vmread_flags(VMCS_GUEST_RIP | 1ull << 32, &value), VMX_ERROR_UNSUPPORTED_COMPONENT);
    check_vmx("VMX-INS-33", "unsupported", vmwrite_flags(0x7FFE, 1),
              VMX_ERROR_UNSUPPORTED_COMPONENT);
    if (!(rdmsr(MSR_VMX_MISC) >> 29 & 1)) {
        /* DM-INT-10: exit information is read-only without IA32_VMX_MISC[29]. */
        static const uint32_t read_only[] = {
            VMCS_EXIT_REASON, VMCS_EXIT_QUALIFICATION, VMCS_IO_RIP, VMCS_GUEST_LINEAR_ADDRESS,
            VMCS_INSTRUCTION_ERROR,
        };
        for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
            check_vmx("DM-INT-10", "read-only", vmwrite_flags(read_only[i], 1),
                      VMX_ERROR_READ_ONLY_COMPONENT);
            check_vmx("VMX-INS-34", "read-only",
                      vmwrite_flags(read_only[i], 1), VMX_ERROR_READ_ONLY_COMPONENT);
        }
    }
    /* DM-INT-09: these exist on every processor with VMX. */
    check_vmx("DM-INT-09", "io-rcx", vmread_flags(VMCS_IO_RCX, &value), SUCCESS);
    check_vmx("DM-INT-09", "smbase", vmread_flags(VMCS_GUEST_SMBASE, &value), SUCCESS);
    check_vmx("DM-INT-09", "executive-high",
              vmread_flags(VMCS_EXECUTIVE_VMCS_POINTER + 1, &value), SUCCESS);
    vmclear(region);
}

extern uint8_t compat_vmcall[], compat_vmxoff[], compat_vmread[];
extern uint8_t compat_others[], compat_others_end[];
#define COMPAT_SLOT 32

static void test_modes(void)
{
    vmcs_new();
    /* DM-ACT-04: #GP(0) at CPL 3. */
    for (size_t i = 0; i < ARRAY_SIZE(instructions); i++) {
        uint32_t vector = user_call(instructions[i].run, NULL);

        check_eq("DM-ACT-04", instructions[i].name, vector, FAULT_GP);
        check_eq("VMX-INS-14", instructions[i].name, vector, FAULT_GP);
        check_eq("VMX-INS-14", "error-code", last_fault.error, 0);
    }
    /* DM-ACT-03: #UD in compatibility mode. */
    check_eq("DM-ACT-03", "vmcall", compat_call((void (*)(void))compat_vmcall),
             FAULT_UD);
    check_eq("DM-DEA-23", "vmxoff", compat_call((void (*)(void))compat_vmxoff),
             FAULT_UD);
    check_eq("VMX-INS-15", "compat", compat_call((void (*)(void))compat_vmread),
             FAULT_UD);
    for (uint8_t *code = compat_others; code < compat_others_end; code += COMPAT_SLOT) {
        check("VMX-INS-15", "others", compat_call((void (*)(void))code) == FAULT_UD,
              "instruction:%d", (uint32_t)(code - compat_others) / COMPAT_SLOT);
    }
    /* DM-DEF-32: RSM in root outside SMM. */
    check_eq("DM-DEF-32", "rsm-in-root", try_call(do_rsm, NULL), FAULT_UD);
}

static void prefixed_vmcall(void *unused)
{
    (void)unused;
    __asm__ volatile(".byte 0xF0, 0x0F, 0x01, 0xC1" : : : "cc", "memory");
}

static void test_end(void)
{
    /* DM-ACT-23: LOCK makes VMCALL #UD. */
    check_eq("DM-ACT-23", "lock-vmcall", try_call(prefixed_vmcall, NULL),
             FAULT_UD);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
    check_eq("VMX-INS-11", "left", try_call(do_vmptrst, NULL), FAULT_UD);
    /* Outside VMX operation CR4.VMXE may be cleared again. */
    check_eq("VMX-CAP-29", "vmxe-free", try_call(clear_cr4_vmxe, NULL), NO_FAULT);
    vmx_start();
    check_eq("VMX-INS-12", "again", vmptrst(), NO_VMCS);
    check_vmx("VMX-INS-12", "vmxoff-again", vmxoff(), SUCCESS);
}

void run_tests(void)
{
    test_outside();
    test_vmxon();
    test_fixed_bits();
    test_no_current();
    test_pointers();
    test_copy();
    test_fields();
    test_absent_operands();
    test_memory_operands();
    test_root_calls();
    test_modes();
    test_end();
}
