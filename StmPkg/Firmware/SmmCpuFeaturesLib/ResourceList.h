/** @file
  The list of resources that the SMI handlers need, as drivers add to it.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef RESOURCE_LIST_H_
#define RESOURCE_LIST_H_

#include <Library/StmResourceLib.h>

///
/// A list in one piece: descriptors, and an END behind the last one.
///
typedef struct {
  UINT8     *Buffer;
  UINT32    Size;           ///< bytes at Buffer
  UINT32    Used;           ///< bytes of the descriptors, without the END
  UINT32    PhysicalBits;   ///< width of physical addresses
} RESOURCE_LIST;

/**
  Make a list empty: a lone END.

  @param[in,out] List  Buffer, Size and PhysicalBits are set; Size has room for an END.
**/
VOID
EFIAPI
ResourceListClear (
  IN OUT RESOURCE_LIST  *List
  );

/**
  Add resources. Ranges of one kind that overlap or touch become one, masks of an MSR
  are united.

  @param[in,out] List        The list. A call that fails has changed nothing.
  @param[in]     Resources   Descriptors one after another.
  @param[in]     NumEntries  How many of them; 0 if an END follows the last one. An END
                             is the end in any case.

  @retval RETURN_SUCCESS            Done.
  @retval RETURN_INVALID_PARAMETER  A descriptor is malformed, or has ReturnStatus or
                                    IgnoreResource set.
  @retval RETURN_OUT_OF_RESOURCES   There is no room, or no END within the size of List.
**/
RETURN_STATUS
EFIAPI
ResourceListAdd (
  IN OUT RESOURCE_LIST  *List,
  IN     CONST STM_RSC  *Resources,
  IN     UINT32         NumEntries
  );

/**
  Delete resources.

  @param[in,out] List        The list. A call that fails has changed nothing.
  @param[in]     Resources   Descriptors as the list has them, NULL for all.
  @param[in]     NumEntries  As for ResourceListAdd.

  @retval RETURN_SUCCESS            Done.
  @retval RETURN_INVALID_PARAMETER  A descriptor is malformed or not in the list.
  @retval RETURN_OUT_OF_RESOURCES   There is no END within the size of List.
**/
RETURN_STATUS
EFIAPI
ResourceListDelete (
  IN OUT RESOURCE_LIST  *List,
  IN     CONST STM_RSC  *Resources  OPTIONAL,
  IN     UINT32         NumEntries
  );

/**
  Copy the list, END included.

  @param[in]     List    The list.
  @param[out]    Buffer  Gets it.
  @param[in,out] Size    Bytes at Buffer; gets the bytes of the list.

  @retval RETURN_SUCCESS           Done.
  @retval RETURN_BUFFER_TOO_SMALL  Nothing was copied.
**/
RETURN_STATUS
EFIAPI
ResourceListGet (
  IN     CONST RESOURCE_LIST  *List,
  OUT    STM_RSC              *Buffer,
  IN OUT UINT32               *Size
  );

#endif
