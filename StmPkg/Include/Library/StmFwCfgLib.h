/** @file
  Reads QEMU's fw_cfg files through the ports (QEMU, docs/specs/fw_cfg.rst).

  OVMF's QemuFwCfgLib has no instance that serves both SMM drivers and
  applications: the one for DXE reads by DMA, which sees memory as devices do,
  without SMRAM, and the one for SEC is for SEC only.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_FW_CFG_LIB_H_
#define STM_FW_CFG_LIB_H_

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
  );

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
  );

#endif
