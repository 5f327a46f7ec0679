/** @file
  Raises SMIs by port writes.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiTool.h"

#define PORT_APM_COMMAND  0xB2
#define PORT_APM_STATUS   0xB3

/**
  Raise SMIs by writing the APM command port.

  @param[in] Count  How many.
  @param[in] Value  Byte for port B2H.

  @retval EFI_SUCCESS       The SMI count grew by exactly Count.
  @retval EFI_DEVICE_ERROR  It did not.
**/
EFI_STATUS
SmiRaise (
  IN UINTN  Count,
  IN UINT8  Value
  )
{
  UINTN   Index;
  UINT64  Before;
  UINT64  After;

  SMI_RECORD ("smi-begin", "cause=port-b2");
  Before = AsmReadMsr64 (MSR_SMI_COUNT);
  for (Index = 0; Index < Count; Index++) {
    IoWrite8 (PORT_APM_STATUS, 0);
    IoWrite8 (PORT_APM_COMMAND, Value);
  }

  After = AsmReadMsr64 (MSR_SMI_COUNT);
  SMI_RECORD ("smi-end", "raised=%lu counted=%lu", (UINT64)Count, After - Before);
  Print (L"SmiTool: %ld SMIs raised by port B2H, %ld counted\n", (UINT64)Count, After - Before);
  return (After - Before == Count) ? EFI_SUCCESS : EFI_DEVICE_ERROR;
}

/**
  Log MSR 34H.

  @retval EFI_SUCCESS  Always.
**/
EFI_STATUS
SmiLogCount (
  VOID
  )
{
  UINT64  Count;

  Count = AsmReadMsr64 (MSR_SMI_COUNT);
  SMI_RECORD ("smi-count", "value=%lu", Count);
  Print (L"SmiTool: %ld SMIs since reset\n", Count);
  return EFI_SUCCESS;
}
