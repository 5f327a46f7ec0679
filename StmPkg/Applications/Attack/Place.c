/** @file
  Where this program runs, and the addresses that words name.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"
#include <Guid/StmStatusTable.h>

///
/// A name, and the member of EXEC_PROCESSOR that it stands for.
///
typedef struct {
  CONST CHAR8    *Name;
  UINTN          Offset;
} EXECUTIVE_NAME;

STATIC CONST EXECUTIVE_NAME  mExecutiveNames[] = {
  { "vmxon",      OFFSET_OF (EXEC_PROCESSOR, VmxonRegion)    },
  { "activation", OFFSET_OF (EXEC_PROCESSOR, ActivationVmcs) },
  { "guestvmcs",  OFFSET_OF (EXEC_PROCESSOR, GuestVmcs)      }
};

STATIC CONST CHAR8  *mPageNames[] = { "page", "page2", "page3", "page4", "area" };

STATIC EFI_PHYSICAL_ADDRESS  mPages;

/**
  The executive monitor.

  @return Its protocol, NULL if it was never loaded.
**/
STATIC
EXECUTIVE_MONITOR_PROTOCOL *
FindMonitor (
  VOID
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;

  return EFI_ERROR (gBS->LocateProtocol (&gExecutiveMonitorProtocolGuid, NULL, (VOID **)&Monitor)) ? NULL : Monitor;
}

/**
  Where this program runs.

  @return State of the executive monitor; ExecStateOff without one.
**/
EXEC_STATE
AttackPlace (
  VOID
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;

  Monitor = FindMonitor ();
  return (Monitor == NULL) ? ExecStateOff : Monitor->State;
}

/**
  Whether the STM is active.

  @retval TRUE   The executive monitor has started it.
  @retval FALSE  It has not, or there is none.
**/
BOOLEAN
AttackStmActive (
  VOID
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;

  Monitor = FindMonitor ();
  return (BOOLEAN)((Monitor != NULL) && (Monitor->State != ExecStateOff) && Monitor->StmActive);
}

/**
  Get this program's pages. They are never given back, since the STM may protect them.

  @retval EFI_SUCCESS  They are there, all zero.
  @retval others       No memory.
**/
EFI_STATUS
AttackGetPages (
  VOID
  )
{
  EFI_STATUS  Status;

  //
  // The tables of the attacking SMI handler end at 4 GB. Reserved memory, like the
  // executive monitor's: runtime-services data is what the firmware claims for its
  // communication buffers, so that the STM would not protect it.
  //
  mPages = MAX_UINT32;
  Status = gBS->AllocatePages (AllocateMaxAddress, EfiReservedMemoryType, ATTACK_PAGES, &mPages);
  if (!EFI_ERROR (Status)) {
    ZeroMem ((VOID *)(UINTN)mPages, EFI_PAGES_TO_SIZE (ATTACK_PAGES));
  }

  return Status;
}

/**
  The address of one of this program's pages.

  @param[in] Index  Which, below ATTACK_PAGES.

  @return Its address.
**/
UINT64
AttackPage (
  IN UINTN  Index
  )
{
  return mPages + EFI_PAGES_TO_SIZE (Index);
}

/**
  The address of memory of the executive monitor.

  @param[in]  Name     The name.
  @param[out] Address  Where that is.

  @retval TRUE   Found.
  @retval FALSE  There is no such name, or it means nothing where this program runs.
**/
STATIC
BOOLEAN
FindExecutiveAddress (
  IN  CONST CHAR8  *Name,
  OUT UINT64       *Address
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;
  UINTN                       Index;

  Monitor = FindMonitor ();
  if (Monitor == NULL) {
    return FALSE;
  }

  if (AsciiStrCmp (Name, "exec") == 0) {
    *Address = Monitor->HiddenBase;
    return TRUE;
  }

  //
  // A guest does not see the executive monitor's blocks.
  //
  if ((AsciiStrCmp (Name, "facs") == 0) && (Monitor->State == ExecStateRoot)) {
    *Address = Monitor->Parameters->Sleep.Facs;
    return (BOOLEAN)(*Address != 0);
  }

  for (Index = 0; (Index < ARRAY_SIZE (mExecutiveNames)) && (Monitor->State == ExecStateRoot); Index++) {
    if (AsciiStrCmp (Name, mExecutiveNames[Index].Name) == 0) {
      *Address = *(UINT64 *)(UINTN)(Monitor->Parameters->FirstProcessor + mExecutiveNames[Index].Offset);
      return TRUE;
    }
  }

  return FALSE;
}

/**
  The address that a name stands for.

  @param[in]  Name     The name.
  @param[out] Address  Where that is.

  @retval TRUE   Found.
  @retval FALSE  There is no such name, or it means nothing where this program runs.
**/
BOOLEAN
AttackFindAddress (
  IN  CONST CHAR8  *Name,
  OUT UINT64       *Address
  )
{
  STM_STATUS_TABLE  *Table;
  UINTN             Index;

  for (Index = 0; Index < ARRAY_SIZE (mPageNames); Index++) {
    if (AsciiStrCmp (Name, mPageNames[Index]) == 0) {
      *Address = AttackPage (Index);
      return TRUE;
    }
  }

  if ((AsciiStrCmp (Name, "tseg") != 0) && (AsciiStrCmp (Name, "mseg") != 0)) {
    return FindExecutiveAddress (Name, Address);
  }

  if (EFI_ERROR (EfiGetSystemConfigurationTable (&gStmStatusTableGuid, (VOID **)&Table))) {
    return FALSE;
  }

  *Address = (Name[0] == 't') ? Table->TsegBase : Table->MsegBase;
  return TRUE;
}
