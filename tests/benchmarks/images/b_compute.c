/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The same computation outside VMX operation and in guests: integer arithmetic,
 * random loads and stores, branches that depend on data, calls. Two sizes of
 * memory; each measurement begins with an empty TLB and fills it.
 */
#include "bench.h"

#ifndef STEPS
#define STEPS 2000000
#endif

#define WORDS_PER_PAGE (PAGE_SIZE / sizeof(uint64_t))

static const uint32_t sizes[] = {64, 256}; /* pages */
static uint64_t *const words = (uint64_t *)0x1000000; /* RAM that nothing else uses */
static volatile uint32_t pages;
static uint64_t vmcs[PAGINGS];
static volatile uint64_t result;

static __attribute__((noinline)) uint64_t mix(uint64_t x)
{
    x ^= x << 13;
    x ^= x >> 7;
    return x ^ x << 17;
}

static uint64_t compute(uint64_t steps)
{
    uint64_t x = 0x9E3779B97F4A7C15ull, sum = 0;
    uint64_t mask = pages * WORDS_PER_PAGE - 1;

    while (steps--) {
        uint64_t *word;

        x = mix(x);
        word = &words[x >> 20 & mask];
        if (x & 1) {
            sum += *word;
        } else if (x & 2) {
            *word = sum ^ x;
        } else {
            sum = sum * 3 + (*word)++;
        }
    }
    return sum;
}

static void guest_compute(void)
{
    result = compute(STEPS);
    __asm__ volatile("vmcall" : : : "memory");
}

static void enter(enum paging paging, bool launch)
{
    vmptrld(vmcs[paging]);
    wr(VMCS_GUEST_RIP, phys((void *)guest_compute));
    wr(VMCS_GUEST_RSP, guest_stack_top() - 8);
    if (guest_run(launch) != VMX_REASON_VMCALL) {
        panic("reason=%x", last_exit.reason);
    }
}

/* Every measurement begins with the same memory and nothing translated. */
static void prepare(void)
{
    memset(words, 0, pages * PAGE_SIZE);
    write_cr3(read_cr3());
}

/* One pair: outside VMX operation, in a guest. */
static void measure(enum paging paging, bool report)
{
    uint64_t start, native, guest_time, want;

    prepare();
    vmxoff();
    start = bench_ticks();
    want = compute(STEPS);
    native = bench_ticks() - start;
    vmxon(vmxon_region);
    prepare();
    start = bench_ticks();
    enter(paging, RESUME);
    guest_time = bench_ticks() - start;
    if (result != want) {
        panic("result=%q want=%q", result, want);
    }
    if (report) {
        sample("native", paging, pages, STEPS, native);
        sample("guest", paging, pages, STEPS, guest_time);
    }
}

void run_tests(void)
{
    vmx_start();
    for (unsigned paging = NO_EPT; paging < PAGINGS; paging++) {
        uint64_t want;

        pages = sizes[0];
        prepare();
        want = compute(STEPS);
        vmcs[paging] = vmcs_new_guest(guest_compute);
        use_paging((enum paging)paging);
        prepare();
        enter((enum paging)paging, LAUNCH);
        check_eq("BENCH", "same-result", result, want);
    }
    clock_start();
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        pages = sizes[i];
        /* QEMU fits its TLB to what was used before; the first round is for that. */
        for (unsigned j = 0; j <= REPEATS; j++) {
            for (unsigned paging = NO_EPT; paging < PAGINGS; paging++) {
                measure((enum paging)paging, j > 0);
            }
        }
    }
    clock_end();
}
