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
  UINT8               *File;      ///< in SMRAM, from gSmst->SmmAllocatePool; NULL without one
  UINTN               Size;       ///< its bytes
  STM_IMAGE_SOURCE    Source;
} STM_IMAGE;

/**
  Get the STM image: from fw_cfg file STM_IMAGE_OVERRIDE_FILE if there is one and
  PcdStmImageOverride allows it, else from the firmware volume. An image that the
  owner of the machine asks for is never replaced by another one.

  The image is a copy in SMRAM. A device can change what lies in ordinary memory at any time,
  so that what was checked there need not be what is loaded. Nothing of the file is read
  from there again.

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
  Is the image of the firmware volume the one that was built for it?

  The volume lies in flash, where whoever can write to that can put another image. The
  digest is part of this driver. An image that is passed by fw_cfg is the choice of the
  machine's owner, and nobody knows its digest.

  @param[in] Source  Where the image comes from.
  @param[in] Sha256  Digest of the image file.

  @return StmReasonNone or StmReasonImageDigest.
**/
STM_REASON
CheckImageDigest (
  IN STM_IMAGE_SOURCE  Source,
  IN CONST UINT8       Sha256[STM_SHA256_DIGEST_SIZE]
  );

/**
  Measure the image, if the machine has a TPM. What is measured is the copy in SMRAM, and
  so what will be checked and loaded.

  @param[in] Image  The image, from FindImage.

  @return StmMeasured, StmMeasuredNoTpm or StmMeasuredFailed.
**/
STM_MEASUREMENT
MeasureImage (
  IN CONST STM_IMAGE  *Image
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
  Set the valid bit and the MSEG base on the processor that executes this code,
  which had them before standby.

  @param[in] MsegBase  Physical address of MSEG.
**/
VOID
AnnounceMseg (
  IN UINT64  MsegBase
  );

/**
  Set the valid bit and the MSEG base on every processor. No code outside this
  file writes IA32_SMM_MONITOR_CTL.

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
  Clear the valid bit on every processor that can be reached.
**/
VOID
DisableMseg (
  VOID
  );

/**
  Build the page tables of the activation: 4 GB identity in 2-MB pages. No entry
  has the XD bit, which is reserved while EFER.NXE is 0, as the executive monitor
  may have left it (DM-ACT-62).

  @param[out] Tables  STM_MSEG_ACTIVATION_TABLES_PAGES pages, mapped at their
                      physical address.
**/
VOID
BuildActivationTables (
  OUT UINT64  *Tables
  );

/**
  Find out which optional policies the STM is to enforce.
**/
VOID
FindPolicy (
  VOID
  );

/**
  What the optional policies take of MSEG, with an STM of ours.

  @param[in] NumberOfProcessors  Processors that will share MSEG.

  @return Bytes.
**/
UINT64
PolicySize (
  IN UINT32  NumberOfProcessors
  );

/**
  Tell the STM which optional policies it is to enforce.

  @param[out] Data  The loader's data.
**/
VOID
TellPolicy (
  OUT STM_LOADER_DATA  *Data
  );

/**
  Make everything behind the static part of an image of ours as it expects it at its
  first activation: page tables, loader data, and nothing else.

  @param[in] Memory              MSEG and TSEG.
  @param[in] StaticSize          Bytes of the static part.
  @param[in] NumberOfProcessors  Processors that will share MSEG.
  @param[in] MsegSha256          Digest of the static part.
**/
VOID
ResetMseg (
  IN CONST STM_MEMORY_FACTS  *Memory,
  IN UINT32                  StaticSize,
  IN UINT32                  NumberOfProcessors,
  IN CONST UINT8             MsegSha256[STM_SHA256_DIGEST_SIZE]
  );

/**
  Copy a checked image to MSEG and build what it needs there.

  Of an image of ours the static part is copied, which is all of the file. Of another
  one the whole file is, as edk2's own loader does, and the page tables go to
  where its header says, whatever of the file is there: only up to StaticImageSize is
  it the image's.

  @param[in]  Image               The image file, with StmReasonNone from StmCheckImage.
  @param[in]  Memory              MSEG and TSEG.
  @param[in]  NumberOfProcessors  Processors that will share MSEG.
  @param[in]  Revision            MSEG revision identifier of the processor, for an image
                                  that leaves it 0.
  @param[out] MsegSha256          Digest of MSEG's static part.

  @return Bytes of the static part.
**/
UINT32
LoadStmImage (
  IN  CONST STM_IMAGE         *Image,
  IN  CONST STM_MEMORY_FACTS  *Memory,
  IN  UINT32                  NumberOfProcessors,
  IN  UINT32                  Revision,
  OUT UINT8                   MsegSha256[STM_SHA256_DIGEST_SIZE]
  );

/**
  Take MSEG out of the page tables of SMM.

  @param[in] Memory  MSEG, which holds the image.

  @return StmReasonNone, or StmReasonMsegReachable if it is still there.
**/
STM_REASON
DenyMseg (
  IN CONST STM_MEMORY_FACTS  *Memory
  );

/**
  Load page tables that map MSEG. All code and data of SMM lie below 4 GB too, at
  the same addresses as before.

  @pre DenyMseg returned StmReasonNone; one processor at a time.

  @return For CloseMseg.
**/
UINTN
OpenMseg (
  VOID
  );

/**
  Load the page tables of SMM again, and leave none that map MSEG.

  @param[in] Cr3  What OpenMseg returned.
**/
VOID
CloseMseg (
  IN UINTN  Cr3
  );

/**
  Keep, for the wakes, an image that is loaded anew at each: one without a header of ours.

  @param[in,out] Image     The image file, as it was loaded; no longer the caller's.
  @param[in]     Revision  MSEG revision identifier of the processor.
**/
VOID
KeepImage (
  IN OUT STM_IMAGE  *Image,
  IN     UINT32     Revision
  );

/**
  Be ready for standby. Only for an STM that is enabled: what was refused at the
  first boot stays so.

  @param[in] Memory              MSEG and TSEG; copied.
  @param[in] NumberOfProcessors  Processors that will wake.
  @param[in] Status              What was published; copied.
**/
VOID
PrepareWake (
  IN CONST STM_MEMORY_FACTS  *Memory,
  IN UINT32                  NumberOfProcessors,
  IN CONST STM_STATUS_TABLE  *Status
  );

/**
  The STM is refused after all: publish that, and write IA32_SMM_MONITOR_CTL at no
  wake.

  @param[in] Reason  Why; not StmReasonNone.
**/
VOID
RefuseAfterLoad (
  IN STM_REASON  Reason
  );

/**
  Wait for the lock of SMRAM, with which the list of resources is final, and check it
  then. Only for an STM that is enabled.

  @param[in] Memory  MSEG and TSEG; copied.
  @param[in] Pages   How many pages of a list the STM has room for.
**/
VOID
PrepareResourceCheck (
  IN CONST STM_MEMORY_FACTS  *Memory,
  IN UINT32                  Pages
  );

/**
  Publish the status as a configuration table and as one record.

  @param[in] Status  The status; copied.
**/
VOID
PublishStatus (
  IN CONST STM_STATUS_TABLE  *Status
  );

/**
  Write the published table anew, and a record, at a wake from standby.

  @param[in] Status  The status; copied.
**/
VOID
UpdateStatus (
  IN CONST STM_STATUS_TABLE  *Status
  );

#endif
