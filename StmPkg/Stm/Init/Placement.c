/** @file
  Where the STM is, and what it may use: from the data page of a loader of ours, or,
  loaded by any other firmware, from its own headers and the processor.

  What a loader of ours says is exact. Without it there are the sizes that the headers
  ask for, which the firmware has promised for as many processors as it has; SMRR, which
  the firmware sets to its SMRAM; and CPUID, for the number of processors.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Init.h"
#include <Register/Intel/Cpuid.h>

#define MTRRCAP_SMRR     BIT11
#define SMRR_MASK_VALID  BIT11
#define SMRR_PAGE_MASK   0xFFFFF000

#define MSEG_BASE_MASK  0xFFFFF000

/**
  How many processors the package has.

  @return The largest number of any level of its topology; at least 1.
**/
STATIC
UINT32
CountProcessors (
  VOID
  )
{
  CPUID_EXTENDED_TOPOLOGY_EBX  Ebx;
  CPUID_EXTENDED_TOPOLOGY_ECX  Ecx;
  UINT32                       Leaves;
  UINT32                       Level;
  UINT32                       Most;

  Most = 1;
  AsmCpuid (CPUID_SIGNATURE, &Leaves, NULL, NULL, NULL);
  if (Leaves < CPUID_EXTENDED_TOPOLOGY) {
    return Most;
  }

  for (Level = 0; Level < 8; Level++) {
    AsmCpuidEx (CPUID_EXTENDED_TOPOLOGY, Level, NULL, &Ebx.Uint32, &Ecx.Uint32, NULL);
    if (Ecx.Bits.LevelType == CPUID_EXTENDED_TOPOLOGY_LEVEL_TYPE_INVALID) {
      break;
    }

    Most = MAX (Most, Ebx.Bits.LogicalProcessors);
  }

  return MIN (Most, STM_MOST_PROCESSORS);
}

/**
  How many bytes a VMCS region takes ("Basic VMX Information", A.1).

  @return Bytes, 1 to 4096.
**/
UINT32
StmVmcsSize (
  VOID
  )
{
  return (UINT32)RShiftU64 (AsmReadMsr64 (MSR_IA32_VMX_BASIC), 32) & VMX_BASIC_SIZE_MASK;
}

/**
  Find SMRAM by SMRR (SDM "System-Management Range Registers", 11.11.2.4 [12.11.2.4]).

  @param[out] Place  TsegBase and TsegSize.

  @retval TRUE   Done.
  @retval FALSE  The processor has none, or the firmware has not set it.
**/
STATIC
BOOLEAN
FindSmram (
  OUT STM_LOADER_DATA  *Place
  )
{
  CPUID_VERSION_INFO_EDX  Edx;
  UINT32                  Mask;

  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, NULL, &Edx.Uint32);
  if ((Edx.Bits.MTRR == 0) || ((AsmReadMsr64 (MSR_IA32_MTRRCAP) & MTRRCAP_SMRR) == 0)) {
    return FALSE;
  }

  Mask = (UINT32)AsmReadMsr64 (MSR_IA32_SMRR_PHYSMASK);
  if ((Mask & SMRR_MASK_VALID) == 0) {
    return FALSE;
  }

  Place->TsegBase = (UINT32)AsmReadMsr64 (MSR_IA32_SMRR_PHYSBASE) & Mask & SMRR_PAGE_MASK;
  Place->TsegSize = (UINT64)(UINT32) ~(Mask & SMRR_PAGE_MASK) + 1;
  return TRUE;
}

/**
  Say what a loader of ours would have said. No digest: nobody has told what the image
  must be.

  @param[in]  Tables  Physical address of the activation page tables.
  @param[out] Place   Filled in.

  @retval TRUE   Done.
  @retval FALSE  Nothing says where SMRAM is: TsegBase and TsegSize are MSEG's.
**/
BOOLEAN
StmFindPlace (
  IN  UINT64           Tables,
  OUT STM_LOADER_DATA  *Place
  )
{
  CPUID_VIR_PHY_ADDRESS_SIZE_EAX  Eax;
  BOOLEAN                         Found;
  UINT64                          End;

  ZeroMem (Place, sizeof (*Place));
  AsmCpuid (CPUID_VIR_PHY_ADDRESS_SIZE, &Eax.Uint32, NULL, NULL, NULL);
  Place->Signature           = STM_LOADER_DATA_SIGNATURE;
  Place->PhysicalAddressBits = Eax.Bits.PhysicalAddressBits;
  Place->NumberOfProcessors  = CountProcessors ();
  Place->MsegBase            = AsmReadMsr64 (MSR_IA32_SMM_MONITOR_CTL) & MSEG_BASE_MASK;

  //
  // What StmPkg's headers ask for, and no more: what follows may be somebody else's.
  //
  End = Tables + STM_DYNAMIC_FROM_TABLES + STM_DYNAMIC_SHARED_SIZE + STM_RESERVE_PAGES * SIZE_4KB +
        (UINT64)Place->NumberOfProcessors * (STM_PER_PROCESSOR_MEMORY + 2 * StmVmcsSize ());
  Place->MsegSize = (End - Place->MsegBase) & ~(UINT64)(SIZE_4KB - 1);

  Found = FindSmram (Place);
  if (!Found) {
    Place->TsegBase = Place->MsegBase;
    Place->TsegSize = Place->MsegSize;
  }

  return Found;
}
