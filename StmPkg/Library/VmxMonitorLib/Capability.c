/** @file
  What the processor offers for a VMCS ("VMX Capability Reporting Facility",
  appendix A).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <Register/Intel/ArchitecturalMsr.h>
#include <Register/Intel/Cpuid.h>
#include <Library/BaseLib.h>
#include <Library/VmxLib.h>
#include <Library/VmxMonitorLib.h>

///
/// From a plain capability MSR to its TRUE twin.
///
#define TRUE_MSR_DISTANCE  (MSR_IA32_VMX_TRUE_PINBASED_CTLS - MSR_IA32_VMX_PINBASED_CTLS)

/**
  The capability MSR to ask about a control word. The TRUE MSRs tell which of the
  default-1 controls, such as CR3-load exiting, may be 0; they exist only where
  IA32_VMX_BASIC[55] is 1, and reading them elsewhere raises #GP ("Basic VMX
  Information", appendix A.1; "VM-Execution Controls", A.3).

  @param[in] Msr  MSR_IA32_VMX_PINBASED_CTLS, _PROCBASED_CTLS, _EXIT_CTLS,
                  _ENTRY_CTLS or _PROCBASED_CTLS2; the last has no TRUE twin.

  @return Number of the MSR that holds.
**/
UINT32
EFIAPI
VmxCapabilityMsr (
  IN UINT32  Msr
  )
{
  if ((Msr == MSR_IA32_VMX_PROCBASED_CTLS2) ||
      ((AsmReadMsr64 (MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS) == 0))
  {
    return Msr;
  }

  return Msr + TRUE_MSR_DISTANCE;
}

/**
  Make wanted control bits legal: add the bits that must be 1, drop those that
  must be 0 ("VMX Capability Reporting Facility", appendix A.2 to A.5).

  @param[in] Wanted  Control bits the caller would like.
  @param[in] Msr     As for VmxCapabilityMsr.

  @return The legal control word.
**/
UINT32
EFIAPI
VmxLegalControls (
  IN UINT32  Wanted,
  IN UINT32  Msr
  )
{
  UINT64  Capability;

  //
  // Bits 31:0: must be 1. Bits 63:32: may be 1.
  //
  Capability = AsmReadMsr64 (VmxCapabilityMsr (Msr));
  return (Wanted | (UINT32)Capability) & (UINT32)RShiftU64 (Capability, 32);
}

/**
  Write a control word of the current VMCS.

  @param[in] Field   VMCS field.
  @param[in] Msr     As for VmxCapabilityMsr.
  @param[in] Wanted  Control bits the caller would like.
  @param[in] Needed  Those of them without which it cannot work.

  @retval TRUE   The control word in the VMCS has all needed bits.
  @retval FALSE  The processor lacks one; the VMCS is unchanged.
**/
BOOLEAN
EFIAPI
VmxWriteControls (
  IN UINT32  Field,
  IN UINT32  Msr,
  IN UINT32  Wanted,
  IN UINT32  Needed
  )
{
  UINT32  Controls;

  Controls = VmxLegalControls (Wanted, Msr);
  if ((Controls & Needed) != Needed) {
    return FALSE;
  }

  return VmWrite (Field, Controls);
}

/**
  Secondary controls that keep instructions working that CPUID shows: without
  them RDTSCP, INVPCID, XSAVES and XRSTORS raise #UD in the guest.

  @return Control bits, EPT not among them.
**/
UINT32
EFIAPI
VmxPassThroughControls (
  VOID
  )
{
  UINT32                                       Controls;
  UINT32                                       MaximumLeaf;
  CPUID_EXTENDED_CPU_SIG_EDX                   Extended;
  CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS_EBX  Structured;
  CPUID_EXTENDED_STATE_SUB_LEAF_EAX            State;

  Controls = 0;
  AsmCpuid (CPUID_EXTENDED_CPU_SIG, NULL, NULL, NULL, &Extended.Uint32);
  if (Extended.Bits.RDTSCP != 0) {
    Controls |= VMX_CPU2_RDTSCP;
  }

  AsmCpuid (CPUID_SIGNATURE, &MaximumLeaf, NULL, NULL, NULL);
  if (MaximumLeaf >= CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS) {
    AsmCpuidEx (
      CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS,
      CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS_SUB_LEAF_INFO,
      NULL,
      &Structured.Uint32,
      NULL,
      NULL
      );
    if (Structured.Bits.INVPCID != 0) {
      Controls |= VMX_CPU2_INVPCID;
    }
  }

  if (MaximumLeaf >= CPUID_EXTENDED_STATE) {
    AsmCpuidEx (CPUID_EXTENDED_STATE, CPUID_EXTENDED_STATE_SUB_LEAF, &State.Uint32, NULL, NULL, NULL);
    if (State.Bits.XSAVES != 0) {
      Controls |= VMX_CPU2_XSAVES;
    }
  }

  return Controls;
}

/**
  IA32_VMX_EPT_VPID_CAP, which exists only where EPT or VPID can be enabled.

  @return Contents; 0 on a processor without EPT.
**/
UINT64
EFIAPI
VmxReadEptCapability (
  VOID
  )
{
  UINT32  Allowed;

  //
  // Whether secondary controls exist is the same in the plain and the TRUE MSR.
  //
  Allowed = (UINT32)RShiftU64 (AsmReadMsr64 (MSR_IA32_VMX_PROCBASED_CTLS), 32);
  if ((Allowed & VMX_CPU_SECONDARY_CONTROLS) == 0) {
    return 0;
  }

  Allowed = (UINT32)RShiftU64 (AsmReadMsr64 (MSR_IA32_VMX_PROCBASED_CTLS2), 32);
  return ((Allowed & VMX_CPU2_EPT) == 0) ? 0 : AsmReadMsr64 (MSR_IA32_VMX_EPT_VPID_CAP);
}

/**
  The identifier of this processor's local APIC ("CPUID - CPU Identification",
  leaf 0BH and leaf 01H).

  @return It: 32 bits if the processor enumerates its topology, else 8.
**/
UINT32
EFIAPI
VmxReadApicId (
  VOID
  )
{
  CPUID_VERSION_INFO_EBX  Version;
  UINT32                  MaximumLeaf;
  UINT32                  LogicalProcessors;
  UINT32                  ApicId;

  AsmCpuid (CPUID_SIGNATURE, &MaximumLeaf, NULL, NULL, NULL);
  if (MaximumLeaf >= CPUID_EXTENDED_TOPOLOGY) {
    AsmCpuidEx (CPUID_EXTENDED_TOPOLOGY, 0, NULL, &LogicalProcessors, NULL, &ApicId);
    if (LogicalProcessors != 0) {
      return ApicId;
    }
  }

  AsmCpuid (CPUID_VERSION_INFO, NULL, &Version.Uint32, NULL, NULL);
  return Version.Bits.InitialLocalApicId;
}
