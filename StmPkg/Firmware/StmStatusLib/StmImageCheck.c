/** @file
  Checks of an STM image file before a byte of it reaches MSEG.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Library/StmStatusLib.h>

#define MONITOR_FEATURES_IA32E  BIT0

//
// IA32_VMX_BASIC[44:32]: bytes of a VMCS region; 4096 is encoded as 1000H.
//
#define VMCS_SIZE(VmxBasic)  ((UINT32)((VmxBasic) >> 32) & 0x1FFF)

//
// IA32_VMX_MISC[63:32]: MSEG revision identifier (SDM A.6).
//
#define MSEG_REVISION(VmxMisc)  ((UINT32)((VmxMisc) >> 32))

/**
  Whether a page-granular part lies inside the image proper.

  @param[in] Header  Lab header of the image.
  @param[in] Offset  Offset of the part from the start of the file.
  @param[in] Size    Bytes of the part.

  @retval TRUE   It does.
  @retval FALSE  It does not, or is not aligned to pages.
**/
STATIC
BOOLEAN
IsPageRange (
  IN CONST STM_LAB_HEADER  *Header,
  IN UINT64                Offset,
  IN UINT64                Size
  )
{
  return (BOOLEAN)(((Offset | Size) % SIZE_4KB == 0) && (Offset >= Header->ImageOffset) &&
                   (Offset + Size <= (UINT64)Header->ImageOffset + Header->ImageSize));
}

/**
  Whether the three headers agree with the layout and with each other.

  @param[in] File      The file, at least STM_MSEG_IMAGE_OFFSET bytes long.
  @param[in] FileSize  Bytes of the file.

  @retval TRUE   They do; every offset in them may be followed.
  @retval FALSE  They do not.
**/
STATIC
BOOLEAN
AreHeadersSound (
  IN CONST UINT8  *File,
  IN UINTN        FileSize
  )
{
  CONST MSEG_HEADER          *Hardware;
  CONST SOFTWARE_STM_HEADER  *Software;
  CONST STM_LAB_HEADER       *Lab;

  Hardware = (CONST MSEG_HEADER *)File;
  Software = (CONST SOFTWARE_STM_HEADER *)(File + STM_MSEG_SOFTWARE_HEADER_OFFSET);
  Lab      = (CONST STM_LAB_HEADER *)(File + STM_MSEG_LAB_HEADER_OFFSET);

  if ((Lab->Signature != STM_LAB_HEADER_SIGNATURE) || (Lab->Version != STM_LAB_HEADER_VERSION) ||
      (Lab->HeaderSize != sizeof (*Lab)) || (Lab->ImageOffset != STM_MSEG_IMAGE_OFFSET))
  {
    return FALSE;
  }

  if ((Lab->ImageSize == 0) || !IsPageRange (Lab, Lab->ImageOffset, Lab->ImageSize) ||
      ((UINT64)Lab->ImageOffset + Lab->ImageSize > FileSize) ||
      !IsPageRange (Lab, Lab->TextOffset, Lab->TextSize) ||
      ((Lab->RodataSize != 0) && !IsPageRange (Lab, Lab->RodataOffset, Lab->RodataSize)))
  {
    return FALSE;
  }

  //
  // The relocation table follows the image in the file and is not copied.
  //
  if ((Lab->RelocationCount != 0) &&
      (((UINT64)Lab->RelocationOffset < (UINT64)Lab->ImageOffset + Lab->ImageSize) ||
       ((UINT64)Lab->RelocationOffset + (UINT64)Lab->RelocationCount * sizeof (UINT32) > FileSize)))
  {
    return FALSE;
  }

  if ((Software->StmSpecVerMajor != STM_SPEC_VERSION_MAJOR) || (Software->NumberOfRevIDs != 1) ||
      (Software->StmSmmRevID[0] != STM_SMM_REVISION_ID) ||
      (Software->StaticImageSize != (UINT64)Lab->ImageOffset + Lab->ImageSize))
  {
    return FALSE;
  }

  //
  // "Checks on the MSEG Header", 34.15.6.2 [32.15.6.2]: the processor makes VMCALL fail
  // on a wrong header; here it is refused before anyone tries.
  //
  return (BOOLEAN)((Hardware->MonitorFeatures == MONITOR_FEATURES_IA32E) &&
                   (Hardware->GdtrBaseOffset == STM_MSEG_GDT_OFFSET) &&
                   (Hardware->GdtrLimit == STM_MSEG_GDT_LIMIT) &&
                   (Hardware->CsSelector == STM_MSEG_CS_SELECTOR) &&
                   (Hardware->Cr3Offset == Software->StaticImageSize) &&
                   (Hardware->EipOffset >= Lab->TextOffset) &&
                   (Hardware->EipOffset < (UINT64)Lab->TextOffset + Lab->TextSize));
}

/**
  Whether every entry of the relocation table points into the image.

  @param[in] File  The file, with sound headers.

  @retval TRUE   All do.
  @retval FALSE  At least one does not.
**/
STATIC
BOOLEAN
AreRelocationsSound (
  IN CONST UINT8  *File
  )
{
  CONST STM_LAB_HEADER  *Lab;
  CONST UINT8           *Entry;
  UINT32                Offset;
  UINT32                Index;

  Lab   = (CONST STM_LAB_HEADER *)(File + STM_MSEG_LAB_HEADER_OFFSET);
  Entry = File + Lab->RelocationOffset;
  for (Index = 0; Index < Lab->RelocationCount; Index++, Entry += sizeof (UINT32)) {
    Offset = *(CONST UINT32 *)Entry;
    if ((UINT64)Offset + sizeof (UINT64) > Lab->ImageSize) {
      return FALSE;
    }
  }

  return TRUE;
}

/**
  Bytes of MSEG that an image needs: the image as loaded, page tables, and a
  dynamic area per processor.

  @param[in] Software            Software header of the image.
  @param[in] FileSize            Bytes of the file.
  @param[in] VmcsSize            Bytes of a VMCS region.
  @param[in] NumberOfProcessors  Processors that share MSEG.

  @return Bytes.
**/
STATIC
UINT64
NeededSize (
  IN CONST SOFTWARE_STM_HEADER  *Software,
  IN UINT64                     FileSize,
  IN UINT32                     VmcsSize,
  IN UINT32                     NumberOfProcessors
  )
{
  UINT64  Needed;
  UINT64  Loaded;

  Needed = (UINT64)Software->StaticImageSize + Software->AdditionalDynamicMemorySize +
           ((UINT64)Software->PerProcDynamicMemorySize + 2 * (UINT64)VmcsSize) * NumberOfProcessors;
  Loaded = (UINT64)Software->StaticImageSize + STM_MSEG_ACTIVATION_TABLES_SIZE + STM_LOADER_DATA_SIZE;
  if (Needed < Loaded) {
    Needed = Loaded;
  }

  return (Needed < FileSize) ? FileSize : Needed;
}

/**
  Whether an STM image file is well formed (StmMsegLayout.h), suits the
  processor and fits into MSEG.

  @param[in]  File                The file.
  @param[in]  FileSize            Bytes of the file.
  @param[in]  Facts               The processor, with StmReasonNone from StmCheckProcessor.
  @param[in]  NumberOfProcessors  Processors that will share MSEG.
  @param[in]  MsegSize            Bytes of MSEG.
  @param[out] Needed              Bytes of MSEG that the image needs; 0 if the image is malformed.

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
  OUT UINT64                     *Needed
  )
{
  CONST UINT8  *Bytes;

  *Needed = 0;
  Bytes   = File;
  if ((FileSize < STM_MSEG_IMAGE_OFFSET) || !AreHeadersSound (Bytes, FileSize) || !AreRelocationsSound (Bytes)) {
    return StmReasonImageMalformed;
  }

  *Needed = NeededSize (
              (CONST SOFTWARE_STM_HEADER *)(Bytes + STM_MSEG_SOFTWARE_HEADER_OFFSET),
              FileSize,
              VMCS_SIZE (Facts->VmxBasic),
              NumberOfProcessors
              );
  if (((CONST MSEG_HEADER *)Bytes)->MsegHeaderRevision != MSEG_REVISION (Facts->VmxMisc)) {
    return StmReasonMsegRevision;
  }

  return (*Needed > MsegSize) ? StmReasonImageTooLarge : StmReasonNone;
}

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
  )
{
  CONST SOFTWARE_STM_HEADER  *Software;
  UINT64                     Fixed;
  UINT64                     Each;

  Software = (CONST SOFTWARE_STM_HEADER *)((CONST UINT8 *)File + STM_MSEG_SOFTWARE_HEADER_OFFSET);
  Fixed    = (UINT64)Software->StaticImageSize + Software->AdditionalDynamicMemorySize;
  Each     = Software->PerProcDynamicMemorySize + 2 * (UINT64)VMCS_SIZE (Facts->VmxBasic);
  if ((Each == 0) || (Fixed + Each > MsegSize) || (NeededSize (Software, FileSize, VMCS_SIZE (Facts->VmxBasic), 1) > MsegSize)) {
    return 0;
  }

  return (UINT32)((MsegSize - Fixed) / Each);
}
