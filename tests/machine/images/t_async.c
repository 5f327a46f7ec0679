/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * SMIs that arrive anywhere: a timer raises one every 1.5 ms while exec or a guest
 * copies memory, takes interrupts and halts.  Nothing may be lost or changed.
 * DUAL = 0: default treatment, 1: dual-monitor treatment.
 */
#include "stm.h"

#define SIZE       0x20000u
#define INTERRUPTS 40u /* at 2.5 ms each */
#define EPT_RWX    7u
#define EPT_WB     (6u << 3)
#define EPT_LARGE  (1u << 7)
#define APIC_TIMER_PERIODIC (1u << 17)

static uint8_t *const from = (uint8_t *)0x1000000, *const to = (uint8_t *)0x1100000;
static volatile uint32_t interrupts, bad_copies, bad_registers, loops;

static bool on_interrupt(struct fault_frame *frame)
{
    if (frame->vector != 0x40) {
        return false;
    }
    interrupts++;
    write32(0xFEE000B0, 0);
    return true;
}

/* Patterns in all registers over a loop of string instructions. */
static void copy_once(uint8_t seed)
{
    uint64_t r8 = 0x1234567890ABCDEF, r15 = ~r8;

    memset(to, 0, SIZE);
    for (uint32_t i = 0; i < SIZE; i += 4096) {
        from[i] = (uint8_t)(seed + i / 4096);
    }
    __asm__ volatile("mov %0, %%r8\n\tmov %1, %%r15\n\t"
                     "cld\n\trep movsb\n\t"
                     "mov %%r8, %0\n\tmov %%r15, %1"
                     : "+m"(r8), "+m"(r15)
                     : "S"(from), "D"(to), "c"(SIZE)
                     : "r8", "r15", "memory");
    bad_registers += r8 != 0x1234567890ABCDEF || r15 != ~r8;
    bad_copies += memcmp(from, to, SIZE) != 0;
}

static void work(void)
{
    while (interrupts < INTERRUPTS) {
        __asm__ volatile("sti" : : : "memory");
        copy_once((uint8_t)loops++);
        /* HLT directly after STI: an interrupt may end it, an SMI must not. */
        __asm__ volatile("cli; sti; hlt; cli" : : : "memory");
    }
}

static void guest_code(void)
{
    work();
    __asm__ volatile("vmcall" : : : "memory");
}

static void timers(bool on)
{
    write32(0xFEE003E0, 0xB); /* divide by 1: 1 GHz */
    write32(0xFEE00320, on ? APIC_TIMER_PERIODIC | 0x40 : 1u << 16);
    write32(0xFEE00380, on ? 2500000 : 0);
    if (on) {
        interrupts = bad_copies = bad_registers = loops = 0;
        smi_timer_start_at(SMI_EVERY_1_5_MS);
    } else {
        smi_timer_stop();
    }
}

static uint32_t smis(void)
{
    return DUAL ? stm_exits : smi_count;
}

static void check_run(const char *name, uint32_t before)
{
    check("DM-EXI-33", name, smis() - before >= 20, "smis:%d,loops:%d",
          smis() - before, loops);
    check_eq("DM-EXI-33", "copies", bad_copies, 0);
    check_eq("DM-EXI-61", "registers", bad_registers, 0);
    check("DM-RET-61", "interrupts", interrupts >= INTERRUPTS, "%d", interrupts);
}

static uint64_t make_ept(void)
{
    uint64_t pml4 = phys(page_alloc()), pdpt = phys(page_alloc());

    write64(pml4, pdpt | EPT_RWX);
    for (uint64_t i = 0; i < 4; i++) {
        write64(pdpt + 8 * i, i << 30 | EPT_RWX | EPT_WB | EPT_LARGE);
    }
    return pml4 | 0x1E;
}

static void run_guest(const char *name, bool ept)
{
    uint64_t region = vmcs_new_guest(guest_code);
    uint32_t before = smis();

    if (ept) {
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_SECONDARY_CONTROLS));
        wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT));
        wr(VMCS_EPT_POINTER, make_ept());
    }
    timers(true);
    check_eq("DM-RET-50", name, guest_run(LAUNCH), VMX_REASON_VMCALL);
    timers(false);
    check_run(name, before);
    vmclear(region);
}

void run_tests(void)
{
    uint32_t before;

    fault_hook = on_interrupt;
    for (uint32_t i = 0; i < SIZE; i++) {
        from[i] = (uint8_t)(i * 13);
    }
    if (DUAL) {
        stm_activate();
    } else {
        vmx_start();
    }
    before = smis();
    timers(true);
    work();
    timers(false);
    check_run("root", before);
    run_guest("guest", false);
    run_guest("guest-ept", true);
}
