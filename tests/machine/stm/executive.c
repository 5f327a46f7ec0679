/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Calls, SMIs and crashes of the real STM, seen from the executive monitor. */
#include "stm_under_test.h"

#ifndef CRASH
#define CRASH HANDLER_NOTHING
#endif

#define GUEST_SMIS 3

struct answer {
    uint64_t flags;
    uint32_t status, ebx;
};

static struct answer api_edx(uint32_t number, uint32_t edx)
{
    struct answer result = { .status = number, .ebx = 0x5555 };
    uint32_t ecx = 0;

    /* All arithmetic flags set: the answer says which stay. */
    __asm__ volatile("pushfq\n\torq %5, (%%rsp)\n\tpopfq\n\t"
                     "vmcall\n\tpushfq\n\tpopq %0"
                     : "=r"(result.flags), "+a"(result.status),
                       "+b"(result.ebx), "+c"(ecx), "+d"(edx)
                     : "i"(RFLAGS_ARITHMETIC)
                     : "cc", "memory");
    result.flags &= RFLAGS_ARITHMETIC;
    return result;
}

static struct answer api(uint32_t number)
{
    return api_edx(number, 0);
}

static void expect_edx(const char *name, uint32_t number, uint32_t edx,
                       uint32_t status)
{
    struct answer answer = api_edx(number, edx);

    check_eq("API-STATUS", name, answer.status, status);
    check_eq("API-FLAGS", name, answer.flags, status ? RFLAGS_CF : 0);
}

void expect(const char *name, uint32_t number, uint32_t status)
{
    expect_edx(name, number, 0, status);
}

volatile uint32_t nmi_count;

static bool count_nmi(struct fault_frame *frame)
{
    if (frame->vector != 2) {
        return false;
    }
    nmi_count++;
    return true;
}

/*
 * An SMI with known general registers: the same instruction under both
 * treatments, so that the two save-state maps can be compared.
 */
struct pattern {
    uint64_t before[15], after[15];
};
struct pattern pattern;
uint64_t pattern_rsp;
uint8_t pattern_stack[256];

void patterned_smi(void);
__asm__(".pushsection .text\n"
        "patterned_smi:\n"
        "\tpush %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n"
        "\tpush %r15\n"
        /* The same stack and flags wherever the call comes from. */
        "\tmov %rsp, pattern_rsp(%rip)\n"
        "\tlea pattern_stack + 256(%rip), %rsp\n"
        "\txor %eax, %eax\n"
        "\tlea pattern(%rip), %rax\n"
        "\tmov 8(%rax), %rbx\n\tmov 16(%rax), %rcx\n\tmov 24(%rax), %rdx\n"
        "\tmov 32(%rax), %rsi\n\tmov 40(%rax), %rdi\n\tmov 48(%rax), %rbp\n"
        "\tmov 56(%rax), %r8\n\tmov 64(%rax), %r9\n\tmov 72(%rax), %r10\n"
        "\tmov 80(%rax), %r11\n\tmov 88(%rax), %r12\n\tmov 96(%rax), %r13\n"
        "\tmov 104(%rax), %r14\n\tmov 112(%rax), %r15\n"
        "\tmov (%rax), %rax\n"
        "\tout %al, $0xB2\n"
        "\tpush %rax\n"
        "\tlea pattern(%rip), %rax\n"
        "\tpopq 120(%rax)\n"
        "\tmov %rbx, 128(%rax)\n\tmov %rcx, 136(%rax)\n"
        "\tmov %rdx, 144(%rax)\n\tmov %rsi, 152(%rax)\n"
        "\tmov %rdi, 160(%rax)\n\tmov %rbp, 168(%rax)\n"
        "\tmov %r8, 176(%rax)\n\tmov %r9, 184(%rax)\n"
        "\tmov %r10, 192(%rax)\n\tmov %r11, 200(%rax)\n"
        "\tmov %r12, 208(%rax)\n\tmov %r13, 216(%rax)\n"
        "\tmov %r14, 224(%rax)\n\tmov %r15, 232(%rax)\n"
        "\tmov pattern_rsp(%rip), %rsp\n"
        "\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n"
        "\tpop %rbx\n\tret\n"
        ".popsection\n");

static void fill_pattern(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(pattern.before); i++) {
        pattern.before[i] = 0x0101010101010101ull * (i + 3);
    }
    pattern.before[0] &= ~0xFFull; /* AL is the value for the port */
}

/* Offsets that QEMU writes: first and last byte of each run. */
static const uint16_t defined[][2] = {
    { 0x000, 0x05F }, { 0x064, 0x07F }, { 0x084, 0x09F }, { 0x0D0, 0x0D7 },
    { 0x0FC, 0x103 }, { 0x148, 0x14B }, { 0x150, 0x15B }, { 0x160, 0x163 },
    { 0x168, 0x16B }, { 0x170, 0x173 }, { 0x178, 0x1FF },
};

static void compare_maps(const char *name, const uint8_t *wanted)
{
    unsigned differences = 0, first = 0;

    for (unsigned run = 0; run < ARRAY_SIZE(defined); run++) {
        for (unsigned i = defined[run][0]; i <= defined[run][1]; i++) {
            if (wanted[i] != handler_map[i]) {
                if (differences++ == 0) {
                    first = i;
                }
            }
        }
    }
    check("SAVE-MAP", name, differences == 0,
          "%d bytes differ, first at FE00+%x: %x, QEMU has %x", differences,
          first, handler_map[first], wanted[first]);
    check_eq("SAVE-MAP", "reserved-untouched", handler_map[0xA0], 0xA5);
    check_eq("SAVE-MAP", "reserved-untouched", handler_map[0xD8], 0xA5);
    check_eq("SAVE-MAP", "reserved-untouched", handler_map[0x104], 0xA5);
}

static uint8_t root_map[512], guest_map[512];
uint64_t guest_vmcs;

void guest_main(void)
{
    patterned_smi();
    vmcall();
    for (unsigned i = 0; i < GUEST_SMIS; i++) {
        smi_port_write(0);
    }
    vmcall();
}

/* Runs the guest from its start to its first VMCALL. */
static void guest_first(void)
{
    vmclear(guest_vmcs);
    vmptrld(guest_vmcs);
    wr(VMCS_GUEST_RIP, phys(guest_main));
    wr(VMCS_GUEST_RSP, guest_stack_top());
    check_eq("GUEST", "first-exit", guest_run(LAUNCH), VMX_REASON_VMCALL);
}

static void default_maps(void)
{
    fill_pattern();
    guest_vmcs = vmcs_new_guest(guest_main);
    guest_first();
    memcpy(guest_map, default_map, sizeof(guest_map));
    /* Behind a VM exit, which sets the limits of GDTR and IDTR to FFFFH. */
    patterned_smi();
    memcpy(root_map, default_map, sizeof(root_map));
}

static void check_smis(void)
{
    uint32_t before = handler_count;
    uint64_t rax;

    smi(HANDLER_NOTHING);
    smi(HANDLER_NOTHING);
    check_eq("SMI", "root", handler_count, before + 2);

    fill_pattern();
    handler_action = HANDLER_NOTHING;
    patterned_smi();
    check("SMI", "registers",
          memcmp(pattern.before, pattern.after, sizeof(pattern.before)) == 0,
          "first %q %q", pattern.before[0], pattern.after[0]);
    compare_maps("root", root_map);

    handler_action = HANDLER_CHANGE_RAX;
    __asm__ volatile("outb %%al, $0xB2" : "=a"(rax) : "a"(0) : "memory");
    check_eq("SMI", "changed-rax", rax, 0x123456789ABCDEF0);
    smi(HANDLER_CPUID);
    check_eq("SMI", "cpuid-osxsave", handler_value & (1u << 27), 0);
    smi(HANDLER_VMCALL);
    check_eq("SMI", "handler-api", handler_value,
             1ull << 32 | STM_INVALID_API);
    smi(HANDLER_MAP);
    check_eq("SMI", "handler-map", handler_value,
             1ull << 32 | STM_NOT_SUPPORTED);
    smi(HANDLER_INVD);
    check_eq("SMI", "handler-invd", handler_value, 1);
    smi(HANDLER_CR3);
    check_eq("SMI", "handler-cr3", handler_value, HANDLER_TABLES);
    smi(HANDLER_SMBASE);
    check_eq("SMI", "smbase", handler_value, SMBASE);
    handler_action = HANDLER_NOTHING;
}

/*
 * HLT with interrupts off: the first SMI returns to it, the second one's
 * handler sends the program on, over the NOP.
 */
static void check_halt(void)
{
    uint32_t before = handler_count;

    handler_value = 0;
    handler_action = HANDLER_SKIP_BYTE;
    smi_timer_start();
    __asm__ volatile("hlt\n\tnop" : : : "memory");
    smi_timer_stop();
    check_eq("SMI", "halt", handler_count, before + 2);
    handler_action = HANDLER_NOTHING;
}

void check_guest_smis(void)
{
    uint32_t before;

    fill_pattern();
    guest_first();
    compare_maps("guest", guest_map);
    before = handler_count;
    guest_skip();
    check_eq("GUEST", "second-exit", guest_run(RESUME), VMX_REASON_VMCALL);
    check_eq("SMI", "guest", handler_count, before + GUEST_SMIS);
}

static void cycle(uint32_t options)
{
    uint64_t activating = activation_vmcs();
    uint64_t control = rdmsr(0x9B), cr0 = read_cr0();
    struct answer answer = api(API_INITIALIZE);
    uint32_t before;

    check_eq("API-STATUS", "initialize", answer.status, STM_SUCCESS);
    check_eq("API-FLAGS", "initialize", answer.flags, 0);
    check_eq("API", "capabilities", answer.ebx, 0);
    check_eq("API", "current-vmcs", vmptrst(), activating);
    expect("initialize-again", API_INITIALIZE, STM_ALREADY_STARTED);
    expect("unknown", 0x1F234, STM_INVALID_API);
    expect("handler-number", 1, STM_INVALID_API);
    expect("zero", 0x10000, STM_INVALID_API);

    /* An SMI in the window stays pending until START. */
    before = handler_count;
    handler_action = HANDLER_NOTHING;
    smi_port_raise(0);
    check_eq("WINDOW", "blocked", handler_count, before);
    expect_edx("start", API_START, options, STM_SUCCESS);
    check_eq("API", "unblocking", rdmsr(0x9B) & MONITOR_CTL_UNBLOCKING,
             options ? MONITOR_CTL_UNBLOCKING : 0);
    check_eq("WINDOW", "served", handler_count, before + 1);
    check("API", "setup-without-map", setup_rax != API_START, "rax:%x", setup_rax);
    expect("start-again", API_START, STM_ALREADY_STARTED);

    check_smis();
    check_halt();
    check_state_kept();
    check_each_kept();
    check_caching();
    check_nmi();
    check_policy();
    check_guest_smis();
    check_pending_mtf();

    vmclear(guest_vmcs);
    before = teardown_count;
    expect("stop", API_STOP, STM_SUCCESS);
    check_eq("API", "teardown", teardown_count, before + 1);
    check_eq("API", "monitor-ctl-restored", rdmsr(0x9B), control);
    check_eq("API", "caching-restored", read_cr0(), cr0);
    vmclear(activating);
    before = smi_count;
    smi_port_write(0);
    check_eq("API", "default-treatment", smi_count, before + 1);
}

/* A first call that is no first call: refused, and no STM stays active. */
static void check_rollback(uint32_t number, uint32_t status)
{
    uint64_t activating = activation_vmcs(), control = rdmsr(0x9B);
    uint32_t before = smi_count;

    expect_edx("rollback", number, SMI_UNBLOCKING_BY_VMXOFF, status);
    check_eq("API", "rollback-monitor-ctl", rdmsr(0x9B), control);
    vmclear(activating);
    smi_port_write(0);
    check_eq("API", "rollback-default", smi_count, before + 1);
}

static void check_stop_in_window(void)
{
    uint64_t activating = activation_vmcs();
    uint32_t setups = setup_count, teardowns = teardown_count;

    expect("window-initialize", API_INITIALIZE, STM_SUCCESS);
    expect("window-stop", API_STOP, STM_SUCCESS);
    check_eq("API", "no-setup", setup_count, setups);
    check_eq("API", "no-teardown", teardown_count, teardowns);
    vmclear(activating);
}

/* START clears the bit that the firmware has set, as EDX asks, or sets it again; STOP gives it back. */
static void check_monitor_ctl(uint32_t options)
{
    uint64_t found, activating;

    smm_monitor_ctl(MSEG_BASE | 1 | MONITOR_CTL_UNBLOCKING);
    activating = activation_vmcs();
    found = rdmsr(0x9B);
    check_eq("API", "monitor-ctl-found", found, MSEG_BASE | 1 | MONITOR_CTL_UNBLOCKING);
    expect("found-initialize", API_INITIALIZE, STM_SUCCESS);
    check_eq("API", "monitor-ctl-initialized", rdmsr(0x9B), found);
    expect_edx("found-start", API_START, options, STM_SUCCESS);
    check_eq("API", "monitor-ctl-started", rdmsr(0x9B) & MONITOR_CTL_UNBLOCKING, options ? MONITOR_CTL_UNBLOCKING : 0);
    expect("found-stop", API_STOP, STM_SUCCESS);
    check_eq("API", "monitor-ctl-as-found", rdmsr(0x9B), found);
    vmclear(activating);
    smm_monitor_ctl(MSEG_BASE | 1);
}

/* For a debugger that sends an NMI while the STM serves the handler's CPUID. */
static void nmi_in_the_stm(void)
{
    write32(0xFEE00360, 0x400); /* LINT1: NMI */
    activation_vmcs();
    expect("nmi-initialize", API_INITIALIZE, STM_SUCCESS);
    expect("nmi-start", API_START, STM_SUCCESS);
    check_eq("NMI", "none-before", nmi_count, 0);
    smi(HANDLER_IRET);
    check_eq("NMI", "delivered-after-return", nmi_count, 1);
    smi(HANDLER_NOTHING);
    check_eq("NMI", "once", nmi_count, 1);
    expect("nmi-stop", API_STOP, STM_SUCCESS);
}

void start_stm(void)
{
    activation_vmcs();
    expect("start-initialize", API_INITIALIZE, STM_SUCCESS);
    expect("start-start", API_START, STM_SUCCESS);
}

static void crash(void)
{
    if (CRASH == HANDLER_READ_MSEG) {
        modify_image();
    }
    activation_vmcs();
    expect("crash-initialize", API_INITIALIZE, STM_SUCCESS);
    expect("crash-start", API_START, STM_SUCCESS);
    expect_shutdown("CRASH", "the STM resets the platform");
    smi(CRASH);
    smi(HANDLER_NOTHING); /* the second one meets what the first has broken */
    panic("the STM survived");
}

void run_tests(void)
{
    firmware_start();
    vmx_start();
    if (CRASH == HANDLER_NOTHING || CRASH == EXECUTIVE_OVERWRITES) {
        default_maps();
    }
    smm_monitor_ctl(MSEG_BASE | 1);
    fault_hook = count_nmi;
    if (CRASH == HANDLER_IRET) {
        nmi_in_the_stm();
        return;
    }
    if (CRASH == EXECUTIVE_LEGACY_SMRAM) {
        use_legacy_smram();
        return;
    }
    if (CRASH == EXECUTIVE_OVERWRITES) {
        overwrite_regions();
        return;
    }
    if (CRASH != HANDLER_NOTHING) {
        crash();
    }
    check_eq("TSEG", "mseg-reads-ones", read32(MSEG_BASE), 0xFFFFFFFF);
    check_rollback(0x10099, STM_INVALID_API);
    check_rollback(API_STOP, STM_STOPPED);
    check_rollback(API_START, STM_UNSPECIFIED);
    check_stop_in_window();
    cycle(0);
    cycle(SMI_UNBLOCKING_BY_VMXOFF);
    check_monitor_ctl(0);
    check_monitor_ctl(SMI_UNBLOCKING_BY_VMXOFF);
    check_eq("VMX", "vmxoff", vmxoff(), 0);
}
