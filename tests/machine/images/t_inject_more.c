/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Details of injected events and of what VM entry makes pending: privileges,
 * stacks, blocking, debug exceptions, NMIs and IRET. */
#include "ept.h"
#include "entry_check.h"

#define AREA        0x2000000ull
#define IDT_AT      (AREA + 0x1000)
#define TSS_AT      (AREA + 0x2000)
#define IST_TOP     (AREA + 0x6000)
#define STACK_AT    (AREA + 0x8000)
#define ALL_BITS    0xFFFFFFFFu
#define UD          0x80000306u
#define NMI         0x80000202u
#define EXTERNAL    0x80000040u
#define RFLAGS_RF   (1u << 16)
#define DR7_GD      (1u << 13)
#define PENDING_BS  (1u << 14)
#define ENABLED_BP  (1u << 12)
#define ABSENT      0x8000000000ull
#define MARK        0x123456789000ull

void more_nops(void);
__asm__(".globl more_nops\n"
        "more_nops:\n\tnop\n\tnop\n\tnop\n\tnop\n"
        "1:\tvmcall\n\tjmp 1b\n");

/* IRET from a frame at RSP, then VMCALL. */
void more_iret(void);
__asm__(".globl more_iret\n"
        "more_iret:\n\tiretq\n\tvmcall\n");

static volatile struct fault_frame seen;
static volatile uint64_t seen_at;
static volatile uint32_t events, nmis;

/* Handlers of the guest say what they see and call the executive. */
static bool tell(struct fault_frame *frame)
{
    events++;
    nmis += frame->vector == 2;
    seen = *frame;
    seen_at = phys(frame);
    __asm__ volatile("vmcall" : : : "memory");
    frame->rflags &= ~(uint64_t)RFLAGS_TF;
    return true;
}

static bool count(struct fault_frame *frame)
{
    events++;
    nmis += frame->vector == 2;
    seen = *frame;
    frame->rflags &= ~(uint64_t)RFLAGS_TF;
    return true;
}

static void fresh(void)
{
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_RIP, phys((void *)more_nops));
    events = nmis = 0;
    fault_hook = tell;
}

static void inject(uint32_t info, uint32_t length)
{
    wr(VMCS_ENTRY_INTERRUPTION_INFO, info);
    wr(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0);
    wr(VMCS_ENTRY_INSTRUCTION_LENGTH, length);
}

static void at_cpl3(void)
{
    wr(VMCS_GUEST_CS_SELECTOR, SEL_USER_CODE | 3);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS), 0xA0FB);
    wr(VMCS_GUEST_SS_SELECTOR, SEL_USER_DATA | 3);
    wr(VMCS_GUEST_ACCESS_RIGHTS(SEG_SS), 0xC0F3);
}

/* IRET in root ends blocking by NMI that a guest left behind. */
static void unblock(void)
{
    __asm__ volatile("mov %%ss, %%eax\n\tpushq %%rax\n\tlea 8(%%rsp), %%rcx\n\t"
                     "pushq %%rcx\n\tpushfq\n\tmov %%cs, %%eax\n\tpushq %%rax\n\t"
                     "lea 1f(%%rip), %%rcx\n\tpushq %%rcx\n\tiretq\n1:"
                     :
                     :
                     : "rax", "rcx", "memory");
}

static void test_types(void)
{
    static const struct {
        const char *id, *name;
        uint32_t info, length, vector;
    } rows[] = {
        {"VMX-EVT-05", "int1", 0x80000501, 1, 1},
        {"VMX-EVT-05", "int1-prefixed", 0x80000501, 3, 1},
        {"VMX-EVT-06", "ud", UD, 0, 6},
        {"VMX-EVT-06", "db", 0x80000301, 0, 1},
        {"VMX-EVT-06", "pf", 0x80000B0E, 0, 14},
        {"VMX-EVT-06", "int3", 0x80000603, 1, 3},
        {"VMX-EVT-06", "nmi", NMI, 0, 2},
        {"VMX-EVT-06", "external", EXTERNAL, 0, 0x40},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        fresh();
        wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
        if (i > 1) { /* everything that happens in the guest exits */
            wr(VMCS_EXCEPTION_BITMAP, ALL_BITS);
            wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_NMI | VMX_PIN_EXTERNAL_INTERRUPT));
        }
        inject(rows[i].info, rows[i].length);
        guest_run(LAUNCH);
        check(rows[i].id, rows[i].name,
              last_exit.reason == VMX_REASON_VMCALL && events == 1 && seen.vector == rows[i].vector &&
                  seen.rip == phys((void *)more_nops) + rows[i].length,
              "reason:%d,events:%d,vector:%d,rip:%q", last_exit.reason, events,
              (uint32_t)seen.vector, seen.rip);
        unblock();
    }
}

static void test_registers(void)
{
    struct defect load = {.entry = VMX_ENTRY_LOAD_DEBUG, .exit = VMX_EXIT_SAVE_DEBUG};

    fresh();
    __asm__ volatile("mov %0, %%cr2" : : "r"(MARK));
    inject(0x80000B0E, 0);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-07", "pf-vector", seen.vector, 14);
    check_eq("VMX-EVT-07", "pf-cr2", read_cr2(), MARK);

    fresh();
    entry_controls(&load);
    wr(VMCS_GUEST_DR7, 0x400 | DR7_GD);
    write_dr6(0xFFFF0FF0);
    inject(0x80000301, 0);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-07", "db-vector", seen.vector, 1);
    check_eq("VMX-EVT-07", "db-dr6", read_dr6(), 0xFFFF0FF0);
    check_eq("VMX-EVT-07", "db-dr7", rd(VMCS_GUEST_DR7) & DR7_GD, DR7_GD);

    for (unsigned rf = 0; rf < 2; rf++) {
        fresh();
        wr(VMCS_GUEST_RFLAGS, 2 | (rf ? RFLAGS_RF : 0));
        inject(UD, 0);
        guest_run(LAUNCH);
        check_eq("VMX-EVT-09", rf ? "rf-set" : "rf-clear", seen.rflags & RFLAGS_RF,
                 rf ? RFLAGS_RF : 0);
    }
}

static void test_privilege(void)
{
    fresh();
    at_cpl3();
    wr(VMCS_EXCEPTION_BITMAP, 1u << 13);
    inject(0x80000441, 2);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-08", "gate-dpl", last_exit.intr, 0x80000B0D);
    check_eq("VMX-EVT-08", "gate-error", last_exit.error & ~1u, 0x41 * 8 + 2);
    check_eq("VMX-EVT-08", "gate-vectoring", rd(VMCS_IDT_VECTORING_INFO), 0x80000441);
    fresh();
    at_cpl3();
    inject(0x80000480, 2); /* its gate has DPL 3 */
    guest_run(LAUNCH);
    check_eq("VMX-EVT-08", "user-gate", seen.vector, 0x80);
    check_eq("VMX-EVT-08", "user-gate-cs", seen.cs, SEL_USER_CODE | 3);
    fresh();
    at_cpl3();
    inject(UD, 0);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-08", "exception", seen.vector, 6);
    check_eq("VMX-EVT-10", "rsp0", seen_at + sizeof(struct fault_frame), read64(phys(tss) + 4));
    check_eq("VMX-EVT-10", "rsp", seen.rsp, guest_stack_top() - 8);
    check_eq("VMX-EVT-10", "ss", seen.ss, SEL_USER_DATA | 3);

    /* A stack of the gate's choice. */
    memcpy((void *)IDT_AT, (void *)read_idtr().base, PAGE_SIZE);
    memcpy((void *)TSS_AT, tss, 0x68);
    write64(TSS_AT + 0x24, IST_TOP);
    *(uint8_t *)(IDT_AT + 16 * 6 + 4) = 1;
    fresh();
    wr(VMCS_GUEST_IDTR_BASE, IDT_AT);
    wr(VMCS_GUEST_BASE(SEG_TR), TSS_AT);
    inject(UD, 0);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-10", "ist", seen_at + sizeof(struct fault_frame), IST_TOP);
}

static void test_shadows(void)
{
    static const uint32_t shadows[] = {VMX_BLOCKING_BY_STI, VMX_BLOCKING_BY_MOV_SS};

    for (size_t i = 0; i < ARRAY_SIZE(shadows); i++) {
        fresh();
        wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
        wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, shadows[i]);
        inject(UD, 0);
        guest_run(LAUNCH);
        check_eq("VMX-EVT-11", "ended", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0);
        check_eq("VMX-EVT-11", "vector", seen.vector, 6);

        fresh();
        wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
        wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, shadows[i]);
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_INTERRUPT_WINDOW));
        check_eq("VMX-EVT-17", "window", guest_run(LAUNCH), VMX_REASON_INTERRUPT_WINDOW);
        check_eq("VMX-EVT-17", "rip", last_exit.rip, phys((void *)more_nops) + 1);
        check_eq("VMX-EVT-17", "ended", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0);
    }
}

static void nmi_to_self(void)
{
    self_ipi(IPI_NMI, 0);
    for (volatile int i = 0; i < 2000; i++) {
    }
    __asm__ volatile("vmcall" : : : "memory");
    unblock();
    for (volatile int i = 0; i < 2000; i++) {
    }
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_nmi_blocking(void)
{
    /* Loaded blocking lasts until IRET. */
    fresh();
    fault_hook = count;
    wr(VMCS_GUEST_RIP, phys((void *)nmi_to_self));
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-18", "blocked", nmis, 0);
    check_eq("VMX-EXI-15", "nmi", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), VMX_BLOCKING_BY_NMI);
    guest_skip();
    guest_run(RESUME);
    check_eq("VMX-EVT-18", "after-iret", nmis, 1);
    check_eq("VMX-NRB-11", "nmi-blocking", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0);

    for (unsigned virtual_nmis = 0; virtual_nmis < 2; virtual_nmis++) {
        struct defect d = {.pin = virtual_nmis ? VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS : 0};

        fresh();
        if (!entry_controls(&d)) {
            not_offered("VMX-EVT-19", "virtual-nmis");
            continue;
        }
        inject(NMI, 0);
        guest_run(LAUNCH); /* in the handler */
        check_eq("VMX-EVT-19", virtual_nmis ? "virtual" : "real", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE),
                 VMX_BLOCKING_BY_NMI);
        guest_skip();
        guest_run(RESUME); /* behind its IRET */
        check_eq("VMX-NRB-11", virtual_nmis ? "virtual" : "real", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0);
        check_eq("VMX-EVT-19", "once", nmis, 1);
        unblock();
    }
}

static void test_pending_debug(void)
{
    fresh();
    wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS);
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_BS);
    write_dr6(0xFFFF0FF0);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-21", "vector", seen.vector, 1);
    check_eq("VMX-EVT-21", "after-one-instruction", seen.rip, phys((void *)more_nops) + 1);
    check_eq("VMX-EVT-21", "dr6", read_dr6(), 0xFFFF4FF0);

    fresh();
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, ENABLED_BP | 5);
    write_dr6(0xFFFF0FF0);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-20", "breakpoint-vector", events ? seen.vector : 0, 1);
    check_eq("VMX-EVT-20", "breakpoint-rip", seen.rip, phys((void *)more_nops));
    check_eq("VMX-EVT-20", "breakpoint-dr6", read_dr6(), 0xFFFF0FF5);

    fresh();
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 3);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-22", "no-event", events, 0);
    check_eq("VMX-EVT-22", "reason", last_exit.reason, VMX_REASON_VMCALL);
    /* The bitmap sees pending debug exceptions, too. */
    fresh();
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, ENABLED_BP | 1);
    wr(VMCS_EXCEPTION_BITMAP, 1u << 1);
    guest_run(LAUNCH);
    check_eq("VMX-EVT-20", "exits", last_exit.intr, 0x80000301);
    check_eq("VMX-INF-02", "pending", last_exit.qualification, 1);
    check_eq("VMX-EVT-20", "exit-rip", last_exit.rip, phys((void *)more_nops));
}

/* Most injected events take the place of pending debug exceptions. */
static void test_pending_and_injected(void)
{
    static const struct {
        const char *name;
        uint32_t info, length, vector;
    } rows[] = {
        {"external", EXTERNAL, 0, 0x40}, {"nmi", NMI, 0, 2},
        {"ud", UD, 0, 6},                {"int1", 0x80000501, 1, 1},
        {"int-n", 0x80000441, 2, 0x41},  {"int3", 0x80000603, 1, 3},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        fresh();
        wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
        wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, ENABLED_BP | 1);
        inject(rows[i].info, rows[i].length);
        guest_run(LAUNCH); /* in the handler */
        check_eq("VMX-EVT-23", rows[i].name, seen.vector, rows[i].vector);
        check_eq("VMX-EVT-23", "nothing-pending", rd(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
        guest_skip();
        guest_run(RESUME); /* behind it */
        check_eq("VMX-EVT-23", "once", events, 1);
        unblock();
    }
}

/* ---- IRET that faults ---- */
static uint64_t eptp, ept_pt;

static void make_ept(void)
{
    uint64_t directory;

    eptp = ept_identity(&directory);
    ept_pt = ept_split(directory, AREA);
}

static bool fresh_iret(uint32_t pin, uint64_t cs, uint64_t rsp)
{
    struct defect d = {.pin = pin};
    uint64_t frame[5] = {0, cs, 2, guest_stack_top() - 8, SEL_DATA64};

    fresh();
    if (!entry_controls(&d)) {
        return false;
    }
    memcpy((void *)STACK_AT, frame, sizeof(frame));
    wr(VMCS_GUEST_RIP, phys((void *)more_iret));
    wr(VMCS_GUEST_RSP, rsp);
    wr(VMCS_EXCEPTION_BITMAP, 1u << 13 | 1u << 14);
    return true;
}

/* The blocking that IRET ends is that of NMIs, or of virtual NMIs. */
static void test_iret(uint32_t pin)
{
    for (unsigned blocked = 0; blocked < 2; blocked++) {
        uint32_t bit = blocked ? 1u << 12 : 0;
        const char *name = blocked ? "unblocked" : "was-not-blocked";

        if (!fresh_iret(pin, 0x60, STACK_AT)) {
            not_offered("VMX-INF-20", name);
            not_offered("VMX-INF-21", name);
            return;
        }
        wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, blocked ? VMX_BLOCKING_BY_NMI : 0);
        guest_run(LAUNCH);
        check_eq("VMX-INF-20", name, last_exit.intr, 0x80000B0D | bit);
        check_eq("VMX-INF-20", "no-longer-blocked", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), 0);

        fresh_iret(pin, SEL_CODE64, ABSENT);
        wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, blocked ? VMX_BLOCKING_BY_NMI : 0);
        guest_run(LAUNCH);
        check_eq("VMX-INF-20", name, last_exit.intr, 0x80000B0E | bit);

        fresh_iret(pin, SEL_CODE64, STACK_AT);
        wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, blocked ? VMX_BLOCKING_BY_NMI : 0);
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
        wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
        wr(VMCS_EPT_POINTER, eptp);
        write64(ept_pt + 8 * ((STACK_AT - AREA) >> 12), 0);
        guest_run(LAUNCH);
        check_eq("VMX-INF-21", "reason", last_exit.reason, VMX_REASON_EPT_VIOLATION);
        check_eq("VMX-INF-21", name, last_exit.qualification & 0x1181, 0x181 | bit);
        write64(ept_pt + 8 * ((STACK_AT - AREA) >> 12), STACK_AT | EPT_RWX | EPT_WB);
    }
}

void run_tests(void)
{
    vmx_start();
    make_ept();
    test_types();
    test_registers();
    test_privilege();
    test_shadows();
    test_nmi_blocking();
    test_pending_debug();
    test_pending_and_injected();
    test_iret(VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS);
    test_iret(0);
    fault_hook = NULL;
    vmclear(entry_vmcs);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
