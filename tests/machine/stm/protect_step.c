/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A string instruction at an intercepted port becomes RSM while the STM looks at it, which
 * another processor could do. The test does it with a debugger: STEP_CODE in test_protect.py.
 */
#include "protect.h"

#define STEP_CODE (TSEG_BASE + 0x5A000u)
#define PORT      0x80u /* reads of it do nothing */

static const uint8_t insb_and_ret[] = { 0x6C, 0xC3 };
static volatile uint32_t returned;
static volatile uint8_t byte;

static void write_code(void)
{
    memcpy((void *)(uintptr_t)STEP_CODE, insb_and_ret, sizeof(insb_and_ret));
}

/* In the SMI handler. */
static void read_string(void)
{
    uint64_t place = phys((void *)(uintptr_t)&byte);

    __asm__ volatile("call *%1" : "+D"(place) : "r"((uint64_t)STEP_CODE), "d"(PORT) : "cc", "memory");
    returned++;
}

void run_step(void)
{
    uint32_t before;

    smm_call(write_code);
    start();
    list_start(list_page);
    put_trapped(PORT, 1, 2);
    expect_list("writes", API_PROTECT, STM_SUCCESS);
    handler_hook = read_string;
    before = handler_count;
    smi(HANDLER_HOOK);
    check_eq("STEP", "replaced-by-rsm", returned, 0);
    check_eq("STEP", "handled", handler_count, before + 1);

    /* The debugger has gone, and the instruction stays RSM: the next SMI does something else. */
    smi(HANDLER_SMBASE);
    check_eq("STEP", "next-smi", handler_value, SMBASE);
    stop();
}
