/** @file
  The loader's check of an STM image, of any bytes.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "fuzz/fuzz.h"
#include <stdlib.h>
#include <Uefi/UefiBaseType.h>
#include <Library/StmStatusLib.h>
#include <StmMsegLayout.h>

#define HEADERS     0xE00            ///< of a file, of which the input gives the first bytes
#define VMCS_BYTES  SIZE_4KB
#define VMX_BASIC   ((UINT64)VMCS_BYTES << 32)

int
LLVMFuzzerTestOneInput (
  CONST UINT8  *Data,
  UINTN        Size
  )
{
  STM_PROCESSOR_FACTS        Facts = { TRUE, 5, VMX_BASIC, 0 };
  CONST MSEG_HEADER          *Hardware;
  CONST SOFTWARE_STM_HEADER  *Software;
  CONST STM_LAB_HEADER       *Lab;
  UINT8                      *File;
  UINTN                      FileSize;
  UINT64                     MsegSize;
  UINT64                     Needed;
  UINT64                     Again;
  UINT32                     Processors;
  UINT32                     Fit;
  STM_REASON                 Reason;
  STM_IMAGE_PROBLEM          Problem;

  if (Size < 4) {
    return 0;
  }

  //
  // What follows the headers is as long as the input says, and no longer: a read behind
  // it is found.
  //
  FileSize   = (Data[0] & 0x3F) * 0x100 + ((Data[0] >> 6) ? 0x1000 : 0) + (Data[0] >> 7);
  Processors = Data[1];
  MsegSize   = (UINT64)Data[2] * SIZE_64KB;
  Data      += 3;
  Size      -= 3;
  File       = calloc (1, (FileSize != 0) ? FileSize : 1);
  __builtin_memcpy (File, Data, MIN (MIN (Size, FileSize), HEADERS));
  if ((Size > HEADERS) && (FileSize > STM_MSEG_IMAGE_OFFSET)) {
    __builtin_memcpy (File + STM_MSEG_IMAGE_OFFSET, Data + HEADERS, MIN (Size - HEADERS, FileSize - STM_MSEG_IMAGE_OFFSET));
  }

  Needed = 0xDEAD;
  Reason = StmCheckImage (File, FileSize, &Facts, Processors, MsegSize, &Needed, &Problem);
  FuzzCalls++;
  if (Reason == StmReasonImageMalformed) {
    REQUIRE (Needed == 0);
    free (File);
    return 0;
  }

  //
  // What the loader does with an image that is no worse than too large: it copies the
  // static image or the file, and makes tables behind the first.
  //
  Hardware = (CONST MSEG_HEADER *)File;
  Software = (CONST SOFTWARE_STM_HEADER *)(File + STM_MSEG_SOFTWARE_HEADER_OFFSET);
  REQUIRE (Software->StaticImageSize <= FileSize);
  REQUIRE (Hardware->EipOffset < Software->StaticImageSize);
  REQUIRE ((Hardware->Cr3Offset >= Software->StaticImageSize) && (Hardware->Cr3Offset % SIZE_4KB == 0));
  REQUIRE (Needed >= (UINT64)Hardware->Cr3Offset + STM_MSEG_ACTIVATION_TABLES_SIZE);
  if (StmHasLabHeader (File, FileSize)) {
    Lab = (CONST STM_LAB_HEADER *)(File + STM_MSEG_LAB_HEADER_OFFSET);
    REQUIRE ((UINT64)Lab->ImageOffset + Lab->ImageSize <= FileSize);
    REQUIRE ((Lab->TextOffset >= Lab->ImageOffset) && ((UINT64)Lab->TextOffset + Lab->TextSize <= (UINT64)Lab->ImageOffset + Lab->ImageSize));
  }

  REQUIRE (Needed >= FileSize);
  REQUIRE ((Reason == StmReasonMsegRevision) || ((Reason == StmReasonNone) == (Needed <= MsegSize)));
  Fit = StmProcessorsThatFit (File, FileSize, &Facts, MsegSize);
  FuzzCalls++;
  if (Fit != 0) {
    Facts.VmxMisc = (UINT64)Hardware->MsegHeaderRevision << 32;
    REQUIRE (StmCheckImage (File, FileSize, &Facts, Fit, MsegSize, &Again, &Problem) == StmReasonNone);
    REQUIRE ((Fit == MAX_UINT32) || (StmCheckImage (File, FileSize, &Facts, Fit + 1, MsegSize, &Again, &Problem) == StmReasonImageTooLarge));
    FuzzCalls += 2;
  }

  free (File);
  return 0;
}
