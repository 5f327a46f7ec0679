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

#endif
