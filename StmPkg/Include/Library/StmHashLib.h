/** @file
  SHA-256 without firmware services, for the loader and the STM. It also
  compiles on the host, where tests compare it with Python's.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_HASH_LIB_H_
#define STM_HASH_LIB_H_

#define STM_SHA256_DIGEST_SIZE  32

/**
  Compute the SHA-256 digest of a buffer (FIPS 180-4, section 6.2).

  @param[in]  Data    Bytes to hash; may be NULL if Size is 0.
  @param[in]  Size    Number of bytes, below 2^61.
  @param[out] Digest  The digest, most significant byte of H0 first.
**/
VOID
EFIAPI
StmSha256 (
  IN  CONST VOID  *Data,
  IN  UINTN       Size,
  OUT UINT8       Digest[STM_SHA256_DIGEST_SIZE]
  );

///
/// FIPS 180-4, 4.2.2, for those who add blocks themselves.
///
extern CONST UINT32  gStmSha256Constants[64];

/**
  Add blocks to an intermediate hash value.

  @param[in,out] State   8 words.
  @param[in]     Data    The blocks, 64 bytes each.
  @param[in]     Blocks  Their number, not 0.
**/
typedef
VOID
(EFIAPI *STM_SHA256_BLOCKS)(
  IN OUT UINT32       *State,
  IN     CONST UINT8  *Data,
  IN     UINTN        Blocks
  );

/**
  StmSha256 by somebody's way to add blocks.

  @param[in]  Data    Bytes to hash; may be NULL if Size is 0.
  @param[in]  Size    Number of bytes, below 2^61.
  @param[in]  Add     The way.
  @param[out] Digest  The digest, most significant byte of H0 first.
**/
VOID
EFIAPI
StmSha256With (
  IN  CONST VOID         *Data,
  IN  UINTN              Size,
  IN  STM_SHA256_BLOCKS  Add,
  OUT UINT8              Digest[STM_SHA256_DIGEST_SIZE]
  );

#endif
