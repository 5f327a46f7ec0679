/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* All processors under the STM, standby, and all of them again: the firmware does everything anew. */
#include "many.h"
#include "standby.h"

#define SMIS 3u

void scene_standby(void)
{
    open_session();
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        check_eq("S3", "start", ask(cpu, PHASE_START), STM_SUCCESS);
    }
    for (unsigned i = 0; i < SMIS; i++) {
        one_smi(0);
        for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
            ask(cpu, PHASE_SMI);
        }
    }
    for (uint32_t cpu = 1; cpu < PROCESSORS; cpu++) {
        check_eq("S3", "smis", processors[cpu].smis, SMIS);
        check_eq("S3", "stop", ask(cpu, PHASE_STOP), STM_SUCCESS);
    }
    check_eq("S3", "stop-0", many_call(API_STOP), STM_SUCCESS);
    if (!woken()) {
        sleep_and_wake();
    }
    check_eq("S3", "woken", woken(), 1);
}
