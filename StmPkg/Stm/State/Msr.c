/** @file
  MSRs that belong to the interrupted side and are in no VMCS. The SMI handler may
  write them; the STM keeps the interrupted values and gives them back at RSM.

  Under the default treatment RSM gives none of them back: a handler that changed one
  would change it for whoever was interrupted. No firmware does, so an SMI without
  such a write pays nothing.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"

#define CPUID_EXTENDED             0x80000001
#define CPUID_EXTENDED_EDX_RDTSCP  BIT27

///
/// In the order of STM_PROCESSOR.Msrs.
///
STATIC CONST UINT32  mKeptMsrs[STM_KEPT_MSRS] = {
  MSR_IA32_STAR,
  MSR_IA32_LSTAR,
  MSR_IA32_CSTAR,
  MSR_IA32_FMASK,
  MSR_IA32_TSC_AUX
};

/**
  Is this one of the MSRs?

  @param[in] Msr  The MSR.

  @return Its place in STM_PROCESSOR.Msrs, STM_KEPT_MSRS if it is none.
**/
UINTN
StmFindKeptMsr (
  IN UINT64  Msr
  )
{
  UINTN  Index;

  for (Index = 0; (Index < STM_KEPT_MSRS) && (mKeptMsrs[Index] != Msr); Index++) {
  }

  return Index;
}

/**
  Would the processor take a value for one of the MSRs?

  @param[in] Msr    The MSR.
  @param[in] Value  The value.

  @retval TRUE   It would.
  @retval FALSE  WRMSR raises #GP(0).
**/
STATIC
BOOLEAN
IsAllowed (
  IN UINT32  Msr,
  IN UINT64  Value
  )
{
  UINT32  Edx;

  switch (Msr) {
    case MSR_IA32_STAR:
      return TRUE;
    case MSR_IA32_LSTAR:
    case MSR_IA32_CSTAR:
      //
      // Canonical: bits 63:47 are equal.
      //
      return (BOOLEAN)(RShiftU64 (Value + LShiftU64 (1, 47), 48) == 0);
    case MSR_IA32_FMASK:
      return (BOOLEAN)(RShiftU64 (Value, 32) == 0);
    default:
      AsmCpuid (CPUID_EXTENDED, NULL, NULL, NULL, &Edx);
      return (BOOLEAN)(((Edx & CPUID_EXTENDED_EDX_RDTSCP) != 0) && (RShiftU64 (Value, 32) == 0));
  }
}

/**
  Write one of the MSRs for the SMI handler.

  @param[in,out] Processor  This processor.
  @param[in]     Index      From StmFindKeptMsr.
  @param[in]     Value      The value.

  @retval TRUE   Written; the interrupted value is kept.
  @retval FALSE  The processor would not take it.
**/
BOOLEAN
StmWriteKeptMsr (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINTN          Index,
  IN     UINT64         Value
  )
{
  UINT32  Flag;

  if (!IsAllowed (mKeptMsrs[Index], Value)) {
    return FALSE;
  }

  Flag = STM_RESTORE_MSR << Index;
  if ((Processor->Restore & Flag) == 0) {
    Processor->Msrs[Index] = AsmReadMsr64 (mKeptMsrs[Index]);
    Processor->Restore    |= Flag;
  }

  AsmWriteMsr64 (mKeptMsrs[Index], Value);
  return TRUE;
}

/**
  Give the interrupted side its MSRs back.

  @param[in] Processor  This processor.
**/
VOID
StmRestoreMsrs (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  UINTN  Index;

  for (Index = 0; Index < STM_KEPT_MSRS; Index++) {
    if ((Processor->Restore & (STM_RESTORE_MSR << Index)) != 0) {
      AsmWriteMsr64 (mKeptMsrs[Index], Processor->Msrs[Index]);
    }
  }
}
