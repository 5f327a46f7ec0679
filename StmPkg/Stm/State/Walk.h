/** @file
  The walk of somebody's page tables and EPT.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_WALK_H_
#define STM_WALK_H_

#include <Base.h>

/**
  Read 8 bytes of physical memory.

  @param[in]  Context  Of the address space.
  @param[in]  Address  Physical address, aligned to 8 bytes.
  @param[out] Value    What is there.

  @retval TRUE   Read.
  @retval FALSE  It must not be read.
**/
typedef
BOOLEAN
(EFIAPI *STM_READ_MEMORY)(
  IN  CONST VOID  *Context,
  IN  UINT64      Address,
  OUT UINT64      *Value
  );

///
/// How somebody's linear addresses are translated.
///
typedef struct {
  UINT64             Cr3;
  UINT64             EptPointer;   ///< 0 without EPT
  BOOLEAN            Ia32e;        ///< four levels
  BOOLEAN            Pae;          ///< outside IA-32e mode: PAE paging, not 32-bit paging
  BOOLEAN            Pse;          ///< 32-bit paging: there are pages of 4 MB
  BOOLEAN            Flat;         ///< no paging
  STM_READ_MEMORY    Read;
  CONST VOID         *Context;
} STM_ADDRESS_SPACE;

/**
  Find where a linear address is, by page tables and EPT.

  @param[in]  Space     Whose.
  @param[in]  Linear    The address.
  @param[out] Physical  Where it is.

  @retval TRUE   Found.
  @retval FALSE  It is not mapped, or the tables are where they must not be read.
**/
BOOLEAN
StmWalk (
  IN  CONST STM_ADDRESS_SPACE  *Space,
  IN  UINT64                   Linear,
  OUT UINT64                   *Physical
  );

#endif
