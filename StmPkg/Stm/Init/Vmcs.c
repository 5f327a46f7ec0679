/** @file
  The STM's two VMCSs per processor, both in MSEG: one holds the interrupted
  side (the SMM-transfer VMCS), the other the SMI handler.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Stm.h"

#define DEFAULT_PAT  0x0007040600070406ULL
#define DEFAULT_DR7  0x400
#define EFER_LME     BIT8
#define EFER_LMA     BIT10

#define WANTED_EXIT_CONTROLS                                                   \
  (VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_64_BIT | VMX_EXIT_SAVE_PAT |            \
   VMX_EXIT_LOAD_PAT | VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER)
#define WANTED_ENTRY_CONTROLS                                                  \
  (VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER)

///
/// Controls without which the STM cannot keep the two sides apart.
///
#define NEEDED_EXIT_CONTROLS   (VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_64_BIT | VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER)
#define NEEDED_ENTRY_CONTROLS  (VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_EFER)

#define CPUID_7_EBX_INVPCID   BIT10
#define CPUID_D1_EAX_XSAVES   BIT3
#define CPUID_81_EDX_RDTSCP   BIT27

/**
  Read a capability MSR of the VM controls: the TRUE one where it exists, since
  only that allows to clear the default-1 controls such as CR3 exiting.

  @param[in] Plain  Number of the plain MSR (481H to 484H).

  @return Contents: must-be-1 bits below, may-be-1 bits above.
**/
STATIC
UINT64
ReadControlCapability (
  IN UINT32  Plain
  )
{
  if ((AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS) != 0) {
    return AsmReadMsr64 (Plain + (MSR_IA32_VMX_TRUE_PINBASED_CTLS - MSR_IA32_VMX_PINBASED_CTLS));
  }

  return AsmReadMsr64 (Plain);
}

/**
  Make a VMCS current, or crash: the region lies in MSEG and is the STM's own.

  @param[in] Processor  This processor.
  @param[in] Vmcs       Physical address.
**/
STATIC
VOID
MakeCurrent (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Vmcs
  )
{
  if (AsmVmPtrLoad (Vmcs) != VmxSucceed) {
    StmCrash (Processor->Shared, StmCrashBadState, Processor->Slot, 0, Vmcs, 0, StmBadOwnVmcs);
  }
}

/**
  Write host state and the exit controls that both VMCSs share.

  @param[in] Processor  This processor.
  @param[in] Rip        Where exits continue.
  @param[in] Registers  Register set that exits push.
**/
STATIC
VOID
WriteHostSide (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINTN                Rip,
  IN CONST STM_REGISTERS  *Registers
  )
{
  VmWrite (VMCS_EXIT_CONTROLS, VmxAdjustControls (WANTED_EXIT_CONTROLS, ReadControlCapability (MSR_IA32_VMX_EXIT_CTLS)));
  VmWrite (VMCS_EXIT_MSR_STORE_COUNT, 0);
  VmWrite (VMCS_EXIT_MSR_LOAD_COUNT, 0);
  VmWrite (VMCS_ENTRY_MSR_LOAD_COUNT, 0);
  VmWrite (VMCS_ENTRY_INTERRUPTION, 0);

  VmWrite (VMCS_HOST_CS_SELECTOR, STM_HOST_CS);
  VmWrite (VMCS_HOST_SS_SELECTOR, STM_HOST_DS);
  VmWrite (VMCS_HOST_DS_SELECTOR, STM_HOST_DS);
  VmWrite (VMCS_HOST_ES_SELECTOR, STM_HOST_DS);
  VmWrite (VMCS_HOST_FS_SELECTOR, STM_HOST_DS);
  VmWrite (VMCS_HOST_GS_SELECTOR, STM_HOST_DS);
  VmWrite (VMCS_HOST_TR_SELECTOR, STM_HOST_TR);
  VmWrite (VMCS_HOST_CR0, AsmReadCr0 ());
  VmWrite (VMCS_HOST_CR3, AsmReadCr3 ());
  VmWrite (VMCS_HOST_CR4, AsmReadCr4 ());
  VmWrite (VMCS_HOST_FS_BASE, 0);
  VmWrite (VMCS_HOST_GS_BASE, 0);
  VmWrite (VMCS_HOST_TR_BASE, (UINT64)(UINTN)&Processor->Tss);
  VmWrite (VMCS_HOST_GDTR_BASE, (UINT64)(UINTN)Processor->Gdt);
  VmWrite (VMCS_HOST_IDTR_BASE, (UINT64)(UINTN)Processor->Shared->Idt);
  VmWrite (VMCS_HOST_SYSENTER_CS, 0);
  VmWrite (VMCS_HOST_SYSENTER_ESP, 0);
  VmWrite (VMCS_HOST_SYSENTER_EIP, 0);
  VmWrite (VMCS_HOST_IA32_EFER, AsmReadMsr64 (MSR_IA32_EFER));
  VmWrite (VMCS_HOST_IA32_PAT, DEFAULT_PAT);
  VmWrite (VMCS_HOST_RIP, Rip);
  VmWrite (VMCS_HOST_RSP, (UINT64)(UINTN)&Registers->Reserved);
}

/**
  Move the SMI side to its VMCS in MSEG and set that up. Afterwards it is the
  current VMCS.

  The activating VMCS lies where the executive monitor can read and write it
  (DM-ACT-27). VMCLEAR writes it back to its region and makes it clear, so the
  copy of the region is a VMCS with the same contents (DM-STM-35) and the
  monitor's own is no longer active here.

  @param[in]     Shared     Shared state.
  @param[in,out] Processor  This processor.
**/
VOID
StmSetUpSmiVmcs (
  IN     STM_SHARED     *Shared,
  IN OUT STM_PROCESSOR  *Processor
  )
{
  UINT64  Activating;
  UINT64  Entry;
  UINT64  Efer;
  BOOLEAN DebugSaved;

  //
  // The region may still be an active VMCS from before a STOP. VMCLEAR also
  // writes to it, so it comes before the copy (DM-INT-30).
  //
  Activating = AsmVmPtrStore ();
  if ((Activating != Processor->SmiVmcs) && (AsmVmClear (Processor->SmiVmcs) != VmxSucceed)) {
    StmCrash (Shared, StmCrashBadState, Processor->Slot, 0, Processor->SmiVmcs, 0, StmBadOwnVmcs);
  }

  DebugSaved = (BOOLEAN)((VmRead (VMCS_EXIT_CONTROLS) & VMX_EXIT_SAVE_DEBUG) != 0);
  if (StmPageInTseg (Shared, Activating) ||
      (AsmVmClear (Activating) != VmxSucceed) ||
      !StmCopyPage (Shared, (VOID *)(UINTN)Processor->SmiVmcs, Activating))
  {
    StmCrash (Shared, StmCrashBadState, Processor->Slot, 0, Activating, 0, StmBadActivatingVmcs);
  }

  MakeCurrent (Processor, Processor->SmiVmcs);
  WriteHostSide (Processor, (UINTN)AsmSmiExit, &Processor->Interrupted);

  //
  // "IA-32e mode guest" holds the interrupted EFER.LMA after every exit
  // (DM-ACT-37, DM-EXI-32).
  //
  Entry = VmRead (VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_GUEST;
  Efer  = Processor->Saved.Efer & ~(UINT64)(EFER_LME | EFER_LMA);
  if (Entry != 0) {
    Efer |= EFER_LME | EFER_LMA;
  }

  VmWrite (
    VMCS_ENTRY_CONTROLS,
    VmxAdjustControls ((UINT32)Entry | WANTED_ENTRY_CONTROLS, ReadControlCapability (MSR_IA32_VMX_ENTRY_CTLS))
    );
  VmWrite (VMCS_GUEST_IA32_EFER, Efer);
  VmWrite (VMCS_GUEST_IA32_PAT, AsmReadMsr64 (MSR_IA32_PAT));
  if (!DebugSaved) {
    VmWrite (VMCS_GUEST_DR7, DEFAULT_DR7);
    VmWrite (VMCS_GUEST_IA32_DEBUGCTL, 0);
  }

  //
  // Until the copy another processor could have changed the region; SMBASE decides
  // where the STM looks for PSD and save state, so take it from the processor.
  //
  if ((AsmReadMsr64 (MSR_IA32_VMX_MISC) & VMX_MISC_SMBASE_READABLE) != 0) {
    VmWrite (VMCS_GUEST_SMBASE, AsmReadMsr64 (MSR_IA32_SMBASE));
  }

  Processor->VmxonPointer = VmRead (VMCS_EXECUTIVE_VMCS_POINTER);
}

/**
  Secondary controls of the handler: the instructions that CPUID shows must not
  raise #UD.

  @return Wanted bits.
**/
STATIC
UINT32
WantedSecondaryControls (
  VOID
  )
{
  UINT32  Wanted;
  UINT32  MaximumLeaf;
  UINT32  Eax;
  UINT32  Ebx;
  UINT32  Edx;

  Wanted = VMX_CPU2_EPT;
  AsmCpuid (0, &MaximumLeaf, NULL, NULL, NULL);
  AsmCpuid (0x80000001, NULL, NULL, NULL, &Edx);
  if ((Edx & CPUID_81_EDX_RDTSCP) != 0) {
    Wanted |= VMX_CPU2_RDTSCP;
  }

  if (MaximumLeaf >= 7) {
    AsmCpuidEx (7, 0, NULL, &Ebx, NULL, NULL);
    if ((Ebx & CPUID_7_EBX_INVPCID) != 0) {
      Wanted |= VMX_CPU2_INVPCID;
    }
  }

  if (MaximumLeaf >= 0xD) {
    AsmCpuidEx (0xD, 1, &Eax, NULL, NULL, NULL);
    if ((Eax & CPUID_D1_EAX_XSAVES) != 0) {
      Wanted |= VMX_CPU2_XSAVES;
    }
  }

  return Wanted;
}

/**
  Write the controls of the handler's VMCS, which is current.

  @param[in] Shared     Shared state.
  @param[in] Processor  This processor.

  @retval TRUE   Done.
  @retval FALSE  The processor lacks a control that the STM needs.
**/
STATIC
BOOLEAN
WriteHandlerControls (
  IN CONST STM_SHARED     *Shared,
  IN CONST STM_PROCESSOR  *Processor
  )
{
  UINT32  Primary;
  UINT32  Secondary;
  UINT32  Entry;

  Primary = VmxAdjustControls (
              VMX_CPU_IO_BITMAPS | VMX_CPU_MSR_BITMAPS | VMX_CPU_SECONDARY_CONTROLS,
              ReadControlCapability (MSR_IA32_VMX_PROCBASED_CTLS)
              );
  if ((Primary & (VMX_CPU_IO_BITMAPS | VMX_CPU_MSR_BITMAPS | VMX_CPU_SECONDARY_CONTROLS)) !=
      (VMX_CPU_IO_BITMAPS | VMX_CPU_MSR_BITMAPS | VMX_CPU_SECONDARY_CONTROLS))
  {
    return FALSE;
  }

  Secondary = VmxAdjustControls (WantedSecondaryControls (), AsmReadMsr64 (MSR_IA32_VMX_PROCBASED_CTLS2));
  Entry     = VmxAdjustControls (
                WANTED_ENTRY_CONTROLS | VMX_ENTRY_IA32E_GUEST | VMX_ENTRY_TO_SMM,
                ReadControlCapability (MSR_IA32_VMX_ENTRY_CTLS)
                );
  if (((Secondary & VMX_CPU2_EPT) == 0) ||
      ((Entry & (VMX_ENTRY_TO_SMM | VMX_ENTRY_IA32E_GUEST)) != (VMX_ENTRY_TO_SMM | VMX_ENTRY_IA32E_GUEST)) ||
      ((Entry & NEEDED_ENTRY_CONTROLS) != NEEDED_ENTRY_CONTROLS) ||
      ((VmRead (VMCS_EXIT_CONTROLS) & NEEDED_EXIT_CONTROLS) != NEEDED_EXIT_CONTROLS))
  {
    return FALSE;
  }

  VmWrite (VMCS_PIN_CONTROLS, VmxAdjustControls (0, ReadControlCapability (MSR_IA32_VMX_PINBASED_CTLS)));
  VmWrite (VMCS_PROCESSOR_CONTROLS, Primary);
  VmWrite (VMCS_SECONDARY_CONTROLS, Secondary);
  VmWrite (VMCS_ENTRY_CONTROLS, Entry);
  VmWrite (VMCS_EXCEPTION_BITMAP, 0);
  VmWrite (VMCS_PAGE_FAULT_ERROR_MASK, 0);
  VmWrite (VMCS_PAGE_FAULT_ERROR_MATCH, 0);
  VmWrite (VMCS_CR3_TARGET_COUNT, 0);
  VmWrite (VMCS_TSC_OFFSET, 0);
  VmWrite (VMCS_IO_BITMAP_A, Shared->Dynamic + STM_DYNAMIC_IO_BITMAP_A);
  VmWrite (VMCS_IO_BITMAP_B, Shared->Dynamic + STM_DYNAMIC_IO_BITMAP_B);
  VmWrite (VMCS_MSR_BITMAP, Shared->Dynamic + STM_DYNAMIC_MSR_BITMAP);
  VmWrite (VMCS_EPT_POINTER, Shared->EptPointer);
  if ((Secondary & VMX_CPU2_XSAVES) != 0) {
    VmWrite (VMCS_XSS_EXITING_BITMAP, 0);
  }

  VmWrite (VMCS_CR0_MASK, Processor->HandlerCr0Fixed0);
  VmWrite (VMCS_CR4_MASK, Processor->HandlerCr4Fixed0);
  VmWrite (VMCS_LINK_POINTER, VMCS_POINTER_NONE);
  return TRUE;
}

/**
  Set up the VMCS of the SMI handler. Leaves the SMI side's VMCS current.

  @param[in]     Shared     Shared state.
  @param[in,out] Processor  This processor.

  @retval TRUE   Done.
  @retval FALSE  The processor lacks a control that the STM needs.
**/
BOOLEAN
StmSetUpHandlerVmcs (
  IN     STM_SHARED     *Shared,
  IN OUT STM_PROCESSOR  *Processor
  )
{
  BOOLEAN  Supported;

  Processor->HandlerCr0Fixed0                  = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED0);
  Processor->HandlerCr4Fixed0                  = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0);
  *(UINT32 *)(UINTN)Processor->HandlerVmcs = (UINT32)AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION_MASK;
  if (AsmVmClear (Processor->HandlerVmcs) != VmxSucceed) {
    StmCrash (Shared, StmCrashBadState, Processor->Slot, 0, Processor->HandlerVmcs, 0, StmBadOwnVmcs);
  }

  MakeCurrent (Processor, Processor->HandlerVmcs);
  WriteHostSide (Processor, (UINTN)AsmHandlerExit, &Processor->Handler);
  Supported = WriteHandlerControls (Shared, Processor);
  MakeCurrent (Processor, Processor->SmiVmcs);
  return Supported;
}
