/** @file
  SMRR and the SMM registers, none of which the q35 machine has.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiEntry.h"

#include <Library/DebugLib.h>

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
  Disable SMRR, which is not there.
**/
VOID
EFIAPI
SmmCpuFeaturesDisableSmrr (
  VOID
  )
{
}

/**
  Enable SMRR again, which is not there.
**/
VOID
EFIAPI
SmmCpuFeaturesReenableSmrr (
  VOID
  )
{
}

/**
  Whether a processor has an SMM register.

  @param[in] CpuIndex  Index of the processor.
  @param[in] RegName   The register.

  @retval FALSE  Always.
**/
BOOLEAN
EFIAPI
SmmCpuFeaturesIsSmmRegisterSupported (
  IN UINTN         CpuIndex,
  IN SMM_REG_NAME  RegName
  )
{
  return FALSE;
}

/**
  Read an SMM register.

  @param[in] CpuIndex  Index of the processor.
  @param[in] RegName   The register.

  @retval 0  Always, as for every register that is not supported.
**/
UINT64
EFIAPI
SmmCpuFeaturesGetSmmRegister (
  IN UINTN         CpuIndex,
  IN SMM_REG_NAME  RegName
  )
{
  return 0;
}

/**
  Write an SMM register. PiSmmCpuDxeSmm writes only supported ones.

  @param[in] CpuIndex  Index of the processor.
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
  ASSERT (FALSE);
}
