/** @file
  Controls of the guest VMCS: the guest runs as natively as VMX allows.

  No external-interrupt, NMI or HLT exiting: the guest owns the machine. Exits
  remain for what VMX forces, for the VMX MSRs, for CR4.VMXE, and for the ports by
  which the platform ends. The guest is unrestricted: its processors start in real
  mode.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

#define EPT_NEEDED                                                               \
  (EPT_CAP_WALK_4 | EPT_CAP_TABLES_WB | EPT_CAP_2MB_PAGES | EPT_CAP_1GB_PAGES | \
   EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE)

#define CR0_PE  BIT0
#define CR0_PG  BIT31

///
/// A guest processor may wait for its start-up IPI, and EFER.LMA goes to the entry
/// control "IA-32e mode guest" at each VM exit.
///
#define MISC_NEEDED  (VMX_MISC_STORE_LMA | VMX_MISC_ACTIVITY_WAIT_FOR_SIPI)

/**
  Write one control word and check that the processor grants what is needed.

  @param[in]     Field       Encoding of the control word.
  @param[in]     Capability  Capability MSR, the plain one.
  @param[in]     Needed      Bits that must be 1.
  @param[in,out] Processor   Detail is set on failure.

  @retval TRUE   Written.
  @retval FALSE  A needed bit is not allowed.
**/
STATIC
BOOLEAN
ExecWriteControl (
  IN     UINT32          Field,
  IN     UINT32          Capability,
  IN     UINT32          Needed,
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  if (VmxWriteControls (Field, Capability, Needed, Needed)) {
    return TRUE;
  }

  Processor->Detail = VmxCapabilityMsr (Capability);
  return FALSE;
}

/**
  What no control word tells: whether our maps can be built, 1-GB pages in page
  tables and in EPT; the monitor trap flag; and what VMX offers an unrestricted guest.

  @param[in,out] Processor  Detail is set on failure.

  @retval TRUE   They can.
  @retval FALSE  They cannot.
**/
STATIC
BOOLEAN
ExecHasRest (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  CPUID_EXTENDED_CPU_SIG_EDX  Extended;

  AsmCpuid (CPUID_EXTENDED_CPU_SIG, NULL, NULL, NULL, &Extended.Uint32);
  if ((Extended.Bits.Page1GB == 0) || ((VmxReadEptCapability () & EPT_NEEDED) != EPT_NEEDED)) {
    Processor->Detail = MSR_IA32_VMX_EPT_VPID_CAP;
    return FALSE;
  }

  if ((AsmReadMsr64 (MSR_IA32_VMX_MISC) & MISC_NEEDED) != MISC_NEEDED) {
    Processor->Detail = MSR_IA32_VMX_MISC;
    return FALSE;
  }

  if ((VmxLegalControls (VMX_CPU_MONITOR_TRAP_FLAG, MSR_IA32_VMX_PROCBASED_CTLS) & VMX_CPU_MONITOR_TRAP_FLAG) == 0) {
    Processor->Detail = VmxCapabilityMsr (MSR_IA32_VMX_PROCBASED_CTLS);
    return FALSE;
  }

  return TRUE;
}

/**
  Make the guest VMCS current and write its controls and host state.

  @param[in,out] Processor  Detail is set on failure.

  @retval ExecOk               Done.
  @retval ExecControlsMissing  The processor lacks a control.
**/
EXEC_RESULT
ExecSetUpVmcs (
  IN OUT EXEC_PROCESSOR  *Processor
  )
{
  EXEC_PARAMETERS  *Shared;
  UINT64           Fixed;
  UINT64           Cr4;

  Shared = Processor->Shared;
  AsmVmClear (Processor->GuestVmcs);
  AsmVmPtrLoad (Processor->GuestVmcs);

  if (!ExecWriteControl (VMCS_PIN_CONTROLS, MSR_IA32_VMX_PINBASED_CTLS, 0, Processor) ||
      !ExecWriteControl (
         VMCS_PROCESSOR_CONTROLS,
         MSR_IA32_VMX_PROCBASED_CTLS,
         VMX_CPU_MSR_BITMAPS | VMX_CPU_IO_BITMAPS | VMX_CPU_SECONDARY_CONTROLS,
         Processor
         ) ||
      !ExecWriteControl (
         VMCS_SECONDARY_CONTROLS,
         MSR_IA32_VMX_PROCBASED_CTLS2,
         VMX_CPU2_EPT | VMX_CPU2_UNRESTRICTED_GUEST | VmxPassThroughControls (),
         Processor
         ) ||
      !ExecWriteControl (
         VMCS_EXIT_CONTROLS,
         MSR_IA32_VMX_EXIT_CTLS,
         VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_PAT | VMX_EXIT_LOAD_PAT |
         VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER,
         Processor
         ) ||
      !ExecWriteControl (
         VMCS_ENTRY_CONTROLS,
         MSR_IA32_VMX_ENTRY_CTLS,
         VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_IA32E_GUEST | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER,
         Processor
         ))
  {
    return ExecControlsMissing;
  }

  //
  // Behind the secondary controls: the capability MSR exists if EPT does.
  //
  if (!ExecHasRest (Processor)) {
    return ExecControlsMissing;
  }

  VmWrite (VMCS_MSR_BITMAP, Shared->MsrBitmap);
  VmWrite (VMCS_IO_BITMAP_A, Shared->IoBitmaps);
  VmWrite (VMCS_IO_BITMAP_B, Shared->IoBitmaps + SIZE_4KB);
  VmWrite (VMCS_EPT_POINTER, Shared->EptTables | EPT_POINTER_WALK_4 | EPT_MEMORY_TYPE_WB);
  VmWrite (VMCS_EXCEPTION_BITMAP, 0);
  VmWrite (VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
  VmWrite (VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
  VmWrite (VMCS_CR3_TARGET_COUNT, 0);
  VmWrite (VMCS_EXIT_MSR_STORE_COUNT, 0);
  VmWrite (VMCS_EXIT_MSR_LOAD_COUNT, 0);
  VmWrite (VMCS_ENTRY_MSR_LOAD_COUNT, 0);
  VmWrite (VMCS_ENTRY_INTERRUPTION_INFO, 0);

  //
  // We own the bits that VMX operation fixes, but for those that an unrestricted
  // guest may change; the guest sees CR4 without VMXE.
  //
  Fixed = AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED0) & ~(UINT64)(CR0_PE | CR0_PG);
  Cr4   = AsmReadCr4 ();
  VmWrite (VMCS_CR0_GUEST_HOST_MASK, Fixed);
  VmWrite (VMCS_CR0_READ_SHADOW, AsmReadCr0 ());
  VmWrite (VMCS_CR4_GUEST_HOST_MASK, AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0));
  VmWrite (VMCS_CR4_READ_SHADOW, Cr4 & ~AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0));

  ExecWriteHostState (Processor);
  return ExecOk;
}
