/** @file
  What SMRAM looks like from outside SMM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiTool.h"
#include <Guid/StmStatusTable.h>

///
/// One read in every page, at an odd place so that each page gives another byte.
///
#define SAMPLE_STRIDE  (SIZE_4KB + 4)

/**
  Check that TSEG, MSEG included, reads as FFH from here.

  @retval EFI_SUCCESS             It does.
  @retval EFI_NOT_FOUND           The firmware publishes no TSEG.
  @retval EFI_SECURITY_VIOLATION  Some byte is visible.
**/
EFI_STATUS
SmiCheckTseg (
  VOID
  )
{
  STM_STATUS_TABLE  *Table;
  UINT64            Address;
  UINT32            Value;
  UINTN             Samples;

  if (EFI_ERROR (EfiGetSystemConfigurationTable (&gStmStatusTableGuid, (VOID **)&Table)) ||
      (Table->TsegSize == 0))
  {
    SMI_RECORD ("state-check", "result=fail field=tseg before=0x0 after=0x0");
    return EFI_NOT_FOUND;
  }

  Samples = 0;
  for (Address = Table->TsegBase; Address + 4 <= Table->TsegBase + Table->TsegSize; Address += SAMPLE_STRIDE) {
    Value = *(volatile UINT32 *)(UINTN)(Address & ~(UINT64)3);
    Samples++;
    if (Value != MAX_UINT32) {
      SMI_RECORD ("state-check", "result=fail field=tseg-0x%lx before=0xffffffff after=0x%x", Address, Value);
      Print (L"SmiTool: TSEG is visible at 0x%lx\n", Address);
      return EFI_SECURITY_VIOLATION;
    }
  }

  SMI_RECORD (
    "state-check",
    "result=pass field=tseg before=0xffffffff after=0xffffffff samples=%lu mseg=0x%lx",
    (UINT64)Samples,
    Table->MsegBase
    );
  Print (L"SmiTool: TSEG reads as FFH at %ld places\n", (UINT64)Samples);
  return EFI_SUCCESS;
}
