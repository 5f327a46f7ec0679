/** @file
  Guest state with which the SMI handler starts: 64-bit mode, or 32-bit mode with PAE paging or
  without paging, with what the PSD says.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"
#include <Library/SynchronizationLib.h>
#include "Guest/Guest.h"
#include "Log/Log.h"

///
/// CR0: WP, NE, ET, MP, PE; and PG, unless the handler starts without paging. The SMI
/// entry code sets what else it wants.
///
#define HANDLER_CR0  0x00010033
#define CR0_PG       BIT31
#define CR4_PAE      BIT5

#define EFER_LMA  BIT10

///
/// A CR3-target value that no MOV to CR3 has: it would raise #GP(0).
///
#define NO_CR3_TARGET  MAX_UINT64

STATIC
BOOLEAN
TakePsd (
  IN OUT STM_PROCESSOR  *Processor,
  IN     STM_EVENT      Event
  ) STM_RARE;

STATIC
VOID
HideSaveState (
  IN CONST STM_PROCESSOR  *Processor
  ) STM_RARE;

/**
  Write the read shadows of CR0 and CR4, and whether the processor is in IA-32e mode, with
  which the SMI handler starts. Only the STM changes them, at a VM exit that few handlers
  cause.

  @param[in] Processor  This processor, Entry filled, the SMM-guest VMCS current.
**/
VOID
StmWriteHandlerMode (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  CONST STM_HANDLER_ENTRY  *Entry;

  Entry = &Processor->Entry;
  VmWrite (VMCS_CR0_READ_SHADOW, Entry->Cr0);
  VmWrite (VMCS_CR4_READ_SHADOW, Entry->Cr4 & STM_HANDLER_CR4_BITS);
  VmWrite (
    VMCS_ENTRY_CONTROLS,
    (VmRead (VMCS_ENTRY_CONTROLS) & ~(UINT64)VMX_ENTRY_IA32E_GUEST) |
    (((Entry->Efer & EFER_LMA) != 0) ? VMX_ENTRY_IA32E_GUEST : 0)
    );
}

/**
  Take page tables of the PSD for entries to the SMI handler. With PAE paging and EPT a VM
  entry takes the PDPTEs from the VMCS and checks them ("Checks on Guest
  Page-Directory-Pointer-Table Entries", 26.3.1.6 [27.3.1.6]).

  @param[in] Processor  This processor, Entry filled, the SMM-guest VMCS current.
**/
STATIC
VOID
TakeCr3 (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  CONST STM_HANDLER_ENTRY  *Entry;
  UINT64                   Pdptes[VMX_PDPTES];
  BOOLEAN                  Ia32e;

  Entry = &Processor->Entry;
  Ia32e = (BOOLEAN)((Entry->Efer & EFER_LMA) != 0);
  if (!StmIsHandlerCr3 (Processor->Shared, Entry->Cr3) || (!Ia32e && !VmxReadPdptes (Entry->Cr3, StmTableMemory, Pdptes))) {
    StmCrash (Processor, StmCrashBadState, 0, Processor->Saved.Smbase, Processor->Saved.Rip, StmBadPsd);
  }

  if (!Ia32e) {
    VmxWritePdptes (Pdptes);
  }

  VmWrite (VMCS_CR3_TARGET0, Entry->Cr3);
}

/**
  Make the SMM-guest VMCS, which is current, that of a handler that starts in this mode.

  Without paging a guest needs the control "unrestricted guest". INITIALIZE_PROTECTION has
  asked whether the processor has it (Api/PsdCheck.c). A handler that starts with PAE paging
  gets it where the processor has it, to turn paging off and on as it may outside a guest.

  @param[in] Processor  This processor, Entry filled.
**/
STATIC
VOID
TakeMode (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  CONST STM_HANDLER_ENTRY  *Entry;
  UINT32                   Secondary;

  Entry     = &Processor->Entry;
  Secondary = (UINT32)VmRead (VMCS_SECONDARY_CONTROLS) & ~(UINT32)VMX_CPU2_UNRESTRICTED_GUEST;
  if ((Entry->Cr0 & CR0_PG) != 0) {
    TakeCr3 (Processor);
  } else {
    VmWrite (VMCS_CR3_TARGET0, NO_CR3_TARGET);
  }

  if ((Entry->Efer & EFER_LMA) == 0) {
    Secondary |= (UINT32)RShiftU64 (AsmReadMsr64 (MSR_IA32_VMX_PROCBASED_CTLS2), 32) & VMX_CPU2_UNRESTRICTED_GUEST;
  }

  VmWrite (VMCS_SECONDARY_CONTROLS, Secondary);
  StmWriteHandlerMode (Processor);
}

/**
  Find out how the SMI handler is entered: at the first start of it, and when its PSD has
  changed.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current, before and
                            afterwards.
  @param[in]     Event      What the handler runs for.

  @retval TRUE   Processor->Entry is filled.
  @retval FALSE  The firmware has no setup or teardown code.
**/
STATIC
BOOLEAN
TakePsd (
  IN OUT STM_PROCESSOR  *Processor,
  IN     STM_EVENT      Event
  )
{
  STM_HANDLER_ENTRY  *Entry;
  UINT64             Smbase;

  Entry  = &Processor->Entry;
  Smbase = Processor->Saved.Smbase;
  if (!StmReadPsd (Processor->Shared, Smbase, Event, Entry) || ((Event == StmEventSmi) && (Entry->Rip == 0))) {
    StmCrash (Processor, StmCrashBadState, 0, Smbase, Processor->Saved.Rip, StmBadPsd);
  }

  if (Entry->Rip == 0) {
    return FALSE;
  }

  Entry->Cr0 = HANDLER_CR0 | Processor->HandlerCr0Fixed0 | CR0_PG;
  if ((Entry->Cr4 & CR4_PAE) == 0) {
    Entry->Cr0 &= ~(UINT64)CR0_PG;
  }

  Entry->Cr4      |= Processor->HandlerCr4Fixed0;
  Entry->TimeLimit = Processor->HandlerLimit;
  StmMakeCurrent (Processor, Processor->SmmGuestVmcs);
  TakeMode (Processor);
  StmMakeCurrent (Processor, Processor->TransferVmcs);
  return TRUE;
}

/**
  Compose a save state without anything of the interrupted side: it is confidential. What
  is left of its general-purpose registers the handler may see.

  @param[in] Processor  This processor.
**/
STATIC
VOID
HideSaveState (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  STM_INTERRUPTED_STATE  Nothing;

  ZeroMem (&Nothing, sizeof (Nothing));
  Nothing.Smbase = Processor->Saved.Smbase;
  StmSaveStateCompose (
    (STM_SAVE_STATE_MAP *)(UINTN)(Processor->Saved.Smbase + STM_SAVE_STATE_OFFSET),
    &Nothing,
    &Processor->Interrupted
    );
}

/**
  Make everything ready for an entry to the SMI handler: its save state, the
  SMM-guest VMCS current, its guest state.

  @param[in,out] Processor  This processor, the interrupted state read.
  @param[in]     Event      What the handler runs for.

  @retval TRUE   Enter it.
  @retval FALSE  The firmware has no setup or teardown code: nothing has changed.
**/
BOOLEAN
StmPrepareHandler (
  IN OUT STM_PROCESSOR  *Processor,
  IN     STM_EVENT      Event
  )
{
  UINT64  Smbase;

  Smbase = Processor->Saved.Smbase;
  if (((Event != StmEventSmi) || !StmPsdIsSame (&Processor->Entry.Psd, Smbase)) && !TakePsd (Processor, Event)) {
    return FALSE;
  }

  //
  // Under the default treatment the processor writes the save state; here nobody
  // does it but the STM, and firmware looks for the interrupted registers there.
  // Setup and teardown interrupt nobody.
  //
  if (Event == StmEventSmi) {
    if ((Processor->Domain & DOMAIN_CONFIDENTIALITY) == 0) {
      AsmComposeSaveState (
        (STM_SAVE_STATE_MAP *)(UINTN)(Smbase + STM_SAVE_STATE_OFFSET),
        &Processor->Saved,
        &Processor->Interrupted,
        &Processor->Other
        );
    } else {
      HideSaveState (Processor);
    }
  }

  //
  // Other processors have to see this before the processor reads the generation of what
  // is protected (Protect/ShootDown.c): a locked instruction keeps that order.
  //
  InterlockedCompareExchange32 ((UINT32 *)&Processor->Event, StmEventNone, Event);
  if (!AsmMakeCurrent (&Processor->SmmGuestVmcs)) {
    StmMakeCurrent (Processor, Processor->SmmGuestVmcs);
  }

  AsmWriteHandlerState (&Processor->Entry);
  return TRUE;
}
