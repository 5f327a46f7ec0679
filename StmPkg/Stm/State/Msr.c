/** @file
  What becomes of MSRs that the SMI handler writes.

  Kept: they belong to the interrupted side and are in no VMCS. The STM keeps the
  interrupted values and gives them back at RSM. Under the default treatment RSM gives
  none of them back: a handler that changed one would change it for whoever was
  interrupted. No firmware does, so an SMI without such a write pays nothing.

  Closed: they decide where memory is, who sees it and what time it is, for the STM and
  for the interrupted side as much as for the handler. Giving them back would come too
  late.

  All others are the handler's: those that VM exits and VM entries switch (EFER, PAT,
  DEBUGCTL, SYSENTER, FS and GS base), and those by which firmware runs the platform.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"

#define MISC_ENABLE_XD_DISABLE  BIT34

///
/// Not among MdePkg's.
///
#define MSR_IA32_SPEC_CTRL                 0x48
#define MSR_IA32_UMWAIT_CONTROL            0xE1
#define MSR_IA32_TSX_CTRL                  0x122
#define MSR_IA32_XFD                       0x1C4
#define MSR_IA32_XFD_ERR                   0x1C5
#define MSR_IA32_SMM_FEATURE_CONTROL       0x4E0
#define MSR_IA32_U_CET                     0x6A0
#define MSR_IA32_S_CET                     0x6A2
#define MSR_IA32_PL0_SSP                   0x6A4
#define MSR_IA32_PL1_SSP                   0x6A5
#define MSR_IA32_PL2_SSP                   0x6A6
#define MSR_IA32_PL3_SSP                   0x6A7
#define MSR_IA32_INTERRUPT_SSP_TABLE_ADDR  0x6A8
#define MSR_IA32_PKRS                      0x6E1

///
/// In the order of STM_PROCESSOR.Msrs.
///
STATIC CONST UINT32  mKeptMsrs[STM_KEPT_MSRS] = {
  MSR_IA32_STAR,
  MSR_IA32_LSTAR,
  MSR_IA32_CSTAR,
  MSR_IA32_FMASK,
  MSR_IA32_TSC_AUX,
  MSR_IA32_MISC_ENABLE,
  MSR_IA32_XSS,
  MSR_IA32_XFD,
  MSR_IA32_XFD_ERR,
  MSR_IA32_BNDCFGS,
  MSR_IA32_PKRS,
  MSR_IA32_U_CET,
  MSR_IA32_S_CET,
  MSR_IA32_PL0_SSP,
  MSR_IA32_PL1_SSP,
  MSR_IA32_PL2_SSP,
  MSR_IA32_PL3_SSP,
  MSR_IA32_INTERRUPT_SSP_TABLE_ADDR,
  MSR_IA32_SPEC_CTRL,
  MSR_IA32_TSX_CTRL,
  MSR_IA32_UMWAIT_CONTROL,
  MSR_IA32_PERF_GLOBAL_CTRL
};

STATIC_ASSERT (STM_RESTORE_MSR << (STM_KEPT_MSRS - 1) != 0, "a bit for each in STM_PROCESSOR.Restore");

///
/// First and last MSR of each range.
///
STATIC CONST UINT32  mClosedMsrs[][2] = {
  { MSR_IA32_TIME_STAMP_COUNTER,  MSR_IA32_TIME_STAMP_COUNTER    },
  { MSR_IA32_APIC_BASE,           MSR_IA32_APIC_BASE             },   ///< its page could lie on MSEG
  { MSR_IA32_FEATURE_CONTROL,     MSR_IA32_TSC_ADJUST            },
  { MSR_IA32_SMM_MONITOR_CTL,     MSR_IA32_SMM_MONITOR_CTL       },
  { MSR_IA32_SMRR_PHYSBASE,       MSR_IA32_SMRR_PHYSMASK         },
  { MSR_IA32_MTRR_PHYSBASE0,      MSR_IA32_MTRR_PHYSMASK9        },
  { MSR_IA32_MTRR_FIX64K_00000,   MSR_IA32_MTRR_FIX4K_F8000      },
  { MSR_IA32_MTRR_DEF_TYPE,       MSR_IA32_MTRR_DEF_TYPE         },
  { MSR_IA32_SMM_FEATURE_CONTROL, MSR_IA32_SMM_FEATURE_CONTROL   },
  { MSR_IA32_RTIT_OUTPUT_BASE,    MSR_IA32_RTIT_OUTPUT_MASK_PTRS },   ///< its packets are written past the EPT
  { MSR_IA32_RTIT_CTL,            MSR_IA32_RTIT_CTL              }
};

/**
  Is this one of the MSRs that are kept?

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
  One range of the MSRs whose writes the STM must see: those that are kept or closed.

  @param[in]  Index  Which, from 0.
  @param[out] First  Its first MSR.
  @param[out] Last   Its last MSR.

  @retval TRUE   First and Last are set.
  @retval FALSE  There are no more.
**/
BOOLEAN
StmGuardedMsrs (
  IN  UINTN   Index,
  OUT UINT32  *First,
  OUT UINT32  *Last
  )
{
  if (Index < STM_KEPT_MSRS) {
    *First = mKeptMsrs[Index];
    *Last  = *First;
    return TRUE;
  }

  Index -= STM_KEPT_MSRS;
  if (Index >= ARRAY_SIZE (mClosedMsrs)) {
    return FALSE;
  }

  *First = mClosedMsrs[Index][0];
  *Last  = mClosedMsrs[Index][1];
  return TRUE;
}

/**
  Must the STM refuse a value that a processor may take?

  With XD disabled the processor would not load the STM's own EFER at the next VM exit.
  The upper halves of two MSRs are reserved, which not every processor tells.

  @param[in] Msr    The MSR.
  @param[in] Old    What it holds.
  @param[in] Value  The value.

  @retval TRUE   It must.
  @retval FALSE  The processor is to say.
**/
STATIC
BOOLEAN
IsRefused (
  IN UINT32  Msr,
  IN UINT64  Old,
  IN UINT64  Value
  )
{
  switch (Msr) {
    case MSR_IA32_MISC_ENABLE:
      return (BOOLEAN)((Value & ~Old & MISC_ENABLE_XD_DISABLE) != 0);
    case MSR_IA32_FMASK:
    case MSR_IA32_TSC_AUX:
      return (BOOLEAN)(RShiftU64 (Value, 32) != 0);
    default:
      return FALSE;
  }
}

/**
  Write one of the MSRs that are kept for the SMI handler.

  @param[in,out] Processor  This processor.
  @param[in]     Index      From StmFindKeptMsr.
  @param[in]     Value      The value.

  @retval TRUE   Written; the interrupted value is kept.
  @retval FALSE  The processor does not have the MSR, or does not take the value.
**/
BOOLEAN
StmWriteKeptMsr (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINTN          Index,
  IN     UINT64         Value
  )
{
  UINT64  Old;
  UINT32  Flag;

  if (!AsmTryReadMsr (mKeptMsrs[Index], &Old) || IsRefused (mKeptMsrs[Index], Old, Value) ||
      !AsmTryWriteMsr (mKeptMsrs[Index], Value))
  {
    return FALSE;
  }

  Flag = STM_RESTORE_MSR << Index;
  if ((Processor->Restore & Flag) == 0) {
    Processor->Msrs[Index] = Old;
    Processor->Restore    |= Flag;
  }

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
