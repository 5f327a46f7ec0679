/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A handler of the default treatment that changes the STM's image and the digest beside it,
 * before the activation.  FORGED_DIGEST is that of the changed image.
 */
#include "stm_under_test.h"

#define UNUSED_BYTE 0x700u /* between the two headers; modify_image() changes the same */
#define STATIC_SIZE 0x804u /* of the software header: StaticImageSize */
#define TABLES_SIZE 0x6000u
#define DIGEST      48u /* in the loader's data */

static const uint8_t forged[] = { FORGED_DIGEST };

static void change_both(void)
{
    uint64_t loader = MSEG_BASE + read32(MSEG_BASE + STATIC_SIZE) + TABLES_SIZE;

    *(volatile uint8_t *)(uintptr_t)(MSEG_BASE + UNUSED_BYTE) ^= 1;
    memcpy((void *)(uintptr_t)(loader + DIGEST), forged, sizeof(forged));
}

void run_tests(void)
{
    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    smm_call(change_both);
    activation_vmcs();
    check_eq("FORGED", "initialize", call_stm_at(API_INITIALIZE, 0), STM_SUCCESS);
    check_eq("FORGED", "start", call_stm_at(API_START, 0), STM_SUCCESS);
    smi(HANDLER_NOTHING);
    check_eq("FORGED", "stop", call_stm_at(API_STOP, 0), STM_SUCCESS);
}
