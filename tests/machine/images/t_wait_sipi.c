/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * SMIs for a processor that waits for its start-up IPI: held pending, across
 * INIT too, and taken before the first instruction of the start-up code. And start-up
 * IPIs that no processor waits for.
 */
#include "runtime.h"

#define AP_AT     0x8000u
#define MAILBOX   0x9000u
#define RUNS      (MAILBOX + 12)
#define ICR_INIT  0x4500u
#define ICR_SIPI  (0x4600u | AP_AT >> 12)
#define ICR_SMI   0x4200u
#define SAVED_RIP 0x7F78u /* AMD64 save-state map, from SMBASE + 8000H */
#define SAVED_CS  0x7E10u

extern uint8_t ap_block[], ap_block_end[];

static volatile uint64_t smi_rip;
static volatile uint32_t smi_cs, starts_in_handler;
static volatile bool sipi_too;

static void note_state(void)
{
    smi_rip = read64(DEFAULT_SMBASE + 0x8000u + SAVED_RIP);
    smi_cs = read32(DEFAULT_SMBASE + 0x8000u + SAVED_CS) & 0xFFFF;
    starts_in_handler = read32(RUNS);
}

/* PAUSE gives the other processor its turn. */
static void give_turn(void)
{
    for (uint32_t i = 0; i < 20000; i++) {
        __asm__ volatile("pause" : : : "memory");
    }
}

static void send_now(uint32_t icr)
{
    write32(0xFEE00310, 1u << 24);
    write32(0xFEE00300, icr);
}

static void send(uint32_t icr)
{
    send_now(icr);
    give_turn();
}

static void wait_for_start(void)
{
    for (uint32_t i = 0; i < 100000000 && !read32(RUNS); i++) {
        __asm__ volatile("pause" : : : "memory");
    }
}

/* DM-DEF-39: held in wait-for-SIPI, served on receipt of the SIPI, before the start-up code. */
static void one_smi(void)
{
    uint32_t before = smi_count;

    memset((void *)(uintptr_t)MAILBOX, 0, 32);
    starts_in_handler = UINT32_MAX;
    send(ICR_SMI);
    check_eq("DM-DEF-39", "held", smi_count, before);
    send(ICR_SIPI);
    wait_for_start();
    check_eq("DM-DEF-39", "served", smi_count, before + 1);
    check_eq("DM-DEF-39", "before-the-start-up-code", starts_in_handler, 0);
    send(ICR_INIT);
}

/* In wait-for-SIPI at the beginning and at the end. */
static void one_start(const char *name, uint32_t first, uint32_t second, int sipis)
{
    uint32_t before = smi_count;

    memset((void *)(uintptr_t)MAILBOX, 0, 32);
    smi_rip = UINT64_MAX;
    send(first);
    if (second) {
        send(second);
    }
    check_eq("SDM-MP-WAIT", "held", smi_count, before);
    while (sipis--) {
        send(ICR_SIPI);
    }
    wait_for_start();
    /* Vol. 3 "MP Initialization Protocol", "External Signaling for SMI". */
    check_eq("SDM-MP-WAIT", "starts", read32(RUNS), 1);
    check_eq("SDM-MP-WAIT", name, smi_count, before + 1);
    check_eq("SDM-MP-WAIT", "before-the-first-instruction", smi_rip, 0);
    check_eq("SDM-MP-WAIT", "code-segment", smi_cs, AP_AT >> 4);
    send(ICR_INIT);
}

/*
 * A start-up IPI for a processor that runs is lost, also if an INIT follows at once:
 * it does not start the processor after that.
 */
static void sipi_before_init(void)
{
    memset((void *)(uintptr_t)MAILBOX, 0, 32);
    send(ICR_SIPI);
    wait_for_start();
    check_eq("SDM-MP-WAIT", "runs-before-init", read32(RUNS), 1);
    write32(RUNS, 0);
    send_now(ICR_SIPI);
    send(ICR_INIT);
    give_turn();
    check_eq("SDM-MP-WAIT", "sipi-before-init-is-lost", read32(RUNS), 0);
    send(ICR_SIPI);
    wait_for_start();
    check_eq("SDM-MP-WAIT", "sipi-behind-init-starts", read32(RUNS), 1);
    send(ICR_INIT);
}

/* In the handler of the other processor's SMI, once. */
static void send_from_handler(void)
{
    note_state();
    smi_hook = note_state;
    send_now(ICR_INIT);
    send_now(ICR_SMI);
    if (sipi_too) {
        send_now(ICR_SIPI);
    }
}

/*
 * What has waited for RSM comes in its order of priority: the SMI, the INIT
 * behind it, and the start-up IPI that belongs to the INIT (DM-EXI-07).
 */
static void behind_rsm(const char *name, bool with_sipi)
{
    uint32_t before = smi_count;

    sipi_too = with_sipi;
    memset((void *)(uintptr_t)MAILBOX, 0, 32);
    send(ICR_SIPI);
    wait_for_start();
    write32(RUNS, 0);
    smi_hook = send_from_handler;
    send(ICR_SMI);
    for (uint32_t i = 0; i < 1000 && smi_count != before + 2; i++) {
        give_turn();
    }
    check_eq("DM-EXI-07", name, smi_count, before + 2);
    if (!sipi_too) {
        send(ICR_SIPI);
    }
    wait_for_start();
    check_eq("DM-EXI-07", "then-init", read32(RUNS), 1);
    check_eq("DM-EXI-07", "no-smi-is-left", smi_count, before + 2);
    send(ICR_INIT);
}

void run_tests(void)
{
    memcpy((void *)(uintptr_t)AP_AT, ap_block, (size_t)(ap_block_end - ap_block));
    smi_hook = note_state;
    one_smi();
    one_start("after-reset", ICR_SMI, 0, 1);
    one_start("after-init", ICR_SMI, 0, 1);
    one_start("twice-is-once", ICR_SMI, ICR_SMI, 1);
    one_start("over-init", ICR_SMI, ICR_INIT, 1);
    one_start("init-before", ICR_INIT, ICR_SMI, 1);
    /* As firmware starts a processor; the second start-up IPI finds it running. */
    one_start("over-init-two-sipis", ICR_SMI, ICR_INIT, 2);
    sipi_before_init();
    behind_rsm("smi-before-init", false);
    behind_rsm("smi-before-init-and-start-up", true);
}
