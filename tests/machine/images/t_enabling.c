/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What it takes to activate: MSEG base and header bit by bit, IA32_FEATURE_CONTROL,
 * and VMCALL and VMXOFF where nothing is activated.
 * DUAL = 0: a processor with VMX but without the dual-monitor treatment.
 */
#include "stm.h"

static void do_vmxoff(void *unused)
{
    (void)unused;
    (void)vmxoff();
}

#if DUAL
#define HEADER_PAGE 0x41000u /* another page of MSEG that can hold a header */
#define OTHER_GDT   0x42000u
#define OTHER_ENTRY 0x43000u
#define OTHER_PML4  0x44000u
#define ENTRY_SIZE  0x400u

static uint32_t header_dwords[8];
static uint64_t header_at = MSEG_BASE;

static void write_header(void)
{
    for (unsigned i = 0; i < 8; i++) {
        write32(header_at + 4 * i, header_dwords[i]);
        write32(header_at + 32 + 4 * i, UINT32_MAX); /* not the processor's */
    }
}

/* From MSEG_BASE these mean what mseg_build() has put there. */
static void default_dwords(uint64_t at)
{
    const struct mseg_header header = mseg_default_header();
    const uint32_t shift = (uint32_t)(at - MSEG_BASE);

    memcpy(header_dwords, &header, sizeof(header));
    header_dwords[3] -= shift;
    header_dwords[5] -= shift;
    header_dwords[6] -= shift;
    header_dwords[7] -= shift;
    header_at = at;
}

static void deactivate(void)
{
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
}

/* The number of VMCALL's error, 0 if it has activated; deactivates again. */
static uint32_t activate(void)
{
    uint32_t before = stm_starts, error;
    uint64_t region = activation_vmcs(), flags;

    flags = vmcall();
    if (flags == VMX_SUCCEED && stm_starts == before + 1) {
        stm_call(deactivate);
        vmclear(region);
        return 0;
    }
    error = flags == VMX_FAIL_VALID ? (uint32_t)rd(VMCS_INSTRUCTION_ERROR) : UINT32_MAX;
    vmclear(region);
    return error;
}

static uint32_t activate_with_header(void)
{
    smm_call(write_header);
    return activate();
}

/* DM-ENA-24: bits 31:12, each of them. */
static void test_base(void)
{
    const uint64_t base = MSEG_BASE + HEADER_PAGE;
    uint32_t ignored = 0;

    /* No valid header at the other places: revisions are wrong or there is none. */
    default_dwords(MSEG_BASE);
    header_dwords[0] = 0x12345678;
    smm_call(write_header);
    default_dwords(base);
    smm_call(write_header);
    for (unsigned bit = 12; bit < 32; bit++) {
        smm_monitor_ctl((base ^ 1ull << bit) | 1);
        if (!activate()) {
            ignored |= 1u << bit;
        }
    }
    check_eq("DM-ENA-24", "bits-ignored", ignored, 0);
    smm_monitor_ctl(base | 1);
    check_eq("DM-ENA-24", "another-page", activate(), 0);
    check_eq("DM-ENA-24", "eip-from-that-base", at_entry.rip, MSEG_BASE + MSEG_ENTRY);
    smm_monitor_ctl(MSEG_BASE | 1);
}

/* DM-ENA-35: all 32 bits count. */
static void test_revision(void)
{
    uint32_t wrong = 0;

    for (unsigned bit = 0; bit < 32; bit++) {
        default_dwords(MSEG_BASE);
        header_dwords[0] ^= 1u << bit;
        if (activate_with_header() != VMX_ERROR_VMCALL_MSEG_REVISION) {
            wrong |= 1u << bit;
        }
    }
    check_eq("DM-ENA-35", "bits-that-do-not-count", wrong, 0);
    default_dwords(MSEG_BASE);
    check_eq("DM-ENA-35", "the-processor's", header_dwords[0], rdmsr(MSR_VMX_MISC) >> 32);
    check_eq("DM-ENA-35", "equal", activate_with_header(), 0);
}

/* DM-ENA-36: bits 31:1 must be 0. */
static void test_features(void)
{
    uint32_t wrong = 0;

    for (unsigned bit = 1; bit < 32; bit++) {
        default_dwords(MSEG_BASE);
        header_dwords[1] |= 1u << bit;
        if (activate_with_header() != VMX_ERROR_VMCALL_MSEG_FEATURES) {
            wrong |= 1u << bit;
        }
    }
    check_eq("DM-ENA-36", "bits-that-do-not-count", wrong, 0);
    default_dwords(MSEG_BASE);
    check_eq("DM-ENA-36", "bit-0-alone", activate_with_header(), 0);
    check_eq("DM-ENA-36", "ia-32e-mode", at_entry.efer & EFER_LMA, EFER_LMA);
}

static void make_others(void)
{
    memcpy((void *)(uintptr_t)(MSEG_BASE + OTHER_GDT), (void *)(uintptr_t)(MSEG_BASE + MSEG_GDT), 0x58);
    memcpy((void *)(uintptr_t)(MSEG_BASE + OTHER_ENTRY), (void *)(uintptr_t)(MSEG_BASE + MSEG_ENTRY), ENTRY_SIZE);
    write64(MSEG_BASE + OTHER_PML4, read64(MSEG_BASE + MSEG_TABLES));
}

/* DM-ENA-34: which dword does what; one differs, all results are looked at. */
static void test_layout(void)
{
    static const struct {
        const char *name;
        unsigned dword;
        uint32_t value;
    } rows[] = {
        {"gdtr-limit", 2, 0x5F},
        {"gdtr-base", 3, OTHER_GDT},
        {"cs", 4, 0x30},
        {"eip", 5, OTHER_ENTRY},
        {"esp", 6, MSEG_STACK_TOP - 0x800},
        {"cr3", 7, OTHER_PML4},
    };

    smm_call(make_others);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t *d = header_dwords;

        default_dwords(MSEG_BASE);
        d[rows[i].dword] = rows[i].value;
        check_eq("DM-ENA-34", rows[i].name, activate_with_header(), 0);
        check_eq("DM-ENA-34", "gdtr-limit-is", at_entry.gdtr_limit, d[2]);
        check_eq("DM-ENA-34", "gdtr-base-is", at_entry.gdtr_base, MSEG_BASE + d[3]);
        check_eq("DM-ENA-34", "cs-is", at_entry.cs, d[4]);
        check_eq("DM-ENA-34", "rip-is", at_entry.rip, MSEG_BASE + d[5]);
        check_eq("DM-ENA-34", "rsp-is", at_entry.rsp, MSEG_BASE + d[6]);
        check_eq("DM-ENA-34", "cr3-is", at_entry.cr3, MSEG_BASE + d[7]);
    }
    default_dwords(MSEG_BASE);
    smm_call(write_header);
}

/* ---- VMCALL in the STM ---- */
static void vmcall_in_stm(void)
{
    uint64_t transfer = vmptrst(), value = 0;
    uint32_t before = stm_exits;

    (void)vmread_flags(0x7FFE, &value); /* leaves error 12 */
    check_eq("DM-ACT-05", "another-error-before", rd(VMCS_INSTRUCTION_ERROR), VMX_ERROR_UNSUPPORTED_COMPONENT);
    check_vmx("DM-ACT-05", "vmcall-in-smm", vmcall(), VMX_ERROR_VMCALL_IN_ROOT);
    vmclear(transfer);
    check_vmx("DM-ACT-05", "vmcall-without-vmcs", vmcall(), FAIL_INVALID);
    vmptrld(transfer);
    stm_launch = true;
    check_eq("DM-ACT-05", "no-exit", stm_exits, before);
}

/* ---- VMXOFF ---- */
static volatile uint32_t vmxoff_in_handler;

static void vmxoff_in_smm(void)
{
    vmxoff_in_handler = try_call(do_vmxoff, NULL);
}

static void restart_vmx(void)
{
    if (vmxon(vmxon_region)) {
        panic("vmxon");
    }
}

/*
 * SMIs that are blocked outside SMM under the default treatment exist with SMX
 * only, so that here they are open before VMXOFF and have to be open after it.
 */
static void test_vmxoff(void)
{
    static const struct {
        const char *id, *name;
        uint32_t bits;
    } rows[] = {
        {"DM-DEF-35", "bit-2-clear", 1},
        {"DM-DEF-35", "bits-2-and-0-clear", 0},
        {"DM-DEA-22", "bit-2-set", 5},
        {"DM-DEA-22", "bit-0-clear", 4},
    };

    smm_call(vmxoff_in_smm);
    check_eq("DM-DEF-35", "in-the-handler", vmxoff_in_handler, FAULT_UD);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t before;

        smm_monitor_ctl(MSEG_BASE | rows[i].bits);
        check_vmx(rows[i].id, rows[i].name, vmxoff(), SUCCESS);
        before = smi_count;
        smi_port_raise(0x80);
        check_eq(rows[i].id, "smis-still-open", smi_count, before + 1);
        check_eq(rows[i].id, "9bh-unchanged", rdmsr(MSR_SMM_MONITOR_CTL), MSEG_BASE | rows[i].bits);
        restart_vmx();
    }
    smm_monitor_ctl(MSEG_BASE | 1);
}

static void smi_hook_idle(void)
{
}

void run_tests(void)
{
    struct mseg_header header = mseg_default_header();
    uint64_t region;

    mseg_build(&header);
    tseg_close();
    vmx_start();
    /* DM-INT-01: the default treatment, and no SMM-transfer VMCS to exit to. */
    smm_call(smi_hook_idle);
    check_eq("DM-INT-01", "handler", smi_count, 1);
    region = activation_vmcs();
    check_vmx("DM-INT-01", "vmcall", vmcall(), VMX_ERROR_VMCALL_IN_ROOT);
    check_eq("DM-INT-01", "no-stm", stm_starts, 0);
    vmclear(region);
    smm_monitor_ctl(MSEG_BASE | 1);

    /* DM-INT-03: lock and "enable VMX outside SMX operation", nothing else. */
    check_eq("DM-INT-03", "feature-control", rdmsr(MSR_FEATURE_CONTROL), 5);
    check_eq("DM-INT-03", "activates", activate(), 0);
    test_vmxoff();
    test_base();
    test_revision();
    test_features();
    test_layout();

    region = activation_vmcs();
    if (vmcall()) {
        panic("activation");
    }
    stm_call(vmcall_in_stm);
}
#else
static void entry_with(const char *name, uint32_t set)
{
    uint64_t region = vmcs_new_guest(NULL);

    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | set);
    check_vmx("DM-CTL-06", name, vm_enter(&guest, LAUNCH), VMX_ERROR_ENTRY_CONTROLS);
    vmclear(region);
}

void run_tests(void)
{
    uint64_t region, entry = 0;

    vmx_start();
    entry = capability(MSR_VMX_TRUE_ENTRY) >> 32;
    check_eq("DM-CTL-06", "allowed-1", entry & (VMX_ENTRY_TO_SMM | VMX_ENTRY_DEACTIVATE), 0);
    entry_with("entry-to-smm", VMX_ENTRY_TO_SMM);
    entry_with("deactivate", VMX_ENTRY_DEACTIVATE);
    entry_with("both", VMX_ENTRY_TO_SMM | VMX_ENTRY_DEACTIVATE);

    check_vmx("DM-ACT-06", "without-vmcs", vmcall(), FAIL_INVALID);
    region = vmcs_new();
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));
    check_vmx("DM-ACT-06", "vmcall", vmcall(), VMX_ERROR_VMCALL_IN_ROOT);
    vmclear(region);
    check_eq("DM-ACT-06", "vmxoff", try_call(do_vmxoff, NULL), NO_FAULT);
}
#endif
