/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Two processors in VMX operation at once: guests of both side by side, events
 * that one sends to the guest of the other, a VMCS that moves, an SMI.
 * The second processor writes no checks; the first looks at what it left.
 */
#include "vmx.h"

#define SMP_AT      0x8000u
#define VECTOR      0x41u
#define ROUNDS      1000u
#define ICR_HIGH    0xFEE00310u
#define ICR_LOW     0xFEE00300u
#define OTHER       (1u << 24) /* APIC id 1 */
#define ICR_INIT    0x4500u
#define ICR_SIPI    0x4600u
#define ICR_NMI     0x4400u
#define ICR_SMI     0x4200u
#define ICR_FIXED   0x4000u
#define PATTERN(cpu) (0x1111111111111111ull * (cpu) + 0x123456789ull)

extern uint8_t smp_block[], smp_block_end[];
void smp_guest(void);
void smp_main(void);

static uint64_t vmxon_other, vmcs_other, vmcs_events, vmcs_moved;

/* What the second processor says; phases are steps of a ladder. */
static volatile uint32_t phase, reached;
static volatile uint64_t no_vmcs, current, flags_on, flags_off;
static volatile uint32_t bad_registers, bad_reasons, exits;
static volatile uint32_t reasons[8], intrs[8], events;
static volatile uint64_t moved_rip, moved_r8;

static void wait_for(volatile uint32_t *what, uint32_t value)
{
    for (uint32_t i = 0; *what < value; i++) {
        if (i > 200000000) {
            panic("waiting for %d, is %d", value, *what);
        }
        __asm__ volatile("pause" : : : "memory");
    }
}

/* Exits of smp_guest, each with all registers looked at. */
static void run_rounds(uint32_t cpu, volatile uint32_t *registers, volatile uint32_t *wrong)
{
    struct vm_registers r = {0};
    bool launch = LAUNCH;

    r.r9 = r.r10 = r.r11 = r.r12 = r.r13 = r.r14 = r.r15 = r.rbp = PATTERN(cpu);
    for (uint32_t i = 1; i <= ROUNDS; i++, launch = RESUME) {
        if (vm_enter(&r, launch) != VMX_EXITED || rd(VMCS_EXIT_REASON) != VMX_REASON_VMCALL) {
            ++*wrong;
            return;
        }
        if (r.r8 != i || r.r9 != PATTERN(cpu) || r.r12 != PATTERN(cpu) ||
            r.r15 != PATTERN(cpu) || r.rbp != PATTERN(cpu)) {
            ++*registers;
        }
        wr(VMCS_GUEST_RIP, rd(VMCS_GUEST_RIP) + rd(VMCS_EXIT_INSTRUCTION_LENGTH));
    }
}

/* Exits of a guest that only waits, noted one by one. */
static void run_events(void)
{
    struct vm_registers r = {0};
    bool launch = LAUNCH;

    while (events < 3) {
        if (vm_enter(&r, launch) != VMX_EXITED) {
            bad_reasons++;
            return;
        }
        launch = RESUME;
        reasons[events] = (uint32_t)rd(VMCS_EXIT_REASON);
        intrs[events] = (uint32_t)rd(VMCS_EXIT_INTERRUPTION_INFO);
        if (reasons[events] == VMX_REASON_EXTERNAL_INTERRUPT) {
            write32(0xFEE000B0, 0);
        }
        events++;
    }
}

void smp_main(void)
{
    idt_load();
    write32(0xFEE000F0, 0x1FF);
    if (!(rdmsr(MSR_FEATURE_CONTROL) & 1)) {
        wrmsr(MSR_FEATURE_CONTROL, 5);
    }
    write_cr4(read_cr4() | CR4_VMXE);
    reached = 1;
    wait_for(&phase, 1);
    flags_on = vmxon(vmxon_other);
    no_vmcs = vmptrst();
    vmptrld(vmcs_other);
    current = vmptrst();
    reached = 2;
    wait_for(&phase, 2);
    run_rounds(2, &bad_registers, &bad_reasons);
    exits = ROUNDS;
    vmclear(vmcs_other);
    vmptrld(vmcs_events);
    reached = 3;
    run_events();
    vmclear(vmcs_events);
    reached = 4;
    wait_for(&phase, 4);
    {
        struct vm_registers r = {0};

        vmptrld(vmcs_moved);
        if (vm_enter(&r, LAUNCH) != VMX_EXITED) {
            bad_reasons++;
        }
        moved_rip = rd(VMCS_GUEST_RIP);
        moved_r8 = r.r8;
        vmclear(vmcs_moved);
    }
    flags_off = vmxoff();
    reached = 5;
}

static void send(uint32_t icr)
{
    write32(ICR_HIGH, OTHER);
    write32(ICR_LOW, icr);
}

static void loop_guest(void)
{
    for (;;) {
        __asm__ volatile("pause");
    }
}

static uint8_t other_stack[4096] __attribute__((aligned(16)));

static uint64_t prepared(void (*code)(void))
{
    uint64_t region = vmcs_new_guest(code);

    wr(VMCS_GUEST_RSP, phys(other_stack) + sizeof(other_stack) - 8);
    return region;
}

static void start(void)
{
    memcpy((void *)(uintptr_t)SMP_AT, smp_block, (size_t)(smp_block_end - smp_block));
    send(ICR_INIT);
    send(ICR_SIPI | SMP_AT >> 12);
    wait_for(&reached, 1);
}

static void test_side_by_side(uint64_t own)
{
    volatile uint32_t registers = 0, wrong = 0;

    phase = 2;
    vmptrld(own);
    run_rounds(1, &registers, &wrong);
    wait_for(&reached, 3);
    check_eq("VMX-INS-53", "exits", exits, ROUNDS);
    check_eq("VMX-INS-53", "own-registers", registers, 0);
    check_eq("VMX-INS-53", "other-registers", bad_registers, 0);
    check_eq("VMX-INS-53", "own-reasons", wrong, 0);
    check_eq("VMX-INS-53", "other-reasons", bad_reasons, 0);
    check_eq("VMX-INS-53", "own-current", vmptrst(), own);
    vmclear(own);
}

static void test_events(void)
{
    static const struct {
        const char *id, *name;
        uint32_t icr, reason, intr;
    } rows[] = {
        {"VMX-EXT-03", "from-another", ICR_FIXED | VECTOR, VMX_REASON_EXTERNAL_INTERRUPT, 0x80000000 | VECTOR},
        {"VMX-EXT-06", "from-another", ICR_NMI, VMX_REASON_EXCEPTION_NMI, 0x80000202},
        {"VMX-ACT-06", "from-another", ICR_INIT, VMX_REASON_INIT, 0},
    };
    uint32_t before = smi_count;

    /* An SMI leaves the other processor's guest where it is. */
    send(ICR_SMI);
    wait_for(&smi_count, before + 1);
    for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check_eq("DM-DEF-01", "no-exit-by-smi", events, i);
        send(rows[i].icr);
        wait_for(&events, i + 1);
        check_eq(rows[i].id, rows[i].name, reasons[i], rows[i].reason);
        check_eq(rows[i].id, rows[i].name, rows[i].intr ? intrs[i] : intrs[i] >> 31, rows[i].intr);
    }
    check_eq("DM-DEF-01", "smi-of-another", smi_count, before + 1);
}

static void test_move(void)
{
    uint64_t rip;

    vmcs_moved = prepared(smp_guest);
    guest_run(LAUNCH);
    guest_skip();
    rip = rd(VMCS_GUEST_RIP);
    check_vmx("VMX-INS-52", "clear-before-the-move", vmclear(vmcs_moved), SUCCESS);
    phase = 4;
    wait_for(&reached, 5);
    check_eq("VMX-INS-52", "ran-there", moved_r8, 1);
    check_eq("VMX-INS-52", "went-on", moved_rip, rip - 3);
    check_eq("VMX-INS-53", "vmxoff-there", flags_off, VMX_SUCCEED);
    check_vmx("VMX-INS-52", "back", vmptrld(vmcs_moved), SUCCESS);
    check_eq("VMX-INS-52", "fields-from-there", rd(VMCS_GUEST_RIP), moved_rip);
    vmclear(vmcs_moved);
}

void run_tests(void)
{
    uint64_t own;

    vmx_start();
    vmxon_other = vmcs_alloc();
    vmcs_other = prepared(smp_guest);
    vmclear(vmcs_other);
    vmcs_events = prepared(loop_guest);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_EXTERNAL_INTERRUPT | VMX_PIN_NMI));
    wr(VMCS_EXIT_CONTROLS, rd(VMCS_EXIT_CONTROLS) | VMX_EXIT_ACKNOWLEDGE_INTERRUPT);
    vmclear(vmcs_events);
    own = vmcs_new_guest(smp_guest);
    start();
    phase = 1;
    wait_for(&reached, 2);
    check_eq("VMX-INS-53", "vmxon-there", flags_on, VMX_SUCCEED);
    check_eq("VMX-INS-53", "none-current-there", no_vmcs, NO_VMCS);
    check_eq("VMX-INS-53", "current-there", current, vmcs_other);
    check_eq("VMX-INS-53", "current-here", vmptrst(), own);
    test_side_by_side(own);
    test_events();
    wait_for(&reached, 4);
    test_move();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
