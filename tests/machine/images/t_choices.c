/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the manual leaves open: golden results, this machine's choices.  They say
 * nothing about other processors.
 */
#include "real_guest.h"
#include "stm.h"

#define MARKER       0x1234567u
#define OTHER_SMBASE 0x12345u

void g_out(void);
void g_call(void);
extern uint8_t g_out_next[];
__asm__("g_out:\n\tout %al, $0xB2\n"
        "g_out_next:\n\tinc %rbx\n"
        "g_call:\n\tvmcall\n\tjmp g_call\n");

static void add_proc(uint32_t set)
{
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, (uint32_t)rd(VMCS_PROCESSOR_CONTROLS) | set));
}

/* ---- before activation: the save map on the interrupted guest's APIC-access page ---- */
static void nothing(void)
{
}

static void test_apic_page(void)
{
    uint64_t region = vmcs_new_guest(g_out), page = DEFAULT_SMBASE + 0xF000u;
    uint32_t before = smi_count;

    add_proc(VMX_CPU_TPR_SHADOW | VMX_CPU_SECONDARY_CONTROLS);
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_APIC_ACCESSES));
    wr(VMCS_APIC_ACCESS_ADDRESS, page);
    wr(VMCS_VIRTUAL_APIC_ADDRESS, phys(page_alloc()));
    wr(VMCS_TPR_THRESHOLD, 0);
    smi_hook = nothing;
    check_eq("DM-INT-23", "guest", guest_run(LAUNCH), VMX_REASON_VMCALL);
    smi_hook = NULL;
    check_eq("DM-INT-23", "handler", smi_count, before + 1);
    check_eq("DM-INT-23", "saved-as-memory", read64(page + 0xF78), phys(g_out_next));
    vmclear(region);
}

/* ---- activation ---- */
static void test_activation(void)
{
    activation_vmcs();
    /* Neither alignment nor width of the MSR-store address. */
    wr(VMCS_EXIT_MSR_STORE_ADDRESS, UINT64_MAX);
    wr(VMCS_EXIT_MSR_STORE_COUNT, 1);
    check_vmx("DM-ACT-14", "store-address", vmcall(), SUCCESS);
    check_eq("DM-ACT-14", "started", stm_starts, 1);
}

/* ---- exits ---- */
static volatile uint64_t field_in_stm;

static void mark_timer(void)
{
    wr(VMCS_EXIT_CONTROLS, rd(VMCS_EXIT_CONTROLS) | VMX_EXIT_SAVE_PREEMPTION_TIMER);
    wr(VMCS_PREEMPTION_TIMER_VALUE, MARKER);
}

static void read_timer(void)
{
    field_in_stm = rd(VMCS_PREEMPTION_TIMER_VALUE);
}

static void test_timer(void)
{
    uint64_t region;

    stm_call(mark_timer);
    stm_hook = read_timer;
    smi_port_write(0x80);
    check_eq("DM-EXI-44", "from-root", field_in_stm, MARKER);
    region = vmcs_new_guest(g_out);
    stm_hook = read_timer;
    guest_run(LAUNCH);
    check_eq("DM-EXI-44", "from-guest-without", field_in_stm, MARKER);
    vmclear(region);
}

/* ---- guests of the STM ---- */
static volatile uint32_t sguest_went_on;

static void sguest_init(void)
{
    self_ipi(IPI_INIT, 0);
    for (volatile int i = 0; i < 1000; i++) {
    }
    sguest_went_on++;
    __asm__ volatile("vmcall" : : : "memory");
}

static void run_sguest(void)
{
    uint64_t transfer = vmptrst(), region = vmcs_new_guest(sguest_init);

    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_TO_SMM);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    wr(VMCS_GUEST_SMBASE, OTHER_SMBASE);
    check_eq("DM-STM-29", "no-exit", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-STM-29", "guest-went-on", sguest_went_on, 1);
    check_eq("DM-STM-21", "smbase-kept", rd(VMCS_GUEST_SMBASE), OTHER_SMBASE);
    vmclear(region);
    vmptrld(transfer);
}

static void test_sguest(void)
{
    uint64_t region;

    stm_call(run_sguest);
    /* It has waited for the next guest outside SMM. */
    region = vmcs_new_guest(g_call);
    check_eq("DM-STM-29", "outside", guest_run(LAUNCH), VMX_REASON_INIT);
    vmclear(region);
}

/* ---- returns ---- */
static volatile uint32_t failure;

/* The error number, or 0 if it got further. */
static void note_failure(void)
{
    failure = vm_enter(&stm_guest, stm_launch) == VMX_FAIL_VALID ? (uint32_t)rd(VMCS_INSTRUCTION_ERROR) : 0;
}

static void with_shadow_indicator(void)
{
    uint64_t kept = rd(VMCS_EXECUTIVE_VMCS_POINTER), page = vmcs_alloc();

    write32(page, vmcs_revision() | 1u << 31);
    wr(VMCS_EXECUTIVE_VMCS_POINTER, page);
    note_failure();
    wr(VMCS_EXECUTIVE_VMCS_POINTER, kept);
}

static void with_injection_into_root(void)
{
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000000);
    note_failure();
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0);
}

static void with_both_defects(void)
{
    uint64_t kept = rd(VMCS_EXECUTIVE_VMCS_POINTER), entry = rd(VMCS_ENTRY_CONTROLS);

    wr(VMCS_EXECUTIVE_VMCS_POINTER, 1);
    wr(VMCS_ENTRY_CONTROLS, entry | 1u << 31);
    note_failure();
    wr(VMCS_EXECUTIVE_VMCS_POINTER, kept);
    wr(VMCS_ENTRY_CONTROLS, entry);
}

/* #GP with an error code, which a guest in real mode does not take. */
static void with_error_code(void)
{
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000B0D);
    wr(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0);
    note_failure();
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0);
}

static void check_root_failure(const char *id, const char *name, void (*with)(void), uint32_t want)
{
    stm_hook = with;
    smi_port_write(0x80);
    check_eq(id, name, failure, want);
}

/* Real mode: out %al, $0xB2; vmcall. */
static void test_real_mode(void)
{
    static const uint8_t code[] = {0xE6, 0xB2, 0x0F, 0x01, 0xC1, 0xEB, 0xFB};
    uint64_t region = real_guest_new(code, sizeof(code));

    stm_hook = with_error_code;
    check_eq("DM-RET-21", "guest", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("DM-RET-21", "executive-vmcs-decides", failure, VMX_ERROR_ENTRY_CONTROLS);
    vmclear(region);
}

void run_tests(void)
{
    stm_prepare();
    test_apic_page();
    test_activation();
    test_timer();
    test_sguest();
    check_root_failure("DM-RET-06", "shadow-indicator", with_shadow_indicator, VMX_ERROR_EXECUTIVE_POINTER);
    check_root_failure("DM-RET-19", "interrupt-0-into-root", with_injection_into_root, VMX_ERROR_ENTRY_CONTROLS);
    check_root_failure("DM-CTL-18", "pointer-before-controls", with_both_defects, VMX_ERROR_EXECUTIVE_POINTER);
    test_real_mode();
}
