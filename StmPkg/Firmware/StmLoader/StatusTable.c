/** @file
  Tells the rest of the boot, and the lab, whether the dual-monitor treatment
  can be used.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <StmRecord.h>

#define DIGEST_TEXT_SIZE  (2 * STM_SHA256_DIGEST_SIZE + 1)

//
// The table that was published, NULL without one. SMM's page tables map runtime
// data also after the lock of SMRAM.
//
STATIC STM_STATUS_TABLE  *mTable;

/**
  A digest in the form that records use.

  @param[in]  Digest  The digest; all zero if there is none.
  @param[out] Text    For the text.

  @return Lower-case hexadecimal, or "-" if there is none.
**/
STATIC
CONST CHAR8 *
DigestText (
  IN  CONST UINT8  Digest[STM_SHA256_DIGEST_SIZE],
  OUT CHAR8        Text[DIGEST_TEXT_SIZE]
  )
{
  if (IsZeroBuffer (Digest, STM_SHA256_DIGEST_SIZE)) {
    return "-";
  }

  return StmRecordBytes (Digest, STM_SHA256_DIGEST_SIZE, Text);
}

/**
  Write the status to the log and to the firmware's record port.

  @param[in] Status  The status.
**/
STATIC
VOID
WriteRecord (
  IN CONST STM_STATUS_TABLE  *Status
  )
{
  CHAR8  ImageDigest[DIGEST_TEXT_SIZE];
  CHAR8  MsegDigest[DIGEST_TEXT_SIZE];

  DEBUG ((
    DEBUG_INFO,
    "%a: %a, reason %a, %a, image from %a, MSEG 0x%lx, 0x%lx bytes, 0x%lx needed, %lu wakes\n",
    gEfiCallerBaseName,
    StmStateName (Status->State),
    StmReasonName (Status->Reason),
    StmImageProblemName (Status->ImageProblem),
    StmSourceName (Status->ImageSource),
    Status->MsegBase,
    Status->MsegSize,
    Status->MsegNeeded,
    Status->Wakes
    ));
  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "FW",
    "status",
    "state=%a reason=%a mseg_base=0x%lx mseg_size=0x%lx mseg_needed=0x%lx "
    "processors=%u processors_fit=%u image_source=%a image_problem=%a image_sha256=%a mseg_sha256=%a wakes=%lu measured=%a",
    StmStateName (Status->State),
    StmReasonName (Status->Reason),
    Status->MsegBase,
    Status->MsegSize,
    Status->MsegNeeded,
    Status->Processors,
    Status->ProcessorsFit,
    StmSourceName (Status->ImageSource),
    StmImageProblemName (Status->ImageProblem),
    DigestText (Status->ImageSha256, ImageDigest),
    DigestText (Status->MsegSha256, MsegDigest),
    Status->Wakes,
    StmMeasurementName (Status->Measurement)
    );
}

/**
  Publish the status as a configuration table and as one record.

  @param[in] Status  The status; copied.
**/
VOID
PublishStatus (
  IN CONST STM_STATUS_TABLE  *Status
  )
{
  EFI_STATUS        EfiStatus;
  STM_STATUS_TABLE  *Table;

  WriteRecord (Status);

  //
  // Runtime memory, since operating systems keep it and may read the table too.
  //
  EfiStatus = gBS->AllocatePool (EfiRuntimeServicesData, sizeof (*Table), (VOID **)&Table);
  if (!EFI_ERROR (EfiStatus)) {
    CopyMem (Table, Status, sizeof (*Table));
    EfiStatus = gBS->InstallConfigurationTable (&gStmStatusTableGuid, Table);
    if (!EFI_ERROR (EfiStatus)) {
      mTable = Table;
    }
  }

  ASSERT_EFI_ERROR (EfiStatus);
}

/**
  Write the published table anew, and a record, at a wake from standby.

  @param[in] Status  The status; copied.
**/
VOID
UpdateStatus (
  IN CONST STM_STATUS_TABLE  *Status
  )
{
  WriteRecord (Status);
  if (mTable != NULL) {
    CopyMem (mTable, Status, sizeof (*mTable));
  }
}
