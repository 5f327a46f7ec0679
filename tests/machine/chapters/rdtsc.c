/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* An SMI handler that reads the time-stamp counter (docs/tutorial/exit-handler.rst). */
#include "../stm/stm_under_test.h"

static volatile uint64_t inside, runs;

static uint64_t rdtsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* In SMM, as a guest of the STM. */
static void handler(void)
{
    inside = rdtsc();
    runs++;
}

void run_tests(void)
{
    uint64_t before, after;

    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    activation_vmcs();
    check_eq("RDTSC", "initialize", (uint32_t)call_stm_at(API_INITIALIZE, 0), STM_SUCCESS);
    check_eq("RDTSC", "start", (uint32_t)call_stm_at(API_START, 0), STM_SUCCESS);
    handler_hook = handler;
    handler_action = HANDLER_HOOK;
    before = rdtsc();
    __asm__ volatile("out %%al, $0xB2" : : "a"(0) : "memory");
    after = rdtsc();
    handler_action = HANDLER_NOTHING;

    print("the handler ran %d time\n", (uint32_t)runs);
    print("its time lies between those before and behind the SMI: %s\n",
          before < inside && inside < after ? "yes" : "no");
    check_eq("RDTSC", "handler-runs", runs, 1);
    check("RDTSC", "time", before < inside && inside < after, "inside:%q", inside);
    check_eq("RDTSC", "stop", (uint32_t)call_stm_at(API_STOP, 0), STM_SUCCESS);
}
