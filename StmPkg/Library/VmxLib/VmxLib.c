/** @file
  VMCS access for callers that know the field exists.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Base.h>
#include <Library/VmxLib.h>

/**
  Read a field that exists: a failed VMREAD gives 0.

  @param[in] Field  VMCS field encoding.

  @return Contents, zero-extended.
**/
UINT64
EFIAPI
VmRead (
  IN UINT64  Field
  )
{
  UINT64  Value;

  Value = 0;
  AsmVmRead (Field, &Value);
  return Value;
}

/**
  Write a field.

  @param[in] Field  VMCS field encoding.
  @param[in] Value  New contents.

  @retval TRUE   Written.
  @retval FALSE  No such field, read-only, or no current VMCS.
**/
BOOLEAN
EFIAPI
VmWrite (
  IN UINT64  Field,
  IN UINT64  Value
  )
{
  return AsmVmWrite (Field, Value) == VmxSucceed;
}

/**
  Make wanted control bits legal: add the bits that must be 1, drop those that
  must be 0 ("VMX Capability Reporting Facility", appendix A.2 to A.5).

  @param[in] Wanted      Control bits the caller would like.
  @param[in] Capability  Capability MSR: bits 31:0 must-be-1, bits 63:32 may-be-1.

  @return The legal control word.
**/
UINT32
EFIAPI
VmxAdjustControls (
  IN UINT32  Wanted,
  IN UINT64  Capability
  )
{
  return (Wanted | (UINT32)Capability) & (UINT32)(Capability >> 32);
}
