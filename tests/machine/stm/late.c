/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Launchers as they are found: the STM is launched by one executive after the
 * other, each with another state of the processor and another activating VMCS,
 * serves SMIs, its own and a guest's, and is stopped.  Between two of them VMX operation ends, as over
 * a suspend.  Some are systems as they are; the others are every combination of mode,
 * CR0.WP, EFER.NXE and activating VMCS.
 */
#include "stm_under_test.h"

#define CR0_LINUX   0x80050033u
#define CR4_LINUX   0x752EB0u /* PKE SMAP SMEP OSXSAVE FSGSBASE VMXE UMIP OSXMMEXCPT OSFXSR PGE PAE PSE */
#define PAGE_USER   4u
#define SMIS        2u
#define PAGE_LARGE  0xE3u /* not a user's: SMEP and SMAP */
#define RIGHTS_CODE32 0xC09Bu
#define RIGHTS_DATA   0xC093u

/* What the activating VMCS holds. */
enum form {
    FORM_32_BIT_HOST, /* a zeroed page and the VM-exit controls, without host-address-space size */
    FORM_64_BIT_HOST, /* the same, with it */
    FORM_COPY,        /* the bytes of a full guest VMCS, which is cleared */
    FORM_GUEST,       /* a full guest VMCS itself */
};

/* Mode of the launcher: late32.asm for those of 32 bits. */
enum mode {
    MODE_64,
    MODE_32_PAGING, /* 32-bit paging */
    MODE_32_PAE,    /* PAE paging */
};

struct launcher {
    const char *name;
    uint32_t cr0, cr4;
    bool nxe, own_cr3;
    enum form form;
    enum mode mode;
};

static const struct launcher launchers[] = {
    { "linux", CR0_LINUX, CR4_LINUX, true, true, FORM_64_BIT_HOST },
    { "linux-mce", CR0_LINUX, CR4_LINUX | CR4_MCE, true, true, FORM_64_BIT_HOST },
    { "nxe-clear", CR0_LINUX, CR4_LINUX, false, true, FORM_64_BIT_HOST },
    { "firmware", 0x80010033u, 0x2668u, true, false, FORM_64_BIT_HOST },
#define FORMS(mode, cr4, wp, cr0, nxe, on) \
    { mode wp nxe ",empty", cr0, cr4, on, true, FORM_64_BIT_HOST, MODE }, \
    { mode wp nxe ",empty-32-bit-host", cr0, cr4, on, true, FORM_32_BIT_HOST, MODE }, \
    { mode wp nxe ",copy-of-guest", cr0, cr4, on, true, FORM_COPY, MODE }, \
    { mode wp nxe ",guest", cr0, cr4, on, true, FORM_GUEST, MODE },
#define MODES(mode, cr4) \
    FORMS(mode, cr4, ",wp", CR0_LINUX, ",nxe", true) \
    FORMS(mode, cr4, ",wp", CR0_LINUX, ",no-nxe", false) \
    FORMS(mode, cr4, ",no-wp", CR0_LINUX & ~CR0_WP, ",nxe", true) \
    FORMS(mode, cr4, ",no-wp", CR0_LINUX & ~CR0_WP, ",no-nxe", false)
#define MODE MODE_64
    MODES("64-bit", CR4_LINUX)
#undef MODE
#define MODE MODE_32_PAGING
    MODES("32-bit", CR4_LINUX & ~CR4_PAE)
#undef MODE
#define MODE MODE_32_PAE
    MODES("pae", CR4_LINUX)
};

/* What late32.asm keeps of a call. */
struct result {
    uint32_t eax, eflags, ebx, ecx, edx, esi, edi, ebp, esp, cr0, cr3, cr4, efer, cs, unused[2];
};
#define LATE32_SMI   0xFFFFFFFFu /* in place of a call */
#define LATE32_GUEST 0xFFFFFFFEu

extern volatile struct result late32_results[8];
extern volatile uint64_t late32_vmxon, late32_vmcs, late32_guest;
extern uint8_t late32_guest_code[], late32_guest_back[];
extern volatile uint32_t late32_guest_reason, late32_cr3, late32_cr4, late32_calls[8], late32_flags[2];
extern uint8_t late32_stack[];
void late32_run(void);

/* RAX to R15 without RSP, RFLAGS, RSP. */
uint64_t call_before[15], call_after[17], call_stack;

void patterned_call(void);
__asm__(".pushsection .text\n"
        "patterned_call:\n"
        "\tpush %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n"
        "\tmov %rsp, call_stack(%rip)\n"
        "\tlea call_before(%rip), %rax\n"
        "\tmov 8(%rax), %rbx\n\tmov 16(%rax), %rcx\n\tmov 24(%rax), %rdx\n"
        "\tmov 32(%rax), %rsi\n\tmov 40(%rax), %rdi\n\tmov 48(%rax), %rbp\n"
        "\tmov 56(%rax), %r8\n\tmov 64(%rax), %r9\n\tmov 72(%rax), %r10\n"
        "\tmov 80(%rax), %r11\n\tmov 88(%rax), %r12\n\tmov 96(%rax), %r13\n"
        "\tmov 104(%rax), %r14\n\tmov 112(%rax), %r15\n"
        "\tmov (%rax), %rax\n"
        "\tvmcall\n"
        "\tmov %rsp, call_after + 128(%rip)\n"
        "\tpush %rax\n\tpushfq\n"
        "\tlea call_after(%rip), %rax\n"
        "\tpopq 120(%rax)\n\tpopq (%rax)\n"
        "\tmov %rbx, 8(%rax)\n\tmov %rcx, 16(%rax)\n\tmov %rdx, 24(%rax)\n"
        "\tmov %rsi, 32(%rax)\n\tmov %rdi, 40(%rax)\n\tmov %rbp, 48(%rax)\n"
        "\tmov %r8, 56(%rax)\n\tmov %r9, 64(%rax)\n\tmov %r10, 72(%rax)\n"
        "\tmov %r11, 80(%rax)\n\tmov %r12, 88(%rax)\n\tmov %r13, 96(%rax)\n"
        "\tmov %r14, 104(%rax)\n\tmov %r15, 112(%rax)\n"
        "\tmov call_stack(%rip), %rsp\n"
        "\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n"
        ".popsection\n");

/*
 * A call with a pattern in every register: EDX of START is garbage but for bit 0.
 * Only EAX, and EBX of INITIALIZE_PROTECTION, may differ afterwards.
 */
static void call(const char *name, uint32_t number)
{
    uint64_t cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer = rdmsr(MSR_EFER), dr7 = read_dr7();
    unsigned changed = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(call_before); i++) {
        call_before[i] = 0x1122334455667788ull * (i + 1);
    }
    call_before[0] = 0xABCDEF0000000000ull | number;
    call_before[1] = 0;
    call_before[2] = 0;
    call_before[3] = 0xFEDCBA98DEADBEEEull;
    patterned_call();
    check_eq("LATE-STATUS", name, (uint32_t)call_after[0], STM_SUCCESS);
    check_eq("LATE-FLAGS", name, call_after[15] & RFLAGS_ARITHMETIC, 0);
    for (unsigned i = 2; i < ARRAY_SIZE(call_before); i++) {
        changed |= (unsigned)(call_after[i] != call_before[i]) << i;
    }
    check_eq("LATE-REGISTERS", name, changed, 0);
    check_eq("LATE-RSP", name, call_after[16], call_stack);
    check_eq("LATE-CR0", name, read_cr0(), cr0);
    check_eq("LATE-CR3", name, read_cr3(), cr3);
    check_eq("LATE-CR4", name, read_cr4(), cr4);
    check_eq("LATE-EFER", name, rdmsr(MSR_EFER), efer);
    check_eq("LATE-DR7", name, read_dr7(), dr7);
}

static void guest_code(void)
{
    vmcall();
}

static void guest_with_smi(void)
{
    outb(SMI_PORT, 0);
    vmcall();
}

static uint64_t activating(enum form form)
{
    uint64_t full, copy;

    if (form == FORM_32_BIT_HOST || form == FORM_64_BIT_HOST) {
        copy = vmcs_new();
        wr(VMCS_EXIT_CONTROLS,
           controls(MSR_VMX_TRUE_EXIT, form == FORM_64_BIT_HOST ? VMX_EXIT_HOST_ADDRESS_SPACE_SIZE : 0));
        return copy;
    }
    full = vmcs_new_guest(guest_code);
    vmclear(full);
    if (form == FORM_GUEST) {
        vmptrld(full);
        return full;
    }
    copy = vmcs_alloc();
    memcpy((void *)(uintptr_t)copy, (void *)(uintptr_t)full, PAGE_SIZE);
    vmclear(copy);
    vmptrld(copy);
    return copy;
}

/* Page tables of the launcher's own: the top one is a copy, in which nothing is a user's, as SMEP and SMAP demand. */
static void load_own_cr3(void)
{
    uint64_t *top = page_alloc();

    memcpy(top, (void *)(uintptr_t)(read_cr3() & ~0xFFFull), PAGE_SIZE);
    for (unsigned i = 0; i < PAGE_SIZE / sizeof(*top); i++) {
        top[i] &= ~(uint64_t)PAGE_USER;
    }
    write_cr3(phys(top));
}

/* Page tables of the two modes of 32 bits: 4 GB, identity. */
static uint32_t legacy_cr3(enum mode mode)
{
    uint64_t top = phys(page_alloc()), table;

    if (mode == MODE_32_PAGING) {
        for (uint32_t i = 0; i < 1024; i++) {
            write32(top + 4 * i, i << 22 | PAGE_LARGE);
        }
        return (uint32_t)top;
    }
    for (uint64_t i = 0; i < 4; i++) {
        table = phys(page_alloc());
        write64(top + 8 * i, table | 1);
        for (uint64_t j = 0; j < 512; j++) {
            write64(table + 8 * j, (i << 30) | (j << 21) | PAGE_LARGE);
        }
    }
    return (uint32_t)top;
}

/* A guest of a launcher in 32-bit mode, in that mode, too. */
static uint64_t guest_of_32_bits(const struct launcher *launcher)
{
    static const uint32_t registers[] = { VMCS_GUEST_CR0, VMCS_HOST_CR0 };
    uint64_t region = vmcs_new_guest(guest_code);

    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
        wr(registers[i], launcher->cr0);
        wr(registers[i] + 2, late32_cr3);
        wr(registers[i] + 4, late32_cr4);
    }
    for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
        wr(VMCS_GUEST_ES_SELECTOR + 2 * seg, seg == SEG_CS ? SEL_CODE32 : SEL_DATA32);
        wr(VMCS_GUEST_ACCESS_RIGHTS(seg), seg == SEG_CS ? RIGHTS_CODE32 : RIGHTS_DATA);
        wr(VMCS_HOST_ES_SELECTOR + 2 * seg, seg == SEG_CS ? SEL_CODE32 : SEL_DATA32);
    }
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, 0));
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, 0));
    wr(VMCS_GUEST_RIP, phys(late32_guest_code));
    wr(VMCS_HOST_RIP, phys(late32_guest_back));
    wr(VMCS_HOST_RSP, phys(late32_stack));
    vmclear(region);
    return region;
}

/* What a call has left: all registers but the answer's as before. */
static void check_result(const struct launcher *launcher, unsigned index)
{
    const volatile struct result *result = &late32_results[index];
    uint32_t efer = EFER_SCE | (launcher->nxe ? EFER_NXE : 0);
    const char *name = launcher->name;

    check_eq("LATE-STATUS", name, result->eax, STM_SUCCESS);
    check_eq("LATE-FLAGS", name, result->eflags & RFLAGS_ARITHMETIC, 0);
    check_eq("LATE-REGISTERS", name,
             (result->ecx ^ 0) | (result->edx ^ 0xDEADBEEE) | (result->esi ^ 0x51515151) |
                 (result->edi ^ 0xD1D1D1D1) | (result->ebp ^ 0xB0B0B0B0), 0);
    check_eq("LATE-RSP", name, result->esp, phys(late32_stack));
    check_eq("LATE-CR0", name, result->cr0, launcher->cr0);
    check_eq("LATE-CR3", name, result->cr3, late32_cr3);
    check_eq("LATE-CR4", name, result->cr4, launcher->cr4);
    check_eq("LATE-EFER", name, result->efer, efer);
    check_eq("LATE-CS", name, result->cs & 0xFFFF, SEL_CODE32);
}

static void launch_from_32_bits(const struct launcher *launcher)
{
    static const uint32_t calls[] = {
        API_INITIALIZE, API_START, LATE32_SMI, LATE32_SMI, LATE32_GUEST, API_STOP, 0,
    };

    late32_cr3 = legacy_cr3(launcher->mode);
    late32_cr4 = launcher->cr4;
    late32_vmxon = vmxon_region;
    late32_guest = guest_of_32_bits(launcher);
    late32_guest_reason = ~0u;
    late32_vmcs = activating(launcher->form);
    vmclear(late32_vmcs);
    vmxoff();
    for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
        late32_calls[i] = calls[i];
    }
    handler_action = HANDLER_NOTHING;
    late32_run();
    check_eq("LATE-VMXON", launcher->name, late32_flags[0] & RFLAGS_ARITHMETIC, 0);
    check_result(launcher, 0);
    check_result(launcher, 1);
    check_eq("LATE-GUEST", launcher->name, late32_guest_reason, VMX_REASON_VMCALL);
    check_result(launcher, 5);
    check_eq("LATE-VMXOFF", launcher->name, late32_flags[1] & RFLAGS_ARITHMETIC, 0);
}

static void launch_from_64_bits(const struct launcher *launcher)
{
    uint64_t vmcs = activating(launcher->form);

    call(launcher->name, API_INITIALIZE);
    check_eq("LATE-CURRENT", launcher->name, vmptrst(), vmcs);
    call(launcher->name, API_START);
    vmclear(vmcs);
    for (unsigned i = 0; i < SMIS; i++) {
        smi(HANDLER_NOTHING);
    }
    vmcs = vmcs_new_guest(guest_with_smi);
    check_eq("LATE-GUEST", launcher->name, guest_run(LAUNCH), VMX_REASON_VMCALL);
    vmclear(vmcs);
    check_eq("LATE-CURRENT", launcher->name, vmptrst(), ~0ull);
    call(launcher->name, API_STOP);
    check_eq("LATE-CURRENT", launcher->name, vmptrst(), ~0ull);
    check_eq("LATE-VMXOFF", launcher->name, vmxoff(), 0);
}

static void launch(const struct launcher *launcher)
{
    uint64_t cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer = rdmsr(MSR_EFER);
    uint32_t before;

    check_eq("LATE-MONITOR-CTL", launcher->name, rdmsr(0x9B), MSEG_BASE | 1);
    check_eq("LATE-VMXON", launcher->name, vmxon(vmxon_region), 0);
    if (launcher->own_cr3) {
        load_own_cr3();
    }
    wrmsr(MSR_EFER, (efer & ~(uint64_t)EFER_NXE) | EFER_SCE | (launcher->nxe ? EFER_NXE : 0));
    if (launcher->mode == MODE_64) {
        write_cr4(launcher->cr4);
    }
    write_cr0(launcher->cr0);
    check_eq("LATE-STATE", launcher->name, read_cr0(), launcher->cr0);

    before = handler_count;
    if (launcher->mode == MODE_64) {
        check_eq("LATE-STATE", launcher->name, read_cr4(), launcher->cr4);
        launch_from_64_bits(launcher);
    } else {
        launch_from_32_bits(launcher);
    }
    check_eq("LATE-SMIS", launcher->name, handler_count, before + SMIS + 1);
    before = smi_count;
    smi_port_write(0);
    check_eq("LATE-DEFAULT", launcher->name, smi_count, before + 1);

    write_cr0(cr0);
    write_cr4(cr4);
    write_cr3(cr3);
    wrmsr(MSR_EFER, efer);
}

void run_tests(void)
{
    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    vmxoff();
    for (unsigned i = 0; i < ARRAY_SIZE(launchers); i++) {
        launch(&launchers[i]);
    }
}
