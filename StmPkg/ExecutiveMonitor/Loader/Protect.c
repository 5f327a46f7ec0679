/** @file
  The commands protect and unprotect.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ExecMon.h"

/**
  Whether the STM can be asked: says why not.

  @retval TRUE   This shell is a guest, and the STM is active.
  @retval FALSE  It is not.
**/
BOOLEAN
ExecHasStm (
  VOID
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Monitor;

  Monitor = ExecFind ();
  if ((Monitor == NULL) || (Monitor->State != ExecStateGuest) || !Monitor->StmActive) {
    Print (L"ExecMon: this shell is no guest, or there is no STM\n");
    return FALSE;
  }

  return TRUE;
}

/**
  Ask the executive monitor to have the STM keep its SMI handler from a page, or let
  the handler reach it again.

  @param[in] Page     Physical address, hexadecimal.
  @param[in] Protect  TRUE to keep the handler from it.

  @retval EFI_SUCCESS            It is so.
  @retval EFI_INVALID_PARAMETER  The address is no page's.
  @retval EFI_NOT_STARTED        The executive monitor does not run, or without an STM.
  @retval EFI_ACCESS_DENIED      The STM refused: its status was told.
**/
EFI_STATUS
ExecProtect (
  IN CONST CHAR16  *Page,
  IN BOOLEAN       Protect
  )
{
  UINT64  Value;
  UINT64  Address;
  UINT64  Status;

  if (!ExecHasStm ()) {
    return EFI_NOT_STARTED;
  }

  if (RETURN_ERROR (StrHexToUint64S (Page, NULL, &Address)) || ((Address & EFI_PAGE_MASK) != 0)) {
    Print (L"ExecMon: %s is not the hexadecimal address of a page\n", Page);
    return EFI_INVALID_PARAMETER;
  }

  Value  = Address;
  Status = AsmExecHypercall (Protect ? EXEC_HYPERCALL_PROTECT : EXEC_HYPERCALL_UNPROTECT, &Value);
  if (Status != EXEC_HYPERCALL_SUCCESS) {
    Print (L"ExecMon: the STM refused, status 0x%lx\n", Value);
    return EFI_ACCESS_DENIED;
  }

  Print (L"ExecMon: page 0x%lx is %a the SMI handler\n", Address, Protect ? "closed to" : "open for");
  return EFI_SUCCESS;
}
