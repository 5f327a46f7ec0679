/** @file
  What MSRs and ports the SMI handler can reach: all, but for what would subvert
  the STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Protect.h"

///
/// Byte offset of the bitmap for WRMSR of MSRs 0 to 1FFFH, "MSR-Bitmap
/// Address", 24.6.9 [25.6.9].
///
#define MSR_BITMAP_WRITE_LOW  0x800

/**
  Set a bit of a bitmap: accesses cause a VM exit.

  @param[in,out] Bitmap  The bitmap.
  @param[in]     Number  MSR or port.
**/
STATIC
VOID
Intercept (
  IN OUT UINT8   *Bitmap,
  IN     UINT32  Number
  )
{
  Bitmap[Number / 8] |= (UINT8)(1 << (Number % 8));
}

/**
  Fill the bitmaps of the SMI handler, which are zeroed.

  The handler could move MSEG or forbid the executive monitor's calls by writing
  IA32_SMM_MONITOR_CTL, and forge records at the STM's port.

  @param[in] Shared  Shared state.
**/
VOID
StmBuildBitmaps (
  IN CONST STM_SHARED  *Shared
  )
{
  Intercept (
    (UINT8 *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_MSR_BITMAP + MSR_BITMAP_WRITE_LOW),
    MSR_IA32_SMM_MONITOR_CTL
    );
  Intercept ((UINT8 *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_IO_BITMAP_A), STM_RECORD_PORT_STM);
}
