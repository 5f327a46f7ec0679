/** @file
  The firmware's decision about the dual-monitor treatment, free of firmware
  services and of MSR accesses, so that host tests can try every combination.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_STATUS_LIB_H_
#define STM_STATUS_LIB_H_

#include <Guid/StmStatusTable.h>
#include <StmMsegLayout.h>

///
/// What one processor says about itself. An MSR that the preceding facts do not
/// allow to be read is left 0: none before Vmx, IA32_SMM_MONITOR_CTL never.
///
typedef struct {
  BOOLEAN    Vmx;               ///< CPUID.1:ECX[5]
  UINT64     FeatureControl;    ///< IA32_FEATURE_CONTROL
  UINT64     VmxBasic;          ///< IA32_VMX_BASIC
  UINT64     VmxMisc;           ///< IA32_VMX_MISC
} STM_PROCESSOR_FACTS;

///
/// Where MSEG lies, all zero without one.
///
typedef struct {
  UINT64    MsegBase;           ///< physical address
  UINT64    MsegSize;           ///< bytes
  UINT64    TsegBase;           ///< physical address
  UINT64    TsegSize;           ///< bytes, MSEG included
} STM_MEMORY_FACTS;

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
  );

/**
  Whether MSEG can be announced to a processor and is protected as TSEG is.

  @param[in] Memory  MSEG and TSEG.

  @return StmReasonNone, StmReasonNoMseg or StmReasonMsegPlacement.
**/
STM_REASON
EFIAPI
StmCheckMemory (
  IN CONST STM_MEMORY_FACTS  *Memory
  );

/**
  Whether an image has a header of ours behind those of the interface: then it gets
  STM_LOADER_DATA.

  @param[in] File      The file.
  @param[in] FileSize  Bytes of the file.

  @retval TRUE   It has.
  @retval FALSE  It has not.
**/
BOOLEAN
EFIAPI
StmHasLabHeader (
  IN CONST VOID  *File,
  IN UINTN       FileSize
  );

/**
  Whether an STM image file obeys the MSEG header and the software header, suits the
  processor and fits into MSEG. The header of ours (StmMsegLayout.h) is checked when
  it is there.

  @param[in]  File                The file.
  @param[in]  FileSize            Bytes of the file.
  @param[in]  Facts               The processor, with StmReasonNone from StmCheckProcessor.
  @param[in]  NumberOfProcessors  Processors that will share MSEG.
  @param[in]  MsegSize            Bytes of MSEG.
  @param[out] Needed              Bytes of MSEG that the image needs; 0 if the image is malformed.
  @param[out] Problem             The field, and why, with StmReasonImageMalformed and
                                  StmReasonMsegRevision; else StmProblemNone.

  @return StmReasonNone, StmReasonImageMalformed, StmReasonMsegRevision or StmReasonImageTooLarge.
**/
STM_REASON
EFIAPI
StmCheckImage (
  IN  CONST VOID                 *File,
  IN  UINTN                      FileSize,
  IN  CONST STM_PROCESSOR_FACTS  *Facts,
  IN  UINT32                     NumberOfProcessors,
  IN  UINT64                     MsegSize,
  OUT UINT64                     *Needed,
  OUT STM_IMAGE_PROBLEM          *Problem
  );

/**
  For how many processors MSEG has room.

  @param[in] File      The image file, with a needed size from StmCheckImage.
  @param[in] FileSize  Bytes of the file.
  @param[in] Facts     The processor.
  @param[in] MsegSize  Bytes of MSEG.

  @return Processors; 0 if not for one.
**/
UINT32
EFIAPI
StmProcessorsThatFit (
  IN CONST VOID                 *File,
  IN UINTN                      FileSize,
  IN CONST STM_PROCESSOR_FACTS  *Facts,
  IN UINT64                     MsegSize
  );

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
  );

/**
  The name of a state in records.

  @param[in] State  The state.

  @return An ASCII string, "?" for a number without a name.
**/
CONST CHAR8 *
EFIAPI
StmStateName (
  IN STM_STATE  State
  );

/**
  The name of a reason in records.

  @param[in] Reason  The reason.

  @return An ASCII string, "?" for a number without a name.
**/
CONST CHAR8 *
EFIAPI
StmReasonName (
  IN STM_REASON  Reason
  );

/**
  The name of an image's problem in records.

  @param[in] Problem  The problem.

  @return Field and cause, with a colon between; "-" for none, "?" for a number without a name.
**/
CONST CHAR8 *
EFIAPI
StmImageProblemName (
  IN STM_IMAGE_PROBLEM  Problem
  );

/**
  The name of what became of the measurement in records.

  @param[in] Measurement  What became of it.

  @return An ASCII string, "?" for a number without a name.
**/
CONST CHAR8 *
EFIAPI
StmMeasurementName (
  IN STM_MEASUREMENT  Measurement
  );

/**
  The name of an image's source in records.

  @param[in] Source  The source.

  @return An ASCII string, "?" for a number without a name.
**/
CONST CHAR8 *
EFIAPI
StmSourceName (
  IN STM_IMAGE_SOURCE  Source
  );

#endif
