/** @file
  State of the interrupted side: read at an SMI, written back at the handler's
  RSM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"
#include "Log/Log.h"

#define RFLAGS_IF  BIT9

///
/// CR0.NW and CR0.CD.
///
#define CR0_CACHE  (BIT29 | BIT30)

#define SEGMENT_FIELDS(Name)                                                   \
  VMCS_GUEST_##Name##_SELECTOR, VMCS_GUEST_##Name##_LIMIT,                     \
  VMCS_GUEST_##Name##_ACCESS_RIGHTS, VMCS_GUEST_##Name##_BASE

///
/// In the order of STM_INTERRUPTED_STATE, Es to Smbase.
///
STATIC CONST UINT16  mInterruptedFields[] = {
  SEGMENT_FIELDS (ES),
  SEGMENT_FIELDS (CS),
  SEGMENT_FIELDS (SS),
  SEGMENT_FIELDS (DS),
  SEGMENT_FIELDS (FS),
  SEGMENT_FIELDS (GS),
  SEGMENT_FIELDS (LDTR),
  SEGMENT_FIELDS (TR),
  VMCS_GUEST_GDTR_LIMIT,
  VMCS_GUEST_GDTR_BASE,
  VMCS_GUEST_IDTR_LIMIT,
  VMCS_GUEST_IDTR_BASE,
  VMCS_GUEST_CR0,
  VMCS_GUEST_CR3,
  VMCS_GUEST_CR4,
  VMCS_GUEST_DR7,
  VMCS_GUEST_IA32_EFER,
  VMCS_GUEST_RSP,
  VMCS_GUEST_RIP,
  VMCS_GUEST_RFLAGS,
  VMCS_GUEST_SMBASE
};

STATIC_ASSERT (
  ARRAY_SIZE (mInterruptedFields) * sizeof (UINT64) == OFFSET_OF (STM_INTERRUPTED_STATE, Dr6),
  "one field for each member up to Smbase"
  );

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
  Read the interrupted state from the SMM-transfer VMCS, which is current, and
  refuse pointers of the executive monitor into SMRAM.

  All of it is read before the handler runs, since the handler may ask for any of
  it in its save state.

  @param[in,out] Processor  This processor.

  @return The executive-VMCS pointer.
**/
UINT64
StmReadInterrupted (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64  Executive;
  UINT64  Link;

  Processor->Mended = 0;
  Executive         = VmRead (VMCS_EXECUTIVE_VMCS_POINTER);
  Link              = VmRead (VMCS_LINK_POINTER);
  if (StmPageInSmram (Processor->Shared, Executive) ||
      ((Link != VMCS_POINTER_NONE) && StmPageInSmram (Processor->Shared, Link)))
  {
    RefusePointers (Processor, Executive);
  }

  AsmVmReadList (mInterruptedFields, (UINT64 *)&Processor->Saved, ARRAY_SIZE (mInterruptedFields));

  //
  // An SMM VM exit leaves these as they were (DM-EXI-61).
  //
  AsmReadOtherRegisters (&Processor->Other);
  Processor->Saved.Dr6 = Processor->Other.Dr6;
  return Executive;
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

  @param[in,out] Processor  This processor.
**/
VOID
StmRestoreRegisters (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64  Cr0;

  if (Processor->Restore != 0) {
    StmRestoreMsrs (Processor);
    Processor->Restore = 0;
  }

  //
  // Of CR0, VM exits and VM entries do not load CD and NW: caching would stay as
  // the handler set it ("Loading Host Control Registers, Debug Registers, MSRs",
  // 27.5.1 [28.5.1]).
  //
  Cr0 = AsmReadCr0 ();
  if (((Cr0 ^ Processor->Saved.Cr0) & CR0_CACHE) != 0) {
    AsmWriteCr0 ((Cr0 & ~(UINT64)CR0_CACHE) | (Processor->Saved.Cr0 & CR0_CACHE));
  }

  if (AsmCompareOtherRegisters (&Processor->Other) != 0) {
    RestoreOther (&Processor->Other);
  }
}

/**
  Move SMBASE to where the handler has written it, or crash: PSD and save state follow
  it, so it has to stay in the handler's SMRAM.

  @param[in] Processor  This processor, Saved.Smbase changed.
**/
STATIC
VOID
MoveSmbase (
  IN CONST STM_PROCESSOR  *Processor
  )
{
  if (!StmInHandlerSmram (Processor->Shared, Processor->Saved.Smbase + 0x8000, 0x8000)) {
    StmCrash (Processor, StmCrashBadState, 0, Processor->Saved.Smbase, Processor->Saved.Rip, StmBadSmbase);
  }

  VmWrite (VMCS_GUEST_SMBASE, Processor->Saved.Smbase);
}

/**
  Write what the handler changed back to the SMM-transfer VMCS, which is current:
  the processor's RSM would have read the save state, so the STM does it.

  @param[in,out] Processor  This processor.
**/
VOID
StmWriteInterrupted (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_INTERRUPTED_STATE  *Saved;
  UINT32                 Changed;

  Saved   = &Processor->Saved;
  Changed = StmSaveStateExtract (
              (CONST STM_SAVE_STATE_MAP *)(UINTN)(Saved->Smbase + STM_SAVE_STATE_OFFSET),
              Saved,
              &Processor->Interrupted
              );
  if ((Changed & ~(UINT32)STM_SAVE_CHANGED_REGISTERS) == 0) {
    return;
  }

  if ((Changed & STM_SAVE_CHANGED_RSP) != 0) {
    VmWrite (VMCS_GUEST_RSP, Saved->Rsp);
  }

  if ((Changed & STM_SAVE_CHANGED_RIP) != 0) {
    VmWrite (VMCS_GUEST_RIP, Saved->Rip);

    //
    // A handler that sends a halted program elsewhere wants it to run.
    //
    if (VmRead (VMCS_GUEST_ACTIVITY_STATE) == VMX_ACTIVITY_HLT) {
      VmWrite (VMCS_GUEST_ACTIVITY_STATE, VMX_ACTIVITY_ACTIVE);
    }
  }

  if ((Changed & STM_SAVE_CHANGED_RFLAGS) != 0) {
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

  if ((Changed & STM_SAVE_CHANGED_SMBASE) != 0) {
    MoveSmbase (Processor);
  }
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
