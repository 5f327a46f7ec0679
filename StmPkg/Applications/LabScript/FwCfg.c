/** @file
  Reads a fw_cfg file. OVMF's library serves drivers only, and the port
  interface needs few lines (QEMU, docs/specs/fw_cfg.rst).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "LabScript.h"

#define PORT_SELECTOR   0x510
#define PORT_DATA       0x511
#define ITEM_SIGNATURE  0x0000
#define ITEM_DIRECTORY  0x0019
#define SIGNATURE_TEXT  SIGNATURE_32 ('Q', 'E', 'M', 'U')
#define NAME_SIZE       56

#pragma pack(1)

///
/// An entry of the directory; numbers are big-endian.
///
typedef struct {
  UINT32    Size;
  UINT16    Select;
  UINT16    Reserved;
  CHAR8     Name[NAME_SIZE];
} FW_CFG_FILE;

#pragma pack()

/**
  Find a fw_cfg file and select it for reading.

  @param[in] Name  Its name.

  @return Its size in bytes, 0 if there is none.
**/
UINTN
LabFwCfgOpen (
  IN CONST CHAR8  *Name
  )
{
  UINT32       Signature;
  UINT32       Count;
  FW_CFG_FILE  File;

  IoWrite16 (PORT_SELECTOR, ITEM_SIGNATURE);
  IoReadFifo8 (PORT_DATA, sizeof (Signature), &Signature);
  if (Signature != SIGNATURE_TEXT) {
    return 0;
  }

  IoWrite16 (PORT_SELECTOR, ITEM_DIRECTORY);
  IoReadFifo8 (PORT_DATA, sizeof (Count), &Count);
  for (Count = SwapBytes32 (Count); Count != 0; Count--) {
    IoReadFifo8 (PORT_DATA, sizeof (File), &File);
    if (AsciiStrnCmp (File.Name, Name, NAME_SIZE) == 0) {
      IoWrite16 (PORT_SELECTOR, SwapBytes16 (File.Select));
      return SwapBytes32 (File.Size);
    }
  }

  return 0;
}

/**
  Read from the selected fw_cfg file.

  @param[in]  Size    Bytes.
  @param[out] Buffer  Where to.
**/
VOID
LabFwCfgRead (
  IN  UINTN  Size,
  OUT VOID   *Buffer
  )
{
  IoReadFifo8 (PORT_DATA, Size, Buffer);
}
