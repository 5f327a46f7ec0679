/** @file
  Ports, MSRs and control registers: which accesses of the SMI handler cause a VM exit.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_BITMAP_H_
#define STM_BITMAP_H_

#include "StmState.h"

/**
  Fill the bitmaps of the SMI handler, which are zeroed.

  @param[in] Shared  Shared state.
**/
VOID
StmBuildBitmaps (
  IN CONST STM_SHARED  *Shared
  );

/**
  Is any of these ports the STM's own?

  @param[in] Port   First port.
  @param[in] Ports  Their number.

  @retval TRUE   One is.
  @retval FALSE  None is.
**/
BOOLEAN
StmPortIsOwn (
  IN UINTN  Port,
  IN UINTN  Ports
  );

/**
  Bring the bitmaps of the SMI handler in line with a profile, within a range.

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.
  @param[in] Range    Ports or MSRs that the profile may have changed in.
**/
VOID
StmApplyBitmaps (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile,
  IN CONST STM_RANGE    *Range
  );

/**
  The bits of a register that are protected.

  @param[in] Profile  The profile.
  @param[in] Space    StmSpaceRegister or StmSpaceMsr.
  @param[in] First    Place of its bit 0.
  @param[in] Access   STM_ACCESS_READ or STM_ACCESS_WRITE.

  @return The bits.
**/
UINT64
StmProtectedBits (
  IN CONST STM_PROFILE  *Profile,
  IN UINT32             Space,
  IN UINT64             First,
  IN UINT32             Access
  );

/**
  Is this MSR one whose writes cause a VM exit whatever is protected?

  @param[in] Msr  The MSR.

  @retval TRUE   It is.
  @retval FALSE  It is not.
**/
BOOLEAN
StmMsrIsOwn (
  IN UINT64  Msr
  );

/**
  Bring the SMM-guest VMCS, which is current, in line with what is protected of control
  registers.

  @param[in] Processor  This processor.
  @param[in] Profile    The profile.
**/
VOID
StmApplyRegisters (
  IN CONST STM_PROCESSOR  *Processor,
  IN CONST STM_PROFILE    *Profile
  );

#endif
