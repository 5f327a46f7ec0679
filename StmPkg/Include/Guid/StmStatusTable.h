/** @file
  UEFI configuration table in which the firmware publishes whether the
  dual-monitor treatment can be used, and if not, why. It lies in runtime data;
  at a wake from standby SMM writes it anew, before the operating system runs.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_STATUS_TABLE_H_
#define STM_STATUS_TABLE_H_

#define STM_STATUS_TABLE_GUID \
  { \
    0x5c9da9f0, 0x1f6f, 0x4c0e, { 0x8d, 0x52, 0x21, 0x7a, 0x9e, 0x3a, 0x6b, 0x41 } \
  }

extern EFI_GUID  gStmStatusTableGuid;

#define STM_STATUS_TABLE_SIGNATURE  SIGNATURE_32 ('S', 'T', 'M', 'S')
#define STM_STATUS_TABLE_VERSION    5

///
/// QEMU's fw_cfg file that holds an STM image to run instead of the built-in one.
///
#define STM_IMAGE_OVERRIDE_FILE  "opt/org.stmlab/stm-image"

///
/// fw_cfg file that replaces PcdStmRendezvousLimit, if PcdStmImageOverride is TRUE: a
/// decimal number.
///
#define STM_RENDEZVOUS_FILE  "opt/org.stmlab/stm-rendezvous"

///
/// The same for PcdStmSnapshotPages.
///
#define STM_SNAPSHOT_FILE  "opt/org.stmlab/stm-snapshot"

///
/// State of the STM. The record grammar uses the names in the comments.
///
typedef enum {
  StmStateUnavailable = 0,      ///< "unavailable": processor or memory cannot
  StmStateRefused     = 1,      ///< "refused": the image, or the list of resources, was not accepted
  StmStateEnabled     = 2       ///< "enabled": MSEG loaded, IA32_SMM_MONITOR_CTL valid
} STM_STATE;

///
/// Why the state is what it is.
///
typedef enum {
  StmReasonNone                   = 0,  ///< "none": state is enabled
  StmReasonNoVmx                  = 1,  ///< "no-vmx": CPUID.1:ECX[5] = 0
  StmReasonVmxLockedOut           = 2,  ///< "vmx-locked-out": IA32_FEATURE_CONTROL forbids VMXON outside SMX
  StmReasonNoDualMonitor          = 3,  ///< "no-dual-monitor": IA32_VMX_BASIC[49] = 0
  StmReasonMsegRevision           = 4,  ///< "mseg-revision": neither 0 nor IA32_VMX_MISC[63:32]
  StmReasonNoMseg                 = 5,  ///< "no-mseg": no MSEG HOB
  StmReasonMsegPlacement          = 6,  ///< "mseg-placement": misaligned or outside TSEG
  StmReasonImageMissing           = 7,  ///< "image-missing": not in any firmware volume, or no memory to read it
  StmReasonImageMalformed         = 8,  ///< "image-malformed": STM_IMAGE_PROBLEM says which field, and why
  StmReasonImageTooLarge          = 9,  ///< "image-too-large": MSEG is smaller than the image needs
  StmReasonOverrideForbidden      = 10, ///< "override-forbidden": fw_cfg has an image, this build takes none
  StmReasonMsegReachable          = 11, ///< "mseg-reachable": MSEG could not be taken out of SMM's page tables
  StmReasonImageModified          = 12, ///< "image-modified": at a wake, MSEG's static part was not what had been loaded
  StmReasonResourcesMalformed     = 13, ///< "resources-malformed": the firmware's list of resources is so
  StmReasonResourcesUnprotectable = 14, ///< "resources-unprotectable": it claims MSEG, or writes of MSR 9BH
  StmReasonResourcesIncomplete    = 15, ///< "resources-incomplete": it lacks a claim that a driver has tried to make
  StmReasonImageDigest            = 16, ///< "image-digest": that of the firmware volume is not the one that was built for it
  StmReasonNotMeasured            = 17, ///< "not-measured": there is a TPM, and it did not take the image's digest
  StmReasonResourcesTooLong       = 18  ///< "resources-too-long": the STM has no room for the list in this MSEG
} STM_REASON;

///
/// What is wrong with an image: the field, and behind the colon of its name why.
///
typedef enum {
  StmProblemNone             = 0,  ///< "-"
  StmProblemFileShort        = 1,  ///< "file:shorter-than-headers"
  StmProblemRevision         = 2,  ///< "MsegHeaderRevision:not-the-processors"
  StmProblemFeaturesReserved = 3,  ///< "MonitorFeatures:reserved-bits"
  StmProblemFeaturesMode     = 4,  ///< "MonitorFeatures:not-ia32e-mode"
  StmProblemVersion          = 5,  ///< "StmSpecVerMajor:unknown"
  StmProblemStaticShort      = 6,  ///< "StaticImageSize:shorter-than-headers"
  StmProblemStaticBeyondFile = 7,  ///< "StaticImageSize:beyond-file"
  StmProblemNoRevisions      = 8,  ///< "NumberOfRevIDs:none"
  StmProblemRevisionsOutside = 9,  ///< "NumberOfRevIDs:beyond-static-image"
  StmProblemGdtOutside       = 10, ///< "GdtrBaseOffset:outside-static-image"
  StmProblemEntry            = 11, ///< "EipOffset:outside-static-image"
  StmProblemStack            = 12, ///< "EspOffset:outside-mseg"
  StmProblemTablesAlignment  = 13, ///< "Cr3Offset:not-a-page"
  StmProblemTablesInside     = 14, ///< "Cr3Offset:inside-static-image"
  StmProblemLabVersion       = 15, ///< "lab-header:unknown-version"
  StmProblemLabParts         = 16, ///< "lab-header:parts-outside-image"
  StmProblemLabSize          = 17, ///< "lab-header:disagrees-with-StaticImageSize"
  StmProblemLabTables        = 18, ///< "lab-header:disagrees-with-Cr3Offset"
  StmProblemLabEntry         = 19  ///< "lab-header:disagrees-with-EipOffset"
} STM_IMAGE_PROBLEM;

///
/// Where the image comes from, or would have come from if it was refused.
///
typedef enum {
  StmSourceNone           = 0,  ///< "none": nobody looked for an image
  StmSourceFirmwareVolume = 1,  ///< "firmware-volume"
  StmSourceFwCfg          = 2   ///< "fw-cfg": STM_IMAGE_OVERRIDE_FILE
} STM_IMAGE_SOURCE;

///
/// Whether the image is in the TPM.
///
typedef enum {
  StmMeasuredNothing = 0,  ///< "no": there was no image to measure
  StmMeasured        = 1,  ///< "yes"
  StmMeasuredNoTpm   = 2,  ///< "no-tpm": firmware has found none
  StmMeasuredFailed  = 3   ///< "failed": there is one; its driver has failed, or did not take the digest
} STM_MEASUREMENT;

#pragma pack(1)

typedef struct {
  UINT32    Signature;          ///< STM_STATUS_TABLE_SIGNATURE
  UINT32    Version;            ///< STM_STATUS_TABLE_VERSION
  UINT32    Size;               ///< bytes of this structure
  UINT32    State;              ///< STM_STATE
  UINT32    Reason;             ///< STM_REASON
  UINT32    ImageSource;        ///< STM_IMAGE_SOURCE
  UINT64    MsegBase;           ///< physical address, 0 without MSEG
  UINT64    MsegSize;           ///< bytes, 0 without MSEG
  UINT64    MsegNeeded;         ///< bytes the image needs for the present processors
  UINT64    TsegBase;           ///< physical address
  UINT64    TsegSize;           ///< bytes
  UINT64    StaticImageSize;    ///< bytes of MSEG that MsegSha256 covers
  UINT8     ImageSha256[32];    ///< of the image file, zero without an image
  UINT8     MsegSha256[32];     ///< of MSEG's static part
  UINT64    Wakes;              ///< wakes from standby at which MSEG was verified, State and Reason written anew
  UINT32    Processors;         ///< that the firmware has started
  UINT32    ProcessorsFit;      ///< for which MSEG has room with this image, 0 without a sound one
  UINT32    ImageProblem;       ///< STM_IMAGE_PROBLEM
  UINT32    Measurement;        ///< STM_MEASUREMENT
} STM_STATUS_TABLE;

#pragma pack()

#endif
