/** @file
  Returns to the interrupted side that the processor refuses.

  What the executive monitor can cause by writing to its own VMXON region and
  VMCSs: the processor reads these regions at the return, in memory that is not
  the STM's. Everything else that the return needs is in MSEG.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "State/State.h"

///
/// How often a return is tried again: another processor may go on writing.
///
#define MOST_MENDED  8

///
/// Exit qualification of a VM entry that failed because of the link pointer:
/// "VM-Entry Failures During or After Loading Guest State", 26.7 [27.8].
///
#define ENTRY_FAILED_LINK_POINTER  4

/**
  Try the return again, after what was done about it.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Error      VM-instruction error, 0 for a failure on guest state.
  @param[in]     Action     What was done, for the record.

  @return What the entry code shall do.
**/
STATIC
STM_ENTER
TryAgain (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Error,
  IN     CONST CHAR8    *Action
  )
{
  STM_RECORD (
    Processor,
    "return-failed",
    "cpu=%u error=%u action=%a rip=0x%lx",
    Processor->Slot,
    Error,
    Action,
    VmRead (VMCS_GUEST_RIP)
    );
  Processor->Mended++;
  return StmReturn (Processor);
}

/**
  A VM entry that failed: VMLAUNCH or VMRESUME, or on guest state.

  A VMXON region or executive VMCS without its revision identifier (DM-RET-05): put
  back. Without it there is no return at all, nor any other way to tell somebody.

  An executive VMCS that was not launched, or with VM-execution controls that are
  not allowed (DM-RET-08, DM-RET-12): the executive monitor gets a VM exit that
  tells of an entry that failed. The same, if guest state does not suit the controls
  any more.

  A current VMCS of the executive monitor without one (DM-RET-29): it comes back
  without a current VMCS.

  @param[in,out] Processor  This processor.
  @param[in]     Error      VM-instruction error, 0 for a failure on guest state.

  @return What the entry code shall do. Does not return if nothing can be done.
**/
STM_ENTER
StmMendReturn (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Error
  )
{
  UINT64  Executive;

  if ((AsmVmPtrStore () == Processor->TransferVmcs) && (Processor->Mended < MOST_MENDED)) {
    Executive = VmRead (VMCS_EXECUTIVE_VMCS_POINTER);
    switch (Error) {
      case 0:
        if ((VmRead (VMCS_EXIT_QUALIFICATION) == ENTRY_FAILED_LINK_POINTER) &&
            (VmRead (VMCS_LINK_POINTER) != VMCS_POINTER_NONE))
        {
          VmWrite (VMCS_LINK_POINTER, VMCS_POINTER_NONE);
          return TryAgain (Processor, Error, "no-current-vmcs");
        }

        break;
      case VMX_ERROR_EXECUTIVE_POINTER:
        if (StmRestoreRevision (Processor, Executive)) {
          return TryAgain (Processor, Error, "revision");
        }

        break;
      case VMX_ERROR_EXECUTIVE_NOT_LAUNCHED:
      case VMX_ERROR_EXECUTIVE_CONTROLS:
        break;
      default:
        Executive = Processor->VmxonPointer;
        break;
    }

    if ((Executive != Processor->VmxonPointer) && StmReflectEntryFailure (Processor)) {
      return TryAgain (Processor, Error, "entry-failure");
    }
  }

  StmCrashFromVmcs (Processor, StmCrashEntryFailure);
  return StmReturn (Processor);
}
