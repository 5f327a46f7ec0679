/** @file
  The processor SMM descriptor (PSD, TXT_PROCESSOR_SMM_DESCRIPTOR of StmApi.h): in
  it the firmware says how an STM enters its SMI handler.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"

#define EFER_LME  BIT8
#define EFER_LMA  BIT10
#define EFER_NXE  BIT11

#define CR4_PSE  BIT4
#define CR4_PAE  BIT5

///
/// Place of a member of the PSD in STM_PSD_COPY.Words, and which 8 bytes of the PSD these
/// are.
///
#define PSD_WORD(Member)  (OFFSET_OF (TXT_PROCESSOR_SMM_DESCRIPTOR, Member) / sizeof (UINT64))

STATIC CONST UINT8  mWords[] = {
  PSD_WORD (Signature),
  PSD_WORD (SmmEntryState),
  PSD_WORD (SmmSs),
  PSD_WORD (SmmCr3),
  PSD_WORD (SmmSmiHandlerRip),
  PSD_WORD (SmmSmiHandlerRsp),
  PSD_WORD (SmmGdtPtr),
  PSD_WORD (SmmGdtSize)
};

STATIC_ASSERT (ARRAY_SIZE (mWords) == ARRAY_SIZE (((STM_PSD_COPY *)0)->Words), "one word each");

///
/// Base of a 64-bit TSS descriptor: "TSS Descriptor in 64-bit mode", 7.2.3 [7.2.3]. The
/// handler may mark the TSS busy.
///
#define TSS_BASE_LOW  0xFF0000FFFFFF0000ULL

///
/// Bits of the second 8 bytes of a 16-byte descriptor that are 0, and are the type of an
/// 8-byte descriptor in their place.
///
#define TSS_TYPE_HIGH  0x00001F0000000000ULL

/**
  In which mode the SMI handler starts: 64-bit mode, or 32-bit mode with PAE paging or without
  paging. What is in SmmCr3 without paging is of no use. Firmware that turns paging on loads
  CR3 first.

  @param[in]     Psd    The parts of a PSD that decide it.
  @param[in,out] Entry  Gets Cr3, Cr4, Efer and CsAccess.
**/
STATIC
VOID
TakeMode (
  IN     CONST TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd,
  IN OUT STM_HANDLER_ENTRY                   *Entry
  )
{
  Entry->Efer = (Psd->SmmEntryState.ExecutionDisableOutsideSmrr != 0) ? EFER_NXE : 0;
  if (Psd->SmmEntryState.Intel64Mode != 0) {
    Entry->Cr3      = Psd->SmmCr3;
    Entry->Cr4      = CR4_PAE | CR4_PSE;
    Entry->Efer    |= EFER_LME | EFER_LMA;
    Entry->CsAccess = VMX_ACCESS_CODE64;
    return;
  }

  Entry->Cr3      = 0;
  Entry->Cr4      = (Psd->SmmEntryState.Cr4Pse != 0) ? CR4_PSE : 0;
  Entry->CsAccess = VMX_ACCESS_CODE32;
  if (Psd->SmmEntryState.Cr4Pae != 0) {
    Entry->Cr3  = Psd->SmmCr3;
    Entry->Cr4 |= CR4_PAE;
  }
}

/**
  Copy and check the PSD at SMBASE + TXT_SMM_PSD_OFFSET.

  The PSD lies in SMRAM that the firmware can write at any time, so each part of it is read
  once, and the copy is checked for what the STM itself will dereference.

  @param[in]  Shared  Shared state.
  @param[in]  Smbase  SMBASE of the processor.
  @param[in]  Event   Which entry point to take.
  @param[out] Entry   What an entry to the handler needs of it; Cr3 is 0 for one that begins
                      without paging.

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
  CONST volatile UINT64         *Source;
  TXT_PROCESSOR_SMM_DESCRIPTOR  Psd;
  UINTN                         Index;

  Entry->Psd.Smbase = 0;
  if (!StmInHandlerSmram (Shared, Smbase + 0x8000, 0x8000)) {
    return FALSE;
  }

  Source = (CONST volatile UINT64 *)(UINTN)(Smbase + TXT_SMM_PSD_OFFSET);
  for (Index = 0; Index < ARRAY_SIZE (mWords); Index++) {
    Entry->Psd.Words[Index]         = Source[mWords[Index]];
    ((UINT64 *)&Psd)[mWords[Index]] = Entry->Psd.Words[Index];
  }

  if ((Psd.Signature != TXT_PROCESSOR_SMM_DESCRIPTOR_SIGNATURE) ||
      ((Psd.RequiredStmSmmRevId != STM_SMM_REVISION_ID) && (Psd.RequiredStmSmmRevId != 0)))
  {
    return FALSE;
  }

  switch (Event) {
    case StmEventSetup:
      Entry->Rip = Source[PSD_WORD (SmmStmSetupRip)];
      break;
    case StmEventTeardown:
      Entry->Rip = Source[PSD_WORD (SmmStmTeardownRip)];
      break;
    default:
      Entry->Rip = Psd.SmmSmiHandlerRip;
      break;
  }

  Entry->Rsp      = Psd.SmmSmiHandlerRsp;
  Entry->Cs       = Psd.SmmCs;
  Entry->Ds       = Psd.SmmDs;
  Entry->Ss       = Psd.SmmSs;
  Entry->Other    = Psd.SmmOtherSegment;
  Entry->Tr       = Psd.SmmTr;
  Entry->GdtBase  = Psd.SmmGdtPtr;
  Entry->GdtLimit = (UINT64)Psd.SmmGdtSize - 1;
  TakeMode (&Psd, Entry);
  if ((Psd.SmmGdtSize < sizeof (UINT64)) || (Psd.SmmGdtSize > SIZE_64KB) ||
      (Entry->Tr + sizeof (UINT64) > Psd.SmmGdtSize) ||
      !StmInHandlerSmram (Shared, Entry->GdtBase, Psd.SmmGdtSize))
  {
    return FALSE;
  }

  //
  // Some firmware has a TSS descriptor of 8 bytes: then the GDT ends there, or what follows
  // is another descriptor, which has a type where the second half of a TSS has none. One
  // at the end is not remembered: an SMI looks at 16 bytes.
  //
  Entry->Psd.Tss    = Entry->GdtBase + (Entry->Tr & 0xFFF8);
  Entry->Psd.TssLow = *(CONST volatile UINT64 *)(UINTN)Entry->Psd.Tss & TSS_BASE_LOW;
  Entry->TrBase     = (RShiftU64 (Entry->Psd.TssLow, 16) & 0xFFFFFF) | (RShiftU64 (Entry->Psd.TssLow, 32) & 0xFF000000);
  if (Entry->Tr + 2 * sizeof (UINT64) <= Psd.SmmGdtSize) {
    Entry->Psd.TssHigh = *(CONST volatile UINT64 *)(UINTN)(Entry->Psd.Tss + sizeof (UINT64));
    if ((Psd.SmmEntryState.Intel64Mode != 0) && ((Entry->Psd.TssHigh & TSS_TYPE_HIGH) == 0)) {
      Entry->TrBase |= LShiftU64 (Entry->Psd.TssHigh, 32);
    }

    //
    // Nor is the PSD of a handler that starts with PAE paging: its PDPTEs are in the
    // SMM-guest VMCS, where each VM exit puts those that the handler has loaded.
    //
    if ((Event == StmEventSmi) && ((Psd.SmmEntryState.Intel64Mode != 0) || (Psd.SmmEntryState.Cr4Pae == 0))) {
      Entry->Psd.Smbase = Smbase;
    }
  }

  return TRUE;
}

/**
  Is the PSD still the one that StmReadPsd has read for an SMI? To look is a third of the
  work of reading it. The firmware may change it at any time, so the STM goes by its copy
  either way.

  @param[in] Psd     Copy of its parts.
  @param[in] Smbase  SMBASE of the processor.

  @retval TRUE   It is: the entry made from it holds.
  @retval FALSE  It is not.
**/
BOOLEAN
StmPsdIsSame (
  IN CONST STM_PSD_COPY  *Psd,
  IN UINT64              Smbase
  )
{
  CONST volatile UINT64  *Now;

  if (Psd->Smbase != Smbase) {
    return FALSE;
  }

  Now = (CONST volatile UINT64 *)(UINTN)(Smbase + TXT_SMM_PSD_OFFSET);
  return (BOOLEAN)(((Now[PSD_WORD (Signature)] ^ Psd->Words[0]) |
                    (Now[PSD_WORD (SmmEntryState)] ^ Psd->Words[1]) |
                    (Now[PSD_WORD (SmmSs)] ^ Psd->Words[2]) |
                    (Now[PSD_WORD (SmmCr3)] ^ Psd->Words[3]) |
                    (Now[PSD_WORD (SmmSmiHandlerRip)] ^ Psd->Words[4]) |
                    (Now[PSD_WORD (SmmSmiHandlerRsp)] ^ Psd->Words[5]) |
                    (Now[PSD_WORD (SmmGdtPtr)] ^ Psd->Words[6]) |
                    (Now[PSD_WORD (SmmGdtSize)] ^ Psd->Words[7]) |
                    ((*(CONST volatile UINT64 *)(UINTN)Psd->Tss & TSS_BASE_LOW) ^ Psd->TssLow) |
                    (*(CONST volatile UINT64 *)(UINTN)(Psd->Tss + sizeof (UINT64)) ^ Psd->TssHigh)) == 0);
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
  Where the firmware's list of resources and ACPI's root pointer (RSDP) are, by a PSD that
  StmReadPsd has accepted.

  @param[in]  Smbase  SMBASE of the processor.
  @param[out] List    Physical address, as the firmware says; 0 for none.
  @param[out] Rsdp    The same of the root pointer.
**/
VOID
StmPsdTables (
  IN  UINT64  Smbase,
  OUT UINT64  *List,
  OUT UINT64  *Rsdp
  )
{
  CONST volatile TXT_PROCESSOR_SMM_DESCRIPTOR  *Psd;

  Psd   = (CONST volatile TXT_PROCESSOR_SMM_DESCRIPTOR *)(UINTN)(Smbase + TXT_SMM_PSD_OFFSET);
  *List = Psd->BiosHwResourceRequirementsPtr;
  *Rsdp = Psd->AcpiRsdp;
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
