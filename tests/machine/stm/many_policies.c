/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Several processors under the real STM with its optional policies: a rendezvous of SMIs,
 * and a snapshot of what a handler reads outside SMRAM.
 */
#include "many.h"

/* How often a handler looks that must see nothing, and how often until it has seen it. */
#define FETCHES       20000u
#define MOST_FETCHES  0x10000000u
#define TURN          4000u
#define FETCHING_SMIS 3u /* one behind the other: processor 1 is to come to each */

/* Memory for handlers, which nothing else uses. */
#define AREA  0x2000000u
#define ABOVE ABOVE_4GB

#define COST_SMIS 6u
#define SETTLE    4000u /* PAUSE instructions: longer than SMIs of all processors take */

/*
 * The word that the handler of processor 0 fetches twice and more. On the same page, and in
 * the same eight bytes, the handler itself writes.
 */
static struct {
    volatile uint32_t buffer;
    volatile uint16_t differing, handled;
    volatile uint32_t enough, writes, lost;
} fetched __attribute__((aligned(4096)));

/* What the handler of processor 0 does in its next SMI, and what it has seen. */
static void (*volatile hook)(void);
static volatile uint64_t seen[8];

static void fetch(uint32_t cpu)
{
    uint32_t first = fetched.buffer, most = RENDEZVOUS || SNAPSHOT ? FETCHES : MOST_FETCHES;

    if (cpu != 0) {
        return;
    }
    fetched.handled++; /* other bytes than processor 1 writes to, of a word that both change */
    for (uint32_t i = 0; i < most && !fetched.differing; i++) {
        fetched.differing = fetched.buffer != first;
        if (i % TURN == 0) {
            __asm__ volatile("pause" : : : "memory"); /* one thread: processor 1 has its turn */
        }
    }
}

/* Outside SMM but for SMIs: counts, and looks whether somebody has written an older count. */
void writes(uint32_t cpu)
{
    uint32_t count = fetched.buffer;

    (void)cpu;
    while (!fetched.enough) {
        if (fetched.buffer != count) {
            fetched.lost++;
        }
        fetched.buffer = ++count;
    }
    fetched.writes = count;
}

/* The SMI is one that processor 0 sends to itself: nobody but the STM calls processor 1. */
void scene_fetch(void)
{
    bool quiet = RENDEZVOUS || SNAPSHOT;

    open_session();
    check_eq("MANY", "start", ask(1, PHASE_START), STM_SUCCESS);
    begin(1, PHASE_WRITES);
    wait_for(&fetched.buffer, 1000);
    many_hook = fetch;
    for (unsigned i = 0; i < FETCHING_SMIS; i++) {
        one_smi(0);
    }
    many_hook = NULL;
    check("MANY", "double-fetch", (fetched.differing == 0) == quiet, "%d", fetched.differing);
    fetched.enough = 1;
    wait_for_end(1);
    check_eq("MANY", "handled", fetched.handled, FETCHING_SMIS);
    check_eq("MANY", "lost", fetched.lost, 0);
    check_eq("MANY", "kept", fetched.buffer, fetched.writes);
    check_eq("MANY", "called", processors[1].smis, RENDEZVOUS != 0 ? FETCHING_SMIS : 0);
    check_eq("MANY", "stop", ask(1, PHASE_STOP), STM_SUCCESS);
    check_eq("MANY", "stop-0", many_call(API_STOP), STM_SUCCESS);
}

/* Between INITIALIZE_PROTECTION and START processor 1 blocks SMIs. */
void scene_absent(void)
{
    open_session();
    check_eq("MANY", "initialize-1", ask(1, PHASE_INITIALIZE), STM_SUCCESS);
    one_smi(0);
    one_smi(0);
    check_eq("MANY", "absent", processors[1].smis, 0);
    check_eq("MANY", "start-1", ask(1, PHASE_GO), STM_SUCCESS);
    check_eq("MANY", "pending", processors[1].smis, 1);
    one_smi(0);
    check_eq("MANY", "called", processors[1].smis, 2);
    check_eq("MANY", "stop", ask(1, PHASE_STOP), STM_SUCCESS);
    check_eq("MANY", "stop-0", many_call(API_STOP), STM_SUCCESS);
}

/* A page with a pattern, by which one sees which page it is. */
static void fill(uint64_t page, uint64_t pattern)
{
    for (unsigned i = 0; i < PAGE_SIZE; i += 8) {
        write64(page + i, pattern + i);
    }
}

static void read_pages(void)
{
    seen[0] = read64(AREA + 8);
    seen[1] = read64(AREA + PAGE_SIZE + 8);
    seen[2] = read64(ABOVE + 8);
}

static void write_pages(void)
{
    write64(AREA + 16, 1);
    *(volatile uint8_t *)(uintptr_t)(AREA + 25) = 2;
    write64(ABOVE + 16, 3);
    seen[0] = read64(AREA + 16);
    seen[1] = read64(AREA + 24);
    seen[2] = read64(ABOVE + 16);
}

/* Four bytes across two pages. */
static void write_across(void)
{
    *(volatile uint32_t *)(uintptr_t)(AREA + PAGE_SIZE - 2) = 0x44332211;
}

static void call_hook(uint32_t cpu)
{
    (void)cpu;
    hook();
}

static void run_hook(void (*what)(void))
{
    memset((void *)seen, 0xFF, sizeof(seen));
    hook = what;
    many_hook = call_hook;
    one_smi(0);
    many_hook = NULL;
}

/* One processor: what is read is what is there, and what is written comes to stay. */
void scene_copies(void)
{
    static const uint64_t places[] = {AREA, AREA + PAGE_SIZE, ABOVE};

    write64(phys(page_tables) + PAGE_SIZE + 32, ABOVE | 0x83);
    open_session();
    for (uint64_t round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < 3; i++) {
            fill(places[i], round << 32 | i << 16);
        }
        run_hook(read_pages);
        for (unsigned i = 0; i < 3; i++) {
            check_eq("COPIES", "read", seen[i], round << 32 | i << 16 | 8);
        }
    }
    run_hook(write_pages);
    check_eq("COPIES", "own-write", seen[0], 1);
    check_eq("COPIES", "own-byte", seen[1], 0x300000218ull);
    check_eq("COPIES", "own-write-above", seen[2], 3);
    check_eq("COPIES", "written", read64(AREA + 16), 1);
    check_eq("COPIES", "byte", read64(AREA + 24), seen[1]);
    check_eq("COPIES", "written-above", read64(ABOVE + 16), 3);
    check_eq("COPIES", "beside", read64(AREA + 8), 3ull << 32 | 8);
    check_eq("COPIES", "behind", read64(AREA + 32), 3ull << 32 | 32);
    run_hook(write_across);
    check_eq("COPIES", "across-first", read64(AREA + PAGE_SIZE - 8) >> 48, 0x2211);
    check_eq("COPIES", "across-second", read64(AREA + PAGE_SIZE) & 0xFFFF, 0x4433);
    check_eq("COPIES", "stop", many_call(API_STOP), STM_SUCCESS);
}

static void read_too_many(void)
{
    for (uint64_t page = 0; page <= SNAPSHOT; page++) {
        read64(AREA + page * PAGE_SIZE);
    }
    panic("the handler has read more than there are pages for");
}

void scene_full(void)
{
    open_session();
    one_smi(0);
    expect_shutdown("CRASH", "the STM resets the platform");
    run_hook(read_too_many);
    panic("the STM survived");
}

/* ---- costs: handlers that touch READS and WRITES pages and nothing else ---- */

#ifndef READS
#define READS  0
#define WRITES 0
#endif
static const volatile unsigned reads = READS, written = WRITES;

static void touch(void)
{
    for (unsigned i = 0; i < reads; i++) {
        read64(AREA + i * PAGE_SIZE);
    }
    for (unsigned i = 0; i < written; i++) {
        write64(AREA + (READS + i) * PAGE_SIZE, i + 1);
    }
}

static void settle(void)
{
    for (unsigned i = 0; i < SETTLE; i++) {
        __asm__ volatile("pause" : : : "memory");
    }
}

/* SMIs of all processors, as the chipset raises them; then as many of processor 0 alone. */
void scene_cost(void)
{
    open_session();
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        check_eq("COST", "start", ask(cpu, PHASE_START), STM_SUCCESS);
    }
    settle();
    for (unsigned i = 0; i < COST_SMIS; i++) {
        for (uint32_t cpu = PROCESSORS; cpu-- > 0;) {
            send_smi(cpu);
        }
        settle();
    }
    for (unsigned i = 0; i < COST_SMIS; i++) {
        send_smi(0);
        settle();
    }
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        check_eq("COST", "stop", ask(cpu, PHASE_STOP), STM_SUCCESS);
    }
    check_eq("COST", "stop-0", many_call(API_STOP), STM_SUCCESS);
}

void cost_handler(uint64_t cpu)
{
    if (cpu == 0) {
        touch();
    }
}
