/** @file
  SMRR, and the one SMM register that there may be: enhanced SMM feature control.

  SMRR is left alone: the chipset hides TSEG, and a processor whose SMRR follows TSEG needs
  nobody to write it.

  PiSmmCpuDxeSmm turns on the SMM code access check and locks it when SMM is locked, and at
  a wake, on a processor that says in SMM_MCA_CAP that it has the check: code of an SMI
  handler outside SMRR is then a machine check.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiEntry.h"

#include <Guid/StmTestHandler.h>
#include <Library/BaseLib.h>
#include <Library/DebugLib.h>
#include <Library/PcdLib.h>
#include <Library/StmFwCfgLib.h>
#include <Register/Intel/ArchitecturalMsr.h>

//
// Not among MdePkg's: SDM volume 4.
//
#define MSR_SMM_FEATURE_CONTROL   0x4E0
#define SMM_FEATURE_CONTROL_LOCK  BIT0

STATIC BOOLEAN  mUnlocked;   ///< a test wants to see what an audit says of the register without its lock

/**
  Find out whether a test wants the register without its lock. Not in an SMI, where the fw_cfg
  device is not the firmware's alone.
**/
VOID
SmmRegisterInitialize (
  VOID
  )
{
  UINTN  Size;

  mUnlocked = (BOOLEAN)(FeaturePcdGet (PcdStmImageOverride) && StmFwCfgOpen (STM_TEST_UNLOCKED_FILE, &Size));
}

/**
  Whether MTRRs have to change for the caching of SMRAM.

  @retval FALSE  Always.
**/
BOOLEAN
EFIAPI
SmmCpuFeaturesNeedConfigureMtrrs (
  VOID
  )
{
  return FALSE;
}

/**
  Disable SMRR, which this firmware does not write.
**/
VOID
EFIAPI
SmmCpuFeaturesDisableSmrr (
  VOID
  )
{
}

/**
  Enable SMRR again, which this firmware does not write.
**/
VOID
EFIAPI
SmmCpuFeaturesReenableSmrr (
  VOID
  )
{
}

/**
  Whether a processor has an SMM register. PiSmmCpuDxeSmm asks in the processor's first SMI,
  while SMRAM is still open, and looks at SMM_MCA_CAP next.

  @param[in] CpuIndex  Index of the processor.
  @param[in] RegName   The register.

  @retval TRUE   It is enhanced SMM feature control, and the processor has SMRR, to whose range
                 the register belongs.
  @retval FALSE  It is another one, or there is no SMRR.
**/
BOOLEAN
EFIAPI
SmmCpuFeaturesIsSmmRegisterSupported (
  IN UINTN         CpuIndex,
  IN SMM_REG_NAME  RegName
  )
{
  MSR_IA32_MTRRCAP_REGISTER  Cap;

  Cap.Uint64 = AsmReadMsr64 (MSR_IA32_MTRRCAP);
  return (BOOLEAN)((RegName == SmmRegFeatureControl) && (Cap.Bits.SMRR != 0));
}

/**
  Read an SMM register of the processor that executes this.

  @param[in] CpuIndex  Its index.
  @param[in] RegName   The register.

  @return Its value; 0 of a register that is not supported.
**/
UINT64
EFIAPI
SmmCpuFeaturesGetSmmRegister (
  IN UINTN         CpuIndex,
  IN SMM_REG_NAME  RegName
  )
{
  return SmmCpuFeaturesIsSmmRegisterSupported (CpuIndex, RegName) ? AsmReadMsr64 (MSR_SMM_FEATURE_CONTROL) : 0;
}

/**
  Write an SMM register of the processor that executes this. PiSmmCpuDxeSmm writes only
  supported ones, and only what differs from what it has read: on a processor whose package
  has the register once, the others find it written and locked.

  Where no SMRR is in force all code would be outside it: the register then stays as it is.

  @param[in] CpuIndex  Its index.
  @param[in] RegName   The register.
  @param[in] Value     The value.
**/
VOID
EFIAPI
SmmCpuFeaturesSetSmmRegister (
  IN UINTN         CpuIndex,
  IN SMM_REG_NAME  RegName,
  IN UINT64        Value
  )
{
  MSR_IA32_SMRR_PHYSMASK_REGISTER  Mask;

  ASSERT (SmmCpuFeaturesIsSmmRegisterSupported (CpuIndex, RegName));
  Mask.Uint64 = AsmReadMsr64 (MSR_IA32_SMRR_PHYSMASK);
  if (Mask.Bits.Valid != 0) {
    AsmWriteMsr64 (MSR_SMM_FEATURE_CONTROL, mUnlocked ? (Value & ~(UINT64)SMM_FEATURE_CONTROL_LOCK) : Value);
  }
}
