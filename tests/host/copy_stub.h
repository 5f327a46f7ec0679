/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* BaseMemoryLib by what the compiler has built in. Included once by a stub. */

VOID *
EFIAPI
CopyMem (
  OUT VOID       *Destination,
  IN CONST VOID  *Source,
  IN UINTN       Length
  )
{
  return __builtin_memmove (Destination, Source, Length);
}

VOID *
EFIAPI
ZeroMem (
  OUT VOID  *Buffer,
  IN UINTN  Length
  )
{
  return __builtin_memset (Buffer, 0, Length);
}
