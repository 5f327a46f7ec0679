/** @file
  Composes the save-state map, AMD64 layout, revision 0x20064.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <Library/StmSaveStateLib.h>
#include <StmMsegLayout.h>

STATIC_ASSERT (sizeof (STM_SAVE_STATE_MAP) == 0x200, "the map ends at SMBASE + 0xFFFF");
STATIC_ASSERT (OFFSET_OF (STM_SAVE_STATE_MAP, Efer) == 0xD0, "EFER at FED0");
STATIC_ASSERT (OFFSET_OF (STM_SAVE_STATE_MAP, RevisionId) == 0xFC, "revision at FEFC");
STATIC_ASSERT (OFFSET_OF (STM_SAVE_STATE_MAP, Cr4) == 0x148, "CR4 at FF48");
STATIC_ASSERT (OFFSET_OF (STM_SAVE_STATE_MAP, R15) == 0x180, "R15 at FF80");
STATIC_ASSERT (sizeof (VMX_REGISTERS) == 128, "the entry code relies on it");

///
/// Access rights that the map holds: all but the reserved bits 11:8 and the
/// VMCS's own "unusable" bit.
///
#define SAVE_ATTRIBUTES_MASK  0xF0FF

#define SAVE_CR4_VMXE  BIT13

///
/// Bit of the segment type that tells a busy TSS from an available one.
///
#define SAVE_TSS_BUSY  BIT1

/**
  Write one segment register.

  @param[out] Map    Place in the map.
  @param[in]  State  Register as the VMCS holds it.
**/
STATIC
VOID
ComposeSegment (
  OUT STM_SAVE_SEGMENT         *Map,
  IN  CONST STM_SEGMENT_STATE  *State
  )
{
  Map->Selector   = (UINT16)State->Selector;
  Map->Attributes = (UINT16)(State->Access & SAVE_ATTRIBUTES_MASK);
  Map->Limit      = (UINT32)State->Limit;
  Map->Base       = State->Base;
}

/**
  Write the map for an interrupted state. Reserved bytes keep their contents.

  @param[out] Map        The map, SMBASE + STM_SAVE_STATE_OFFSET.
  @param[in]  State      Interrupted state.
  @param[in]  Registers  Interrupted general-purpose registers.
**/
VOID
EFIAPI
StmSaveStateCompose (
  OUT STM_SAVE_STATE_MAP           *Map,
  IN  CONST STM_INTERRUPTED_STATE  *State,
  IN  CONST VMX_REGISTERS          *Registers
  )
{
  ComposeSegment (&Map->Es, &State->Es);
  ComposeSegment (&Map->Cs, &State->Cs);
  ComposeSegment (&Map->Ss, &State->Ss);
  ComposeSegment (&Map->Ds, &State->Ds);
  ComposeSegment (&Map->Fs, &State->Fs);
  ComposeSegment (&Map->Gs, &State->Gs);
  ComposeSegment (&Map->Ldtr, &State->Ldtr);
  ComposeSegment (&Map->Tr, &State->Tr);

  //
  // A VMCS always holds the type of a busy TSS; QEMU's map has that of an
  // available one, as TCG keeps it.
  //
  Map->Tr.Attributes &= (UINT16) ~SAVE_TSS_BUSY;
  Map->Gdtr.Limit     = (UINT32)State->GdtrLimit;
  Map->Gdtr.Base      = State->GdtrBase;
  Map->Idtr.Limit     = (UINT32)State->IdtrLimit;
  Map->Idtr.Base      = State->IdtrBase;

  Map->Efer       = State->Efer;
  Map->RevisionId = STM_SMM_REVISION_ID;
  Map->Smbase     = (UINT32)State->Smbase;
  Map->Cr4        = (UINT32)State->Cr4 & ~(UINT32)SAVE_CR4_VMXE;
  Map->Cr3        = State->Cr3;
  Map->Cr0        = (UINT32)State->Cr0;
  Map->Dr7        = (UINT32)State->Dr7;
  Map->Dr6        = (UINT32)State->Dr6;
  Map->Rflags     = (UINT32)State->Rflags;
  Map->Rip        = State->Rip;

  Map->R15 = Registers->R15;
  Map->R14 = Registers->R14;
  Map->R13 = Registers->R13;
  Map->R12 = Registers->R12;
  Map->R11 = Registers->R11;
  Map->R10 = Registers->R10;
  Map->R9  = Registers->R9;
  Map->R8  = Registers->R8;
  Map->Rdi = Registers->Rdi;
  Map->Rsi = Registers->Rsi;
  Map->Rbp = Registers->Rbp;
  Map->Rsp = State->Rsp;
  Map->Rbx = Registers->Rbx;
  Map->Rdx = Registers->Rdx;
  Map->Rcx = Registers->Rcx;
  Map->Rax = Registers->Rax;
}
