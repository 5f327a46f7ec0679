/** @file
  State of the interrupted side: read at an SMI, written back at the handler's
  RSM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"
#include "Log/Log.h"

#define RFLAGS_IF  BIT9

#define RFLAGS_WRITABLE  0x003D7FD5   ///< everything defined except VM, which would change the mode
#define RFLAGS_FIXED     BIT1

STATIC
VOID
CheckPointers (
  IN OUT STM_PROCESSOR  *Processor
  ) STM_RARE;

STATIC
VOID
TakeChanges (
  IN OUT STM_PROCESSOR          *Processor,
  IN     CONST STM_INTERRUPTED  *New
  ) STM_RARE;

/**
  Refuse pointers of the executive monitor into SMRAM: the return from SMM would
  read the regions of executive-VMCS and link pointer while still in SMM.

  A current VMCS there is none: the executive monitor comes back without one. If
  its guest was interrupted with such a VMCS, it is told that the guest cannot be
  entered again.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     Executive  Executive-VMCS pointer, in SMRAM, or the link pointer is.
**/
STATIC
VOID
RefusePointers (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Executive
  )
{
  if (!StmPageInSmram (Processor->Shared, Executive)) {
    VmWrite (VMCS_LINK_POINTER, VMCS_POINTER_NONE);
    return;
  }

  if (!StmReflectEntryFailure (Processor)) {
    StmCrash (
      Processor,
      StmCrashBadState,
      VmRead (VMCS_EXIT_REASON),
      Executive,
      VmRead (VMCS_GUEST_RIP),
      StmBadExecutivePointer
      );
  }
}

/**
  Look at pointers of the executive monitor that the STM has not seen.

  @param[in,out] Processor  This processor, Saved read from the SMM-transfer VMCS, which is
                            current.
**/
STATIC
VOID
CheckPointers (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_INTERRUPTED  *Saved;

  Saved = &Processor->Saved;
  if (StmPageInSmram (Processor->Shared, Saved->Executive) ||
      ((Saved->Link != VMCS_POINTER_NONE) && StmPageInSmram (Processor->Shared, Saved->Link)))
  {
    RefusePointers (Processor, Saved->Executive);
    AsmReadInterrupted (Saved);
    return;
  }

  Saved->KnownExecutive = Saved->Executive;
  Saved->KnownLink      = Saved->Link;
}

/**
  Read from the SMM-transfer VMCS, which is current, what the STM itself has to know of
  the interrupted side, and refuse pointers of the executive monitor into SMRAM.

  @param[in,out] Processor  This processor.
**/
VOID
StmReadInterrupted (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_INTERRUPTED  *Saved;

  Saved             = &Processor->Saved;
  Processor->Mended = 0;
  AsmReadInterrupted (Saved);
  if (((Saved->Executive ^ Saved->KnownExecutive) | (Saved->Link ^ Saved->KnownLink)) != 0) {
    CheckPointers (Processor);
  }

  //
  // An SMM VM exit leaves these as they were (DM-EXI-61).
  //
  AsmReadOtherRegisters (&Processor->Other);
}

/**
  Write the registers that no VMCS holds.

  @param[in] Was  What they held.
**/
STATIC
VOID
RestoreOther (
  IN CONST STM_OTHER_REGISTERS  *Was
  )
{
  AsmWriteCr0 (Was->Cr0);
  AsmWriteDr0 (Was->Dr[0]);
  AsmWriteDr1 (Was->Dr[1]);
  AsmWriteDr2 (Was->Dr[2]);
  AsmWriteDr3 (Was->Dr[3]);
  AsmWriteDr6 (Was->Dr6);
  AsmWriteCr2 (Was->Cr2);
  AsmWriteCr8 (Was->Cr8);
  AsmWriteMsr64 (MSR_IA32_KERNEL_GS_BASE, Was->KernelGsBase);
}

/**
  Restore what neither the VMCS nor the save-state map holds: RSM restores it
  under the default treatment, and VM exits and VM entries leave it alone.

  Most handlers change nothing of it. Reading the registers and comparing is cheaper
  than writing them. x87 and SSE are always loaded: compilers use them, and to find out
  is dearer. What else XSAVE manages the handler cannot reach (Exit/ControlRegister.c).

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
**/
VOID
StmRestoreRegisters (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  if (Processor->Restore != 0) {
    StmRestoreMsrs (Processor);
    if ((Processor->Restore & STM_RESTORE_MODE) != 0) {
      StmWriteHandlerMode (Processor);
    }

    Processor->Restore = 0;
  }

  if (AsmCompareOtherRegisters (&Processor->Other) != 0) {
    RestoreOther (&Processor->Other);
  }
}

/**
  Move SMBASE to where the handler has written it, or crash: PSD and save state follow
  it, so it has to stay in the handler's SMRAM, and at four bytes: the low bits of the
  save state's address say at the next SMI what else is to be done (Entry/Exit.nasm).

  @param[in] Processor  This processor, Saved.Smbase changed.
**/
STATIC
VOID
MoveSmbase (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  if (((Processor->Saved.Smbase & 3) != 0) ||
      !StmInHandlerSmram (Processor->Shared, Processor->Saved.Smbase + 0x8000, 0x8000))
  {
    StmCrash (Processor, StmCrashBadState, 0, Processor->Saved.Smbase, Processor->Saved.Rip, StmBadSmbase);
  }

  VmWrite (VMCS_GUEST_SMBASE, Processor->Saved.Smbase);
}

/**
  Write RFLAGS as the handler changed it.

  @param[in,out] Saved   Kept state, its RFLAGS the interrupted one.
  @param[in]     Rflags  What the handler wrote.
**/
STATIC
VOID
WriteRflags (
  IN OUT STM_INTERRUPTED  *Saved,
  IN     UINT32           Rflags
  )
{
  Saved->Rflags = (Rflags & RFLAGS_WRITABLE) | RFLAGS_FIXED | (Saved->Rflags & ~(UINT64)RFLAGS_WRITABLE);
  VmWrite (VMCS_GUEST_RFLAGS, Saved->Rflags);

  //
  // Blocking by STI needs IF = 1, "Checks on Guest Non-Register State",
  // 26.3.1.5 [27.3.1.5].
  //
  if ((Saved->Rflags & RFLAGS_IF) == 0) {
    VmWrite (
      VMCS_GUEST_INTERRUPTIBILITY_STATE,
      VmRead (VMCS_GUEST_INTERRUPTIBILITY_STATE) & ~(UINT64)VMX_BLOCKING_BY_STI
      );
  }
}

/**
  Write what the handler changed of RSP, RIP, RFLAGS and SMBASE.

  @param[in,out] Processor  This processor, the SMM-transfer VMCS current.
  @param[in]     New        The four.
**/
STATIC
VOID
TakeChanges (
  IN OUT STM_PROCESSOR          *Processor,
  IN     CONST STM_INTERRUPTED  *New
  )
{
  STM_INTERRUPTED  *Saved;

  Saved = &Processor->Saved;
  if (New->Rsp != Saved->Rsp) {
    VmWrite (VMCS_GUEST_RSP, New->Rsp);
  }

  if (New->Rip != Saved->Rip) {
    VmWrite (VMCS_GUEST_RIP, New->Rip);

    //
    // A handler that sends a halted program elsewhere wants it to run.
    //
    if (VmRead (VMCS_GUEST_ACTIVITY_STATE) == VMX_ACTIVITY_HLT) {
      VmWrite (VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_ACTIVE);
    }
  }

  if (New->Rflags != Saved->Rflags) {
    WriteRflags (Saved, (UINT32)New->Rflags);
  }

  if (New->Smbase != Saved->Smbase) {
    Saved->Smbase = New->Smbase;
    MoveSmbase (Processor);
  }
}

/**
  Write what the handler changed back to the SMM-transfer VMCS, which is current: the
  processor's RSM would have read the save state, so the STM does it.

  A handler may change general-purpose registers, RSP, RIP, RFLAGS without VM and reserved
  bits, and SMBASE. The map's other members are read-only for handlers and ignored. Each
  member is read exactly once, since other processors in SMM can write the map; the entry
  code reads the general-purpose registers.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
StmWriteInterrupted (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  CONST volatile STM_SAVE_STATE_MAP  *Map;
  CONST STM_INTERRUPTED              *Saved;
  STM_INTERRUPTED                    New;

  Saved      = &Processor->Saved;
  Map        = (CONST volatile STM_SAVE_STATE_MAP *)(UINTN)(Saved->Smbase + STM_SAVE_STATE_OFFSET);
  New.Rsp    = Map->Rsp;
  New.Rip    = Map->Rip;
  New.Rflags = Map->Rflags;
  New.Smbase = Map->Smbase;
  if (((New.Rsp ^ Saved->Rsp) | (New.Rip ^ Saved->Rip) | (New.Rflags ^ Saved->Rflags) |
       (New.Smbase ^ Saved->Smbase)) != 0)
  {
    TakeChanges (Processor, &New);
  }

  return (STM_ENTER)Map | STM_ENTER_SAVE_STATE;
}

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
  )
{
  CONST volatile STM_SAVE_STATE_MAP  *Map;
  UINT64                             Smbase;

  Map    = (CONST volatile STM_SAVE_STATE_MAP *)(UINTN)(Processor->Saved.Smbase + STM_SAVE_STATE_OFFSET);
  Smbase = Map->Smbase;
  if (Taken == MAX_UINT32) {
    //
    // IN to EAX clears the upper half of RAX, as every write of a 32-bit register.
    //
    Processor->Interrupted.Rax = (UINT32)Map->Rax;
  } else if (Taken != 0) {
    Processor->Interrupted.Rax = (Processor->Interrupted.Rax & ~(UINT64)Taken) | (Map->Rax & Taken);
  }

  if (Smbase != Processor->Saved.Smbase) {
    Processor->Saved.Smbase = Smbase;
    MoveSmbase (Processor);
  }
}
