/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Round trips guest -> host -> guest of every kind, and what the TLB flush in
 * each of them costs: the guest touches `pages` pages between two exits, all of
 * which have to be looked up again.
 */
#include "bench.h"

#define VECTOR   0x41u
#define APIC_EOI 0xFEE000B0u

#define TOUCHED     0x1000000ull  /* pages of RAM that nothing else uses */
#define UNMAPPED    0x40000000ull /* guest-physical, below spare_directory() */
#define MAPS_PER_PT 512u
#define SETTLE      60000u /* flushes, a good deal more than 100 ms */

static const uint32_t page_counts[] = {0, 16, 256};

struct trip {
    const char *name;
    void (*guest)(void);
    void (*on_exit)(void);
    uint32_t reason, pages;
    enum paging paging;
    uint64_t vmcs;
    uint16_t vpid; /* 0: none */
};

#define CPUID_TRIPS(pages)                                                     \
    {"cpuid", guest_cpuid, on_exit_skip, VMX_REASON_CPUID, pages, NO_EPT, 0, 0},      \
    {"cpuid", guest_cpuid, on_exit_skip, VMX_REASON_CPUID, pages, EPT_2M, 0, 0},      \
    {"cpuid", guest_cpuid, on_exit_skip, VMX_REASON_CPUID, pages, EPT_4K, 0, 0}

static struct trip trips[] = {
    CPUID_TRIPS(0),
    {"cpuid-vpid", guest_cpuid, on_exit_skip, VMX_REASON_CPUID, 0, NO_EPT, 0, 1},
    {"cpuid-vpid", guest_cpuid, on_exit_skip, VMX_REASON_CPUID, 0, EPT_2M, 0, 2},
    {"vmcall", guest_vmcall, on_exit_skip, VMX_REASON_VMCALL, 0, NO_EPT, 0, 0},
    {"vmcall", guest_vmcall, on_exit_skip, VMX_REASON_VMCALL, 0, EPT_2M, 0, 0},
    {"interrupt", guest_spin, on_exit_nothing, VMX_REASON_EXTERNAL_INTERRUPT, 0, NO_EPT, 0, 0},
    {"mtf", guest_spin, on_exit_nothing, VMX_REASON_MONITOR_TRAP_FLAG, 0, NO_EPT, 0, 0},
    {"violation", guest_new_page, on_exit_map, VMX_REASON_EPT_VIOLATION, 0, EPT_4K, 0, 0},
    CPUID_TRIPS(16),
    CPUID_TRIPS(256),
};

static uint64_t tables; /* the page tables below UNMAPPED, one behind the other */

static void make_tables(void)
{
    uint64_t count = (2 * ROUNDS + 2 * MAPS_PER_PT) / MAPS_PER_PT;

    tables = phys(page_alloc());
    for (uint64_t i = 0; i < count; i++) {
        write64(spare_directory() + 8 * i, (tables + i * PAGE_SIZE) | EPT_RWX);
        if (phys(page_alloc()) != tables + (i + 1) * PAGE_SIZE) {
            panic("page tables are not in a row");
        }
    }
    bench_table = tables;
    bench_entry = TOUCHED | EPT_RWX | EPT_WB;
}

static void make_trip(struct trip *trip)
{
    trip->vmcs = vmcs_new_guest(trip->guest);
    use_paging(trip->paging);
    if (trip->vpid) {
        wr(VMCS_PROCESSOR_CONTROLS, rd(VMCS_PROCESSOR_CONTROLS) | VMX_CPU_SECONDARY_CONTROLS);
        wr(VMCS_SECONDARY_CONTROLS, rd(VMCS_SECONDARY_CONTROLS) | VMX_CPU2_VPID);
        wr(VMCS_VPID, trip->vpid);
    }
    if (trip->reason == VMX_REASON_MONITOR_TRAP_FLAG) {
        wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MONITOR_TRAP_FLAG));
    }
    if (trip->reason == VMX_REASON_EXTERNAL_INTERRUPT) {
        wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_EXTERNAL_INTERRUPT));
    }
    if (trip->reason == VMX_REASON_EPT_VIOLATION) {
        make_tables();
    }
}

/* EOI and nothing else, for the interrupt that was left pending. */
static bool end_interrupt(struct fault_frame *frame)
{
    if (frame->vector != VECTOR) {
        return false;
    }
    write32(APIC_EOI, 0);
    return true;
}

/* What the guest's loop and its exits need for so many round trips. */
static void set_up(const struct trip *trip, uint64_t rounds)
{
    vmptrld(trip->vmcs);
    wr(VMCS_GUEST_RIP, phys((void *)trip->guest));
    bench_first = TOUCHED;
    bench_pages = trip->pages;
    if (trip->reason == VMX_REASON_EPT_VIOLATION) {
        bench_first = UNMAPPED;
        bench_pages = rounds + 1;
        memset((void *)tables, 0, (2 * ROUNDS + 2) * sizeof(uint64_t));
        invept_all();
    }
    if (trip->reason == VMX_REASON_EXTERNAL_INTERRUPT) {
        self_ipi(IPI_FIXED, VECTOR); /* stays pending: IF is 0 in the host */
    }
}

static void clean_up(const struct trip *trip)
{
    if (trip->reason == VMX_REASON_EXTERNAL_INTERRUPT) {
        __asm__ volatile("sti; nop; nop; cli");
    }
}

static void run(const struct trip *trip, uint64_t rounds)
{
    uint64_t start, end;
    bool entered;

    set_up(trip, rounds);
    start = bench_ticks();
    entered = bench_rounds(rounds, trip->on_exit);
    end = bench_ticks();
    if (!entered || rd(VMCS_EXIT_REASON) != trip->reason) {
        panic("%s: entered=%d reason=%q", trip->name, entered, rd(VMCS_EXIT_REASON));
    }
    clean_up(trip);
    sample(trip->name, trip->paging, trip->pages, rounds, end - start);
}

static void native(const char *name, void (*loop)(uint64_t), uint32_t pages,
                   uint64_t rounds)
{
    uint64_t start;

    bench_first = TOUCHED;
    bench_pages = pages;
    loop(1); /* translated */
    native_flush(8); /* QEMU's TLB grows to hold the pages */
    start = bench_ticks();
    loop(rounds);
    sample(name, NO_EPT, pages, rounds, bench_ticks() - start);
}

/* By number of pages: QEMU fits its TLB to what was used in the last 100 ms, so
 * that a loop that touches few pages must not follow one that touches many. */
static void measure(uint64_t rounds)
{
    bench_pages = 0;
    native_flush(SETTLE);
    native("native-cpuid", native_cpuid, 0, rounds);
    for (unsigned i = 0; i < ARRAY_SIZE(page_counts); i++) {
        native("native-touch", native_touch, page_counts[i], rounds);
        native("native-flush", native_flush, page_counts[i], rounds);
        for (unsigned j = 0; j < ARRAY_SIZE(trips); j++) {
            if (trips[j].pages == page_counts[i]) {
                run(&trips[j], rounds);
            }
        }
    }
}

void run_tests(void)
{
    fault_hook = end_interrupt;
    vmx_start();
    for (unsigned i = 0; i < ARRAY_SIZE(trips); i++) {
        make_trip(&trips[i]);
        set_up(&trips[i], 1);
        /* The first entry; its exit is of the kind to come. */
        check_eq("BENCH", trips[i].name, guest_run(LAUNCH), trips[i].reason);
        clean_up(&trips[i]);
    }
    clock_start();
    for (unsigned i = 0; i < REPEATS; i++) {
        measure(ROUNDS);
    }
    measure(2 * ROUNDS);
    clock_end();
}
