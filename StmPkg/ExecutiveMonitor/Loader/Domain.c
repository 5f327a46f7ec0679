/** @file
  The command domain: the domain type of the guest in the STM's VMCS database.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"

///
/// Names of DomainType's bits, from bit 0.
///
STATIC CONST CHAR8  *CONST  mTypes[] = {
  "io-out",
  "io-in",
  "integrity",
  "confidentiality"
};

///
/// Names of XStatePolicy.
///
STATIC CONST struct {
  CONST CHAR16    *Name;
  UINT32          Policy;
} mPolicies[] = {
  { L"read-write", XSTATE_READWRITE },
  { L"read-only",  XSTATE_READONLY  },
  { L"scrub",      XSTATE_SCRUB     }
};

/**
  Read a domain type.

  @param[in]  Text  Names of its bits, separated by commas, or unprotected.
  @param[out] Type  DomainType.

  @retval TRUE   Read.
  @retval FALSE  A name is none: it was told.
**/
STATIC
BOOLEAN
ReadType (
  IN  CONST CHAR16  *Text,
  OUT UINT32        *Type
  )
{
  CHAR8   Name[EXEC_NAME_LENGTH];
  UINT32  Bit;

  *Type = DOMAIN_UNPROTECTED;
  if (StrCmp (Text, L"unprotected") == 0) {
    return TRUE;
  }

  do {
    Text = ExecTakeName (Text, Name);
    for (Bit = 0; (Bit < ARRAY_SIZE (mTypes)) && (AsciiStrCmp (Name, mTypes[Bit]) != 0); Bit++) {
    }

    if (Bit == ARRAY_SIZE (mTypes)) {
      Print (L"ExecMon: %a is no domain type; there are unprotected, io-out, io-in, integrity, confidentiality\n", Name);
      return FALSE;
    }

    *Type |= 1U << Bit;
  } while (Text != NULL);

  return TRUE;
}

/**
  Read an XState policy.

  @param[in]  Text    Its name.
  @param[out] Policy  XStatePolicy.

  @retval TRUE   Read.
  @retval FALSE  It is none: it was told.
**/
STATIC
BOOLEAN
ReadPolicy (
  IN  CONST CHAR16  *Text,
  OUT UINT32        *Policy
  )
{
  UINTN  Index;

  for (Index = 0; Index < ARRAY_SIZE (mPolicies); Index++) {
    if (StrCmp (Text, mPolicies[Index].Name) == 0) {
      *Policy = mPolicies[Index].Policy;
      return TRUE;
    }
  }

  Print (L"ExecMon: %s is no XState policy; there are read-write, read-only, scrub\n", Text);
  return FALSE;
}

/**
  Give the guest on every processor a domain type, or take it back.

  @param[in] Words  add TYPE [XSTATE [KEEP]], or remove.
  @param[in] Count  How many words.

  @retval EFI_SUCCESS            Done.
  @retval EFI_INVALID_PARAMETER  A word is not what it should be.
  @retval EFI_NOT_STARTED        The executive monitor does not run, or without an STM.
  @retval EFI_ACCESS_DENIED      The STM refused: its status was told.
**/
EFI_STATUS
ExecDomain (
  IN CHAR16  **Words,
  IN UINTN   Count
  )
{
  UINT32  Type;
  UINT32  XState;
  UINT32  Keep;
  UINT64  Domain;

  if (!ExecHasStm ()) {
    return EFI_NOT_STARTED;
  }

  Domain = 0;
  if ((Count >= 2) && (StrCmp (Words[0], L"add") == 0)) {
    XState = XSTATE_READWRITE;
    Keep   = DOMAIN_UNPROTECTED;
    if (!ReadType (Words[1], &Type) || ((Count > 2) && !ReadPolicy (Words[2], &XState)) ||
        ((Count > 3) && !ReadType (Words[3], &Keep)))
    {
      return EFI_INVALID_PARAMETER;
    }

    Domain = EXEC_DOMAIN (Type, XState, Keep) | EXEC_DOMAIN_ADD;
  } else if ((Count != 1) || (StrCmp (Words[0], L"remove") != 0)) {
    return EFI_INVALID_PARAMETER;
  }

  if (AsmExecHypercall (EXEC_HYPERCALL_DOMAIN, &Domain) != EXEC_HYPERCALL_SUCCESS) {
    Print (L"ExecMon: the STM refused, status 0x%lx\n", Domain);
    return EFI_ACCESS_DENIED;
  }

  Print (L"ExecMon: %s the STM's database: the guest of every processor\n", (Count == 1) ? L"out of" : L"in");
  return EFI_SUCCESS;
}
