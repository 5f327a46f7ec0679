/** @file
  Parts of the STM loader.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_LOADER_H_
#define STM_LOADER_H_

#include <PiSmm.h>
#include <Library/StmHashLib.h>
#include <Library/StmStatusLib.h>

///
/// The STM image as a file.
///
typedef struct {
  UINT8               *File;      ///< from gBS->AllocatePool, NULL without one
  UINTN               Size;       ///< its bytes
  STM_IMAGE_SOURCE    Source;
} STM_IMAGE;

/**
  Get the STM image: from fw_cfg file STM_IMAGE_OVERRIDE_FILE if there is one and
  PcdStmImageOverride allows it, else from the firmware volume. An image that the
  owner of the machine asks for is never replaced by another one.

  @param[in]  Limit  Bytes of MSEG.
  @param[out] Image  The image and its source; no file if the result is a reason.

  @return StmReasonNone, or why there is no image.
**/
STM_REASON
FindImage (
  IN  UINT64     Limit,
  OUT STM_IMAGE  *Image
  );

/**
  Ask every processor for its facts and decide for all of them.

  @param[out] Facts  Facts of the processor that executes this code.

  @return StmReasonNone if all processors can use the dual-monitor treatment and
          agree about it, else the first processor's reason against it.
**/
STM_REASON
CheckProcessors (
  OUT STM_PROCESSOR_FACTS  *Facts
  );

/**
  Set the valid bit and the MSEG base on every processor. No other code of the
  firmware writes IA32_SMM_MONITOR_CTL.

  @param[in] MsegBase  Physical address of MSEG, checked by StmCheckMemory.

  @pre CheckProcessors returned StmReasonNone, and MSEG holds the image.

  @return StmReasonNone, or StmReasonNoDualMonitor if a processor could not be
          reached; then the bit is cleared again where it was set.
**/
STM_REASON
EnableMseg (
  IN UINT64  MsegBase
  );

/**
  Copy a checked image to MSEG, relocate it, and build what it needs there.

  @param[in] File                The image file, with StmReasonNone from StmCheckImage.
  @param[in] Memory              MSEG and TSEG.
  @param[in] NumberOfProcessors  Processors that will share MSEG.
  @param[out] MsegSha256         Digest of MSEG's static part.

  @return Bytes of the static part.
**/
UINT32
LoadStmImage (
  IN  CONST UINT8             *File,
  IN  CONST STM_MEMORY_FACTS  *Memory,
  IN  UINT32                  NumberOfProcessors,
  OUT UINT8                   MsegSha256[STM_SHA256_DIGEST_SIZE]
  );

/**
  Publish the status as a configuration table and as one record.

  @param[in] Status  The status; copied.
**/
VOID
PublishStatus (
  IN CONST STM_STATUS_TABLE  *Status
  );

#endif
