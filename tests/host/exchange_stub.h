/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The interlocked exchange of SynchronizationLib, where a test has one processor. Included once by a stub. */

UINT32
EFIAPI
InterlockedCompareExchange32 (
  IN OUT volatile UINT32  *Value,
  IN     UINT32           CompareValue,
  IN     UINT32           ExchangeValue
  )
{
  UINT32  Old;

  Old = *Value;
  if (Old == CompareValue) {
    *Value = ExchangeValue;
  }

  return Old;
}
