/** @file
  From exit reason to exit handler.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <Library/VmxMonitorLib.h>

#define REASON(Name)  (1ULL << VMX_REASON_##Name)

///
/// Instructions that exist only with VMX or SMX, without VMCALL.
///
#define VMX_INSTRUCTIONS                                                       \
  (REASON (GETSEC)  | REASON (INVEPT)   | REASON (INVVPID) | REASON (VMCLEAR) | \
   REASON (VMFUNC)  | REASON (VMLAUNCH) | REASON (VMPTRLD) | REASON (VMPTRST) | \
   REASON (VMREAD)  | REASON (VMRESUME) | REASON (VMWRITE) | REASON (VMXOFF)  | \
   REASON (VMXON))

/**
  Find the handler of a VM exit.

  @param[in] Table   VMX_EXIT_PLACES handlers; NULL for an exit that the monitor
                     does not expect.
  @param[in] Reason  Exit-reason field.

  @return The handler. NULL if there is none, or if the field reports a VM entry
          that failed while it loaded guest state: such a failure arrives where
          VM exits do ("VM-Entry Failures During or After Loading Guest State",
          26.7 [27.8]).
**/
VMX_EXIT_HANDLER
EFIAPI
VmxFindExitHandler (
  IN CONST VMX_EXIT_HANDLER  *Table,
  IN UINT32                  Reason
  )
{
  VMX_EXIT_HANDLER  Handler;
  UINT32            Basic;

  Basic = Reason & VMX_REASON_BASIC_MASK;
  if (((Reason & VMX_REASON_ENTRY_FAILURE) != 0) || (Basic >= VMX_REASON_COUNT)) {
    return NULL;
  }

  Handler = Table[Basic];
  if ((Handler == NULL) && (Basic < 64) && (((VMX_INSTRUCTIONS >> Basic) & 1) != 0)) {
    return Table[VMX_EXIT_VMX_INSTRUCTION];
  }

  return Handler;
}
