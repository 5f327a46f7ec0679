/** @file
  Faults in the firmware's list of resources, for tests: the fw_cfg file
  STM_TEST_RESOURCES_FILE names one of them.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "TestHandler.h"

#include <Guid/MsegSmram.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/HobLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/StmFwCfgLib.h>
#include <Protocol/SmMonitorInit.h>
#include <Protocol/SmmEndOfDxe.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/SmramSaveStateMap.h>

#define WORD_SIZE  16

///
/// Ordinary memory: nobody's list belongs there.
///
#define OUTSIDE_SMRAM  BASE_1MB

///
/// The first of many that no processor has.
///
#define NO_MSR  0x70000000

///
/// Of their descriptors a page holds no more than 127.
///
#define TWO_PAGES  160

STATIC CHAR8  mFault[WORD_SIZE];

///
/// A list of one descriptor of memory, which is empty, without an END.
///
STATIC STM_RSC_MEM_DESC  mMalformed = {
  { MEM_RANGE, sizeof (STM_RSC_MEM_DESC), 0, 0, 0 },
  0, 0, STM_RSC_MEM_R, 0, 0
};

/**
  Have the descriptor (PSD) of every processor name another list.

  @param[in] List  Its physical address.
**/
STATIC
VOID
NameList (
  IN UINT64  List
  )
{
  UINTN  Index;

  for (Index = 0; Index < gSmst->NumberOfCpus; Index++) {
    ((TXT_PROCESSOR_SMM_DESCRIPTOR *)((UINTN)gSmst->CpuSaveState[Index] - SMRAM_SAVE_STATE_MAP_OFFSET +
                                      TXT_SMM_PSD_OFFSET))->BiosHwResourceRequirementsPtr = List;
  }
}

/**
  Where MSEG is.

  @return Physical address, 0 without one.
**/
STATIC
UINT64
MsegBase (
  VOID
  )
{
  EFI_HOB_GUID_TYPE  *Hob;

  Hob = GetFirstGuidHob (&gMsegSmramGuid);
  return (Hob == NULL) ? 0 : ((EFI_SMRAM_DESCRIPTOR *)GET_GUID_HOB_DATA (Hob))->PhysicalStart;
}

/**
  Claim what is the STM's.

  @param[in] Msr  TRUE for writes of IA32_SMM_MONITOR_CTL, FALSE for the first page of MSEG.

  @retval EFI_SUCCESS  It is in the list.
  @retval others       It could not be added.
**/
STATIC
EFI_STATUS
ClaimStms (
  IN BOOLEAN  Msr
  )
{
  EFI_STATUS                    Status;
  EFI_SM_MONITOR_INIT_PROTOCOL  *Monitor;
  STM_RSC                       Resource;

  ZeroMem (&Resource, sizeof (Resource));
  if (Msr) {
    Resource.Header.RscType = MACHINE_SPECIFIC_REG;
    Resource.Header.Length  = sizeof (Resource.Msr);
    Resource.Msr.MsrIndex   = MSR_IA32_SMM_MONITOR_CTL;
    Resource.Msr.WriteMask  = MAX_UINT64;
  } else {
    Resource.Header.RscType    = MEM_RANGE;
    Resource.Header.Length     = sizeof (Resource.Mem);
    Resource.Mem.Base          = MsegBase ();
    Resource.Mem.Length        = EFI_PAGE_SIZE;
    Resource.Mem.RWXAttributes = STM_RSC_MEM_R;
  }

  Status = gSmst->SmmLocateProtocol (&gEfiSmMonitorInitProtocolGuid, NULL, (VOID **)&Monitor);
  return EFI_ERROR (Status) ? Status : Monitor->AddPiResource (&Resource, 1);
}

/**
  Claim MSRs that do not exist.

  @param[in] Count  How many; MAX_UINT32 for as many as the list takes.

  @retval EFI_SUCCESS  They are in the list, or it is full.
  @retval others       There is no list.
**/
STATIC
EFI_STATUS
ClaimMany (
  IN UINT32  Count
  )
{
  EFI_STATUS                    Status;
  EFI_SM_MONITOR_INIT_PROTOCOL  *Monitor;
  STM_RSC                       Resource;

  Status = gSmst->SmmLocateProtocol (&gEfiSmMonitorInitProtocolGuid, NULL, (VOID **)&Monitor);
  ZeroMem (&Resource, sizeof (Resource));
  Resource.Header.RscType = MACHINE_SPECIFIC_REG;
  Resource.Header.Length  = sizeof (Resource.Msr);
  Resource.Msr.MsrIndex   = NO_MSR;
  Resource.Msr.ReadMask   = MAX_UINT64;
  while (!EFI_ERROR (Status) && (Count != 0)) {
    Status = Monitor->AddPiResource (&Resource, 1);
    Resource.Msr.MsrIndex++;
    Count--;
  }

  return (Status == EFI_OUT_OF_RESOURCES) ? EFI_SUCCESS : Status;
}

/**
  Make the fault, while the list can still be changed.

  @param[in] Protocol   gEfiSmmEndOfDxeProtocolGuid.
  @param[in] Interface  Not used.
  @param[in] Handle     Not used.

  @retval EFI_SUCCESS      Made.
  @retval EFI_UNSUPPORTED  Nobody knows a fault of that name.
  @retval others           It could not be made.
**/
STATIC
EFI_STATUS
EFIAPI
MakeFault (
  IN CONST EFI_GUID  *Protocol,
  IN VOID            *Interface,
  IN EFI_HANDLE      Handle
  )
{
  DEBUG ((DEBUG_WARN, "%a: list of resources with the fault %a\n", gEfiCallerBaseName, mFault));
  if (AsciiStrCmp (mFault, "malformed") == 0) {
    NameList ((UINTN)&mMalformed);
  } else if (AsciiStrCmp (mFault, "outside") == 0) {
    NameList (OUTSIDE_SMRAM);
  } else if (AsciiStrCmp (mFault, "mseg") == 0) {
    return ClaimStms (FALSE);
  } else if (AsciiStrCmp (mFault, "monitor-ctl") == 0) {
    return ClaimStms (TRUE);
  } else if (AsciiStrCmp (mFault, "full") == 0) {
    return ClaimMany (MAX_UINT32);
  } else if (AsciiStrCmp (mFault, "long") == 0) {
    return ClaimMany (TWO_PAGES);
  } else {
    return EFI_UNSUPPORTED;
  }

  return EFI_SUCCESS;
}

/**
  Prepare a fault, if the owner of the machine asks for one.

  @retval EFI_SUCCESS  Prepared, or not asked for.
  @retval others       The end of DXE cannot be waited for.
**/
EFI_STATUS
TestResources (
  VOID
  )
{
  UINTN  Size;
  VOID   *Registration;

  if (!StmFwCfgOpen (STM_TEST_RESOURCES_FILE, &Size) || (Size >= WORD_SIZE)) {
    return EFI_SUCCESS;
  }

  StmFwCfgRead (Size, mFault);
  mFault[Size] = '\0';
  return gSmst->SmmRegisterProtocolNotify (&gEfiSmmEndOfDxeProtocolGuid, MakeFault, &Registration);
}
