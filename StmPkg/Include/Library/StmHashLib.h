/** @file
  SHA-256 without firmware services, for the loader and the STM. It also
  compiles on the host, where tests compare it with Python's.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_HASH_LIB_H_
#define STM_HASH_LIB_H_

#define STM_SHA256_DIGEST_SIZE  32
#define STM_SHA256_BLOCK_SIZE   64
#define STM_SHA256_STATE_WORDS  8

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

//
// For data that comes in pieces: begin, add whole blocks, end.
//

/**
  Begin a digest.

  @param[out] State  The initial hash value, 8 words.
**/
VOID
EFIAPI
StmSha256Begin (
  OUT UINT32  *State
  );

/**
  Add blocks to the state: STM_SHA256_BLOCKS of any processor.

  @param[in,out] State   The intermediate hash value.
  @param[in]     Data    The blocks.
  @param[in]     Blocks  Their number.
**/
VOID
EFIAPI
StmSha256AddBlocks (
  IN OUT UINT32       *State,
  IN     CONST UINT8  *Data,
  IN     UINTN        Blocks
  );

/**
  Add what is left of the data, and the padding.

  @param[in,out] State   The hash value of all whole blocks.
  @param[in]     Rest    What is left: Size modulo 64 bytes.
  @param[in]     Size    Of all data.
  @param[in]     Add     Somebody's way to add blocks.
  @param[out]    Digest  The digest, most significant byte of H0 first.
**/
VOID
EFIAPI
StmSha256End (
  IN OUT UINT32             *State,
  IN     CONST UINT8        *Rest,
  IN     UINT64             Size,
  IN     STM_SHA256_BLOCKS  Add,
  OUT    UINT8              Digest[STM_SHA256_DIGEST_SIZE]
  );

#endif
