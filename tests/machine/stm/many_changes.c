/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What is protected changes while the SMI handler of another processor is in the midst of its
 * work. Processor 0 calls, the handler of processor 1 meets the change.
 */
#include "many.h"

static uint64_t list; /* a page */

static void descriptor(uint32_t type, uint64_t first, uint64_t second, uint64_t third)
{
    write64(list, type | 32ull << 32);
    write64(list + 8, first);
    write64(list + 16, second);
    write64(list + 24, third);
    write64(list + 32, 16ull << 32);
}

/* The STM sets it when the change is in force, and before it waits for other processors. */
static bool list_is_granted(void)
{
    return (read32(list + 4) >> 16 & 1) != 0;
}

static void call_with_list(const char *name, uint32_t number)
{
    uint32_t status = number, ebx = (uint32_t)list, ecx = 0, edx = 0;

    __asm__ volatile("vmcall" : "+a"(status), "+b"(ebx), "+c"(ecx), "+d"(edx) : : "cc", "memory");
    check_eq("MANY", name, status, STM_SUCCESS);
}

static void start_both(void)
{
    list = phys(page_alloc());
    open_session();
    check_eq("MANY", "start", ask(1, PHASE_START), STM_SUCCESS);
}

static void stop_both(void)
{
    check_eq("MANY", "stop", ask(1, PHASE_STOP), STM_SUCCESS);
    check_eq("MANY", "stop-0", many_call(API_STOP), STM_SUCCESS);
}

static void wait_for_the_end(void)
{
    for (;;) {
        __asm__ volatile("pause" : : : "memory");
    }
}

/* ---- a page ---- */

#define A_WHILE        1000000000u /* ticks */
#define SNAPSHOT_READS 0x1000000u

static void pause_for(uint64_t ticks)
{
    uint64_t start = rdmsr(0x10); /* IA32_TIME_STAMP_COUNTER */

    while (rdmsr(0x10) - start < ticks) {
        __asm__ volatile("pause" : : : "memory");
    }
}

/* What the handler of processor 1 reads, and how often it has. */
static volatile uint64_t read_at;
static volatile uint32_t reads, is_protected;

/*
 * Reads on until the page is protected; then once more, behind a VM exit. Under the snapshot
 * policy the handler cannot be told when that is: a VM exit behind each read.
 */
static void read_guarded(uint32_t cpu)
{
    uint32_t out[4];

    if (cpu != 1) {
        return;
    }
    for (unsigned i = 0; SNAPSHOT != 0 && i < SNAPSHOT_READS; i++) {
        read32(read_at);
        cpuid(0, 0, out);
    }
    while (!is_protected) {
        read32(read_at);
        reads++;
    }
    cpuid(0, 0, out);
    read32(read_at);
    panic("the handler has read what is protected");
}

/* Processor 0 protects a page that the handler of processor 1 is reading. */
void scene_guard(void)
{
    start_both();
    read_at = phys(page_alloc());
    descriptor(1, read_at, PAGE_SIZE, 7);
    many_hook = read_guarded;
    begin(1, PHASE_SMI);
    if (SNAPSHOT != 0) {
        pause_for(A_WHILE); /* what the handler counts is not to be seen before RSM */
    } else {
        wait_for(&reads, 100);
    }
    call_with_list("protect", API_PROTECT);
    expect_shutdown("CRASH", "the STM resets the platform");
    is_protected = 1;
    wait_for_the_end();
}

/* ---- bits of CR0 ---- */

#define REGISTER_VIOLATION 8u

static volatile uint32_t arrived, may_go_on, same_is_allowed;
static volatile uint64_t seen[4];

static void wait_for_change(void)
{
    uint32_t out[4];

    arrived++;
    while (!list_is_granted()) {
        __asm__ volatile("pause" : : : "memory");
    }
    cpuid(0, 0, out); /* the STM sees to the change at the latest now */
}

/* One SMI clears CR0.WP, and then the bit becomes protected; the next one begins with WP = 1 again. */
static void keep_shadow(uint32_t cpu)
{
    if (cpu != 1) {
        return;
    }
    if (arrived == 0) {
        seen[0] = read_cr0();
        write_cr0(seen[0] & ~CR0_WP);
        wait_for_change();
        seen[1] = read_cr0();
        return;
    }
    seen[2] = read_cr0();
    write_cr0(seen[2]); /* nothing changes */
    same_is_allowed = 1;
    wait_for(&may_go_on, 1);
    write_cr0(seen[2] & ~CR0_WP);
    panic("the handler has changed a protected bit");
}

void scene_shadows(void)
{
    start_both();
    descriptor(REGISTER_VIOLATION, 0, 0, CR0_WP);
    many_hook = keep_shadow;
    begin(1, PHASE_SMI);
    wait_for(&arrived, 1);
    call_with_list("protect", API_PROTECT);
    wait_for_end(1);
    check_eq("SHADOW", "at-first", seen[0] & CR0_WP, CR0_WP);
    check_eq("SHADOW", "own-change-stays", seen[1] & CR0_WP, 0);
    begin(1, PHASE_SMI);
    wait_for(&same_is_allowed, 1);
    check_eq("SHADOW", "next-smi", seen[2], seen[0]);
    expect_shutdown("CRASH", "the STM resets the platform");
    may_go_on = 1;
    wait_for_the_end();
}

/*
 * The bits are protected when the handler starts, and open before it changes them: no VM exit lies
 * between, so the masks are still the old ones. MOV; then LMSW, and CLTS behind it.
 */
static void change_opened(uint32_t cpu)
{
    if (cpu != 1) {
        return;
    }
    seen[0] = read_cr0();
    arrived++;
    while (!list_is_granted()) {
        __asm__ volatile("pause" : : : "memory");
    }
    if (arrived == 1) {
        write_cr0(seen[0] & ~CR0_WP);
        seen[1] = read_cr0();
        return;
    }
    __asm__ volatile("lmsw %w0" : : "r"(seen[0] | CR0_TS));
    seen[1] = read_cr0();
    __asm__ volatile("clts");
    seen[2] = read_cr0();
}

/* One SMI of processor 1, in which `bit` is opened. */
static void open_bit(uint64_t bit, uint32_t smi)
{
    descriptor(REGISTER_VIOLATION, 0, 0, bit);
    call_with_list("protect", API_PROTECT);
    descriptor(REGISTER_VIOLATION, 0, 0, bit);
    begin(1, PHASE_SMI);
    wait_for(&arrived, smi);
    call_with_list("unprotect", API_UNPROTECT);
    wait_for_end(1);
}

void scene_opened(void)
{
    start_both();
    descriptor(REGISTER_VIOLATION, 0, 0, CR0_WP);
    many_hook = change_opened;
    open_bit(CR0_WP, 1);
    check_eq("OPENED", "mov", seen[1], seen[0] & ~CR0_WP);
    open_bit(CR0_TS, 2);
    check_eq("OPENED", "lmsw", seen[1], seen[0] | CR0_TS);
    check_eq("OPENED", "clts", seen[2], seen[0]);
    stop_both();
}

/* ---- ports of PCI configuration space ---- */

#define ADDRESS_PORT 0xCF8u
#define DATA_PORT    0xCFCu
#define ISA_BRIDGE   0x8000F800u /* 0:1F.0 */
#define HOST_BRIDGE  0x80000000u

/* The bytes 40H to 43H of the ISA bridge. */
static void pci_descriptor(void)
{
    static const uint8_t text[22] = { 5, 0, 0, 0, 22, 0, 0, 0, 3, 0, 0x40, 0, 4, 0, 0, 0, 1, 1, 6, 0, 0, 0x1F };

    memset((void *)(uintptr_t)list, 0, PAGE_SIZE);
    memcpy((void *)(uintptr_t)list, text, sizeof(text));
    *(volatile uint8_t *)(uintptr_t)(list + sizeof(text) + 4) = 16;
}

/* The address when the registers are protected, the data when they are not any more: no VM exit between. */
static void read_by_ports(uint32_t cpu)
{
    if (cpu != 1) {
        return;
    }
    outl(ADDRESS_PORT, ISA_BRIDGE);
    arrived++;
    while (!list_is_granted()) {
        __asm__ volatile("pause" : : : "memory");
    }
    seen[0] = inl(DATA_PORT);
}

void scene_ports(void)
{
    uint32_t id;

    start_both();
    outl(ADDRESS_PORT, ISA_BRIDGE);
    id = inl(DATA_PORT);
    pci_descriptor();
    call_with_list("protect", API_PROTECT);
    pci_descriptor();
    outl(ADDRESS_PORT, HOST_BRIDGE);
    many_hook = read_by_ports;
    begin(1, PHASE_SMI);
    wait_for(&arrived, 1);
    call_with_list("unprotect", API_UNPROTECT);
    wait_for_end(1);
    check_eq("PORTS", "handlers-address", seen[0], id);
    check_eq("PORTS", "address-as-left", inl(ADDRESS_PORT), HOST_BRIDGE);
    check("PORTS", "another-register", inl(DATA_PORT) != id, "%x", id);
    stop_both();
}
