/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* SMRR that follows the chipset's TSEG (vmx-smrr-tseg=on), until firmware writes it. */
#include "runtime.h"

#define MSR_SMRR_PHYSBASE 0x1F2u
#define MSR_SMRR_PHYSMASK 0x1F3u
#define WRITE_BACK        6u
#define VALID             0x800u
#define MCH_ESMRAMC       0x9Eu

#define OTHER      0x2000000u
#define OTHER_MASK 0xFFF00000u

static void set_other(void)
{
    wrmsr(MSR_SMRR_PHYSBASE, OTHER | WRITE_BACK);
    wrmsr(MSR_SMRR_PHYSMASK, OTHER_MASK | VALID);
}

void run_tests(void)
{
    check_eq("SDM-SMRR", "reset", rdmsr(MSR_SMRR_PHYSBASE) | rdmsr(MSR_SMRR_PHYSMASK), 0);
    write64(TSEG_BASE, 0x1122334455667788);
    tseg_close();
    check_eq("SDM-SMRR", "base-of-tseg", rdmsr(MSR_SMRR_PHYSBASE), TSEG_BASE | WRITE_BACK);
    check_eq("SDM-SMRR", "mask-of-tseg", rdmsr(MSR_SMRR_PHYSMASK), (uint32_t)-TSEG_SIZE | VALID);
    check_eq("SDM-SMRR", "reads-ones", read64(TSEG_BASE), UINT64_MAX);
    check_eq("SDM-SMRR", "before-it", read64(TSEG_BASE - 8), 0);

    pci_write8(0, 0, MCH_ESMRAMC, 0); /* the chipset opens it */
    check_eq("SDM-SMRR", "no-tseg", rdmsr(MSR_SMRR_PHYSBASE) | rdmsr(MSR_SMRR_PHYSMASK), 0);
    check_eq("SDM-SMRR", "reads-memory", read64(TSEG_BASE), 0x1122334455667788);

    smm_call(set_other);
    tseg_close();
    check_eq("SDM-SMRR", "firmware-wrote-base", rdmsr(MSR_SMRR_PHYSBASE), OTHER | WRITE_BACK);
    check_eq("SDM-SMRR", "firmware-wrote-mask", rdmsr(MSR_SMRR_PHYSMASK), OTHER_MASK | VALID);
}
