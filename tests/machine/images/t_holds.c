/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A generated matrix: shadows of STI and MOV SS, blocking by NMI, pending debug
 * exceptions and HLT, across SMM VM exits, returns from SMM, deactivation, SMIs of
 * the default treatment, and VM entries.  What is expected is computed by expected().
 */
#include "stm.h"

#define VECTOR   0x41u
#define BS       (1u << 14)
#define ENABLED  (1u << 12 | 1u) /* an enabled breakpoint, that of DR0 */
#define ANYWHERE UINT64_MAX

/* Behind the SMI: in exec and in the guest. */
extern uint8_t landing_a[], landing_b[], landing_end[], guest_a[], guest_b[], guest_end[];
void guest_landing(void);
__asm__("guest_landing:\n\tout %al, $0xB2\n"
        "guest_a:\n\tnop\n"
        "guest_b:\n\tnop\n\tnop\n\tcli\n"
        "guest_end:\n\tvmcall\n\tjmp guest_end\n");

enum event { INTERRUPT, NMI, TRAP };
enum boundary { RETURN, RETURN_SMI, DEACTIVATE, DEACTIVATE_SMI, TO_GUEST, TO_GUEST_SMI, ENTRY };

static const char *const event_names[] = {"interrupt", "nmi", "trap"};
static const struct {
    const char *name, *ids[3];
} boundaries[] = {
    [RETURN] = {"return", {"DM-RET-43", "DM-RET-59", "DM-RET-54"}},
    [RETURN_SMI] = {"exit-and-return", {"DM-EXI-39", "DM-EXI-39", "DM-EXI-41"}},
    [DEACTIVATE] = {"deactivation", {"DM-RET-43", "DM-DEA-14", "DM-RET-54"}},
    /* Here a trap that waits tells the shadow of STI from that of MOV SS. */
    [DEACTIVATE_SMI] = {"deactivation-and-smi", {"DM-DEF-04", "DM-DEF-25", "DM-DEF-04"}},
    [TO_GUEST] = {"return-to-guest", {"DM-RET-43", "DM-RET-59", "DM-RET-54"}},
    [TO_GUEST_SMI] = {"exit-and-return-to-guest", {"DM-EXI-39", "DM-EXI-39", "DM-EXI-41"}},
    [ENTRY] = {"vm-entry", {"VMX-EVT-17", NULL, "VMX-EVT-20"}},
};

/* One cell: what is loaded, and what waits. */
struct cell {
    uint32_t blocking; /* interruptibility bits 0, 1 and 3 */
    enum event event;
    enum boundary boundary;
};
static struct cell cell;

/* ---- what has happened ---- */
static volatile uint64_t event_rip;
static volatile uint32_t events;
static volatile uint32_t vector_seen;

static bool note_event(struct fault_frame *frame)
{
    if (frame->vector != VECTOR && frame->vector != 2 && frame->vector != FAULT_DB) {
        return false;
    }
    if (!events++) {
        event_rip = frame->rip;
        vector_seen = (uint32_t)frame->vector;
    }
    if (frame->vector == VECTOR) {
        write32(0xFEE000B0, 0);
    }
    frame->rflags &= ~(uint64_t)RFLAGS_TF;
    return true;
}

/* ---- what should: the boundary at A, or the next one at B; 0: held ---- */
static bool in_guest(void)
{
    return cell.boundary >= TO_GUEST;
}

static uint64_t expected(void)
{
    uint64_t a = phys(in_guest() ? guest_a : landing_a), b = phys(in_guest() ? guest_b : landing_b);
    bool sti = cell.blocking & VMX_BLOCKING_BY_STI, mov_ss = cell.blocking & VMX_BLOCKING_BY_MOV_SS;

    switch (cell.event) {
    case INTERRUPT:
        return sti || mov_ss ? b : a;
    case NMI:
        if (cell.blocking & VMX_BLOCKING_BY_NMI) {
            return 0;
        }
        /* "Blocking by STI": whether it holds NMIs depends on the processor. */
        return mov_ss ? b : sti ? ANYWHERE : a;
    default:
        return mov_ss ? b : a;
    }
}

/* ---- the STM's part ---- */
static void load_cell(void)
{
    uint64_t rflags = rd(VMCS_GUEST_RFLAGS);
    bool shadow = cell.blocking & (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS);

    if (cell.event == INTERRUPT || cell.blocking & VMX_BLOCKING_BY_STI) {
        rflags |= RFLAGS_IF;
    }
    if (cell.event == TRAP) {
        rflags |= shadow ? RFLAGS_TF : 0;
        wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, BS);
    }
    wr(VMCS_GUEST_RFLAGS, rflags);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, cell.blocking);
}

static void pend_event(void)
{
    if (cell.event == INTERRUPT) {
        self_ipi(IPI_FIXED, VECTOR);
    } else if (cell.event == NMI) {
        self_ipi(IPI_NMI, 0);
    }
}

static void in_stm(void)
{
    load_cell();
    pend_event();
    if (cell.boundary == RETURN_SMI || cell.boundary == DEACTIVATE_SMI || cell.boundary == TO_GUEST_SMI) {
        self_ipi(IPI_SMI, 0);
    }
    if (cell.boundary == DEACTIVATE || cell.boundary == DEACTIVATE_SMI) {
        wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
    }
}

/* ---- one cell ---- */
static void __attribute__((noinline)) land_in_exec(void)
{
    __asm__ volatile("out %%al, $0xB2\n\t"
                     ".globl landing_a, landing_b, landing_end\n"
                     "landing_a:\n\tnop\n"
                     "landing_b:\n\tnop\n\tnop\n\tcli\n"
                     "landing_end:"
                     :
                     : "a"(0x80)
                     : "memory");
}

static void land_in_guest(void)
{
    uint64_t region = vmcs_new_guest(guest_landing);

    if (cell.boundary == ENTRY) {
        stm_hook = NULL;
        wr(VMCS_GUEST_RIP, phys(guest_a));
        load_cell();
        pend_event();
    }
    guest_run(LAUNCH);
    vmclear(region);
}

static void activate(void)
{
    uint32_t before = stm_starts;

    activation_vmcs();
    if (vmcall() || stm_starts != before + 1) {
        panic("activation");
    }
}

static uint32_t cells, wrong;

static void run_cell(void)
{
    uint64_t want = expected();
    uint32_t want_vector = cell.event == INTERRUPT ? VECTOR : cell.event == NMI ? 2 : FAULT_DB;
    uint32_t seen;
    uint64_t rip;
    bool good;

    events = 0;
    event_rip = 0;
    vector_seen = 0;
    stm_hook = in_stm;
    if (in_guest()) {
        land_in_guest();
    } else {
        land_in_exec();
    }
    rip = event_rip;
    seen = events;
    good = want ? seen == 1 && vector_seen == want_vector && (want == ANYWHERE || rip == want) : seen == 0;
    iret_here(); /* ends blocking by NMI; what was held comes now */
    good = good && events == 1;
    cells++;
    if (!good) {
        wrong++;
        print("NOTE cell boundary=%s event=%s blocking=%x events=%d,%d rip=%q want=%q\n",
              boundaries[cell.boundary].name, event_names[cell.event], cell.blocking, seen, events, rip, want);
    }
    if (cell.boundary == DEACTIVATE || cell.boundary == DEACTIVATE_SMI) {
        activate();
    }
}

static void run_matrix(void)
{
    static const uint32_t shadows[] = {0, VMX_BLOCKING_BY_STI, VMX_BLOCKING_BY_MOV_SS};

    for (unsigned boundary = RETURN; boundary <= ENTRY; boundary++) {
        for (unsigned event = INTERRUPT; event <= TRAP; event++) {
            const char *id = boundaries[boundary].ids[event];

            if (!id) {
                continue;
            }
            cells = wrong = 0;
            for (unsigned i = 0; i < 2 * ARRAY_SIZE(shadows); i++) {
                cell.boundary = boundary;
                cell.event = event;
                cell.blocking = shadows[i / 2] | (i & 1 ? VMX_BLOCKING_BY_NMI : 0);
                run_cell();
            }
            check(id, boundaries[boundary].name, cells == 6 && !wrong, "event:%s,cells:%d,wrong:%d",
                  event_names[event], cells, wrong);
        }
    }
}

/* ---- what an SMM VM exit saves of what a return has just loaded ---- */
static uint32_t saved_cells, saved_wrong;

/* No instruction runs in between: the registers stay the STM's. */
static void there_and_back(void)
{
    uint64_t rip;

    self_ipi(IPI_SMI, 0);
    __asm__ volatile("vmwrite %%rsp, %1\n\t"
                     "lea 1f(%%rip), %0\n\t"
                     "vmwrite %0, %2\n\t"
                     "vmresume\n\t"
                     "ud2\n"
                     "1:"
                     : "=&r"(rip)
                     : "r"((uint64_t)VMCS_HOST_RSP), "r"((uint64_t)VMCS_HOST_RIP)
                     : "cc", "memory");
}

static void save_cell(uint32_t blocking, uint32_t activity, uint32_t pending, uint64_t rflags)
{
    uint32_t got_blocking, got_activity, got_pending;

    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, blocking);
    wr(VMCS_GUEST_ACTIVITY_STATE, activity);
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, pending);
    wr(VMCS_GUEST_RFLAGS, rflags);
    there_and_back();
    got_blocking = (uint32_t)rd(VMCS_GUEST_INTERRUPTIBILITY_STATE);
    got_activity = (uint32_t)rd(VMCS_GUEST_ACTIVITY_STATE);
    got_pending = (uint32_t)rd(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);
    saved_cells++;
    if ((rd(VMCS_EXIT_REASON) & 0xFFFF) != VMX_REASON_OTHER_SMI || got_blocking != blocking ||
        got_activity != activity || got_pending != pending || rd(VMCS_GUEST_RFLAGS) != rflags) {
        saved_wrong++;
        print("NOTE saved blocking=%x,%x activity=%d,%d pending=%x,%x rflags=%q,%q\n", blocking, got_blocking,
              activity, got_activity, pending, got_pending, rflags, rd(VMCS_GUEST_RFLAGS));
    }
}

/* Every combination that "Checks on Guest Non-Register State" lets through. */
static void save_cells(void)
{
    const uint64_t rflags = rd(VMCS_GUEST_RFLAGS) & ~(uint64_t)(RFLAGS_IF | RFLAGS_TF);

    saved_cells = saved_wrong = 0;
    for (unsigned i = 0; i < 128; i++) {
        uint32_t shadow = i % 4, nmi = i & 4 ? VMX_BLOCKING_BY_NMI : 0, activity = i >> 3 & 1;
        uint32_t pending = (i & 16 ? BS : 0) | (i & 32 ? ENABLED : 0);
        bool tf = i & 64;

        if (shadow == 3 || (shadow && activity) || ((shadow || activity) && tf != !!(pending & BS))) {
            continue;
        }
        save_cell(shadow | nmi, activity, pending,
                  rflags | (tf ? RFLAGS_TF : 0) | (shadow & VMX_BLOCKING_BY_STI ? RFLAGS_IF : 0));
    }
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
    wr(VMCS_GUEST_ACTIVITY_STATE, 0);
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
    wr(VMCS_GUEST_RFLAGS, rflags);
}

static void check_saved(const char *name)
{
    check("DM-EXI-39", name, saved_cells == 40 && !saved_wrong, "cells:%d,wrong:%d", saved_cells, saved_wrong);
}

static void save_from_guest(const char *name, uint32_t pin)
{
    uint64_t region = vmcs_new_guest(guest_landing);

    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, pin));
    stm_hook = save_cells;
    guest_run(LAUNCH);
    check_saved(name);
    vmclear(region);
}

void run_tests(void)
{
    stm_activate();
    fault_hook = note_event;
    stm_hook = save_cells;
    smi_port_write(0x80);
    check_saved("saved-from-root");
    save_from_guest("saved-from-guest", 0);
    save_from_guest("saved-with-virtual-nmis", VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS);
    run_matrix();
}
