/** @file
  What StmCommandLib needs of BaseLib and UefiLib, for tests on the host: Print
  keeps what it prints.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>

#define MOST  4096

CHAR16  TestPrinted[MOST];
UINTN   TestLength;

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

STATIC
VOID
Add (
  IN CHAR16  Character
  )
{
  if (TestLength < MOST - 1) {
    TestPrinted[TestLength++] = Character;
  }
}

UINTN
EFIAPI
Print (
  IN CONST CHAR16  *Format,
  ...
  )
{
  VA_LIST       List;
  CONST CHAR16  *Text;

  VA_START (List, Format);
  for ( ; *Format != L'\0'; Format++) {
    if ((Format[0] == L'%') && (Format[1] == L's')) {
      for (Text = VA_ARG (List, CHAR16 *); *Text != L'\0'; Text++) {
        Add (*Text);
      }

      Format++;
    } else {
      Add (*Format);
    }
  }

  VA_END (List);
  return 0;
}
