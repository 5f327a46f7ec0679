/** @file
  SHA-256 for edk2's measuring modules (HashLib's router): data in pieces of any
  length.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiPei.h>
#include <Library/BaseMemoryLib.h>
#include <Library/HashLib.h>
#include <Library/MemoryAllocationLib.h>
#include <Library/StmHashLib.h>

///
/// A digest under way.
///
typedef struct {
  UINT32    State[STM_SHA256_STATE_WORDS];
  UINT8     Rest[STM_SHA256_BLOCK_SIZE];  ///< Size modulo 64 bytes that are not in State yet
  UINT64    Size;                         ///< of all data so far
} SHA256_CONTEXT;

/**
  Begin a digest.

  @param[out] Handle  For the other two.

  @retval EFI_SUCCESS           Begun.
  @retval EFI_OUT_OF_RESOURCES  No memory.
**/
STATIC
EFI_STATUS
EFIAPI
HashBegin (
  OUT HASH_HANDLE  *Handle
  )
{
  SHA256_CONTEXT  *Context;

  Context = AllocateZeroPool (sizeof (*Context));
  if (Context == NULL) {
    return EFI_OUT_OF_RESOURCES;
  }

  StmSha256Begin (Context->State);
  *Handle = (HASH_HANDLE)Context;
  return EFI_SUCCESS;
}

/**
  Add data.

  @param[in] Handle  From HashBegin.
  @param[in] Data    The data.
  @param[in] Length  Their bytes.

  @retval EFI_SUCCESS  Added.
**/
STATIC
EFI_STATUS
EFIAPI
HashAdd (
  IN HASH_HANDLE  Handle,
  IN VOID         *Data,
  IN UINTN        Length
  )
{
  SHA256_CONTEXT  *Context;
  CONST UINT8     *Bytes;
  UINTN           Kept;
  UINTN           Taken;

  Context        = (SHA256_CONTEXT *)Handle;
  Bytes          = Data;
  Kept           = (UINTN)(Context->Size % STM_SHA256_BLOCK_SIZE);
  Context->Size += Length;
  if (Kept != 0) {
    Taken = MIN (Length, STM_SHA256_BLOCK_SIZE - Kept);
    CopyMem (Context->Rest + Kept, Bytes, Taken);
    if (Kept + Taken < STM_SHA256_BLOCK_SIZE) {
      return EFI_SUCCESS;
    }

    StmSha256AddBlocks (Context->State, Context->Rest, 1);
    Bytes  += Taken;
    Length -= Taken;
  }

  StmSha256AddBlocks (Context->State, Bytes, Length / STM_SHA256_BLOCK_SIZE);
  Kept = Length % STM_SHA256_BLOCK_SIZE;
  CopyMem (Context->Rest, Bytes + (Length - Kept), Kept);
  return EFI_SUCCESS;
}

/**
  End a digest.

  @param[in]  Handle   From HashBegin; no longer valid.
  @param[out] Digests  Gets the one digest.

  @retval EFI_SUCCESS  Ended.
**/
STATIC
EFI_STATUS
EFIAPI
HashEnd (
  IN  HASH_HANDLE         Handle,
  OUT TPML_DIGEST_VALUES  *Digests
  )
{
  SHA256_CONTEXT  *Context;

  Context                     = (SHA256_CONTEXT *)Handle;
  Digests->count              = 1;
  Digests->digests[0].hashAlg = TPM_ALG_SHA256;
  StmSha256End (
    Context->State,
    Context->Rest,
    Context->Size,
    StmSha256AddBlocks,
    Digests->digests[0].digest.sha256
    );
  FreePool (Context);
  return EFI_SUCCESS;
}

STATIC HASH_INTERFACE  mInterface = { HASH_ALGORITHM_SHA256_GUID, HashBegin, HashAdd, HashEnd };

/**
  Offer SHA-256 to HashLib's router.

  @retval RETURN_SUCCESS  Offered, or the router wants none: then a module without it says so.
**/
RETURN_STATUS
EFIAPI
TpmSha256LibConstructor (
  VOID
  )
{
  RegisterHashInterfaceLib (&mInterface);
  return RETURN_SUCCESS;
}
