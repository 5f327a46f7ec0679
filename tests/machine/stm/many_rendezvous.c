/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Scenes of the rendezvous policy: fetch, in which processor 1 writes what the handler of
 * processor 0 reads, and absent, in which processor 1 cannot take an SMI.
 */
#include "many.h"

#define LOADER_RENDEZVOUS 80u /* STM_LOADER_DATA.RendezvousTicks */
#define FETCHES           20000u
#define FETCHING_SMIS     3u /* one behind the other: processor 1 is to come to each */

/* The loader's data follow the activation tables, at the start of a page. */
void announce_rendezvous(void)
{
    for (uint32_t at = MSEG_BASE; at < MSEG_BASE + 0x200000; at += PAGE_SIZE) {
        if (memcmp((const void *)(uintptr_t)at, "STMLOADR", 8) == 0) {
            write64(at + LOADER_RENDEZVOUS, RENDEZVOUS);
            return;
        }
    }
    panic("no data of the loader");
}

/* A word that the handler of processor 0 fetches twice and more, and who writes it. */
static volatile uint32_t buffer, differing, written_enough;

static void fetch(uint32_t cpu)
{
    uint32_t first = buffer;

    if (cpu != 0) {
        return;
    }
    for (unsigned i = 0; i < FETCHES && !differing; i++) {
        differing = buffer != first;
        __asm__ volatile("pause" : : : "memory");
    }
}

/* Outside SMM but for SMIs. */
void writes(uint32_t cpu)
{
    (void)cpu;
    while (!written_enough) {
        buffer++;
    }
}

/* The SMI is one that processor 0 sends to itself: nobody but the STM calls processor 1. */
void scene_fetch(void)
{
    open_session();
    check_eq("MANY", "start", ask(1, PHASE_START), STM_SUCCESS);
    begin(1, PHASE_WRITES);
    wait_for(&buffer, 1000);
    many_hook = fetch;
    for (unsigned i = 0; i < FETCHING_SMIS; i++) {
        one_smi(0);
    }
    many_hook = NULL;
    check("MANY", "double-fetch", (differing == 0) == (RENDEZVOUS != 0), "%d", differing);
    written_enough = 1;
    wait_for_end(1);
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
