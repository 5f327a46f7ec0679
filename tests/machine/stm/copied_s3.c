/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The real STM under a firmware that only copies it, over S3.  The launcher stops the STM
 * before it sleeps, and the firmware leaves MSEG as it is; or, with RELOAD, the launcher just
 * sleeps, and the firmware copies the image again.
 */
#include "copied.h"
#include "standby.h"

#define SMIS 50u

volatile uint32_t nmi_count;

void guarded_access(void)
{
}

static void session(const char *name)
{
    uint32_t handled = handler_count;

    activation_vmcs();
    expect_status("S3-CALL", name, API_INITIALIZE, STM_SUCCESS);
    expect_status("S3-CALL", name, API_START, STM_SUCCESS);
    for (unsigned i = 0; i < SMIS; i++) {
        smi(HANDLER_NOTHING);
    }
    check_eq("S3-SMIS", name, handler_count - handled, SMIS);
}

static void announce(void)
{
    smm_call(set_smrr);
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
}

static void stop(const char *name)
{
    expect_status("S3-CALL", name, API_STOP, STM_SUCCESS);
    check_eq("S3-VMXOFF", name, vmxoff(), 0);
}

void run_tests(void)
{
    if (!woken()) {
        firmware_start();
        announce();
        session("before");
#ifndef RELOAD
        stop("before");
#endif
        sleep_and_wake();
    }
    check_eq("S3-WAKE", "monitor-ctl", rdmsr(0x9B), 0);
    check_eq("S3-WAKE", "smrr", rdmsr(MSR_SMRR_PHYSMASK), 0);
    check_eq("S3-WAKE", "mseg-kept", read32(MSEG_BASE + 0x804) != 0, 1);
#ifdef RELOAD
    firmware_start();
#else
    firmware_wake();
#endif
    announce();
    session("after");
    smi(HANDLER_READ_MSEG);
    check_eq("S3-MSEG", "closed-to-the-handler", handler_value, FAULT_GP);
    stop("after");
}
