/** @file
  Checks of an STM image file before a byte of it reaches MSEG.

  Any image is taken that obeys two headers: the MSEG header, which the processor
  reads, and the software header, which tells the firmware how much memory the STM
  needs. An image of ours has a third (StmMsegLayout.h).

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

//
// Both headers, but for the revision identifiers behind them.
//
#define HEADERS_SIZE  (STM_MSEG_SOFTWARE_HEADER_OFFSET + OFFSET_OF (SOFTWARE_STM_HEADER, StmSmmRevID))

#define PAGES(Bytes)  (((UINT64)(Bytes) + SIZE_4KB - 1) & ~(UINT64)(SIZE_4KB - 1))

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
  )
{
  CONST STM_LAB_HEADER  *Lab;

  Lab = (CONST STM_LAB_HEADER *)((CONST UINT8 *)File + STM_MSEG_LAB_HEADER_OFFSET);
  return (BOOLEAN)((FileSize >= STM_MSEG_IMAGE_OFFSET) && (Lab->Signature == STM_LAB_HEADER_SIGNATURE));
}

/**
  Check the software header.

  @param[in] Software  The header.
  @param[in] FileSize  Bytes of the file, at least HEADERS_SIZE.

  @return What is wrong with it.
**/
STATIC
STM_IMAGE_PROBLEM
CheckSoftwareHeader (
  IN CONST SOFTWARE_STM_HEADER  *Software,
  IN UINTN                      FileSize
  )
{
  if (Software->StmSpecVerMajor != STM_SPEC_VERSION_MAJOR) {
    return StmProblemVersion;
  }

  if (Software->StaticImageSize < HEADERS_SIZE) {
    return StmProblemStaticShort;
  }

  if (Software->StaticImageSize > FileSize) {
    return StmProblemStaticBeyondFile;
  }

  //
  // Which save-state maps the STM can compose. The one that the firmware wants is in
  // its PSD (RequiredStmSmmRevId), and it is the STM that looks there.
  //
  if (Software->NumberOfRevIDs == 0) {
    return StmProblemNoRevisions;
  }

  if (HEADERS_SIZE + (UINT64)Software->NumberOfRevIDs * sizeof (UINT32) > Software->StaticImageSize) {
    return StmProblemRevisionsOutside;
  }

  return StmProblemNone;
}

/**
  Check what the processor will do with the MSEG header ("Activating the Dual-Monitor
  Treatment", 34.15.6 [32.15.6]).

  @param[in] Hardware  The header.
  @param[in] Static    Bytes of the static image, a sound one.
  @param[in] MsegSize  Bytes of MSEG.

  @return What is wrong with it.
**/
STATIC
STM_IMAGE_PROBLEM
CheckMsegHeader (
  IN CONST MSEG_HEADER  *Hardware,
  IN UINT32             Static,
  IN UINT64             MsegSize
  )
{
  if ((Hardware->MonitorFeatures & ~(UINT32)MONITOR_FEATURES_IA32E) != 0) {
    return StmProblemFeaturesReserved;
  }

  //
  // A VMCALL from 64-bit mode would fail, and the tables that the loader makes are of
  // 4-level paging.
  //
  if (Hardware->MonitorFeatures == 0) {
    return StmProblemFeaturesMode;
  }

  if ((UINT64)Hardware->GdtrBaseOffset + (Hardware->GdtrLimit & 0xFFFF) >= Static) {
    return StmProblemGdtOutside;
  }

  //
  // Whatever CsSelector is, it is no fault: the processor loads flat segments without a
  // look at the GDT (DM-ACT-48), and an STM may bring another GDT before its first IRET.
  //
  if ((Hardware->EipOffset < HEADERS_SIZE) || (Hardware->EipOffset >= Static)) {
    return StmProblemEntry;
  }

  if (Hardware->EspOffset > MsegSize) {
    return StmProblemStack;
  }

  //
  // The loader makes the page tables, at this place: only it knows where MSEG is.
  //
  if (Hardware->Cr3Offset % SIZE_4KB != 0) {
    return StmProblemTablesAlignment;
  }

  return (Hardware->Cr3Offset < Static) ? StmProblemTablesInside : StmProblemNone;
}

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
  Check the header of ours, whose parts the loader and the STM follow.

  @param[in] File  The file, with sound headers of the interface.

  @return What is wrong with it.
**/
STATIC
STM_IMAGE_PROBLEM
CheckLabHeader (
  IN CONST UINT8  *File
  )
{
  CONST MSEG_HEADER          *Hardware;
  CONST SOFTWARE_STM_HEADER  *Software;
  CONST STM_LAB_HEADER       *Lab;

  Hardware = (CONST MSEG_HEADER *)File;
  Software = (CONST SOFTWARE_STM_HEADER *)(File + STM_MSEG_SOFTWARE_HEADER_OFFSET);
  Lab      = (CONST STM_LAB_HEADER *)(File + STM_MSEG_LAB_HEADER_OFFSET);
  if ((Lab->Version != STM_LAB_HEADER_VERSION) || (Lab->HeaderSize != sizeof (*Lab)) ||
      (Lab->ImageOffset != STM_MSEG_IMAGE_OFFSET))
  {
    return StmProblemLabVersion;
  }

  if ((Lab->ImageSize == 0) || !IsPageRange (Lab, Lab->ImageOffset, Lab->ImageSize) ||
      !IsPageRange (Lab, Lab->TextOffset, Lab->TextSize) ||
      ((Lab->RodataSize != 0) && !IsPageRange (Lab, Lab->RodataOffset, Lab->RodataSize)))
  {
    return StmProblemLabParts;
  }

  if (Software->StaticImageSize != (UINT64)Lab->ImageOffset + Lab->ImageSize) {
    return StmProblemLabSize;
  }

  if (Hardware->Cr3Offset != Software->StaticImageSize) {
    return StmProblemLabTables;
  }

  if ((Hardware->EipOffset < Lab->TextOffset) || (Hardware->EipOffset >= (UINT64)Lab->TextOffset + Lab->TextSize)) {
    return StmProblemLabEntry;
  }

  return StmProblemNone;
}

/**
  Bytes of MSEG for each processor: a dynamic area, and two VMCS regions.

  @param[in] File      The file, with sound headers.
  @param[in] FileSize  Bytes of the file.
  @param[in] VmcsSize  Bytes of a VMCS region, as the processor says.

  @return Bytes.
**/
STATIC
UINT64
SizeOfEach (
  IN CONST UINT8  *File,
  IN UINTN        FileSize,
  IN UINT32       VmcsSize
  )
{
  if (StmHasLabHeader (File, FileSize) && (VmcsSize > STM_MSEG_VMCS_ROOM)) {
    VmcsSize = SIZE_4KB;
  }

  return ((CONST SOFTWARE_STM_HEADER *)(File + STM_MSEG_SOFTWARE_HEADER_OFFSET))->PerProcDynamicMemorySize +
         2 * (UINT64)VmcsSize;
}

/**
  Bytes of MSEG that do not grow with the processors.

  @param[in] Software  Software header of the image.

  @return Bytes.
**/
STATIC
UINT64
FixedSize (
  IN CONST SOFTWARE_STM_HEADER  *Software
  )
{
  return PAGES (Software->StaticImageSize) + Software->AdditionalDynamicMemorySize;
}

/**
  Bytes of MSEG that an image needs: the image as loaded, page tables, and a
  dynamic area per processor.

  @param[in] File                The file, with sound headers.
  @param[in] FileSize            Bytes of the file.
  @param[in] VmcsSize            Bytes of a VMCS region.
  @param[in] NumberOfProcessors  Processors that share MSEG.

  @return Bytes.
**/
STATIC
UINT64
NeededSize (
  IN CONST UINT8  *File,
  IN UINTN        FileSize,
  IN UINT32       VmcsSize,
  IN UINT32       NumberOfProcessors
  )
{
  CONST SOFTWARE_STM_HEADER  *Software;
  UINT64                     Needed;
  UINT64                     Loaded;

  Software = (CONST SOFTWARE_STM_HEADER *)(File + STM_MSEG_SOFTWARE_HEADER_OFFSET);
  Needed   = FixedSize (Software) + SizeOfEach (File, FileSize, VmcsSize) * NumberOfProcessors;
  Loaded   = (UINT64)((CONST MSEG_HEADER *)File)->Cr3Offset + STM_MSEG_ACTIVATION_TABLES_SIZE;
  if (StmHasLabHeader (File, FileSize)) {
    Loaded = PAGES (Loaded + STM_LOADER_DATA_SIZE);
  }

  if (Needed < Loaded) {
    Needed = Loaded;
  }

  return (Needed < FileSize) ? FileSize : Needed;
}

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
  )
{
  CONST MSEG_HEADER          *Hardware;
  CONST SOFTWARE_STM_HEADER  *Software;

  *Needed  = 0;
  *Problem = StmProblemFileShort;
  if (FileSize < HEADERS_SIZE) {
    return StmReasonImageMalformed;
  }

  Hardware = File;
  Software = (CONST SOFTWARE_STM_HEADER *)((CONST UINT8 *)File + STM_MSEG_SOFTWARE_HEADER_OFFSET);
  *Problem = CheckSoftwareHeader (Software, FileSize);
  if (*Problem == StmProblemNone) {
    *Problem = CheckMsegHeader (Hardware, Software->StaticImageSize, MsegSize);
  }

  if ((*Problem == StmProblemNone) && StmHasLabHeader (File, FileSize)) {
    *Problem = CheckLabHeader (File);
  }

  if (*Problem != StmProblemNone) {
    return StmReasonImageMalformed;
  }

  *Needed = NeededSize (File, FileSize, VMCS_SIZE (Facts->VmxBasic), NumberOfProcessors);
  if ((Hardware->MsegHeaderRevision != 0) && (Hardware->MsegHeaderRevision != MSEG_REVISION (Facts->VmxMisc))) {
    *Problem = StmProblemRevision;
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
  Fixed    = FixedSize (Software);
  Each     = SizeOfEach (File, FileSize, VMCS_SIZE (Facts->VmxBasic));
  if ((Each == 0) || (Fixed + Each > MsegSize) || (NeededSize (File, FileSize, VMCS_SIZE (Facts->VmxBasic), 1) > MsegSize)) {
    return 0;
  }

  return (UINT32)((MsegSize - Fixed) / Each);
}
