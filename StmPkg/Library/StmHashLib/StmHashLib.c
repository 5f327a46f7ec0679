/** @file
  SHA-256, written from FIPS 180-4. No table or buffer is writable, nothing is
  allocated and no library is called, so that the STM and host tests can use it
  as it is.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <Library/StmHashLib.h>

#define SHA256_BLOCK_SIZE     STM_SHA256_BLOCK_SIZE
#define SHA256_ROUNDS         64
#define SHA256_STATE_WORDS    STM_SHA256_STATE_WORDS
#define SHA256_LENGTH_OFFSET  56

///
/// FIPS 180-4, 4.2.2: fractional parts of the cube roots of the first 64 primes.
///
CONST UINT32  gStmSha256Constants[SHA256_ROUNDS] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

///
/// FIPS 180-4, 5.3.3: fractional parts of the square roots of the first 8 primes.
///
STATIC CONST UINT32  mInitialState[SHA256_STATE_WORDS] = {
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
};

/**
  Rotate a word right.

  @param[in] Value  The word.
  @param[in] Count  Bits, 1 to 31.

  @return The rotated word.
**/
STATIC
UINT32
RotateRight (
  IN UINT32  Value,
  IN UINTN   Count
  )
{
  return (Value >> Count) | (Value << (32 - Count));
}

/**
  Add one 64-byte block to the state (FIPS 180-4, 6.2.2).

  @param[in,out] State  The intermediate hash value.
  @param[in]     Block  The block.
**/
STATIC
VOID
AddBlock (
  IN OUT UINT32       State[SHA256_STATE_WORDS],
  IN     CONST UINT8  *Block
  )
{
  UINT32  Schedule[SHA256_ROUNDS];
  UINT32  Work[SHA256_STATE_WORDS];
  UINT32  Temporary1;
  UINT32  Temporary2;
  UINT32  Word;
  UINTN   Index;
  UINTN   Slot;

  for (Index = 0; Index < 16; Index++) {
    Schedule[Index] = ((UINT32)Block[4 * Index] << 24) | ((UINT32)Block[4 * Index + 1] << 16) |
                      ((UINT32)Block[4 * Index + 2] << 8) | (UINT32)Block[4 * Index + 3];
  }

  for (Index = 16; Index < SHA256_ROUNDS; Index++) {
    Word            = Schedule[Index - 15];
    Schedule[Index] = (RotateRight (Word, 7) ^ RotateRight (Word, 18) ^ (Word >> 3)) + Schedule[Index - 16];
    Word            = Schedule[Index - 2];

    Schedule[Index] += (RotateRight (Word, 17) ^ RotateRight (Word, 19) ^ (Word >> 10)) + Schedule[Index - 7];
  }

  for (Slot = 0; Slot < SHA256_STATE_WORDS; Slot++) {
    Work[Slot] = State[Slot];
  }

  for (Index = 0; Index < SHA256_ROUNDS; Index++) {
    Word       = Work[4];
    Temporary1 = Work[7] + (RotateRight (Word, 6) ^ RotateRight (Word, 11) ^ RotateRight (Word, 25)) +
                 ((Work[4] & Work[5]) ^ (~Work[4] & Work[6])) + gStmSha256Constants[Index] + Schedule[Index];
    Word       = Work[0];
    Temporary2 = (RotateRight (Word, 2) ^ RotateRight (Word, 13) ^ RotateRight (Word, 22)) +
                 ((Work[0] & Work[1]) ^ (Work[0] & Work[2]) ^ (Work[1] & Work[2]));
    for (Slot = SHA256_STATE_WORDS - 1; Slot > 0; Slot--) {
      Work[Slot] = Work[Slot - 1];
    }

    Work[4] += Temporary1;
    Work[0]  = Temporary1 + Temporary2;
  }

  for (Slot = 0; Slot < SHA256_STATE_WORDS; Slot++) {
    State[Slot] += Work[Slot];
  }
}

/**
  Begin a digest.

  @param[out] State  The initial hash value, 8 words.
**/
VOID
EFIAPI
StmSha256Begin (
  OUT UINT32  *State
  )
{
  UINTN  Index;

  for (Index = 0; Index < SHA256_STATE_WORDS; Index++) {
    State[Index] = mInitialState[Index];
  }
}

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
  )
{
  for ( ; Blocks > 0; Blocks--) {
    AddBlock (State, Data);
    Data += SHA256_BLOCK_SIZE;
  }
}

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
  )
{
  UINT8   Tail[SHA256_BLOCK_SIZE];
  UINTN   Remaining;
  UINTN   Index;
  UINT64  BitLength;

  Remaining = (UINTN)(Size % SHA256_BLOCK_SIZE);

  //
  // Padding (5.1.1): a one bit, zeros, the length in bits. If the length does
  // not fit after the data, it goes into a block of its own.
  //
  for (Index = 0; Index < SHA256_BLOCK_SIZE; Index++) {
    Tail[Index] = (Index < Remaining) ? Rest[Index] : 0;
  }

  Tail[Remaining] = 0x80;
  if (Remaining >= SHA256_LENGTH_OFFSET) {
    Add (State, Tail, 1);
    for (Index = 0; Index < SHA256_BLOCK_SIZE; Index++) {
      Tail[Index] = 0;
    }
  }

  BitLength = Size << 3;
  for (Index = 0; Index < sizeof (UINT64); Index++) {
    Tail[SHA256_LENGTH_OFFSET + Index] = (UINT8)(BitLength >> (56 - 8 * Index));
  }

  Add (State, Tail, 1);
  for (Index = 0; Index < STM_SHA256_DIGEST_SIZE; Index++) {
    Digest[Index] = (UINT8)(State[Index / 4] >> (24 - 8 * (Index % 4)));
  }
}

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
  )
{
  UINT32  State[SHA256_STATE_WORDS];
  UINTN   Remaining;

  StmSha256Begin (State);
  Remaining = Size % SHA256_BLOCK_SIZE;
  if (Size != Remaining) {
    Add (State, Data, Size / SHA256_BLOCK_SIZE);
  }

  StmSha256End (State, (CONST UINT8 *)Data + (Size - Remaining), Size, Add, Digest);
}

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
  )
{
  StmSha256With (Data, Size, StmSha256AddBlocks, Digest);
}
