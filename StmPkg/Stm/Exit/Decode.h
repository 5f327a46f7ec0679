/** @file
  Instructions that move data between a register and memory.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_DECODE_H_
#define STM_DECODE_H_

#include <Base.h>

///
/// Longest instruction.
///
#define STM_INSTRUCTION_LENGTH  15

///
/// One instruction. Where in memory it reads or writes is not told: the processor says
/// so at the VM exit.
///
typedef struct {
  UINT32     Length;          ///< bytes of the instruction
  UINT32     Size;            ///< bytes of memory: 1, 2, 4 or 8
  BOOLEAN    Write;           ///< to memory
  BOOLEAN    HasImmediate;    ///< it writes Immediate, not a register
  UINT64     Immediate;
  UINT32     Register;        ///< 0 to 15
  UINT32     RegisterSize;    ///< bytes of it: 1, 2, 4 or 8
  BOOLEAN    HighByte;        ///< it is AH, CH, DH or BH
  BOOLEAN    SignExtended;    ///< what was read, to RegisterSize
} STM_MOVE;

/**
  Decode an instruction that moves data between a register, or an immediate, and memory:
  MOV, MOVZX, MOVSX, MOVSXD.

  @param[in]  Code       Its bytes.
  @param[in]  Available  How many of them are there.
  @param[in]  Mode64     TRUE for 64-bit mode, FALSE for code of 32 bits.
  @param[out] Move       The instruction.

  @retval TRUE   Decoded.
  @retval FALSE  It is another one, has a prefix that it cannot have, or does not end
                 within what is there.
**/
BOOLEAN
EFIAPI
StmDecodeMove (
  IN  CONST UINT8  *Code,
  IN  UINTN        Available,
  IN  BOOLEAN      Mode64,
  OUT STM_MOVE     *Move
  );

/**
  The value of a register after an instruction that reads memory.

  @param[in] Move   The instruction.
  @param[in] Old    The register before it.
  @param[in] Value  What was read.

  @return The register: bytes that are not written stay, and 32 bits clear the upper
          half.
**/
UINT64
EFIAPI
StmMoveLoaded (
  IN CONST STM_MOVE  *Move,
  IN UINT64          Old,
  IN UINT64          Value
  );

/**
  What an instruction writes to memory.

  @param[in] Move   The instruction.
  @param[in] Value  Its register.

  @return Size bytes.
**/
UINT64
EFIAPI
StmMoveStored (
  IN CONST STM_MOVE  *Move,
  IN UINT64          Value
  );

#endif
