/** @file
  What the command log of the executive monitor's loader needs: an executive monitor that notes
  the calls, and Print that keeps what it prints.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "../../StmPkg/ExecutiveMonitor/Loader/ExecMon.h"
#include "shift_stub.h"

UINT64  TestCall;         ///< RBX of the latest hypercall; 0 for none
CHAR16  TestPrinted[64];  ///< the format of what was printed

BOOLEAN
ExecHasStm (
  VOID
  )
{
  return TRUE;
}

UINT64
EFIAPI
AsmExecHypercall (
  IN     UINT32  Number,
  IN OUT UINT64  *Rbx
  )
{
  TestCall = *Rbx;
  return EXEC_HYPERCALL_SUCCESS;
}

INTN
EFIAPI
StrCmp (
  IN CONST CHAR16  *First,
  IN CONST CHAR16  *Second
  )
{
  for ( ; (*First != L'\0') && (*First == *Second); First++, Second++) {
  }

  return *First - *Second;
}

UINTN
EFIAPI
StrDecimalToUintn (
  IN CONST CHAR16  *Text
  )
{
  UINTN  Number;

  for (Number = 0; (*Text >= L'0') && (*Text <= L'9'); Text++) {
    if (Number > (MAX_UINTN - (UINTN)(*Text - L'0')) / 10) {
      return MAX_UINTN;
    }

    Number = Number * 10 + (UINTN)(*Text - L'0');
  }

  return Number;
}

UINTN
EFIAPI
Print (
  IN CONST CHAR16  *Format,
  ...
  )
{
  UINTN  Index;

  for (Index = 0; (Index < ARRAY_SIZE (TestPrinted) - 1) && (Format[Index] != L'\0'); Index++) {
    TestPrinted[Index] = Format[Index];
  }

  TestPrinted[Index] = L'\0';
  return Index;
}
