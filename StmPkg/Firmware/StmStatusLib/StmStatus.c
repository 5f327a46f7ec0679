/** @file
  Checks of the processor and of MSEG, and the names of their results.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Library/StmStatusLib.h>

//
// IA32_FEATURE_CONTROL: VMXON faults unless the MSR is locked and allows it
// (SDM "Enabling and Entering VMX Operation", 23.7 [24.7]).
//
#define FEATURE_CONTROL_LOCK         BIT0
#define FEATURE_CONTROL_VMX_NON_SMX  BIT2

//
// IA32_VMX_BASIC[49] (SDM A.1). Without it IA32_SMM_MONITOR_CTL may not exist,
// and writing it would be a general-protection fault in SMM.
//
#define VMX_BASIC_DUAL_MONITOR  BIT49

/**
  Whether a processor has the dual-monitor treatment and may use it (SDM
  "Enabling the Dual-Monitor Treatment", 34.15.5 [32.15.5]).

  @param[in] Facts  The processor.

  @return StmReasonNone, StmReasonNoVmx, StmReasonVmxLockedOut or StmReasonNoDualMonitor.
**/
STM_REASON
EFIAPI
StmCheckProcessor (
  IN CONST STM_PROCESSOR_FACTS  *Facts
  )
{
  if (!Facts->Vmx) {
    return StmReasonNoVmx;
  }

  if ((Facts->FeatureControl & (FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_NON_SMX)) !=
      (FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_NON_SMX))
  {
    return StmReasonVmxLockedOut;
  }

  if ((Facts->VmxBasic & VMX_BASIC_DUAL_MONITOR) == 0) {
    return StmReasonNoDualMonitor;
  }

  return StmReasonNone;
}

/**
  Whether MSEG can be announced to a processor and is protected as TSEG is.

  @param[in] Memory  MSEG and TSEG.

  @return StmReasonNone, StmReasonNoMseg or StmReasonMsegPlacement.
**/
STM_REASON
EFIAPI
StmCheckMemory (
  IN CONST STM_MEMORY_FACTS  *Memory
  )
{
  if (Memory->MsegSize == 0) {
    return StmReasonNoMseg;
  }

  //
  // IA32_SMM_MONITOR_CTL holds bits 31:12 of the base.
  //
  if (((Memory->MsegBase & (SIZE_4KB - 1)) != 0) || (Memory->MsegBase >= BASE_4GB) ||
      (Memory->MsegSize > BASE_4GB - Memory->MsegBase))
  {
    return StmReasonMsegPlacement;
  }

  if ((Memory->MsegBase < Memory->TsegBase) || (Memory->MsegSize > Memory->TsegSize) ||
      (Memory->MsegBase - Memory->TsegBase > Memory->TsegSize - Memory->MsegSize))
  {
    return StmReasonMsegPlacement;
  }

  return StmReasonNone;
}

/**
  The state that belongs to a reason.

  @param[in] Reason  Why.

  @return StmStateEnabled without a reason against it, StmStateRefused if it
          lies in the image, StmStateUnavailable if in the machine.
**/
STM_STATE
EFIAPI
StmStateOf (
  IN STM_REASON  Reason
  )
{
  switch (Reason) {
    case StmReasonNone:
      return StmStateEnabled;
    case StmReasonMsegRevision:
    case StmReasonImageMissing:
    case StmReasonImageMalformed:
    case StmReasonImageTooLarge:
    case StmReasonOverrideForbidden:
    case StmReasonImageModified:
    case StmReasonResourcesMalformed:
    case StmReasonResourcesUnprotectable:
    case StmReasonResourcesIncomplete:
    case StmReasonImageDigest:
    case StmReasonNotMeasured:
    case StmReasonResourcesTooLong:
      return StmStateRefused;
    default:
      return StmStateUnavailable;
  }
}

/**
  The name of a state in records.

  @param[in] State  The state.

  @return An ASCII string, "?" for a number without a name.
**/
CONST CHAR8 *
EFIAPI
StmStateName (
  IN STM_STATE  State
  )
{
  switch (State) {
    case StmStateUnavailable:
      return "unavailable";
    case StmStateRefused:
      return "refused";
    case StmStateEnabled:
      return "enabled";
    default:
      return "?";
  }
}

/**
  The name of a reason in records.

  @param[in] Reason  The reason.

  @return An ASCII string, "?" for a number without a name.
**/
CONST CHAR8 *
EFIAPI
StmReasonName (
  IN STM_REASON  Reason
  )
{
  switch (Reason) {
    case StmReasonNone:
      return "none";
    case StmReasonNoVmx:
      return "no-vmx";
    case StmReasonVmxLockedOut:
      return "vmx-locked-out";
    case StmReasonNoDualMonitor:
      return "no-dual-monitor";
    case StmReasonMsegRevision:
      return "mseg-revision";
    case StmReasonNoMseg:
      return "no-mseg";
    case StmReasonMsegPlacement:
      return "mseg-placement";
    case StmReasonImageMissing:
      return "image-missing";
    case StmReasonImageMalformed:
      return "image-malformed";
    case StmReasonImageTooLarge:
      return "image-too-large";
    case StmReasonOverrideForbidden:
      return "override-forbidden";
    case StmReasonMsegReachable:
      return "mseg-reachable";
    case StmReasonImageModified:
      return "image-modified";
    case StmReasonResourcesMalformed:
      return "resources-malformed";
    case StmReasonResourcesUnprotectable:
      return "resources-unprotectable";
    case StmReasonResourcesIncomplete:
      return "resources-incomplete";
    case StmReasonImageDigest:
      return "image-digest";
    case StmReasonNotMeasured:
      return "not-measured";
    case StmReasonResourcesTooLong:
      return "resources-too-long";
    default:
      return "?";
  }
}

/**
  The name of what became of the measurement in records.

  @param[in] Measurement  What became of it.

  @return An ASCII string, "?" for a number without a name.
**/
CONST CHAR8 *
EFIAPI
StmMeasurementName (
  IN STM_MEASUREMENT  Measurement
  )
{
  switch (Measurement) {
    case StmMeasuredNothing:
      return "no";
    case StmMeasured:
      return "yes";
    case StmMeasuredNoTpm:
      return "no-tpm";
    case StmMeasuredFailed:
      return "failed";
    default:
      return "?";
  }
}

/**
  The name of an image's source in records.

  @param[in] Source  The source.

  @return An ASCII string, "?" for a number without a name.
**/
CONST CHAR8 *
EFIAPI
StmSourceName (
  IN STM_IMAGE_SOURCE  Source
  )
{
  switch (Source) {
    case StmSourceNone:
      return "none";
    case StmSourceFirmwareVolume:
      return "firmware-volume";
    case StmSourceFwCfg:
      return "fw-cfg";
    default:
      return "?";
  }
}
