/** @file
  Tells the rest of the boot, and the lab, whether the dual-monitor treatment
  can be used.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "StmLoader.h"

#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/IoLib.h>
#include <Library/PrintLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <StmRecord.h>

#define HEX_DIGEST_SIZE  (2 * STM_SHA256_DIGEST_SIZE + 1)
#define RECORD_SIZE      512

/**
  Write a digest in the form that records use.

  @param[in]  Digest  The digest; all zero if there is none.
  @param[out] Text    Lower-case hexadecimal, or "-" if there is none.
**/
STATIC
VOID
DigestText (
  IN  CONST UINT8  Digest[STM_SHA256_DIGEST_SIZE],
  OUT CHAR8        Text[HEX_DIGEST_SIZE]
  )
{
  UINTN  Index;

  if (IsZeroBuffer (Digest, STM_SHA256_DIGEST_SIZE)) {
    AsciiStrCpyS (Text, HEX_DIGEST_SIZE, "-");
    return;
  }

  for (Index = 0; Index < STM_SHA256_DIGEST_SIZE; Index++) {
    Text[2 * Index]     = "0123456789abcdef"[Digest[Index] >> 4];
    Text[2 * Index + 1] = "0123456789abcdef"[Digest[Index] & 0xF];
  }

  Text[HEX_DIGEST_SIZE - 1] = '\0';
}

/**
  Write the status record to the firmware's record port.

  @param[in] Status  The status.
**/
STATIC
VOID
WriteRecord (
  IN CONST STM_STATUS_TABLE  *Status
  )
{
  CHAR8  ImageDigest[HEX_DIGEST_SIZE];
  CHAR8  MsegDigest[HEX_DIGEST_SIZE];
  CHAR8  Line[RECORD_SIZE];
  UINTN  Length;

  DigestText (Status->ImageSha256, ImageDigest);
  DigestText (Status->MsegSha256, MsegDigest);
  Length = AsciiSPrint (
             Line,
             sizeof (Line),
             "FW: ev=status t=%lu state=%a reason=%a mseg_base=0x%lx mseg_size=0x%lx "
             "mseg_needed=0x%lx image_sha256=%a mseg_sha256=%a\n",
             AsmReadTsc (),
             StmStateName (Status->State),
             StmReasonName (Status->Reason),
             Status->MsegBase,
             Status->MsegSize,
             Status->MsegNeeded,
             ImageDigest,
             MsegDigest
             );
  IoWriteFifo8 (STM_RECORD_PORT_FIRMWARE, Length, Line);
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

  DEBUG ((
    DEBUG_INFO,
    "%a: %a, reason %a, MSEG 0x%lx, 0x%lx bytes, 0x%lx needed\n",
    gEfiCallerBaseName,
    StmStateName (Status->State),
    StmReasonName (Status->Reason),
    Status->MsegBase,
    Status->MsegSize,
    Status->MsegNeeded
    ));
  WriteRecord (Status);

  //
  // Runtime memory, since operating systems keep it and may read the table too.
  //
  EfiStatus = gBS->AllocatePool (EfiRuntimeServicesData, sizeof (*Table), (VOID **)&Table);
  if (!EFI_ERROR (EfiStatus)) {
    CopyMem (Table, Status, sizeof (*Table));
    EfiStatus = gBS->InstallConfigurationTable (&gStmStatusTableGuid, Table);
  }

  ASSERT_EFI_ERROR (EfiStatus);
}
