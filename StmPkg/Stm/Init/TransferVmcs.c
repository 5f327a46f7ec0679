/** @file
  The SMM-transfer VMCS: SMM VM exits save the interrupted side in it, returns
  from SMM load it from there. It starts as the VMCS with which the executive
  monitor activated the STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Init.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "State/State.h"

#define DEFAULT_DR7  0x400
#define EFER_LME     BIT8
#define EFER_LMA     BIT10

/**
  Move the interrupted side to the SMM-transfer VMCS in MSEG and set that up.
  Afterwards it is the current VMCS.

  The activating VMCS lies where the executive monitor can read and write it
  (DM-ACT-27). VMCLEAR writes it back to its region and makes it clear, so the
  copy of the region is a VMCS with the same contents (DM-STM-35) and the
  monitor's own is no longer active here.

  A region in SMRAM is no reason not to copy it, since this activation has already
  written it (DM-ACT-27); the call that came with it is refused.

  @param[in,out] Processor  This processor. Refused is set if the executive
                            monitor's regions are where they must not be.
**/
VOID
StmSetUpTransferVmcs (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_SHARED  *Shared;
  UINT64      Activating;
  UINT64      Entry;
  UINT64      Efer;
  BOOLEAN     DebugSaved;

  Shared = Processor->Shared;

  //
  // The region may still be an active VMCS from before a STOP. VMCLEAR also
  // writes to it, so it comes before the copy (DM-INT-30).
  //
  Activating = AsmVmPtrStore ();
  if (Activating != Processor->TransferVmcs) {
    StmClearOwnVmcs (Processor, Processor->TransferVmcs);
  }

  DebugSaved = (BOOLEAN)((VmRead (VMCS_EXIT_CONTROLS) & VMX_EXIT_SAVE_DEBUG) != 0);
  if ((RShiftU64 (Activating, Shared->PhysicalBits) != 0) || (AsmVmClear (Activating) != VmxSucceed)) {
    StmCrash (Processor, StmCrashBadState, 0, Activating, 0, StmBadActivatingVmcs);
  }

  CopyMem ((VOID *)(UINTN)Processor->TransferVmcs, StmOpenWindow (Processor, Activating, FALSE), Shared->VmcsSize);
  StmCloseWindow (Processor);
  StmMakeCurrent (Processor, Processor->TransferVmcs);

  //
  // Whether the processor has the controls that the STM needs is asked when the
  // SMM-guest VMCS is set up: then the executive monitor gets an error.
  //
  StmWriteHostArea (Processor, Shared->SmmExit, &Processor->Interrupted);

  //
  // "IA-32e mode guest" holds the interrupted EFER.LMA after every exit
  // (DM-ACT-37, DM-EXI-32).
  //
  Entry = VmRead (VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_GUEST;
  Efer  = Processor->Efer & ~(UINT64)(EFER_LME | EFER_LMA);
  if (Entry != 0) {
    Efer |= EFER_LME | EFER_LMA;
  }

  VmWrite (
    VMCS_ENTRY_CONTROLS,
    VmxLegalControls ((UINT32)Entry | STM_WANTED_ENTRY_CONTROLS, MSR_IA32_VMX_ENTRY_CTLS)
    );
  VmWrite (VMCS_GUEST_IA32_EFER, Efer);
  VmWrite (VMCS_GUEST_IA32_PAT, AsmReadMsr64 (MSR_IA32_PAT));
  if (!DebugSaved) {
    VmWrite (VMCS_GUEST_DR7, DEFAULT_DR7);
    VmWrite (VMCS_GUEST_IA32_DEBUGCTL, 0);
  }

  //
  // Until the copy another processor could have changed the region; SMBASE decides
  // where the STM looks for PSD and save state, so take it from the processor.
  //
  if ((AsmReadMsr64 (MSR_IA32_VMX_MISC) & VMX_MISC_SMBASE_READABLE) != 0) {
    VmWrite (VMCS_GUEST_SMBASE, AsmReadMsr64 (MSR_IA32_SMBASE));
  }

  Processor->VmxonPointer = VmRead (VMCS_EXECUTIVE_VMCS_POINTER);
  if (StmPageInSmram (Shared, Activating)) {
    Processor->Refused = (UINT32)ERROR_STM_SECURITY_VIOLATION;
    VmWrite (VMCS_LINK_POINTER, VMCS_POINTER_NONE);
  }

  if (StmPageInSmram (Shared, Processor->VmxonPointer)) {
    Processor->Refused = (UINT32)ERROR_STM_SECURITY_VIOLATION;
  }
}
