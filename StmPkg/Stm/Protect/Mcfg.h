/** @file
  Where ACPI's tables say that PCI configuration space is in memory.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_MCFG_H_
#define STM_MCFG_H_

#include "State/Walk.h"

///
/// Room for a copy of two tables.
///
#define STM_MCFG_BUFFER  (2 * SIZE_4KB)

typedef enum {
  StmMcfgAbsent,      ///< no ACPI, or no such table in it
  StmMcfgFound,
  StmMcfgMalformed,   ///< the tables contradict themselves, or are where none can be
  StmMcfgSegments     ///< there are other segments than 0
} STM_MCFG;

/**
  Find ECAM of segment 0 by the table MCFG (PCI Firmware Specification, 4.1.2).

  A table is copied before anything of it is believed: it is memory that anybody can write.

  @param[in]  Read     Reads 8 bytes of the tables.
  @param[in]  Context  For it.
  @param[in]  Rsdp     Where ACPI's root pointer is, 0 for no ACPI.
  @param[out] Buffer   STM_MCFG_BUFFER bytes.
  @param[out] Base     With StmMcfgFound: where bus 0 begins, and the buses from there on
  @param[out] Size     have their bytes.

  @return What was found.
**/
STM_MCFG
EFIAPI
StmFindMcfg (
  IN  STM_READ_MEMORY  Read,
  IN  CONST VOID       *Context,
  IN  UINT64           Rsdp,
  OUT UINT8            *Buffer,
  OUT UINT64           *Base,
  OUT UINT64           *Size
  );

#endif
