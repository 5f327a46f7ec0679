/** @file
  Access to the SMRAM save state: QEMU's AMD64 map under the default treatment,
  and the same map from the STM under the dual-monitor treatment.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "SmiEntry.h"

#include <Register/Amd/SmramSaveStateMap.h>

#define REVISION_LAYOUT    0xFFFF       // 0 in the low half: the 32-bit map
#define EFER_LMA           BIT10
#define AUTO_HALT_RESTART  BIT0

/**
  Let RSM continue at another address, and not in a halted state.

  @param[in] CpuIndex                 Index of the processor.
  @param[in] CpuState                 Its save state.
  @param[in] NewInstructionPointer32  Where to continue outside IA-32e mode.
  @param[in] NewInstructionPointer    Where to continue in IA-32e mode.

  @return The address that was replaced.
**/
UINT64
EFIAPI
SmmCpuFeaturesHookReturnFromSmm (
  IN UINTN                 CpuIndex,
  IN SMRAM_SAVE_STATE_MAP  *CpuState,
  IN UINT64                NewInstructionPointer32,
  IN UINT64                NewInstructionPointer
  )
{
  AMD_SMRAM_SAVE_STATE_MAP  *Map;
  UINT64                    Original;

  Map = (AMD_SMRAM_SAVE_STATE_MAP *)CpuState;
  if ((Map->x86.SMMRevId & REVISION_LAYOUT) == 0) {
    Original                  = Map->x86._EIP;
    Map->x86._EIP             = (UINT32)NewInstructionPointer;
    Map->x86.AutoHALTRestart &= (UINT16) ~AUTO_HALT_RESTART;
  } else {
    Original                  = Map->x64._RIP;
    Map->x64._RIP             = ((Map->x64.EFER & EFER_LMA) != 0) ? NewInstructionPointer : NewInstructionPointer32;
    Map->x64.AutoHALTRestart &= (UINT8) ~AUTO_HALT_RESTART;
  }

  return Original;
}
