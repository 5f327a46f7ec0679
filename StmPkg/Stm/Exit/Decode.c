/** @file
  Instructions that move data between a register and memory.

  What firmware uses for registers of devices, and nothing else: an instruction that
  is not here is refused, not guessed.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Decode.h"

#define PREFIX_OPERAND_SIZE  0x66
#define PREFIX_ADDRESS_SIZE  0x67
#define REX_MASK             0xF0
#define REX                  0x40
#define REX_W                BIT3
#define REX_R                BIT2
#define ESCAPE               0x0F

#define MODRM_MODE(ModRm)  ((ModRm) >> 6)
#define MODRM_REG(ModRm)   (((ModRm) >> 3) & 7)
#define MODRM_RM(ModRm)    ((ModRm) & 7)
#define RM_SIB           4
#define RM_DISPLACEMENT  5

///
/// A place in the bytes of an instruction.
///
typedef struct {
  CONST UINT8    *Code;
  UINTN          Available;
  UINTN          Next;
  BOOLEAN        Mode64;
  BOOLEAN        Operand16;     ///< prefix 66H
  BOOLEAN        AddressSize;   ///< prefix 67H
  UINT8          Rex;           ///< 0 without one
} READER;

/**
  Read a little-endian number.

  @param[in,out] Reader  The instruction.
  @param[in]     Size    1, 2, 4 or 8 bytes.
  @param[out]    Value   The number, sign-extended.

  @retval TRUE   Read.
  @retval FALSE  The bytes end before.
**/
STATIC
BOOLEAN
ReadNumber (
  IN OUT READER  *Reader,
  IN     UINTN   Size,
  OUT    UINT64  *Value
  )
{
  UINTN  Index;

  if ((Reader->Next + Size > Reader->Available) || (Reader->Next + Size > STM_INSTRUCTION_LENGTH)) {
    return FALSE;
  }

  *Value = 0;
  if (Size == 0) {
    return TRUE;
  }

  for (Index = 0; Index < Size; Index++) {
    *Value |= (UINT64)Reader->Code[Reader->Next + Index] << (8 * Index);
  }

  if ((Size < 8) && ((Reader->Code[Reader->Next + Size - 1] & BIT7) != 0)) {
    *Value |= MAX_UINT64 << (8 * Size);
  }

  Reader->Next += Size;
  return TRUE;
}

/**
  Read one byte.

  @param[in,out] Reader  The instruction.
  @param[out]    Byte    The byte.

  @retval TRUE   Read.
  @retval FALSE  The bytes end before.
**/
STATIC
BOOLEAN
ReadByte (
  IN OUT READER  *Reader,
  OUT    UINT8   *Byte
  )
{
  UINT64  Value;

  if (!ReadNumber (Reader, 1, &Value)) {
    return FALSE;
  }

  *Byte = (UINT8)Value;
  return TRUE;
}

/**
  Read prefixes and the first byte of the opcode.

  @param[in,out] Reader  The instruction.
  @param[out]    Opcode  The byte.

  @retval TRUE   Read.
  @retval FALSE  LOCK, a repetition, 16-bit addresses, or the bytes end before.
**/
STATIC
BOOLEAN
ReadPrefixes (
  IN OUT READER  *Reader,
  OUT    UINT8   *Opcode
  )
{
  while (ReadByte (Reader, Opcode)) {
    switch (*Opcode) {
      case PREFIX_OPERAND_SIZE:
        Reader->Operand16 = TRUE;
        Reader->Rex       = 0;
        continue;
      case PREFIX_ADDRESS_SIZE:
        Reader->AddressSize = TRUE;
        Reader->Rex         = 0;
        continue;
      case 0x26:
      case 0x2E:
      case 0x36:
      case 0x3E:
      case 0x64:
      case 0x65:
        Reader->Rex = 0;
        continue;
      case 0xF0:
      case 0xF2:
      case 0xF3:
        return FALSE;
      default:
        break;
    }

    //
    // A REX prefix counts only right before the opcode.
    //
    if (Reader->Mode64 && ((*Opcode & REX_MASK) == REX)) {
      Reader->Rex = *Opcode;
      continue;
    }

    return (BOOLEAN)(Reader->Mode64 || !Reader->AddressSize);
  }

  return FALSE;
}

/**
  Read ModRM, SIB and displacement.

  @param[in,out] Reader  The instruction.
  @param[out]    Reg     The REG field, with REX.R.

  @retval TRUE   Read.
  @retval FALSE  There is no operand in memory, or the bytes end before.
**/
STATIC
BOOLEAN
ReadOperand (
  IN OUT READER  *Reader,
  OUT    UINT32  *Reg
  )
{
  UINT64  Displacement;
  UINTN   Size;
  UINT8   ModRm;
  UINT8   Sib;

  if (!ReadByte (Reader, &ModRm) || (MODRM_MODE (ModRm) == 3)) {
    return FALSE;
  }

  *Reg = (UINT32)MODRM_REG (ModRm) | (((Reader->Rex & REX_R) != 0) ? 8 : 0);
  Sib  = (UINT8)MODRM_RM (ModRm);
  if ((Sib == RM_SIB) && !ReadByte (Reader, &Sib)) {
    return FALSE;
  }

  switch (MODRM_MODE (ModRm)) {
    case 0:
      Size = (MODRM_RM (Sib) == RM_DISPLACEMENT) ? sizeof (UINT32) : 0;
      break;
    case 1:
      Size = sizeof (UINT8);
      break;
    default:
      Size = sizeof (UINT32);
      break;
  }

  return ReadNumber (Reader, Size, &Displacement);
}

/**
  The operand size, but for instructions with operands of one byte.

  @param[in] Reader  The instruction.

  @return 2, 4 or 8.
**/
STATIC
UINT32
OperandSize (
  IN CONST READER  *Reader
  )
{
  if ((Reader->Rex & REX_W) != 0) {
    return 8;
  }

  return Reader->Operand16 ? 2 : 4;
}

/**
  MOVZX, MOVSX and MOVSXD: what is read is smaller than the register.

  @param[in,out] Reader  The instruction, behind its opcode.
  @param[in]     Opcode  Last byte of its opcode.
  @param[in,out] Move    RegisterSize is that of the prefixes; gets the rest.

  @retval TRUE   Decoded.
  @retval FALSE  It is another instruction.
**/
STATIC
BOOLEAN
DecodeExtension (
  IN OUT READER    *Reader,
  IN     UINT8     Opcode,
  IN OUT STM_MOVE  *Move
  )
{
  switch (Opcode) {
    case 0x63:
      Move->Size = (Move->RegisterSize == 2) ? 2 : 4;
      break;
    case 0xB6:
    case 0xBE:
      Move->Size = 1;
      break;
    case 0xB7:
    case 0xBF:
      Move->Size = 2;
      break;
    default:
      return FALSE;
  }

  Move->SignExtended = (BOOLEAN)(Opcode != 0xB6 && Opcode != 0xB7);
  return ReadOperand (Reader, &Move->Register);
}

/**
  MOV.

  @param[in,out] Reader  The instruction, behind its opcode.
  @param[in]     Opcode  The opcode.
  @param[in,out] Move    Size and RegisterSize are those of the prefixes; gets the rest.

  @retval TRUE   Decoded.
  @retval FALSE  It is another instruction.
**/
STATIC
BOOLEAN
DecodeMov (
  IN OUT READER    *Reader,
  IN     UINT8     Opcode,
  IN OUT STM_MOVE  *Move
  )
{
  UINT64  Offset;

  if ((Opcode & BIT0) == 0) {
    Move->Size         = 1;
    Move->RegisterSize = 1;
  }

  switch (Opcode) {
    case 0x88:
    case 0x89:
    case 0x8A:
    case 0x8B:
      Move->Write = (BOOLEAN)((Opcode & BIT1) == 0);
      if (!ReadOperand (Reader, &Move->Register)) {
        return FALSE;
      }

      if ((Move->Size == 1) && (Reader->Rex == 0) && (Move->Register >= 4)) {
        Move->HighByte  = TRUE;
        Move->Register -= 4;
      }

      return TRUE;
    case 0xA0:
    case 0xA1:
    case 0xA2:
    case 0xA3:
      Move->Write = (BOOLEAN)((Opcode & BIT1) != 0);
      return ReadNumber (Reader, (Reader->Mode64 && !Reader->AddressSize) ? 8 : 4, &Offset);
    case 0xC6:
    case 0xC7:
      Move->Write        = TRUE;
      Move->HasImmediate = TRUE;
      return (BOOLEAN)(ReadOperand (Reader, &Move->Register) && ((Move->Register & 7) == 0) &&
                       ReadNumber (Reader, MIN (Move->Size, sizeof (UINT32)), &Move->Immediate));
    default:
      return FALSE;
  }
}

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
  )
{
  READER   Reader;
  UINT8    Opcode;
  BOOLEAN  Decoded;

  Reader.Code        = Code;
  Reader.Available   = Available;
  Reader.Next        = 0;
  Reader.Mode64      = Mode64;
  Reader.Operand16   = FALSE;
  Reader.AddressSize = FALSE;
  Reader.Rex         = 0;
  if (!ReadPrefixes (&Reader, &Opcode)) {
    return FALSE;
  }

  Move->Write        = FALSE;
  Move->HasImmediate = FALSE;
  Move->Immediate    = 0;
  Move->Register     = 0;
  Move->HighByte     = FALSE;
  Move->SignExtended = FALSE;
  Move->Size         = OperandSize (&Reader);
  Move->RegisterSize = Move->Size;
  if (Opcode == ESCAPE) {
    Decoded = (BOOLEAN)(ReadByte (&Reader, &Opcode) && (Opcode != 0x63) && DecodeExtension (&Reader, Opcode, Move));
  } else if (Mode64 && (Opcode == 0x63)) {
    Decoded = DecodeExtension (&Reader, Opcode, Move);
  } else {
    Decoded = DecodeMov (&Reader, Opcode, Move);
  }

  Move->Length = (UINT32)Reader.Next;
  return Decoded;
}

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
  )
{
  UINT64  Mask;

  if (Move->Size < 8) {
    Mask   = (1ULL << (8 * Move->Size)) - 1;
    Value &= Mask;
    if (Move->SignExtended && ((Value & ~(Mask >> 1)) != 0)) {
      Value |= ~Mask;
    }
  }

  switch (Move->RegisterSize) {
    case 1:
      return Move->HighByte ? ((Old & ~0xFF00ULL) | ((Value & MAX_UINT8) << 8)) : ((Old & ~0xFFULL) | (Value & MAX_UINT8));
    case 2:
      return (Old & ~0xFFFFULL) | (Value & MAX_UINT16);
    case 4:
      return Value & MAX_UINT32;
    default:
      return Value;
  }
}

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
  )
{
  if (Move->HasImmediate) {
    Value = Move->Immediate;
  } else if (Move->HighByte) {
    Value >>= 8;
  }

  return (Move->Size < 8) ? (Value & ((1ULL << (8 * Move->Size)) - 1)) : Value;
}
