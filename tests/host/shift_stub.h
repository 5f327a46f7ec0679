/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Shifts and a product of BaseLib, which a 64-bit host has as operators. Included once by a stub. */

UINT64
EFIAPI
LShiftU64 (
  IN UINT64  Operand,
  IN UINTN   Count
  )
{
  return Operand << Count;
}

UINT64
EFIAPI
RShiftU64 (
  IN UINT64  Operand,
  IN UINTN   Count
  )
{
  return Operand >> Count;
}

UINT64
EFIAPI
MultU64x64 (
  IN UINT64  Multiplicand,
  IN UINT64  Multiplier
  )
{
  return Multiplicand * Multiplier;
}
