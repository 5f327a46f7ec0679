/** @file
  Guest/: the two VMCSs of a processor, and the ways into them.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_GUEST_H_
#define STM_GUEST_H_

#include "StmState.h"

///
/// VM-entry controls that both VMCSs want.
///
#define STM_WANTED_ENTRY_CONTROLS  (VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER)

///
/// Bits of CR4 that are the SMI handler's: VME, PVI, TSD, DE, PSE, PAE, MCE, PGE, PCE,
/// OSFXSR, OSXMMEXCPT, UMIP, FSGSBASE, PCIDE, SMEP, SMAP.
///
/// With OSXSAVE it could write AVX and AVX-512 registers, XCR0 and, by XRSTOR, PKRU, and
/// with PKE, PKS, CET and UINTR what their names say: no VMCS of this STM and no FXSAVE
/// keeps any of it. VMXE and SMXE are not for a guest.
///
#define STM_HANDLER_CR4_BITS  0x00330FFFULL

///
/// Windows there are: one page of entries.
///
#define STM_WINDOWS  512

/**
  Map a page into this processor's window. The processor is on the STM's own page
  tables.

  @param[in] Processor  This processor.
  @param[in] Page       Physical address, aligned to 4 KB, within the physical
                        width.
  @param[in] Writable   TRUE if the STM is going to write there.

  @return Where the page is, until StmCloseWindow.
**/
VOID *
StmOpenWindow (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Page,
  IN BOOLEAN              Writable
  );

/**
  Empty this processor's window.

  @param[in] Processor  This processor.
**/
VOID
StmCloseWindow (
  IN CONST STM_PROCESSOR  *Processor
  );

/**
  Send an SMI to another processor.

  @param[in] Processor  This processor, its window closed.
  @param[in] ApicId     Whom.

  @retval TRUE   Sent.
  @retval FALSE  This processor's local APIC is disabled, or cannot address the other one.
**/
BOOLEAN
StmSendSmi (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               ApicId
  );

/**
  Make one of this processor's VMCSs current, or crash: the region lies in MSEG
  and is the STM's own.

  @param[in] Processor  This processor.
  @param[in] Vmcs       Processor->TransferVmcs or Processor->SmmGuestVmcs.
**/
VOID
StmMakeCurrent (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Vmcs
  );

/**
  VMCLEAR one of this processor's VMCSs, or crash.

  @param[in] Processor  This processor.
  @param[in] Vmcs       Processor->TransferVmcs or Processor->SmmGuestVmcs.
**/
VOID
StmClearOwnVmcs (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Vmcs
  );

/**
  Write what both VMCSs share to the current one: host state and VM-exit controls.

  @param[in] Processor  This processor.
  @param[in] Rip        Where VM exits continue.
  @param[in] Registers  Register set that VM exits push.

  @retval TRUE   Done.
  @retval FALSE  Done, but the processor lacks a control that the STM needs.
**/
BOOLEAN
StmWriteHostArea (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Rip,
  IN CONST VMX_REGISTERS  *Registers
  );

/**
  Say whether a load of CR3 with what the PSD says causes a VM exit: that is how firmware
  flushes the TLB. State/Handler.c writes the value.

  @param[in] Free  FALSE if it does.
**/
VOID
StmWriteCr3Targets (
  IN BOOLEAN  Free
  );

/**
  Set up the SMM-guest VMCS. Leaves the SMM-transfer VMCS current.

  @param[in,out] Processor  This processor.

  @retval TRUE   Done.
  @retval FALSE  The processor lacks a control that the STM needs.
**/
BOOLEAN
StmSetUpSmmGuestVmcs (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Set up how long the SMI handler may run, in the SMM-guest VMCS, which is current, its
  other controls written.

  @param[in,out] Processor  This processor. HandlerLimit is what a start of the handler
                            writes to the timer.
**/
VOID
StmSetUpLimit (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Take the cost of a VM exit other than RSM from the time that the handler has left.

  @param[in] Processor  This processor, the SMM-guest VMCS current.
**/
VOID
StmChargeExit (
  IN CONST STM_PROCESSOR  *Processor
  );

/**
  Enter the SMI handler at its start, with the SMM-guest VMCS current.

  @param[in] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
StmEnterHandler (
  IN CONST STM_PROCESSOR  *Processor
  );

/**
  Let the SMI handler continue after a VM exit other than RSM.

  @param[in] Processor  This processor, the SMM-guest VMCS current.

  @return What the entry code shall do.
**/
STM_ENTER
StmResumeHandler (
  IN CONST STM_PROCESSOR  *Processor
  );

/**
  Return to the interrupted side, with the SMM-transfer VMCS current.

  @param[in] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
StmReturn (
  IN CONST STM_PROCESSOR  *Processor
  );

#endif
