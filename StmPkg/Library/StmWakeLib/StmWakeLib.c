/** @file
  Puts a waking routine into a page.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Library/BaseMemoryLib.h>
#include <Library/StmWakeLib.h>

//
// A flat GDT for the way from real mode.
//
#define WAKE_CODE32           0x00CF9B000000FFFFULL
#define WAKE_DATA             0x00CF93000000FFFFULL
#define WAKE_CODE64           0x00AF9B000000FFFFULL
#define WAKE_CODE32_SELECTOR  0x08

#define EFER_LMA  BIT10

#pragma pack(1)

///
/// Parameters of the routine, in its own page. The offsets are repeated in
/// X64/Wake.nasm.
///
typedef struct {
  UINT16    GdtLimit;           ///< 0x00: operand of LGDT in 16-bit code
  UINT32    GdtBase;            ///< 0x02
  UINT16    Reserved1;          ///< 0x06
  UINT32    ProtectedRip;       ///< 0x08: far pointer to the 32-bit code
  UINT16    ProtectedCs;        ///< 0x0C
  UINT16    Reserved2;          ///< 0x0E
  UINT32    LongRip;            ///< 0x10: far pointer to the 64-bit code
  UINT16    LongCs;             ///< 0x14
  UINT16    Reserved3;          ///< 0x16
  UINT32    Cr0;                ///< 0x18
  UINT32    Cr3;                ///< 0x1C
  UINT32    Cr4;                ///< 0x20
  UINT32    Efer;               ///< 0x24: lower half
  UINT64    Stack;              ///< 0x28
  UINT64    Continue;           ///< 0x30
  UINT64    Gdt[4];             ///< 0x38: null, 32-bit code, data, 64-bit code
} WAKE_PARAMETERS;

#pragma pack()

STATIC_ASSERT (OFFSET_OF (WAKE_PARAMETERS, Cr0) == 0x18, "X64/Wake.nasm");
STATIC_ASSERT (OFFSET_OF (WAKE_PARAMETERS, Continue) == 0x30, "X64/Wake.nasm");
STATIC_ASSERT (sizeof (WAKE_PARAMETERS) == 0x58, "X64/Wake.nasm");

extern CONST UINT8   gStmWakeTemplate[];
extern CONST UINT16  gStmWakeSize;
extern CONST UINT16  gStmWakeProtectedOffset;
extern CONST UINT16  gStmWakeLongOffset;
extern CONST UINT16  gStmWakeParametersOffset;

/**
  Put a waking routine into a page.

  @param[out] Page   4 KB below 1 MB, at its physical address, which is the waking
                     vector.
  @param[in]  State  What the routine loads.
**/
VOID
EFIAPI
StmWakePlace (
  OUT VOID                  *Page,
  IN  CONST STM_WAKE_STATE  *State
  )
{
  WAKE_PARAMETERS  *Parameters;

  CopyMem (Page, gStmWakeTemplate, gStmWakeSize);
  Parameters               = (WAKE_PARAMETERS *)((UINT8 *)Page + gStmWakeParametersOffset);
  Parameters->Gdt[0]       = 0;
  Parameters->Gdt[1]       = WAKE_CODE32;
  Parameters->Gdt[2]       = WAKE_DATA;
  Parameters->Gdt[3]       = WAKE_CODE64;
  Parameters->GdtLimit     = sizeof (Parameters->Gdt) - 1;
  Parameters->GdtBase      = (UINT32)(UINTN)Parameters->Gdt;
  Parameters->ProtectedRip = (UINT32)(UINTN)Page + gStmWakeProtectedOffset;
  Parameters->ProtectedCs  = WAKE_CODE32_SELECTOR;
  Parameters->LongRip      = (UINT32)(UINTN)Page + gStmWakeLongOffset;
  Parameters->LongCs       = STM_WAKE_CODE64_SELECTOR;
  Parameters->Cr0          = (UINT32)State->Cr0;
  Parameters->Cr3          = (UINT32)State->Cr3;
  Parameters->Cr4          = (UINT32)State->Cr4;
  Parameters->Efer         = (UINT32)State->Efer & ~(UINT32)EFER_LMA;
  Parameters->Stack        = State->Stack;
  Parameters->Continue     = State->Continue;
}
