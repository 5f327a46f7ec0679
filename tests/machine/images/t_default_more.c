/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Default treatment: what RSM into a guest gives back (windows, monitor trap flag,
 * preemption timer, virtual NMIs, real mode), EPT items of the save map, A20.
 */
#include "guest_code.h"
#include "real_guest.h"
#include "vmx.h"

#define SAVE_MAP     (DEFAULT_SMBASE + 0x8000u)
#define SAVED_EPTP   (SAVE_MAP + 0x7ED8u)
#define SAVED_EPT    (SAVE_MAP + 0x7EE0u) /* bit 0: "enable EPT" */
#define SAVED_RFLAGS (SAVE_MAP + 0x7F70u)
#define SAVED_RIP    (SAVE_MAP + 0x7F78u)
#define PORT_92      0x92u
#define PORT_92_A20  2u
#define BS           (1u << 14)
#define DB_BIT       (1u << 1)
#define WANTED       3u      /* SMIs between HLT and its monitor trap flag exit */
#define SMIS_LIMIT   4000u

GUEST(g_out, "out %al, $0xB2", "inc %rbx");
GUEST(g_hlt, "hlt", "inc %rbx");

static volatile uint64_t seen_eptp, seen_rip;
static volatile uint32_t seen_ept;

static void use_secondary(uint32_t secondary, uint64_t eptp)
{
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, secondary));
    wr(VMCS_EPT_POINTER, eptp);
}

static void add_proc(uint32_t set)
{
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, (uint32_t)rd(VMCS_PROCESSOR_CONTROLS) | set));
}

/* Runs a new guest's OUT to the SMI port with this handler; the exit reason. */
static uint32_t run_out(void (*handler)(void))
{
    uint32_t before = smi_count, reason;

    seen_rip = 0;
    smi_hook = handler;
    reason = guest_run(LAUNCH);
    smi_hook = NULL;
    if (smi_count == before) {
        panic("no SMI in the guest");
    }
    return reason;
}

/* ---- the save map's EPT items ("SMRAM State Save Map and Intel 64 Architecture") ---- */
static void note_items(void)
{
    seen_ept = read32(SAVED_EPT);
    seen_eptp = read64(SAVED_EPTP);
}

static void preset_items(uint32_t marker)
{
    write32(SAVED_EPT, marker);
    write64(SAVED_EPTP, 0x1122334455667788);
}

static void check_no_ept(const char *name)
{
    check_eq("DM-DEF-10", name, seen_ept & 1, 0);
}

static void test_ept_items(void)
{
    uint64_t directory, eptp = ept_identity(&directory), region;

    vmx_prepare();
    preset_items(UINT32_MAX);
    smm_call(note_items);
    check_no_ept("outside-vmx");
    if (vmxon(vmxon_region)) {
        panic("vmxon");
    }
    region = vmcs_new_guest(g_out);
    add_proc(VMX_CPU_SECONDARY_CONTROLS);
    use_secondary(VMX_CPU2_EPT, eptp);
    /* The current VMCS has it, but the processor is in root operation. */
    preset_items(UINT32_MAX);
    smm_call(note_items);
    check_no_ept("root");
    preset_items(0);
    run_out(note_items);
    check_eq("DM-DEF-10", "guest-with-ept", seen_ept & 1, 1);
    check_eq("DM-DEF-11", "eptp", seen_eptp, eptp);
    /* Memory type UC: the field itself is written, not the address of the table. */
    vmclear(region);
    vmptrld(region);
    wr(VMCS_GUEST_RIP, phys((void *)g_out));
    use_secondary(VMX_CPU2_EPT, eptp & ~7ull);
    run_out(note_items);
    check_eq("DM-DEF-11", "eptp-uc", seen_eptp, eptp & ~7ull);
    vmclear(region);

    region = vmcs_new_guest(g_out);
    add_proc(VMX_CPU_SECONDARY_CONTROLS);
    use_secondary(0, eptp);
    preset_items(UINT32_MAX);
    run_out(note_items);
    check_no_ept("guest-without-ept");
    vmclear(region);

    region = vmcs_new_guest(g_out);
    use_secondary(VMX_CPU2_EPT, eptp); /* not activated */
    preset_items(UINT32_MAX);
    run_out(note_items);
    check_no_ept("secondary-controls-not-active");
    vmclear(region);
}

/* ---- unrestricted guest ---- */
static void note_rip(void)
{
    seen_rip = read64(SAVED_RIP);
}

static void test_real_mode(void)
{
    /* out %al, $0xB2; mov %cr0, %eax; vmcall; jmp back to it */
    static const uint8_t code[] = {0xE6, 0xB2, 0x0F, 0x20, 0xC0, 0x0F, 0x01, 0xC1, 0xEB, 0xFB};
    uint64_t region = real_guest_new(code, sizeof(code));

    check_eq("DM-DEF-21", "goes-on", run_out(note_rip), VMX_REASON_VMCALL);
    check_eq("DM-DEF-21", "smi-behind-out", seen_rip, 2);
    check_eq("DM-DEF-21", "rip", last_exit.rip, 5);
    check_eq("DM-DEF-21", "guest-reads-cr0", guest.rax & (CR0_PE | CR0_PG), 0);
    check_eq("DM-DEF-21", "saved-cr0", rd(VMCS_GUEST_CR0) & (CR0_PE | CR0_PG), 0);
    vmclear(region);
}

/* ---- virtual NMIs ---- */
static void send_nmi(void)
{
    self_ipi(IPI_NMI, 0);
    for (volatile int i = 0; i < 1000; i++) {
    }
}

static void test_virtual_nmi(void)
{
    static const char *const names[] = {"not-blocked", "blocked"};

    for (unsigned blocked = 0; blocked < 2; blocked++) {
        uint64_t region = vmcs_new_guest(g_out);

        wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS));
        wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, blocked ? VMX_BLOCKING_BY_NMI : 0);
        check_eq("DM-DEF-26", names[blocked], run_out(send_nmi), VMX_REASON_EXCEPTION_NMI);
        check_eq("DM-DEF-26", "nmi", last_exit.intr, 0x80000202);
        check_eq("DM-DEF-26", "right-behind-rsm", last_exit.rip, phys(g_out_next));
        check_eq("DM-DEF-26", "virtual-blocking", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE),
                 blocked ? VMX_BLOCKING_BY_NMI : 0);
        iret_here(); /* the exit has blocked NMIs in root */
        vmclear(region);
    }
}

/* ---- windows ---- */
static void set_if(void)
{
    write32(SAVED_RFLAGS, read32(SAVED_RFLAGS) | RFLAGS_IF);
}

static void test_windows(void)
{
    uint64_t region = vmcs_new_guest(g_out);

    add_proc(VMX_CPU_INTERRUPT_WINDOW);
    check_eq("DM-DEF-28", "interrupt-window", run_out(set_if), VMX_REASON_INTERRUPT_WINDOW);
    check_eq("DM-DEF-28", "interrupt-window-rip", last_exit.rip, phys(g_out_next));
    vmclear(region);

    /* Closed: IF = 0 in the image too. */
    region = vmcs_new_guest(g_out);
    add_proc(VMX_CPU_INTERRUPT_WINDOW);
    check_eq("DM-DEF-28", "no-interrupt-window", run_out(note_items), VMX_REASON_VMCALL);
    vmclear(region);

    /* The shadow of MOV SS ends with the OUT: SMI first, then the window. */
    region = vmcs_new_guest(g_out);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS));
    add_proc(VMX_CPU_NMI_WINDOW);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_MOV_SS);
    check_eq("DM-DEF-28", "nmi-window", run_out(note_items), VMX_REASON_NMI_WINDOW);
    check_eq("DM-DEF-28", "nmi-window-rip", last_exit.rip, phys(g_out_next));
    vmclear(region);

    region = vmcs_new_guest(g_out);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMIS));
    add_proc(VMX_CPU_NMI_WINDOW);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_NMI);
    check_eq("DM-DEF-28", "no-nmi-window", run_out(note_items), VMX_REASON_VMCALL);
    vmclear(region);
}

/* ---- monitor trap flag ---- */
static void send_init(void)
{
    seen_rip = read64(SAVED_RIP);
    self_ipi(IPI_INIT, 0);
}

static void test_mtf(void)
{
    uint64_t region = vmcs_new_guest(g_out);

    add_proc(VMX_CPU_MONITOR_TRAP_FLAG);
    guest.rbx = 0x10;
    check_eq("DM-DEF-29", "reason", run_out(note_rip), VMX_REASON_MONITOR_TRAP_FLAG);
    check_eq("DM-DEF-29", "smi-first", seen_rip, phys(g_out_next));
    check_eq("DM-DEF-29", "rip", last_exit.rip, phys(g_out_next));
    check_eq("DM-DEF-29", "nothing-in-between", guest.rbx, 0x10);
    vmclear(region);

    region = vmcs_new_guest(g_out);
    add_proc(VMX_CPU_MONITOR_TRAP_FLAG);
    check_eq("DM-DEF-29", "after-init", run_out(send_init), VMX_REASON_INIT);
    check_eq("DM-DEF-29", "after-init-rip", last_exit.rip, phys(g_out_next));
    vmclear(region);

    region = vmcs_new_guest(g_out);
    add_proc(VMX_CPU_MONITOR_TRAP_FLAG);
    wr(VMCS_EXCEPTION_BITMAP, DB_BIT);
    wr(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF);
    check_eq("DM-DEF-29", "before-trap", run_out(note_rip), VMX_REASON_MONITOR_TRAP_FLAG);
    check_eq("DM-DEF-29", "trap-pending", rd(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), BS);
    vmclear(region);
}

static volatile uint32_t smis_in_hlt;

static void note_hlt(void)
{
    smis_in_hlt += read64(SAVED_RIP) == phys(g_hlt_next);
}

/*
 * An SMI between HLT and the monitor trap flag's exit.  Only chance brings it
 * there; if the exit is lost the guest halts for ever.
 */
static void test_mtf_in_hlt(void)
{
    uint32_t before = smi_count, wrong = 0;
    uint64_t region = vmcs_new_guest(g_hlt);
    bool launch = LAUNCH;

    add_proc(VMX_CPU_MONITOR_TRAP_FLAG);
    smi_hook = note_hlt;
    smi_timer_start_at(SMI_EVERY_1_5_MS);
    while (smis_in_hlt < WANTED && smi_count - before < SMIS_LIMIT) {
        wr(VMCS_GUEST_RIP, phys((void *)g_hlt));
        wr(VMCS_GUEST_ACTIVITY_STATE, 0);
        wrong += guest_run(launch) != VMX_REASON_MONITOR_TRAP_FLAG || last_exit.rip != phys(g_hlt_next);
        launch = RESUME;
    }
    smi_timer_stop();
    smi_hook = NULL;
    check("DM-DEF-30", "smis-in-hlt", smis_in_hlt >= WANTED, "count:%d,smis:%d", smis_in_hlt, smi_count - before);
    check_eq("DM-DEF-30", "woken-by-mtf", wrong, 0);
    vmclear(region);
}

/* ---- preemption timer ---- */
#define TIMER_TICKS 100000u

static volatile uint64_t ticks_in_handler;

static uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static void outlast_timer(void)
{
    uint32_t shift = (uint32_t)rdmsr(MSR_VMX_MISC) & 0x1F;
    uint64_t start = rdtsc();

    while (rdtsc() - start < (2ull * TIMER_TICKS) << shift) {
    }
    ticks_in_handler = rdtsc() - start;
}

static void test_timer(void)
{
    uint32_t before = smi_count;
    uint64_t region = NO_VMCS;

    smi_hook = outlast_timer;
    for (unsigned i = 0; i < 100 && smi_count == before; i++) {
        vmclear(region); /* nothing at first */
        region = vmcs_new_guest(g_out);
        wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_PREEMPTION_TIMER));
        wr(VMCS_PREEMPTION_TIMER_VALUE, TIMER_TICKS);
        guest.rbx = 0x20;
        guest_run(LAUNCH); /* a slow host: over before the guest has begun */
    }
    smi_hook = NULL;
    check_eq("DM-DEF-31", "smi", smi_count, before + 1);
    check_eq("DM-DEF-31", "reason", last_exit.reason, VMX_REASON_PREEMPTION_TIMER);
    check("DM-DEF-31", "handler-went-on", ticks_in_handler > TIMER_TICKS, "ticks:%q", ticks_in_handler);
    check_eq("DM-DEF-31", "rip", last_exit.rip, phys(g_out_next));
    check_eq("DM-DEF-31", "nothing-in-between", guest.rbx, 0x20);
    vmclear(region);
}

/* ---- A20 ---- */
static volatile uint32_t gate_in_handler;

static void close_a20(void)
{
    outb(PORT_92, inb(PORT_92) & (uint8_t)~PORT_92_A20);
    gate_in_handler = inb(PORT_92) & PORT_92_A20;
}

/* t_a20.c shows that the gate masks addresses outside VMX operation. */
static void test_a20(void)
{
    const uint64_t even = 0x1000000, odd = even | 1u << 20;
    uint64_t seen;

    write32(even, 0x11111111);
    write32(odd, 0x22222222);
    smm_call(close_a20);
    seen = read32(even) | (uint64_t)read32(odd) << 32;
    outb(PORT_92, inb(PORT_92) | PORT_92_A20);
    check_eq("DM-DEF-23", "gate-closed", gate_in_handler, 0);
    check_eq("DM-DEF-23", "no-wrap", seen, 0x2222222211111111);
}

void run_tests(void)
{
    test_ept_items();
    test_real_mode();
    test_virtual_nmi();
    test_windows();
    test_mtf();
    test_timer();
    test_a20();
    test_mtf_in_hlt();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
