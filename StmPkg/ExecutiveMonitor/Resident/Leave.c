/** @file
  The way out of VMX operation (docs/architecture.rst, "Leaving").

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Operation.h"

///
/// The last descriptor of a GDT that fills the page of EXEC_PROCESSOR.HostTables.
///
#define PARKED_TR  (SIZE_4KB - sizeof (IA32_TSS_DESCRIPTOR))

///
/// Type of a 64-bit TSS that is not busy.
///
#define TSS_AVAILABLE  9

STATIC_ASSERT (sizeof (VMX_HOST_TABLES) <= PARKED_TR, "EXEC_PROCESSOR.HostTables");

/**
  The value of a control register that the guest sees: the bits that the mask
  keeps from it come from the read shadow.

  @param[in] Register  Field of the register.
  @param[in] Mask      Field of its guest/host mask.
  @param[in] Shadow    Field of its read shadow.

  @return The guest's value.
**/
STATIC
UINT64
ExecGuestControlRegister (
  IN UINT32  Register,
  IN UINT32  Mask,
  IN UINT32  Shadow
  )
{
  UINT64  Kept;

  Kept = VmRead (Mask);
  return (VmRead (Register) & ~Kept) | (VmRead (Shadow) & Kept);
}

/**
  Tell the guest where we are.

  @param[in] Shared     Where the guest looks.
  @param[in] State      Of all processors.
  @param[in] StmActive  Whether the STM serves SMIs.
**/
VOID
ExecPublish (
  IN CONST EXEC_PARAMETERS  *Shared,
  IN EXEC_STATE             State,
  IN BOOLEAN                StmActive
  )
{
  EXECUTIVE_MONITOR_PROTOCOL  *Published;

  Published            = (EXECUTIVE_MONITOR_PROTOCOL *)(UINTN)Shared->Published;
  Published->State     = State;
  Published->StmActive = StmActive;
}

/**
  Clear CR4.VMXE, outside VMX operation.
**/
VOID
ExecDisableVmx (
  VOID
  )
{
  IA32_CR4  Cr4;

  Cr4.UintN     = AsmReadCr4 ();
  Cr4.Bits.VMXE = 0;
  AsmWriteCr4 (Cr4.UintN);
}

/**
  Stop the STM and leave VMX operation.

  The STM first: VMXOFF fails with error 23 while the dual-monitor treatment is
  active (DM-STM-02). An SMI between STOP and VMXOFF gets the default treatment.

  @param[in,out] Processor  State, StmActive and Detail are set.

  @return ExecOk or ExecStmRefused; in the latter case nothing has changed.
**/
EXEC_RESULT
ExecLeaveVmx (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  EXEC_RESULT  Result;

  Result = ExecStopStm (Processor);
  if (Result != ExecOk) {
    return Result;
  }

  //
  // VMXOFF may leave active VMCSs corrupted (DM-INT-30).
  //
  AsmVmClear (Processor->GuestVmcs);
  AsmVmClear (Processor->ActivationVmcs);
  AsmVmxOff ();
  ExecDisableVmx ();
  Processor->State = ExecStateOff;
  EXEC_RECORD ("vmxoff", "cpu=%u region=0x%lx", Processor->Number, Processor->VmxonRegion);
  return ExecOk;
}

/**
  Read from the current VMCS the state with which the guest continues natively.

  @param[out] State  Everything but general-purpose registers.
**/
VOID
ExecReadNativeState (
  OUT EXEC_NATIVE_STATE  *State
  )
{
  State->Gdtr.Base  = (UINTN)VmRead (VMCS_GUEST_GDTR_BASE);
  State->Gdtr.Limit = (UINT16)VmRead (VMCS_GUEST_GDTR_LIMIT);
  State->Idtr.Base  = (UINTN)VmRead (VMCS_GUEST_IDTR_BASE);
  State->Idtr.Limit = (UINT16)VmRead (VMCS_GUEST_IDTR_LIMIT);
  State->Cr3        = VmRead (VMCS_GUEST_CR3);
  State->Cs         = VmRead (VMCS_GUEST_CS_SELECTOR);
  State->Ss         = VmRead (VMCS_GUEST_SS_SELECTOR);
  State->Ds         = VmRead (VMCS_GUEST_DS_SELECTOR);
  State->Es         = VmRead (VMCS_GUEST_ES_SELECTOR);
  State->Fs         = VmRead (VMCS_GUEST_FS_SELECTOR);
  State->Gs         = VmRead (VMCS_GUEST_GS_SELECTOR);
  State->Tr         = VmRead (VMCS_GUEST_TR_SELECTOR);
  State->Ldtr       = VmRead (VMCS_GUEST_LDTR_SELECTOR);
  State->FsBase     = VmRead (VMCS_GUEST_FS_BASE);
  State->GsBase     = VmRead (VMCS_GUEST_GS_BASE);
  State->Dr7        = VmRead (VMCS_GUEST_DR7);
  State->Rip        = VmRead (VMCS_GUEST_RIP);
  State->Rsp        = VmRead (VMCS_GUEST_RSP);
  State->Rflags     = VmRead (VMCS_GUEST_RFLAGS);

  State->Cr0 = ExecGuestControlRegister (VMCS_GUEST_CR0, VMCS_CR0_GUEST_HOST_MASK, VMCS_CR0_READ_SHADOW);
  State->Cr4 = ExecGuestControlRegister (VMCS_GUEST_CR4, VMCS_CR4_GUEST_HOST_MASK, VMCS_CR4_READ_SHADOW);

  State->SysenterCs  = VmRead (VMCS_GUEST_IA32_SYSENTER_CS);
  State->SysenterEsp = VmRead (VMCS_GUEST_IA32_SYSENTER_ESP);
  State->SysenterEip = VmRead (VMCS_GUEST_IA32_SYSENTER_EIP);
  State->Pat         = VmRead (VMCS_GUEST_IA32_PAT);
  State->Efer        = VmRead (VMCS_GUEST_IA32_EFER);
  State->DebugCtl    = VmRead (VMCS_GUEST_IA32_DEBUGCTL);
}

/**
  Write the MSRs with which the guest continues natively.

  @param[in] State  From ExecReadNativeState.
**/
VOID
ExecWriteNativeMsrs (
  IN CONST EXEC_NATIVE_STATE  *State
  )
{
  AsmWriteMsr64 (MSR_IA32_SYSENTER_CS, State->SysenterCs);
  AsmWriteMsr64 (MSR_IA32_SYSENTER_ESP, State->SysenterEsp);
  AsmWriteMsr64 (MSR_IA32_SYSENTER_EIP, State->SysenterEip);
  AsmWriteMsr64 (MSR_IA32_PAT, State->Pat);
  AsmWriteMsr64 (MSR_IA32_EFER, State->Efer);
  AsmWriteMsr64 (MSR_IA32_DEBUGCTL, State->DebugCtl);
}

/**
  Leave a guest that has no TSS, as the firmware, a task register whose selector it
  takes for none.

  A VM exit loads TR, and LTR cannot load the null selector that was there before.
  Any selector inside the guest's GDT would make the guest believe that the
  descriptor there is its TSS: the firmware saves TR of an application processor and
  loads it again at the next wake-up.

  @param[in] Processor  Where its GDT is.
**/
VOID
ExecParkTaskRegister (
  IN CONST EXEC_PROCESSOR  *Processor
  )
{
  IA32_TSS_DESCRIPTOR  *Parked;
  IA32_DESCRIPTOR      Gdtr;

  Parked            = (IA32_TSS_DESCRIPTOR *)(UINTN)(Processor->HostTables + PARKED_TR);
  *Parked           = ((CONST VMX_HOST_TABLES *)(UINTN)Processor->HostTables)->Gdt.TssDescriptor;
  Parked->Bits.Type = TSS_AVAILABLE;
  Gdtr.Base         = (UINTN)Processor->HostTables;
  Gdtr.Limit        = SIZE_4KB - 1;
  AsmWriteGdtr (&Gdtr);
  AsmWriteTr (PARKED_TR);
}
