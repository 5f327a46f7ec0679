/** @file
  The processor SMM descriptor (PSD, TXT_PROCESSOR_SMM_DESCRIPTOR of StmApi.h): in
  it the firmware says how an STM enters its SMI handler.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"

/**
  Copy and check the PSD at SMBASE + TXT_SMM_PSD_OFFSET.

  The PSD lies in SMRAM that the firmware can write at any time, so each member
  is read once, and what the STM itself will dereference is checked.

  @param[in]  Shared  Shared state.
  @param[in]  Smbase  SMBASE of the processor.
  @param[in]  Event   Which entry point to take.
  @param[out] Entry   What an entry to the handler needs.

  @retval TRUE   Usable. Entry->Rip is 0 if the firmware has no code for Event.
  @retval FALSE  SMBASE or PSD are outside the handler's SMRAM or malformed.
**/
BOOLEAN
StmReadPsd (
  IN  CONST STM_SHARED   *Shared,
  IN  UINT64             Smbase,
  IN  STM_EVENT          Event,
  OUT STM_HANDLER_ENTRY  *Entry
  )
{
  CONST volatile TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd;
  CONST volatile UINT32                        *Tss;

  if (!StmInHandlerSmram (Shared, Smbase + 0x8000, 0x8000)) {
    return FALSE;
  }

  Psd = (CONST volatile TXT_PROCESSOR_SMM_DESCRIPTOR *)(UINTN)(Smbase + TXT_SMM_PSD_OFFSET);
  if ((Psd->Signature != TXT_PROCESSOR_SMM_DESCRIPTOR_SIGNATURE) ||
      (Psd->RequiredStmSmmRevId != STM_SMM_REVISION_ID))
  {
    return FALSE;
  }

  switch (Event) {
    case StmEventSetup:
      Entry->Rip = Psd->SmmStmSetupRip;
      break;
    case StmEventTeardown:
      Entry->Rip = Psd->SmmStmTeardownRip;
      break;
    default:
      Entry->Rip = Psd->SmmSmiHandlerRip;
      break;
  }

  Entry->Rsp            = Psd->SmmSmiHandlerRsp;
  Entry->Cr3            = Psd->SmmCr3;
  Entry->Cs             = Psd->SmmCs;
  Entry->Ds             = Psd->SmmDs;
  Entry->Ss             = Psd->SmmSs;
  Entry->Other          = Psd->SmmOtherSegment;
  Entry->Tr             = Psd->SmmTr;
  Entry->GdtBase        = Psd->SmmGdtPtr;
  Entry->GdtSize        = Psd->SmmGdtSize;
  Entry->ExecuteDisable = Psd->SmmEntryState.ExecutionDisableOutsideSmrr;
  if ((Entry->GdtSize < sizeof (UINT64)) || (Entry->GdtSize > SIZE_64KB) ||
      ((UINT32)Entry->Tr + 2 * sizeof (UINT64) > Entry->GdtSize) ||
      !StmInHandlerSmram (Shared, Entry->GdtBase, Entry->GdtSize))
  {
    return FALSE;
  }

  //
  // Base of a 64-bit TSS descriptor: "TSS Descriptor in 64-bit mode", 7.2.3 [7.2.3].
  //
  Tss           = (CONST volatile UINT32 *)(UINTN)(Entry->GdtBase + (Entry->Tr & 0xFFF8));
  Entry->TrBase = (Tss[0] >> 16) | ((Tss[1] & 0xFF) << 16) | (Tss[1] & 0xFF000000) | ((UINT64)Tss[2] << 32);
  return TRUE;
}

/**
  Tell the firmware what it sees of the interrupted side: StmSmmState of its PSD.

  @param[in] Processor  This processor.
  @param[in] Type       Domain type.
  @param[in] XState     XState policy.
**/
VOID
StmTellPsd (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT32               Type,
  IN UINT32               XState
  )
{
  TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd;
  STM_SMM_STATE                 State;

  //
  // What is not SMRAM of the handler's is found, and told, when the PSD is read.
  //
  if (!StmInHandlerSmram (Processor->Shared, Processor->Saved.Smbase + 0x8000, 0x8000)) {
    return;
  }

  Psd                = (TXT_PROCESSOR_SMM_DESCRIPTOR *)(UINTN)(Processor->Saved.Smbase + TXT_SMM_PSD_OFFSET);
  State.DomainType   = (UINT8)Type;
  State.XStatePolicy = (UINT8)XState;
  State.EptEnabled   = 1;
  State.Reserved3    = 0;
  Psd->StmSmmState   = State;
}

/**
  Where the firmware's list of resources is, by a PSD that StmReadPsd has accepted.

  @param[in] Smbase  SMBASE of the processor.

  @return Physical address, as the firmware says; 0 for none.
**/
UINT64
StmPsdBiosList (
  IN UINT64  Smbase
  )
{
  return ((CONST volatile TXT_PROCESSOR_SMM_DESCRIPTOR *)(UINTN)(Smbase + TXT_SMM_PSD_OFFSET))->BiosHwResourceRequirementsPtr;
}

/**
  The firmware's handler of protection exceptions, by a PSD that StmReadPsd has
  accepted.

  @param[in]  Smbase   SMBASE of the processor.
  @param[out] Handler  What the firmware says of it.
  @param[out] Cs       Selector of its code segment.
**/
VOID
StmPsdExceptionHandler (
  IN  UINT64                            Smbase,
  OUT STM_PROTECTION_EXCEPTION_HANDLER  *Handler,
  OUT UINT16                            *Cs
  )
{
  CONST TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd;

  Psd = (CONST TXT_PROCESSOR_SMM_DESCRIPTOR *)(UINTN)(Smbase + TXT_SMM_PSD_OFFSET);
  CopyMem (Handler, &Psd->StmProtectionExceptionHandler, sizeof (*Handler));
  *Cs = *(CONST volatile UINT16 *)&Psd->SmmCs;
}
