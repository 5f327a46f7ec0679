/** @file
  Controls of the guest VMCS: the guest runs as natively as VMX allows.

  No external-interrupt, NMI, HLT or I/O exiting: the guest owns the machine.
  Exits remain for what VMX forces, for the VMX MSRs, and for CR4.VMXE.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resident.h"

#define MSR_BITMAP_WRITE_LOW_OFFSET  0x800
#define EPT_NEEDED                   (EPT_CAP_WALK_4 | EPT_CAP_TABLES_WB | EPT_CAP_1GB_PAGES)

///
/// MSRs that exist only with VMX: CPUID hides VMX from the guest, so they fault.
///
STATIC CONST UINT16  mHiddenMsrs[] = {
  MSR_IA32_FEATURE_CONTROL,
  MSR_IA32_SMM_MONITOR_CTL
};

/**
  Intercept reads and writes of one MSR below 2000H.

  @param[in,out] Bitmap  MSR bitmap (SDM "MSR-Bitmap Address", 24.6.9 [25.6.9]).
  @param[in]     Index   MSR number below 2000H.
**/
STATIC
VOID
ExecInterceptMsr (
  IN OUT UINT8   *Bitmap,
  IN     UINT32  Index
  )
{
  Bitmap[Index / 8]                               |= (UINT8)(1 << (Index % 8));
  Bitmap[MSR_BITMAP_WRITE_LOW_OFFSET + Index / 8] |= (UINT8)(1 << (Index % 8));
}

/**
  Fill the MSR bitmap.

  @param[in] Address  4 KB.
**/
STATIC
VOID
ExecBuildMsrBitmap (
  IN UINT64  Address
  )
{
  UINT8   *Bitmap;
  UINTN   Index;
  UINT32  Msr;

  Bitmap = (UINT8 *)(UINTN)Address;
  ZeroMem (Bitmap, SIZE_4KB);
  for (Index = 0; Index < ARRAY_SIZE (mHiddenMsrs); Index++) {
    ExecInterceptMsr (Bitmap, mHiddenMsrs[Index]);
  }

  for (Msr = MSR_IA32_VMX_BASIC; Msr <= MSR_IA32_VMX_VMFUNC; Msr++) {
    ExecInterceptMsr (Bitmap, Msr);
  }
}

/**
  Write one control word and check that the processor grants what is needed.

  @param[in]     Field       Encoding of the control word.
  @param[in]     Capability  Capability MSR, the plain one.
  @param[in]     Needed      Bits that must be 1.
  @param[in,out] Parameters  Detail is set on failure.

  @retval TRUE   Written.
  @retval FALSE  A needed bit is not allowed.
**/
STATIC
BOOLEAN
ExecWriteControl (
  IN     UINT32           Field,
  IN     UINT32           Capability,
  IN     UINT32           Needed,
  IN OUT EXEC_PARAMETERS  *Parameters
  )
{
  if (VmxWriteControls (Field, Capability, Needed, Needed)) {
    return TRUE;
  }

  Parameters->Detail = VmxCapabilityMsr (Capability);
  return FALSE;
}

/**
  Whether our identity maps can be built: 1-GB pages in page tables and in EPT.

  @param[in,out] Parameters  Detail is set on failure.

  @retval TRUE   They can.
  @retval FALSE  They cannot.
**/
STATIC
BOOLEAN
ExecHasLargePages (
  IN OUT EXEC_PARAMETERS  *Parameters
  )
{
  CPUID_EXTENDED_CPU_SIG_EDX  Extended;

  AsmCpuid (CPUID_EXTENDED_CPU_SIG, NULL, NULL, NULL, &Extended.Uint32);
  if ((Extended.Bits.Page1GB != 0) && ((VmxReadEptCapability () & EPT_NEEDED) == EPT_NEEDED)) {
    return TRUE;
  }

  Parameters->Detail = MSR_IA32_VMX_EPT_VPID_CAP;
  return FALSE;
}

/**
  Make the guest VMCS current and write its controls and host state.

  @param[in,out] Parameters  Detail is set on failure.

  @retval ExecOk               Done.
  @retval ExecControlsMissing  The processor lacks a control.
**/
EXEC_RESULT
ExecSetUpVmcs (
  IN OUT EXEC_PARAMETERS  *Parameters
  )
{
  UINT64  Cr4;

  AsmVmClear (Parameters->GuestVmcs);
  AsmVmPtrLoad (Parameters->GuestVmcs);
  ExecBuildMsrBitmap (Parameters->MsrBitmap);

  if (!ExecWriteControl (VMCS_PIN_CONTROLS, MSR_IA32_VMX_PINBASED_CTLS, 0, Parameters) ||
      !ExecWriteControl (
         VMCS_PROCESSOR_CONTROLS,
         MSR_IA32_VMX_PROCBASED_CTLS,
         VMX_CPU_MSR_BITMAPS | VMX_CPU_SECONDARY_CONTROLS,
         Parameters
         ) ||
      !ExecWriteControl (
         VMCS_SECONDARY_CONTROLS,
         MSR_IA32_VMX_PROCBASED_CTLS2,
         VMX_CPU2_EPT | VmxPassThroughControls (),
         Parameters
         ) ||
      !ExecWriteControl (
         VMCS_EXIT_CONTROLS,
         MSR_IA32_VMX_EXIT_CTLS,
         VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_PAT | VMX_EXIT_LOAD_PAT |
         VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER,
         Parameters
         ) ||
      !ExecWriteControl (
         VMCS_ENTRY_CONTROLS,
         MSR_IA32_VMX_ENTRY_CTLS,
         VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_IA32E_GUEST | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER,
         Parameters
         ))
  {
    return ExecControlsMissing;
  }

  //
  // Behind the secondary controls: the capability MSR exists if EPT does.
  //
  if (!ExecHasLargePages (Parameters)) {
    return ExecControlsMissing;
  }

  VmWrite (VMCS_MSR_BITMAP, Parameters->MsrBitmap);
  VmWrite (
    VMCS_EPT_POINTER,
    Parameters->EptTables | EPT_POINTER_WALK_4 | EPT_MEMORY_TYPE_WB
    );
  VmWrite (VMCS_EXCEPTION_BITMAP, 0);
  VmWrite (VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
  VmWrite (VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
  VmWrite (VMCS_CR3_TARGET_COUNT, 0);
  VmWrite (VMCS_EXIT_MSR_STORE_COUNT, 0);
  VmWrite (VMCS_EXIT_MSR_LOAD_COUNT, 0);
  VmWrite (VMCS_ENTRY_MSR_LOAD_COUNT, 0);
  VmWrite (VMCS_ENTRY_INTERRUPTION_INFO, 0);

  //
  // We own the bits that VMX operation fixes; the guest sees CR4 without VMXE.
  //
  Cr4 = AsmReadCr4 ();
  VmWrite (VMCS_CR0_GUEST_HOST_MASK, AsmReadMsr64 (MSR_IA32_VMX_CR0_FIXED0));
  VmWrite (VMCS_CR0_READ_SHADOW, AsmReadCr0 ());
  VmWrite (VMCS_CR4_GUEST_HOST_MASK, AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0));
  VmWrite (VMCS_CR4_READ_SHADOW, Cr4 & ~AsmReadMsr64 (MSR_IA32_VMX_CR4_FIXED0));

  ExecWriteHostState (Parameters);
  return ExecOk;
}
