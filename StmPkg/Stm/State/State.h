/** @file
  State/: the interrupted side, and the state with which the SMI handler starts.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_STATE_FOLDER_H_
#define STM_STATE_FOLDER_H_

#include "StmState.h"

/**
  Does a range lie in TSEG and outside MSEG?

  @param[in] Shared  Shared state.
  @param[in] Base    Physical address.
  @param[in] Length  Bytes, not 0.

  @retval TRUE   Every byte does.
  @retval FALSE  Some byte does not.
**/
BOOLEAN
StmInHandlerSmram (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Base,
  IN UINT64            Length
  );

/**
  Do page tables of the SMI handler begin in its SMRAM?

  @param[in] Shared  Shared state.
  @param[in] Cr3     Value of CR3.

  @retval TRUE   They do.
  @retval FALSE  They do not, or a bit beyond the physical width is set.
**/
BOOLEAN
StmIsHandlerCr3 (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Cr3
  );

/**
  Where the STM has memory of the SMI handler's page tables, which are in its SMRAM.
  VMX_GUEST_MEMORY.

  @param[in] Address  Physical address, in a page that StmIsHandlerCr3 has accepted.

  @return The address.
**/
CONST VOID *
EFIAPI
StmTableMemory (
  IN UINT64  Address
  );

/**
  Does a page that the executive monitor names overlap SMRAM: TSEG, or the legacy
  region at A0000H?

  @param[in] Shared  Shared state.
  @param[in] Page    Physical address of a 4-KB page.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
BOOLEAN
StmPageInSmram (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Page
  );

/**
  May the executive monitor name a page for the STM to read and write?

  @param[in] Shared  Shared state.
  @param[in] Page    Physical address, aligned to 4 KB.

  @retval TRUE   It may.
  @retval FALSE  The page is in SMRAM, between TSEG and 4 GB, or beyond the physical
                 width.
**/
BOOLEAN
StmPageIsExecutives (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Page
  );

/**
  Make one of a processor's VMCSs current, on the path of an SMI.

  @param[in] Vmcs  Where its address is.

  @retval TRUE   Done.
  @retval FALSE  The processor refuses it: StmMakeCurrent tells, and ends.
**/
BOOLEAN
EFIAPI
AsmMakeCurrent (
  IN CONST UINT64  *Vmcs
  );

/**
  Read what the STM itself has to know of the interrupted side: STM_INTERRUPTED up to Rip.

  @param[out] Saved  It. The SMM-transfer VMCS is current.
**/
VOID
EFIAPI
AsmReadInterrupted (
  OUT STM_INTERRUPTED  *Saved
  );

/**
  Compose the save state of an SMI from the SMM-transfer VMCS, which is current. Reserved
  bytes of the map keep their contents.

  @param[out]    Map        The map, SMBASE + STM_SAVE_STATE_OFFSET.
  @param[in,out] Saved      From AsmReadInterrupted; gets its other members.
  @param[in]     Registers  Interrupted general-purpose registers.
  @param[in]     Other      For DR6.
**/
VOID
EFIAPI
AsmComposeSaveState (
  OUT    STM_SAVE_STATE_MAP         *Map,
  IN OUT STM_INTERRUPTED            *Saved,
  IN     CONST VMX_REGISTERS        *Registers,
  IN     CONST STM_OTHER_REGISTERS  *Other
  );

/**
  Write the state with which the SMI handler starts to the SMM-guest VMCS, which is
  current.

  @param[in] Entry  The state.
**/
VOID
EFIAPI
AsmWriteHandlerState (
  IN CONST STM_HANDLER_ENTRY  *Entry
  );

/**
  Read the registers that no VMCS holds and that causes no VM exit to write.

  @param[out] Registers  They.
**/
VOID
EFIAPI
AsmReadOtherRegisters (
  OUT STM_OTHER_REGISTERS  *Registers
  );

/**
  Give x87 and SSE back. Do the other registers still hold what AsmReadOtherRegisters has
  read?

  @param[in] Registers  What it has read.

  @return 0 if they do.
**/
UINT64
EFIAPI
AsmCompareOtherRegisters (
  IN CONST STM_OTHER_REGISTERS  *Registers
  );

/**
  Read an MSR that may not exist.

  @param[in]  Msr    The MSR.
  @param[out] Value  What it holds; unchanged if it is not there.

  @retval TRUE   Read.
  @retval FALSE  The processor has raised #GP.
**/
BOOLEAN
EFIAPI
AsmTryReadMsr (
  IN  UINT32  Msr,
  OUT UINT64  *Value
  );

/**
  Write an MSR that may not exist or may not take the value.

  @param[in] Msr    The MSR.
  @param[in] Value  The value.

  @retval TRUE   Written.
  @retval FALSE  The processor has raised #GP.
**/
BOOLEAN
EFIAPI
AsmTryWriteMsr (
  IN UINT32  Msr,
  IN UINT64  Value
  );

/**
  Continue after a #GP in AsmTryReadMsr or AsmTryWriteMsr, which returns FALSE. Returns
  here if the exception was elsewhere.

  @param[in] Rip  RIP of the exception.
  @param[in] Rsp  RSP of the exception.
**/
VOID
EFIAPI
AsmTryFailed (
  IN UINT64  Rip,
  IN UINT64  Rsp
  );

/**
  One range of the MSRs whose writes the STM must see: those that are kept or closed.

  @param[in]  Index  Which, from 0.
  @param[out] First  Its first MSR.
  @param[out] Last   Its last MSR.

  @retval TRUE   First and Last are set.
  @retval FALSE  There are no more.
**/
BOOLEAN
StmGuardedMsrs (
  IN  UINTN   Index,
  OUT UINT32  *First,
  OUT UINT32  *Last
  );

/**
  Is this one of the MSRs that State/Msr.c keeps?

  @param[in] Msr  The MSR.

  @return Its place in STM_PROCESSOR.Msrs, STM_KEPT_MSRS if it is none.
**/
UINTN
StmFindKeptMsr (
  IN UINT64  Msr
  );

/**
  Write one of the MSRs that are kept for the SMI handler.

  @param[in,out] Processor  This processor.
  @param[in]     Index      From StmFindKeptMsr.
  @param[in]     Value      The value.

  @retval TRUE   Written; the interrupted value is kept.
  @retval FALSE  The processor does not have the MSR, or does not take the value.
**/
BOOLEAN
StmWriteKeptMsr (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINTN          Index,
  IN     UINT64         Value
  );

/**
  Give the interrupted side its MSRs back.

  @param[in] Processor  This processor.
**/
VOID
StmRestoreMsrs (
  IN CONST STM_PROCESSOR  *Processor
  );

/**
  Read from the SMM-transfer VMCS, which is current, what the STM itself has to know of
  the interrupted side, and refuse pointers of the executive monitor into SMRAM.

  @param[in,out] Processor  This processor.
**/
VOID
StmReadInterrupted (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Put the VMCS revision identifier back into a region of the executive monitor's
  that has lost it.

  @param[in] Processor  This processor, on the STM's own page tables.
  @param[in] Region     Physical address of the region.

  @retval TRUE   The identifier is there, as far as a write can tell.
  @retval FALSE  The region is in SMRAM, between TSEG and 4 GB, or beyond the
                 physical width: nothing was written.
**/
BOOLEAN
StmRestoreRevision (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Region
  );

/**
  Make the executive monitor the interrupted side, at the VM exit of a VM entry
  that failed. For a guest that cannot be entered again because of its VMCS.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current, before
                            and afterwards.

  @retval TRUE   Done.
  @retval FALSE  The executive monitor itself was interrupted, or its VMCS cannot
                 be read: nothing has changed.
**/
BOOLEAN
StmReflectEntryFailure (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Write what the handler changed back to the SMM-transfer VMCS, which is current.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
StmWriteInterrupted (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Write what the handler changed of a protected domain: SMBASE, which is the firmware's,
  and what it answers to an access to a port.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Taken      Bits of RAX that it may change.
**/
VOID
StmWriteProtected (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT32         Taken
  );

/**
  Bring x87 and SSE to their initial configuration. RSM gives the interrupted side its own
  back in any case.
**/
VOID
EFIAPI
AsmScrubFx (
  VOID
  );

/**
  Restore what neither the VMCS nor the save-state map holds.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
**/
VOID
StmRestoreRegisters (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Copy and check the PSD at SMBASE + TXT_SMM_PSD_OFFSET.

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
  );

/**
  Is the PSD still the one that StmReadPsd has read for an SMI?

  @param[in] Psd     Copy of its parts.
  @param[in] Smbase  SMBASE of the processor.

  @retval TRUE   It is: the entry made from it holds.
  @retval FALSE  It is not.
**/
BOOLEAN
StmPsdIsSame (
  IN CONST STM_PSD_COPY  *Psd,
  IN UINT64              Smbase
  );

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
  );

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
  );

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
  );

/**
  Write the read shadows of CR0 and CR4, and whether the processor is in IA-32e mode, with
  which the SMI handler starts.

  @param[in] Processor  This processor, Entry filled, the SMM-guest VMCS current.
**/
VOID
StmWriteHandlerMode (
  IN CONST STM_PROCESSOR  *Processor
  );

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
  );

#endif
