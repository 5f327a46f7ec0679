/** @file
  Reads QEMU's fw_cfg files through the ports.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <IndustryStandard/QemuFwCfg.h>
#include <Library/BaseLib.h>
#include <Library/IoLib.h>
#include <Library/StmFwCfgLib.h>

#pragma pack(1)

///
/// An entry of the directory; numbers are big-endian.
///
typedef struct {
  UINT32    Size;
  UINT16    Select;
  UINT16    Reserved;
  CHAR8     Name[QEMU_FW_CFG_FNAME_SIZE];
} FW_CFG_FILE;

#pragma pack()

/**
  Find a fw_cfg file and select it for reading from its start.

  @param[in]  Name  Its name.
  @param[out] Size  Its bytes; 0 if there is none.

  @retval TRUE   It is selected.
  @retval FALSE  There is no such file, or no fw_cfg.
**/
BOOLEAN
EFIAPI
StmFwCfgOpen (
  IN  CONST CHAR8  *Name,
  OUT UINTN        *Size
  )
{
  UINT32       Signature;
  UINT32       Count;
  FW_CFG_FILE  File;

  *Size = 0;
  IoWrite16 (FW_CFG_IO_SELECTOR, QemuFwCfgItemSignature);
  StmFwCfgRead (sizeof (Signature), &Signature);
  if (Signature != SIGNATURE_32 ('Q', 'E', 'M', 'U')) {
    return FALSE;
  }

  IoWrite16 (FW_CFG_IO_SELECTOR, QemuFwCfgItemFileDir);
  StmFwCfgRead (sizeof (Count), &Count);
  for (Count = SwapBytes32 (Count); Count != 0; Count--) {
    StmFwCfgRead (sizeof (File), &File);
    if (AsciiStrnCmp (File.Name, Name, sizeof (File.Name)) == 0) {
      *Size = SwapBytes32 (File.Size);
      IoWrite16 (FW_CFG_IO_SELECTOR, SwapBytes16 (File.Select));
      return TRUE;
    }
  }

  return FALSE;
}

/**
  Read on from the selected file.

  @param[in]  Size    Bytes.
  @param[out] Buffer  Where to.
**/
VOID
EFIAPI
StmFwCfgRead (
  IN  UINTN  Size,
  OUT VOID   *Buffer
  )
{
  IoReadFifo8 (FW_CFG_IO_DATA, Size, Buffer);
}
