/** @file
  The memory of the executive monitor, as its guest sees it.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "GuestTool.h"
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <StmRecord.h>

#include "../../ExecutiveMonitor/Include/ExecutiveMonitor.h"

extern EFI_GUID  gExecutiveMonitorProtocolGuid;

///
/// Offset of the last 8 bytes of a page.
///
#define PAGE_LAST  (SIZE_4KB - sizeof (UINT64))

///
/// What was seen.
///
typedef struct {
  UINT64    Pages;
  UINT64    Wrong;            ///< reads that did not give ones
  UINT64    WrongAddress;     ///< of the first of them
} HIDDEN_RESULT;

/**
  Read 8 bytes.

  @param[in]     Address  Where.
  @param[in,out] Result   Grows if they are not all ones.
**/
STATIC
VOID
HiddenRead (
  IN     UINT64         Address,
  IN OUT HIDDEN_RESULT  *Result
  )
{
  if (*(volatile UINT64 *)(UINTN)Address != MAX_UINT64) {
    if (Result->Wrong == 0) {
      Result->WrongAddress = Address;
    }

    Result->Wrong++;
  }
}

/**
  Read a page of the hidden range, write it, and read it again.

  @param[in]     Page    Its address.
  @param[in,out] Result  What was seen.
**/
STATIC
VOID
HiddenPage (
  IN     UINT64         Page,
  IN OUT HIDDEN_RESULT  *Result
  )
{
  HiddenRead (Page, Result);
  HiddenRead (Page + PAGE_LAST, Result);
  *(volatile UINT64 *)(UINTN)Page               = 0;
  *(volatile UINT64 *)(UINTN)(Page + PAGE_LAST) = 0;
  HiddenRead (Page, Result);
  HiddenRead (Page + PAGE_LAST, Result);
  Result->Pages++;
}

/**
  Look at the memory of the executive monitor: nothing is there. Reads give ones,
  writes are lost.

  @retval EFI_SUCCESS       So it is.
  @retval EFI_NOT_STARTED   We are not the executive monitor's guest.
  @retval EFI_DEVICE_ERROR  Something else was read; the record says what.
**/
EFI_STATUS
GuestCheckHidden (
  VOID
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;
  HIDDEN_RESULT               Result;
  UINT64                      Page;

  if (EFI_ERROR (gBS->LocateProtocol (&gExecutiveMonitorProtocolGuid, NULL, (VOID **)&Monitor)) ||
      (Monitor->State != ExecStateGuest))
  {
    Print (L"GuestTool: not the guest of the executive monitor\n");
    return EFI_NOT_STARTED;
  }

  Result.Pages        = 0;
  Result.Wrong        = 0;
  Result.WrongAddress = 0;
  for (Page = Monitor->HiddenBase; Page < Monitor->HiddenBase + Monitor->HiddenSize; Page += SIZE_4KB) {
    HiddenPage (Page, &Result);
  }

  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "APP",
    "guest-hidden",
    "base=0x%lx pages=%lu wrong=%lu wrong_address=0x%lx",
    Monitor->HiddenBase,
    Result.Pages,
    Result.Wrong,
    Result.WrongAddress
    );
  Print (L"GuestTool: %ld pages of the executive monitor, %ld reads found something\n", Result.Pages, Result.Wrong);
  return (Result.Wrong == 0) ? EFI_SUCCESS : EFI_DEVICE_ERROR;
}
