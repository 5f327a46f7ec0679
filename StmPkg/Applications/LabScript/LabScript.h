/** @file
  What the parts of LabScript share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef LAB_SCRIPT_H_
#define LAB_SCRIPT_H_

#include <Uefi.h>
#include <Protocol/Shell.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/IoLib.h>
#include <Library/MemoryAllocationLib.h>
#include <Library/ShellCEntryLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Library/UefiRuntimeServicesTableLib.h>
#include <StmRecord.h>

/**
  Find a fw_cfg file and select it for reading.

  @param[in] Name  Its name.

  @return Its size in bytes, 0 if there is none.
**/
UINTN
LabFwCfgOpen (
  IN CONST CHAR8  *Name
  );

/**
  Read from the selected fw_cfg file.

  @param[in]  Size    Bytes.
  @param[out] Buffer  Where to.
**/
VOID
LabFwCfgRead (
  IN  UINTN  Size,
  OUT VOID   *Buffer
  );

#endif
