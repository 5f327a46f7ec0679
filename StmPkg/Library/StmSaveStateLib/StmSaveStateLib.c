/** @file
  Composes and reads back the save-state map, AMD64 layout, revision 0x20064.

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

///
/// RFLAGS bits a handler may change: everything defined except VM, which would
/// change the processor mode.
///
#define SAVE_RFLAGS_WRITABLE  0x003D7FD5
#define SAVE_RFLAGS_FIXED     BIT1

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

/**
  Take over one value.

  @param[in,out] Current  Value in force.
  @param[in]     New      Value from the map.
  @param[in]     Bit      What to report if they differ.

  @return Bit, or 0 if nothing changed.
**/
STATIC
UINT32
TakeOver (
  IN OUT UINT64  *Current,
  IN     UINT64  New,
  IN     UINT32  Bit
  )
{
  if (*Current == New) {
    return 0;
  }

  *Current = New;
  return Bit;
}

/**
  Take over what a handler may change: general-purpose registers, RSP, RIP,
  RFLAGS without VM and reserved bits, SMBASE. The map's other members are
  read-only for handlers and ignored. Each member is read exactly once, since
  other processors in SMM can write the map.

  @param[in]     Map        The map, SMBASE + STM_SAVE_STATE_OFFSET.
  @param[in,out] State      In: as composed. Out: with the handler's changes.
  @param[in,out] Registers  In: as composed. Out: with the handler's changes.

  @return STM_SAVE_CHANGED_ bits.
**/
UINT32
EFIAPI
StmSaveStateExtract (
  IN     CONST STM_SAVE_STATE_MAP  *Map,
  IN OUT STM_INTERRUPTED_STATE     *State,
  IN OUT VMX_REGISTERS             *Registers
  )
{
  CONST volatile STM_SAVE_STATE_MAP  *Source;
  UINT32                             Changed;
  UINT64                             Rflags;

  Source   = Map;
  Changed  = TakeOver (&Registers->Rax, Source->Rax, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->Rcx, Source->Rcx, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->Rdx, Source->Rdx, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->Rbx, Source->Rbx, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->Rbp, Source->Rbp, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->Rsi, Source->Rsi, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->Rdi, Source->Rdi, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->R8, Source->R8, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->R9, Source->R9, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->R10, Source->R10, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->R11, Source->R11, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->R12, Source->R12, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->R13, Source->R13, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->R14, Source->R14, STM_SAVE_CHANGED_REGISTERS);
  Changed |= TakeOver (&Registers->R15, Source->R15, STM_SAVE_CHANGED_REGISTERS);

  Rflags = (Source->Rflags & SAVE_RFLAGS_WRITABLE) | SAVE_RFLAGS_FIXED |
           (State->Rflags & ~(UINT64)SAVE_RFLAGS_WRITABLE);
  Changed |= TakeOver (&State->Rflags, Rflags, STM_SAVE_CHANGED_RFLAGS);
  Changed |= TakeOver (&State->Rsp, Source->Rsp, STM_SAVE_CHANGED_RSP);
  Changed |= TakeOver (&State->Rip, Source->Rip, STM_SAVE_CHANGED_RIP);
  Changed |= TakeOver (&State->Smbase, Source->Smbase, STM_SAVE_CHANGED_SMBASE);
  return Changed;
}
