/** @file
  x87, SSE and AVX state with patterns in it (SDM volume 1, "FXSAVE Area" 10.5.1
  and "XSAVE Area" 13.4).

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "State.h"
#include <Library/MemoryAllocationLib.h>
#include <Register/Intel/Cpuid.h>

#define AREA_PAGES       2
#define AREAS            4
#define CPUID_ECX_XSAVE  BIT26
#define CR4_OSXSAVE      BIT18
#define XCR0_TRIED       0x7                ///< x87, SSE, AVX
#define XCR0_AVX         BIT2
#define CPUID_LEAF_AVX   2

#define FCW_PATTERN        0x0E7F           ///< all masked, double precision, round to zero
#define FSW_PATTERN        0x2D00           ///< TOP = 5, C0 and C2
#define TAG_PATTERN        0xB7             ///< two registers empty
#define MXCSR_PATTERN      0x5FA1           ///< all masked, round up, two flags
#define OFFSET_FSW         2
#define OFFSET_TAG         4
#define OFFSET_MXCSR       24
#define OFFSET_ST          32
#define OFFSET_XMM         160
#define OFFSET_LEGACY_END  416
#define OFFSET_XSTATE      512
#define REGISTER_SIZE      16
#define ST_COUNT           8

///
/// Part of the area that is compared under one name.
///
typedef struct {
  CONST CHAR8    *Name;
  UINT32         Offset;
  UINT32         Size;
} STATE_VECTOR_FIELD;

STATIC CONST STATE_VECTOR_FIELD  mFields[] = {
  { "x87-control", 0,            OFFSET_MXCSR                   },
  { "mxcsr",       OFFSET_MXCSR, 4                              },
  { "x87-st",      OFFSET_ST,    OFFSET_XMM - OFFSET_ST         },
  { "xmm",         OFFSET_XMM,   OFFSET_LEGACY_END - OFFSET_XMM }
};

STATIC VOID    *mAreas;
STATIC UINT64  mXcr0;
STATIC UINTN   mCr4;
STATIC UINT32  mAvxOffset;
STATIC UINT32  mAvxSize;

/**
  Compose the state to load.

  @param[out] Area  Zeroed area.
**/
STATIC
VOID
StateVectorCompose (
  OUT UINT8  *Area
  )
{
  UINTN  Index;
  UINT8  *Register;

  *(UINT16 *)Area                  = FCW_PATTERN;
  *(UINT16 *)(Area + OFFSET_FSW)   = FSW_PATTERN;
  *(Area + OFFSET_TAG)             = TAG_PATTERN;
  *(UINT32 *)(Area + OFFSET_MXCSR) = MXCSR_PATTERN;
  for (Index = 0; Index < ST_COUNT; Index++) {
    //
    // Normal numbers of 80 bits: other bit patterns would not survive a load.
    //
    Register                  = Area + OFFSET_ST + Index * REGISTER_SIZE;
    *(UINT64 *)Register       = BIT63 | (0x0123456789ABCDEFULL * (Index + 1) >> 1);
    *(UINT16 *)(Register + 8) = (UINT16)(0x3FF0 + Index);
  }

  for (Index = OFFSET_XMM; Index < OFFSET_LEGACY_END; Index++) {
    Area[Index] = (UINT8)(Index * 7 + 3);
  }

  if (gStateProbe.Mask != 0) {
    *(UINT64 *)(Area + OFFSET_XSTATE) = gStateProbe.Mask;
    for (Index = 0; Index < mAvxSize; Index++) {
      Area[mAvxOffset + Index] = (UINT8)(Index * 11 + 5);
    }
  }
}

/**
  Allocate the areas for x87, SSE and AVX state, enable AVX if there is any,
  and compose the pattern.

  @retval EFI_SUCCESS           gStateProbe is ready.
  @retval EFI_OUT_OF_RESOURCES  No memory; nothing has changed.
**/
EFI_STATUS
StateVectorPrepare (
  VOID
  )
{
  UINT8   *Area;
  UINT32  Ecx;
  UINT32  Eax;

  mAreas = AllocatePages (AREA_PAGES * AREAS);
  if (mAreas == NULL) {
    return EFI_OUT_OF_RESOURCES;
  }

  ZeroMem (mAreas, EFI_PAGES_TO_SIZE (AREA_PAGES * AREAS));
  Area                 = mAreas;
  gStateProbe.Original = Area;
  gStateProbe.Pattern  = Area + EFI_PAGES_TO_SIZE (AREA_PAGES);
  gStateProbe.Before   = Area + EFI_PAGES_TO_SIZE (2 * AREA_PAGES);
  gStateProbe.After    = Area + EFI_PAGES_TO_SIZE (3 * AREA_PAGES);
  gStateProbe.Mask     = 0;
  mAvxSize             = 0;

  mCr4 = AsmReadCr4 ();
  AsmCpuid (CPUID_VERSION_INFO, NULL, NULL, &Ecx, NULL);
  if ((Ecx & CPUID_ECX_XSAVE) != 0) {
    AsmWriteCr4 (mCr4 | CR4_OSXSAVE);
    mXcr0 = AsmXGetBv (0);
    AsmCpuidEx (CPUID_EXTENDED_STATE, 0, &Eax, NULL, NULL, NULL);
    gStateProbe.Mask = Eax & XCR0_TRIED;
    AsmXSetBv (0, mXcr0 | gStateProbe.Mask);
    if ((gStateProbe.Mask & XCR0_AVX) != 0) {
      AsmCpuidEx (CPUID_EXTENDED_STATE, CPUID_LEAF_AVX, &mAvxSize, &mAvxOffset, NULL, NULL);
    }
  }

  StateVectorCompose (gStateProbe.Pattern);
  return EFI_SUCCESS;
}

/**
  Undo StateVectorPrepare().
**/
VOID
StateVectorRelease (
  VOID
  )
{
  if (gStateProbe.Mask != 0) {
    AsmXSetBv (0, mXcr0);
    AsmWriteCr4 (mCr4);
  }

  FreePages (mAreas, AREA_PAGES * AREAS);
}

/**
  Compare a part of the two areas; log the first eight bytes that differ, or
  else the first eight.

  @param[in] Name    Name of the part.
  @param[in] Offset  Where it begins.
  @param[in] Size    Its bytes.

  @retval 0  Equal.
  @retval 1  Different.
**/
STATIC
UINTN
StateVectorField (
  IN CONST CHAR8  *Name,
  IN UINT32       Offset,
  IN UINT32       Size
  )
{
  CONST UINT8  *Before;
  CONST UINT8  *After;
  UINTN        Index;
  UINTN        Length;
  UINT64       BeforeValue;
  UINT64       AfterValue;

  Before = (CONST UINT8 *)gStateProbe.Before + Offset;
  After  = (CONST UINT8 *)gStateProbe.After + Offset;
  for (Index = 0; (Index < Size) && (Before[Index] == After[Index]); Index++) {
  }

  if (Index == Size) {
    Index = 0;
  }

  BeforeValue = 0;
  AfterValue  = 0;
  Length      = MIN (sizeof (UINT64), Size - Index);
  CopyMem (&BeforeValue, Before + Index, Length);
  CopyMem (&AfterValue, After + Index, Length);
  return StateReport (Name, BeforeValue, AfterValue);
}

/**
  Compare the vector state before and behind the SMI.

  @return Number of fields that differ.
**/
UINTN
StateVectorCompare (
  VOID
  )
{
  UINTN  Index;
  UINTN  Failures;

  Failures = 0;
  for (Index = 0; Index < ARRAY_SIZE (mFields); Index++) {
    Failures += StateVectorField (mFields[Index].Name, mFields[Index].Offset, mFields[Index].Size);
  }

  if (mAvxSize != 0) {
    Failures += StateVectorField ("ymm-high", mAvxOffset, mAvxSize);
  }

  return Failures;
}
