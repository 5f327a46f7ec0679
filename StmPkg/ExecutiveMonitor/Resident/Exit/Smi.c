/** @file
  VM exits for SMIs: the handler that never runs.

  The exit reasons 5 (I/O SMI) and 6 (other SMI) stand in the same table of the
  SDM as all others (appendix C, "VMX Basic Exit Reasons"), so a VMM is easily
  written that waits for them. But no VM-execution control makes an SMI exit to
  the executive monitor. Under the default treatment the processor leaves VMX
  operation's guest for SMM without a VM exit and comes back by RSM (SDM "Default
  Treatment of SMI Delivery", 34.14.1 [32.14.1]); under the dual-monitor treatment
  these two are reasons of SMM VM exits, which go to the STM (34.15.2 [32.15.2]).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Exit.h"

/**
  An SMI, if it came: counted by the dispatcher, and the guest goes on.

  @param[in,out] Context  The guest's registers.

  @retval ExecResumeGuest  Always.
**/
UINTN
EFIAPI
ExecExitSmi (
  IN OUT VMX_CONTEXT  *Context
  )
{
  return ExecResumeGuest;
}
