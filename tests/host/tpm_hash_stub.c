/** @file
  TpmSha256Lib, which gives its functions to a router: the router, and memory.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiPei.h>
#include <Library/HashLib.h>
#include "copy_stub.h"

UINT32  TestAllocations;   ///< that were not freed
BOOLEAN TestNoMemory;

STATIC HASH_INTERFACE  mRegistered;

RETURN_STATUS
EFIAPI
TpmSha256LibConstructor (
  VOID
  );

EFI_STATUS
EFIAPI
RegisterHashInterfaceLib (
  IN HASH_INTERFACE  *Interface
  )
{
  mRegistered = *Interface;
  return EFI_SUCCESS;
}

VOID *
EFIAPI
AllocateZeroPool (
  IN UINTN  Size
  )
{
  if (TestNoMemory) {
    return NULL;
  }

  TestAllocations++;
  return __builtin_calloc (1, Size);
}

VOID
EFIAPI
FreePool (
  IN VOID  *Buffer
  )
{
  TestAllocations--;
  __builtin_free (Buffer);
}

/**
  A digest of data in pieces.

  @param[in]  Data    The data.
  @param[in]  Sizes   Bytes of each piece.
  @param[in]  Count   Pieces.
  @param[out] Digest  32 bytes.

  @return Algorithm identifier of the one digest; 0 if it could not begin.
**/
UINT32
TestHash (
  IN  UINT8         *Data,
  IN  CONST UINT64  *Sizes,
  IN  UINT32        Count,
  OUT UINT8         Digest[32]
  )
{
  HASH_HANDLE         Handle;
  TPML_DIGEST_VALUES  Digests;
  UINT32              Index;

  TpmSha256LibConstructor ();
  if (EFI_ERROR (mRegistered.HashInit (&Handle))) {
    return 0;
  }

  for (Index = 0; Index < Count; Index++) {
    mRegistered.HashUpdate (Handle, Data, Sizes[Index]);
    Data += Sizes[Index];
  }

  __builtin_memset (&Digests, 0xEE, sizeof (Digests));
  mRegistered.HashFinal (Handle, &Digests);
  __builtin_memcpy (Digest, Digests.digests[0].digest.sha256, 32);
  return (Digests.count == 1) ? Digests.digests[0].hashAlg : 0;
}
