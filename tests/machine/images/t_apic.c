/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Interrupts and NMIs against blocking and activity states, APIC-access page,
 * monitor trap flag beside other exits, task switches. */
#include "entry_check.h"

#define VECTOR        0x41u
#define PAGE          0x2000000ull
#define LONG_TIME     5000000u /* of the preemption timer */

static volatile uint32_t nmis, interrupts;
static volatile bool call_from_handler;

static bool on_event(struct fault_frame *frame)
{
    if (frame->vector == 2) {
        nmis++;
    } else if (frame->vector == VECTOR) {
        interrupts++;
        write32(0xFEE000B0, 0);
    } else {
        return false;
    }
    if (call_from_handler) {
        __asm__ volatile("vmcall" : : : "memory");
    }
    return true;
}

CODE(a_nops, "nop\n\tnop\n\tnop");
CODE(a_hlt, "hlt");
CODE(a_cpuid, "nop\n\tcpuid\n\tnop\n\tnop");
CODE(a_ud, "ud2");
CODE(a_sti_hlt, "sti\n\thlt");
CODE(a_apic_read, "mov 0x2000030, %eax");
CODE(a_apic_write, "mov %eax, 0x2000300");
CODE(a_apic_fetch, "mov $0x2000010, %eax\n\tjmp *%rax");
CODE(a_apic_push, "mov $0x2000800, %esp\n\tud2");

static void fresh(void (*code)(void))
{
    entry_code(code);
    wr(VMCS_PREEMPTION_TIMER_VALUE, LONG_TIME);
    nmis = interrupts = 0;
    call_from_handler = false;
}

static uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static void pin(uint32_t set)
{
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, set));
}

static void proc(uint32_t set)
{
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, set));
}

/* Interrupts are off in root, so that an interrupt to itself stays pending. */
static void interrupt_pending(void)
{
    self_ipi(IPI_FIXED, VECTOR);
}

static void take_interrupt(void)
{
    call_from_handler = false;
    __asm__ volatile("sti; nop; nop; cli");
}

static void nmi_guest(void)
{
    self_ipi(IPI_NMI, 0);
    for (;;) {
        __asm__ volatile("pause");
    }
}

/* An NMI exit blocks NMIs in root; another one then stays pending. */
static void nmi_pending(void)
{
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_RIP, phys((void *)nmi_guest));
    pin(VMX_PIN_NMI);
    if (guest_run(LAUNCH) != VMX_REASON_EXCEPTION_NMI || last_exit.intr != 0x80000202) {
        panic("no NMI exit");
    }
    check_eq("VMX-INF-16", "nmi", last_exit.qualification, 0);
    self_ipi(IPI_NMI, 0);
}

static void test_blocking(void)
{
    static const struct {
        const char *name;
        uint32_t blocking, skip;
    } rows[] = {{"none", 0, 0}, {"sti", VMX_BLOCKING_BY_STI, 1}, {"mov-ss", VMX_BLOCKING_BY_MOV_SS, 1}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        fresh(a_nops);
        pin(VMX_PIN_EXTERNAL_INTERRUPT);
        wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
        wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, rows[i].blocking);
        interrupt_pending();
        check_eq("VMX-EXT-05", rows[i].name, guest_run(LAUNCH), VMX_REASON_EXTERNAL_INTERRUPT);
        check_eq("VMX-EXT-05", rows[i].name, last_exit.rip, phys((void *)a_nops) + rows[i].skip);
        check_eq("VMX-INF-16", "external", last_exit.qualification, 0);
        take_interrupt();
        check_eq("VMX-EXT-04", "pending", interrupts, 1);
    }
    /* IF = 0 blocks what does not exit. */
    fresh(a_nops);
    interrupt_pending();
    check_eq("VMX-NRB-15", "if-clear", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-NRB-15", "not-delivered", interrupts, 0);
    take_interrupt();
    check_eq("VMX-NRB-15", "still-pending", interrupts, 1);

    nmi_pending();
    fresh(a_nops);
    call_from_handler = true;
    check_eq("VMX-EXT-07", "reason", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-EXT-07", "delivered", nmis, 1);
    check_eq("VMX-EXT-07", "blocks", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), VMX_BLOCKING_BY_NMI);
    iret_here();

    fresh(a_nops);
    pin(VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS);
    proc(VMX_CPU_NMI_WINDOW);
    check_eq("VMX-EXT-12", "reason", guest_run(LAUNCH), VMX_REASON_NMI_WINDOW);
    check_eq("VMX-EXT-12", "rip", last_exit.rip, phys((void *)a_nops));
    fresh(a_nops);
    pin(VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS);
    proc(VMX_CPU_NMI_WINDOW);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI);
    check_eq("VMX-EXT-13", "closed", guest_run(LAUNCH), VMX_REASON_VMCALL);
}

/* What an entry fails with comes after guest state, but for NMIs the host is as before it. */
static void test_failed_entry(void)
{
    uint64_t area = phys(page_alloc());

    nmi_pending();
    fresh(a_nops);
    write64(area, MSR_FS_BASE); /* not to be loaded */
    wr(VMCS_ENTRY_MSR_LOAD_ADDRESS, area);
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
    check_eq("VMX-ENT-20", "nmi-reason", vm_enter(&guest, LAUNCH), VMX_EXITED);
    check_eq("VMX-ENT-18", "nmi-reason", rd(VMCS_EXIT_REASON), REASON_BAD_MSR);
    check_eq("VMX-ENT-20", "nmi-still-blocked", nmis, 0);
    iret_here();
    check_eq("VMX-ENT-20", "nmi-after-iret", nmis, 1);
}

static void test_hlt(void)
{
    fresh(a_hlt);
    pin(VMX_PIN_PREEMPTION_TIMER);
    wr(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT);
    check_eq("VMX-ACT-01", "reason", guest_run(LAUNCH), VMX_REASON_PREEMPTION_TIMER);
    check_eq("VMX-ACT-01", "rip", last_exit.rip, phys((void *)a_hlt));
    check_eq("VMX-ACT-01", "state", rd(VMCS_GUEST_ACTIVITY_STATE), VMX_ACTIVITY_HLT);

    fresh(a_nops);
    wr(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT);
    wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
    interrupt_pending();
    check_eq("VMX-ACT-01", "interrupt-wakes", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-ACT-01", "interrupts", interrupts, 1);
    check_eq("VMX-ACT-01", "active", rd(VMCS_GUEST_ACTIVITY_STATE), 0);

    nmi_pending();
    fresh(a_nops);
    wr(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_HLT);
    check_eq("VMX-ACT-02", "nmi-wakes", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-ACT-02", "nmis", nmis, 1);
    iret_here();

    fresh(a_sti_hlt);
    interrupt_pending();
    check_eq("VMX-ACT-02", "interrupt-wakes", guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("VMX-ACT-02", "interrupts", interrupts, 1);
    check_eq("VMX-ACT-02", "goes-on", last_exit.rip, phys((void *)a_sti_hlt) + 2);

    /* Blocked by IF: only the timer ends it. */
    fresh(a_hlt);
    pin(VMX_PIN_PREEMPTION_TIMER);
    interrupt_pending();
    check_eq("VMX-ACT-03", "reason", guest_run(LAUNCH), VMX_REASON_PREEMPTION_TIMER);
    check_eq("VMX-ACT-03", "rip", last_exit.rip, phys((void *)a_hlt) + 1);
    check_eq("VMX-ACT-03", "state", rd(VMCS_GUEST_ACTIVITY_STATE), VMX_ACTIVITY_HLT);
    take_interrupt();
}

static void test_shutdown(void)
{
    if (!(rdmsr(MSR_VMX_MISC) >> 7 & 1)) {
        not_offered("VMX-ACT-04", "shutdown");
        return;
    }
    nmi_pending();
    fresh(a_nops);
    pin(VMX_PIN_NMI);
    wr(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_SHUTDOWN);
    guest_run(LAUNCH);
    check_eq("VMX-ACT-04", "nmi-exits", last_exit.intr, 0x80000202);
    check_eq("VMX-ACT-04", "state", rd(VMCS_GUEST_ACTIVITY_STATE), VMX_ACTIVITY_SHUTDOWN);
    check_eq("VMX-ACT-04", "rip", last_exit.rip, phys((void *)a_nops));
    iret_here();

    fresh(a_nops);
    pin(VMX_PIN_PREEMPTION_TIMER);
    wr(VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_SHUTDOWN);
    wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
    interrupt_pending();
    check_eq("VMX-ACT-04", "interrupt-does-not", guest_run(LAUNCH), VMX_REASON_PREEMPTION_TIMER);
    check_eq("VMX-ACT-04", "not-delivered", interrupts, 0);
    take_interrupt();
}

static void test_apic_page(void)
{
    static const struct {
        const char *id, *name;
        void (*code)(void);
        uint64_t qualification;
    } rows[] = {
        {"VMX-EXT-28", "read", a_apic_read, 0x0030},
        {"VMX-EXT-29", "write", a_apic_write, 0x1300},
        {"VMX-EXT-30", "fetch", a_apic_fetch, 0x2010},
        {"VMX-EXT-31", "delivery", a_apic_push, 0x37F8},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct defect d = {.proc2 = VMX_CPU2_APIC_ACCESSES};

        fresh(rows[i].code);
        if (!entry_controls(&d)) {
            not_offered(rows[i].id, rows[i].name);
            continue;
        }
        wr(VMCS_APIC_ACCESS_ADDRESS, PAGE);
        check_eq(rows[i].id, rows[i].name, guest_run(LAUNCH), VMX_REASON_APIC_ACCESS);
        check_eq(rows[i].id, rows[i].name, last_exit.qualification, rows[i].qualification);
        if (rows[i].code == a_apic_push) {
            check_eq("VMX-EXT-31", "vectoring", rd(VMCS_IDT_VECTORING_INFO), 0x80000306);
        } else {
            check_eq("VMX-INF-24", "apic-access", rd(VMCS_IDT_VECTORING_INFO) >> 31, 0);
        }
    }
}

/* Where the IDT leads `vector` to. */
static uint64_t gate_target(unsigned vector)
{
    uint64_t gate = read_idtr().base + 16 * vector;
    uint64_t low = read64(gate);

    return (low & 0xFFFF) | (low >> 32 & 0xFFFF0000) | (uint64_t)read32(gate + 8) << 32;
}

static void test_mtf(void)
{
    struct defect d = {.proc = VMX_CPU_MONITOR_TRAP_FLAG};

    fresh(a_cpuid);
    if (!entry_controls(&d)) {
        not_offered("VMX-EXT-22", "mtf");
        return;
    }
    check_eq("VMX-EXT-19", "first", guest_run(LAUNCH), VMX_REASON_MONITOR_TRAP_FLAG);
    check_eq("VMX-EXT-19", "first-rip", last_exit.rip, phys((void *)a_cpuid) + 1);
    check_eq("VMX-EXT-22", "cpuid", guest_run(RESUME), VMX_REASON_CPUID);
    guest_skip();
    check_eq("VMX-EXT-22", "next", guest_run(RESUME), VMX_REASON_MONITOR_TRAP_FLAG);
    check_eq("VMX-EXT-22", "next-rip", last_exit.rip, phys((void *)a_cpuid) + 4);
    fresh(a_ud);
    entry_controls(&d);
    wr(VMCS_EXCEPTION_BITMAP, 1u << 6);
    guest_run(LAUNCH);
    check_eq("VMX-EXT-22", "fault", last_exit.intr, 0x80000306);
    /* Injected: the exit comes before the handler's first instruction. */
    fresh(a_nops);
    entry_controls(&d);
    wr(VMCS_ENTRY_INTERRUPTION_INFO, 0x80000306);
    check_eq("VMX-EXT-20", "injected", guest_run(LAUNCH), VMX_REASON_MONITOR_TRAP_FLAG);
    check_eq("VMX-EXT-20", "injected-rip", last_exit.rip, gate_target(6));
}

/* ---- preemption timer ---- */
CODE(a_loop, "pause\n\tjmp a_loop");

static void test_timer(void)
{
    struct defect d = {.pin = VMX_PIN_PREEMPTION_TIMER};
    uint32_t shift = rdmsr(MSR_VMX_MISC) & 31;

    for (uint64_t value = 1000; value <= 1000000; value *= 10) {
        uint64_t before, after;

        fresh(a_loop);
        if (!entry_controls(&d)) {
            not_offered("VMX-EXT-15", "not-early");
            return;
        }
        wr(VMCS_PREEMPTION_TIMER_VALUE, value);
        before = rdtsc();
        guest_run(LAUNCH);
        after = rdtsc();
        check_eq("VMX-EXT-15", "reason", last_exit.reason, VMX_REASON_PREEMPTION_TIMER);
        check("VMX-EXT-15", "not-early", after - before >= (value - 1) << shift,
              "ticks:%q,value:%q", after - before, value);
        check_eq("VMX-EXT-17", "not-saved", rd(VMCS_PREEMPTION_TIMER_VALUE), value);
    }
}

/* ---- which event comes first ---- */
enum source { S_MTF, S_DEBUG, S_TIMER, S_NMI_WINDOW, S_NMI, S_WINDOW, S_EXTERNAL, SOURCES };

static void test_order(void)
{
    static const struct {
        const char *name;
        uint32_t reason, intr;
    } wants[] = {
        {"mtf", VMX_REASON_MONITOR_TRAP_FLAG, 0},
        {"debug", VMX_REASON_EXCEPTION_NMI, 0x80000301},
        {"timer", VMX_REASON_PREEMPTION_TIMER, 0},
        {"nmi-window", VMX_REASON_NMI_WINDOW, 0},
        {"nmi", VMX_REASON_EXCEPTION_NMI, 0x80000202},
        {"window", VMX_REASON_INTERRUPT_WINDOW, 0},
        {"external", VMX_REASON_EXTERNAL_INTERRUPT, 0},
    };
    struct defect d = {.pin =
                           VMX_PIN_PREEMPTION_TIMER | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS | VMX_PIN_EXTERNAL_INTERRUPT,
                       .proc = VMX_CPU_MONITOR_TRAP_FLAG | VMX_CPU_NMI_WINDOW | VMX_CPU_INTERRUPT_WINDOW};

    fresh(a_nops);
    if (!entry_controls(&d)) {
        not_offered("VMX-EXT-35", "order");
        return;
    }
    /* From `first` on everything is there at once. */
    for (enum source first = S_MTF; first < SOURCES; first++) {
        nmi_pending();
        fresh(a_nops);
        pin(VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS | VMX_PIN_EXTERNAL_INTERRUPT |
            (first <= S_TIMER ? VMX_PIN_PREEMPTION_TIMER : 0));
        proc(VMX_CPU_INTERRUPT_WINDOW | (first <= S_NMI_WINDOW ? VMX_CPU_NMI_WINDOW : 0));
        if (first == S_EXTERNAL) {
            proc(0);
        }
        wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
        wr(VMCS_PREEMPTION_TIMER_VALUE, 0);
        wr(VMCS_EXCEPTION_BITMAP, 1u << 1);
        wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, first <= S_DEBUG ? 1u << 12 | 1 : 0);
        wr(VMCS_ENTRY_INTERRUPTION_INFO, first == S_MTF ? 0x80000700 : 0);
        interrupt_pending();
        if (first > S_NMI) { /* take the NMI before */
            iret_here();
        }
        guest_run(LAUNCH);
        check("VMX-EXT-35", wants[first].name,
              last_exit.reason == wants[first].reason && last_exit.intr == wants[first].intr &&
                  last_exit.rip == phys((void *)a_nops),
              "reason:%d,intr:%x,rip:%q", last_exit.reason, last_exit.intr, last_exit.rip);
        iret_here();
        take_interrupt();
    }
}

/* ---- task switches of a 32-bit guest ---- */
#define TSS2 0x58u
void a_task(void);
__asm__(".code32\n"
        ".globl a_task\n"
        "a_task:\n\tljmp $0x58, $0\n\tvmcall\n"
        ".code64\n");

static void test_task_switch(void)
{
    static const struct {
        const char *name;
        uint8_t rights;
        uint32_t reason, intr;
    } rows[] = {
        {"available", 0x89, VMX_REASON_TASK_SWITCH, 0},
        {"busy", 0x8B, VMX_REASON_EXCEPTION_NMI, 0x80000B0D},
        {"not-present", 0x09, VMX_REASON_EXCEPTION_NMI, 0x80000B0B},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        memcpy((void *)PAGE, gdt, TSS2);
        write64(PAGE + TSS2, 0x67ull | ((PAGE + 0x800) & 0xFFFFFF) << 16 | (uint64_t)rows[i].rights << 40);
        *(uint8_t *)(PAGE + TSS2 + 7) = (PAGE + 0x800) >> 24;
        entry_fresh(MODE_32);
        wr(VMCS_GUEST_RIP, phys((void *)a_task));
        wr(VMCS_GUEST_GDTR_BASE, PAGE);
        wr(VMCS_GUEST_GDTR_LIMIT, TSS2 + 7);
        wr(VMCS_EXCEPTION_BITMAP, 1u << 13 | 1u << 11);
        guest_run(LAUNCH);
        check("VMX-NRB-14", rows[i].name,
              last_exit.reason == rows[i].reason && last_exit.intr == rows[i].intr,
              "reason:%d,intr:%x", last_exit.reason, last_exit.intr);
        check_eq("VMX-NRB-14", "descriptor", *(uint8_t *)(PAGE + TSS2 + 5), rows[i].rights);
        check_eq("VMX-NRB-14", "tr", rd(VMCS_GUEST_TR_SELECTOR), SEL_TSS);
        if (!rows[i].intr) {
            check_eq("VMX-INF-07", "jmp", last_exit.qualification, 0x80000000 | TSS2);
            check_eq("VMX-INF-28", "jmp", last_exit.length, 7);
        }
    }
    memset((void *)PAGE, 0, PAGE_SIZE);
}

void run_tests(void)
{
    fault_hook = on_event;
    vmx_start();
    test_blocking();
    test_failed_entry();
    test_hlt();
    test_shutdown();
    test_apic_page();
    test_mtf();
    test_timer();
    test_order();
    test_task_switch();
    fault_hook = NULL;
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
