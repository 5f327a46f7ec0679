/** @file
  The loader's search for an image, with the firmware around it played: a fw_cfg
  file, a firmware volume, memory, and the PCD of the build.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiSmm.h>
#include <Library/PcdLib.h>
#include "copy_stub.h"

BOOLEAN      TestAllowed;           ///< PcdStmImageOverride
BOOLEAN      TestNoMemory;
CONST UINT8  *TestFwCfg;            ///< NULL: no such file
UINTN        TestFwCfgSize;
CONST UINT8  *TestVolume;           ///< NULL: no image in the firmware volume
UINTN        TestVolumeSize;
UINTN        TestBytesRead;         ///< from fw_cfg
UINT64       TestDigest[4];         ///< PcdStmImageDigest0 to 3

STATIC UINT8  mFileGuid[16];

#define _PCD_GET_MODE_BOOL_PcdStmImageOverride  TestAllowed
#define _PCD_GET_MODE_PTR_PcdStmImageFile       ((VOID *)mFileGuid)
#define _PCD_VALUE_PcdStmImageDigest0           TestDigest[0]
#define _PCD_VALUE_PcdStmImageDigest1           TestDigest[1]
#define _PCD_VALUE_PcdStmImageDigest2           TestDigest[2]
#define _PCD_VALUE_PcdStmImageDigest3           TestDigest[3]

#include "../../StmPkg/Firmware/StmLoader/FindImage.c"

UINT8  TestSmram[0x1000];   ///< what SMRAM has free
UINT8  *TestOrdinary;       ///< what the firmware volume's image was read to

STATIC
EFI_STATUS
EFIAPI
TestAllocate (
  IN  EFI_MEMORY_TYPE  Type,
  IN  UINTN            Size,
  OUT VOID             **Buffer
  )
{
  if (TestNoMemory) {
    return EFI_OUT_OF_RESOURCES;
  }

  if (Size > sizeof (TestSmram)) {
    return EFI_OUT_OF_RESOURCES;
  }

  *Buffer = TestSmram;
  return EFI_SUCCESS;
}

STATIC
EFI_STATUS
EFIAPI
TestFree (
  IN VOID  *Buffer
  )
{
  //
  // Ordinary memory is anybody's, who writes to it what he likes.
  //
  __builtin_memset (TestOrdinary, 0xEE, TestVolumeSize);
  return (Buffer == TestOrdinary) ? EFI_SUCCESS : EFI_INVALID_PARAMETER;
}

STATIC EFI_BOOT_SERVICES      mServices    = { .FreePool = TestFree };
STATIC EFI_SMM_SYSTEM_TABLE2  mSmmServices = { .SmmAllocatePool = TestAllocate };
EFI_BOOT_SERVICES             *gBS         = &mServices;
EFI_SMM_SYSTEM_TABLE2         *gSmst       = &mSmmServices;

BOOLEAN
EFIAPI
StmFwCfgOpen (
  IN  CONST CHAR8  *Name,
  OUT UINTN        *Size
  )
{
  BOOLEAN  Found;

  Found = (BOOLEAN)((TestFwCfg != NULL) && (__builtin_strcmp (Name, "opt/org.stmlab/stm-image") == 0));
  *Size = Found ? TestFwCfgSize : 0;
  return Found;
}

VOID
EFIAPI
StmFwCfgRead (
  IN  UINTN  Size,
  OUT VOID   *Buffer
  )
{
  TestBytesRead += Size;
  __builtin_memcpy (Buffer, TestFwCfg, Size);
}

EFI_STATUS
EFIAPI
GetSectionFromAnyFv (
  IN  CONST EFI_GUID    *Name,
  IN  EFI_SECTION_TYPE  Type,
  IN  UINTN             Instance,
  OUT VOID              **Buffer,
  OUT UINTN             *Size
  )
{
  if ((TestVolume == NULL) || ((CONST VOID *)Name != mFileGuid)) {
    return EFI_NOT_FOUND;
  }

  TestOrdinary = __builtin_malloc (TestVolumeSize);
  __builtin_memcpy (TestOrdinary, TestVolume, TestVolumeSize);
  *Buffer = TestOrdinary;
  *Size   = TestVolumeSize;
  return EFI_SUCCESS;
}

INTN
EFIAPI
CompareMem (
  IN CONST VOID  *First,
  IN CONST VOID  *Second,
  IN UINTN       Length
  )
{
  return __builtin_memcmp (First, Second, Length);
}
