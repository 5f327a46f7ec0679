/** @file
  The names of what is wrong with an image.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Library/StmStatusLib.h>

/**
  The name of an image's problem in records.

  @param[in] Problem  The problem.

  @return Field and cause, with a colon between; "-" for none, "?" for a number without a name.
**/
CONST CHAR8 *
EFIAPI
StmImageProblemName (
  IN STM_IMAGE_PROBLEM  Problem
  )
{
  switch (Problem) {
    case StmProblemNone:
      return "-";
    case StmProblemFileShort:
      return "file:shorter-than-headers";
    case StmProblemRevision:
      return "MsegHeaderRevision:not-the-processors";
    case StmProblemFeaturesReserved:
      return "MonitorFeatures:reserved-bits";
    case StmProblemFeaturesMode:
      return "MonitorFeatures:not-ia32e-mode";
    case StmProblemVersion:
      return "StmSpecVerMajor:unknown";
    case StmProblemStaticShort:
      return "StaticImageSize:shorter-than-headers";
    case StmProblemStaticBeyondFile:
      return "StaticImageSize:beyond-file";
    case StmProblemNoRevisions:
      return "NumberOfRevIDs:none";
    case StmProblemRevisionsOutside:
      return "NumberOfRevIDs:beyond-static-image";
    case StmProblemGdtOutside:
      return "GdtrBaseOffset:outside-static-image";
    case StmProblemEntry:
      return "EipOffset:outside-static-image";
    case StmProblemStack:
      return "EspOffset:outside-mseg";
    case StmProblemTablesAlignment:
      return "Cr3Offset:not-a-page";
    case StmProblemTablesInside:
      return "Cr3Offset:inside-static-image";
    case StmProblemLabVersion:
      return "lab-header:unknown-version";
    case StmProblemLabParts:
      return "lab-header:parts-outside-image";
    case StmProblemLabSize:
      return "lab-header:disagrees-with-StaticImageSize";
    case StmProblemLabTables:
      return "lab-header:disagrees-with-Cr3Offset";
    case StmProblemLabEntry:
      return "lab-header:disagrees-with-EipOffset";
    default:
      return "?";
  }
}
