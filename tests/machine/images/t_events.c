/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* NMIs, interrupts and HLT around SMIs under the default treatment, in VMX
 * root operation, and NMI blocking across SMM VM exits. */
#include "stm.h"

static volatile uint32_t nmis, nmis_in_handler, interrupts;

/* Counts NMIs and vector 40H. */
static bool count_events(struct fault_frame *frame)
{
    if (frame->vector == 2) {
        nmis++;
        return true;
    }
    if (frame->vector == 0x40) {
        interrupts++;
        write32(0xFEE000B0, 0); /* EOI */
        return true;
    }
    return false;
}

static void wait_a_little(void)
{
    for (volatile int i = 0; i < 1000; i++) {
    }
}

static void nmi_in_handler(void)
{
    self_ipi(IPI_NMI, 0);
    wait_a_little();
    nmis_in_handler = nmis;
}

static void nmi_and_iret_in_handler(void)
{
    self_ipi(IPI_NMI, 0);
    wait_a_little();
    iret_here();
    nmis_in_handler = nmis;
}

static void test_nmi(const char *name)
{
    nmis = 0;
    smm_call(nmi_in_handler);
    /* DM-DEF-08, DM-DEF-25: blocked in SMM, taken right after RSM. */
    check_eq("DM-DEF-08", name, nmis_in_handler, 0);
    check_eq("DM-DEF-25", name, nmis, 1);

    nmis = 0;
    smm_call(nmi_and_iret_in_handler);
    /* DM-DEF-36: IRET in the handler unblocks NMIs in SMM. */
    check_eq("DM-DEF-36", name, nmis_in_handler, 1);
    check_eq("DM-DEF-36", name, nmis, 1);
}

static volatile uint32_t nested_before_iret;

/* An SMI taken inside an NMI handler; the handler sends an NMI. */
static bool smi_inside_nmi(struct fault_frame *frame)
{
    if (frame->vector == 2 && nmis++ == 0) {
        smm_call(nmi_in_handler);
        wait_a_little();
        nested_before_iret = nmis;
    }
    return frame->vector == 2;
}

static void iret_in_handler(void)
{
    iret_here();
}

/* The same, but that the SMI handler only executes IRET, and the NMI comes behind RSM. */
static bool smi_inside_nmi_and_iret(struct fault_frame *frame)
{
    if (frame->vector == 2 && nmis++ == 0) {
        smm_call(iret_in_handler);
        self_ipi(IPI_NMI, 0);
        wait_a_little();
        nested_before_iret = nmis;
    }
    return frame->vector == 2;
}

static void test_nmi_inside_nmi(const char *name)
{
    nmis = 0;
    fault_hook = smi_inside_nmi;
    self_ipi(IPI_NMI, 0);
    wait_a_little();
    fault_hook = count_events;
    /* DM-DEF-25: NMIs were blocked before the SMI and stay so until IRET. */
    check_eq("DM-DEF-25", name, nested_before_iret, 1);
    check_eq("DM-DEF-25", name, nmis, 2);

    nmis = 0;
    fault_hook = smi_inside_nmi_and_iret;
    self_ipi(IPI_NMI, 0);
    wait_a_little();
    fault_hook = count_events;
    /* DM-DEF-25: the handler's IRET unblocked them in SMM only. */
    check_eq("DM-DEF-25", name, nested_before_iret, 1);
    check_eq("DM-DEF-25", name, nmis, 2);
}

static void smi_hook_idle(void)
{
}

static void test_interrupt(const char *name)
{
    uint32_t marker = 0, seen, before = smi_count;

    /* DM-DEF-05: no interrupt is taken in the shadow of STI, with an SMI and
     * an interrupt pending; the interrupt comes after the marker. */
    interrupts = 0;
    smi_hook = smi_hook_idle;
    self_ipi(IPI_FIXED, 0x40);
    wait_a_little();
    __asm__ volatile("outb %%al, $0xB2\n\tsti\n\tmov %2, %1\n\tnop\n\tcli\n\t"
                     : "=m"(marker), "=&r"(seen)
                     : "m"(interrupts), "a"(0)
                     : "memory");
    smi_hook = NULL;
    check_eq("DM-DEF-05", "smis", smi_count, before + 1);
    check_eq("DM-DEF-05", name, seen, 0);
    check_eq("DM-DEF-05", name, interrupts, 1);
}

static void test_hlt(const char *name)
{
    uint32_t before = smi_count;

    /* DM-DEF-37 (QEMU's map has no auto-HALT word that its handlers use): the
     * SMI is served out of HLT and the program is not lost. */
    interrupts = 0;
    smi_timer_start();
    write32(0xFEE00320, 0x40);      /* LVT timer, one shot, vector 40H */
    write32(0xFEE003E0, 0xB);       /* divide by 1 */
    write32(0xFEE00380, 100000000); /* about 100 ms: several SMIs earlier */
    while (!interrupts) {
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    }
    smi_timer_stop();
    check("DM-DEF-37", name, smi_count > before, "smis:%d", smi_count - before);
    check_eq("DM-DEF-37", name, interrupts, 1);
}

static void test_default(const char *name)
{
    test_nmi(name);
    test_nmi_inside_nmi(name);
    test_interrupt(name);
    test_hlt(name);
}

/* ---- under the dual-monitor treatment ---- */
static bool vmcall_inside_nmi(struct fault_frame *frame)
{
    if (frame->vector == 2) {
        nmis++;
        smi_port_write(0);
        vmcall();
    }
    return frame->vector == 2;
}

static void test_dual(void)
{
    uint32_t before = stm_exits;

    fault_hook = vmcall_inside_nmi;
    nmis = 0;
    self_ipi(IPI_NMI, 0);
    wait_a_little();
    /* DM-EXI-39, DM-ACT-35: bit 3 shows NMI blocking. */
    check_eq("DM-EXI-39", "exits", stm_exits, before + 2);
    check_eq("DM-EXI-39", "bit-3", stm_log.interruptibility, VMX_BLOCKING_BY_NMI);
    fault_hook = count_events;
    /* DM-RET-59: the handler's IRET has ended the blocking. */
    self_ipi(IPI_NMI, 0);
    wait_a_little();
    check_eq("DM-RET-59", "nmi-after", nmis, 2);
    smi_port_write(0);
    check_eq("DM-EXI-39", "bit-3-clear", stm_log.interruptibility, 0);

    /* DM-STM-28, DM-EXI-58: a pending interrupt waits for the return. */
    interrupts = 0;
    before = stm_exits;
    self_ipi(IPI_FIXED, 0x40);
    __asm__ volatile("sti\n\toutb %%al, $0xB2\n\tnop\n\tcli"
                     :
                     : "a"(0)
                     : "memory");
    check_eq("DM-STM-28", "interrupt", interrupts, 1);
    check_eq("DM-STM-28", "smi", stm_exits, before + 1);
}

void run_tests(void)
{
    fault_hook = count_events;
    test_default("outside-vmx");
    stm_prepare();
    test_default("root");
    activation_vmcs();
    if (vmcall()) {
        panic("activation failed");
    }
    test_dual();
}
