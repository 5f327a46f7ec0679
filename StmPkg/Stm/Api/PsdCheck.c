/** @file
  INITIALIZE_PROTECTION looks at the PSD, so that no firmware finds out by a crash at its
  first SMI that the STM cannot enter its handler.

  The firmware can change its PSD at any time. What an SMI finds there is checked again,
  for the STM's own sake (State/Psd.c), and by the processor.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Api.h"
#include "Guest/Guest.h"
#include "Protect/Protect.h"
#include "State/State.h"
#include "State/Walk.h"

//
// RPL and TI of a selector. The handler starts at privilege level 0, and VM entry wants
// the RPL of SS and of every usable data segment no lower ("Checks on Guest Segment
// Registers", 26.3.1.2 [27.3.1.2]).
//
#define SELECTOR_RPL_TI  7

/**
  Is a linear address canonical?

  @param[in] Address  The address.

  @retval TRUE   Bits 63:47 are equal.
  @retval FALSE  They are not.
**/
STATIC
BOOLEAN
IsCanonical (
  IN UINT64  Address
  )
{
  return (BOOLEAN)((INT64)LShiftU64 (Address, 16) >> 16 == (INT64)Address);
}

/**
  Does code begin at an address of the handler's, where alone it may execute?

  @param[in] Processor  This processor.
  @param[in] Psd        A copy of the PSD, its page tables in the handler's SMRAM.
  @param[in] Linear     Linear address.

  @retval TRUE   It is mapped into the handler's SMRAM.
  @retval FALSE  It is not.
**/
STATIC
BOOLEAN
IsCode (
  IN CONST STM_PROCESSOR                 *Processor,
  IN CONST TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd,
  IN UINT64                              Linear
  )
{
  STM_ADDRESS_SPACE  Space;
  UINT64             Physical;

  ZeroMem (&Space, sizeof (Space));
  Space.Cr3     = Psd->SmmCr3;
  Space.Ia32e   = (BOOLEAN)Psd->SmmEntryState.Intel64Mode;
  Space.Pae     = (BOOLEAN)Psd->SmmEntryState.Cr4Pae;
  Space.Flat    = (BOOLEAN)(!Space.Ia32e && !Space.Pae);
  Space.Read    = StmReadTable;
  Space.Context = Processor;
  return (BOOLEAN)(IsCanonical (Linear) && StmWalk (&Space, Linear, &Physical) &&
                   StmInHandlerSmram (Processor->Shared, Physical, 1));
}

/**
  Can the STM enter a handler that begins in this mode?

  @param[in] Mode  SmmEntryState of the PSD.

  @retval TRUE   64-bit mode; 32-bit mode with PAE paging; or without paging, which the
                 processor allows a guest.
  @retval FALSE  Without paging on a processor that has no unrestricted guests.
**/
STATIC
BOOLEAN
CanEnter (
  IN STM_SMM_ENTRY_STATE  Mode
  )
{
  if ((Mode.Intel64Mode != 0) || (Mode.Cr4Pae != 0)) {
    return TRUE;
  }

  return (BOOLEAN)((RShiftU64 (AsmReadMsr64 (MSR_IA32_VMX_PROCBASED_CTLS2), 32) & VMX_CPU2_UNRESTRICTED_GUEST) != 0);
}

/**
  Can the handler start with the page tables that its PSD names?

  @param[in] Shared  Shared state.
  @param[in] Psd     A copy of the PSD.

  @retval TRUE   They begin in its SMRAM, and PDPTEs have no reserved bit set; or it starts
                 without paging.
  @retval FALSE  It cannot.
**/
STATIC
BOOLEAN
IsCr3 (
  IN CONST STM_SHARED                    *Shared,
  IN CONST TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd
  )
{
  UINT64  Pdptes[VMX_PDPTES];

  if ((Psd->SmmEntryState.Intel64Mode == 0) && (Psd->SmmEntryState.Cr4Pae == 0)) {
    return TRUE;
  }

  if ((RShiftU64 (Psd->SmmCr3, Shared->PhysicalBits) != 0) || !StmIsHandlerCr3 (Shared, Psd->SmmCr3)) {
    return FALSE;
  }

  return (BOOLEAN)((Psd->SmmEntryState.Intel64Mode != 0) || VmxReadPdptes (Psd->SmmCr3, StmTableMemory, Pdptes));
}

/**
  Look for what would keep the first SMI from its handler.

  @param[in] Processor  This processor.

  @return Name of the member of the PSD, or SMBASE. NULL if all is well.
**/
CONST CHAR8 *
StmFindPsdProblem (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  TXT_PROCESSOR_SMM_DESCRIPTOR  Psd;
  STM_HANDLER_ENTRY             Entry;
  UINT64                        Smbase;

  Smbase = Processor->Saved.Smbase;
  if (!StmInHandlerSmram (Processor->Shared, Smbase + 0x8000, 0x8000)) {
    return "SMBASE";
  }

  CopyMem (&Psd, (CONST VOID *)(UINTN)(Smbase + TXT_SMM_PSD_OFFSET), sizeof (Psd));
  if (Psd.Signature != TXT_PROCESSOR_SMM_DESCRIPTOR_SIGNATURE) {
    return "Signature";
  }

  if ((Psd.RequiredStmSmmRevId != 0) && (Psd.RequiredStmSmmRevId != STM_SMM_REVISION_ID)) {
    return "RequiredStmSmmRevId";
  }

  if (!CanEnter (Psd.SmmEntryState)) {
    return "SmmEntryState";
  }

  if ((Psd.SmmCs & SELECTOR_RPL_TI) != 0) {
    return "SmmCs";
  }

  if ((Psd.SmmDs & SELECTOR_RPL_TI) != 0) {
    return "SmmDs";
  }

  if ((Psd.SmmSs & SELECTOR_RPL_TI) != 0) {
    return "SmmSs";
  }

  if ((Psd.SmmOtherSegment & SELECTOR_RPL_TI) != 0) {
    return "SmmOtherSegment";
  }

  if ((Psd.SmmGdtSize < sizeof (UINT64)) || (Psd.SmmGdtSize > SIZE_64KB)) {
    return "SmmGdtSize";
  }

  if (!StmInHandlerSmram (Processor->Shared, Psd.SmmGdtPtr, Psd.SmmGdtSize)) {
    return "SmmGdtPtr";
  }

  if (((Psd.SmmTr & SELECTOR_RPL_TI) != 0) || ((UINT32)Psd.SmmTr + sizeof (UINT64) > Psd.SmmGdtSize) ||
      !StmReadPsd (Processor->Shared, Smbase, StmEventSmi, &Entry) || !IsCanonical (Entry.TrBase))
  {
    return "SmmTr";
  }

  if (!IsCr3 (Processor->Shared, &Psd)) {
    return "SmmCr3";
  }

  if (!IsCode (Processor, &Psd, Psd.SmmSmiHandlerRip)) {
    return "SmmSmiHandlerRip";
  }

  if ((Psd.SmmStmSetupRip != 0) && !IsCode (Processor, &Psd, Psd.SmmStmSetupRip)) {
    return "SmmStmSetupRip";
  }

  if ((Psd.SmmStmTeardownRip != 0) && !IsCode (Processor, &Psd, Psd.SmmStmTeardownRip)) {
    return "SmmStmTeardownRip";
  }

  return NULL;
}
