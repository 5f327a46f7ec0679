/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * SMI handlers that never end, under the real STM. WHERE: an SMI, the firmware's set-up
 * or its tear-down code; HOW it goes on for ever.
 */
#include "stm_under_test.h"

#define WHERE_SMI      0
#define WHERE_SETUP    1
#define WHERE_TEARDOWN 2
#define HOW_LOOPS      0
#define HOW_HALTS      1 /* with interrupts off */
#define HOW_EXITS      2 /* halts, too, but has caused EXITS VM exits before */
#define HOW_ENDS       3 /* does all that, but ends */

#define EXITS 1000u

volatile uint32_t nmi_count; /* of the handler in firmware.c, which is not used here */

static void go_on(void)
{
    uint32_t out[4];

    if (HOW == HOW_EXITS || HOW == HOW_ENDS) {
        for (unsigned i = 0; i < EXITS; i++) {
            cpuid(0, 0, out);
        }
    }
    if (HOW == HOW_ENDS) {
        return;
    }
    for (;;) {
        if (HOW != HOW_LOOPS) {
            __asm__ volatile("cli\n\thlt" : : : "memory");
        }
    }
}

static uint32_t call(uint32_t number)
{
    uint64_t answer = call_stm_at(number, 0);

    check_eq("ENDLESS", "call", answer, STM_SUCCESS);
    return (uint32_t)answer;
}

void run_tests(void)
{
    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    activation_vmcs();
    if (WHERE == WHERE_SETUP) {
        setup_hook = go_on;
    } else if (WHERE == WHERE_TEARDOWN) {
        teardown_hook = go_on;
    } else {
        handler_hook = go_on;
    }
    if (HOW != HOW_ENDS) {
        expect_shutdown("ENDLESS", "the STM resets the platform");
    }
    call(API_INITIALIZE);
    call(API_START);
    smi(WHERE == WHERE_SMI ? HANDLER_HOOK : HANDLER_NOTHING);
    call(API_STOP);
    if (HOW != HOW_ENDS) {
        panic("what never ends has ended");
    }
}
