/** @file
  Bitmaps of the guest VMCS: the MSRs and the ports for which the guest exits.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Guest.h"

#define MSR_BITMAP_WRITE_LOW_OFFSET  0x800

///
/// MSRs that exist only with VMX: CPUID hides VMX from the guest, so they fault.
///
STATIC CONST UINT16  mHiddenMsrs[] = {
  MSR_IA32_FEATURE_CONTROL,
  MSR_IA32_SMM_MONITOR_CTL
};

///
/// Ports that reset the platform.
///
STATIC CONST UINT16  mResetPorts[] = {
  EXEC_PORT_KEYBOARD_COMMAND,
  EXEC_PORT_FAST_RESET,
  EXEC_PORT_RESET_CONTROL
};

/**
  Set a bit of a bitmap.

  @param[in,out] Bitmap  The bitmap.
  @param[in]     Index   Number of the bit.
**/
STATIC
VOID
ExecSetBit (
  IN OUT UINT8   *Bitmap,
  IN     UINT32  Index
  )
{
  Bitmap[Index / 8] |= (UINT8)(1 << (Index % 8));
}

/**
  Intercept reads and writes of one MSR below 2000H.

  @param[in,out] Bitmap  MSR bitmap (SDM "MSR-Bitmap Address", 24.6.9 [25.6.9]).
  @param[in]     Index   MSR number below 2000H.
**/
STATIC
VOID
ExecInterceptMsr (
  IN OUT UINT8   *Bitmap,
  IN     UINT32  Index
  )
{
  ExecSetBit (Bitmap, Index);
  ExecSetBit (Bitmap + MSR_BITMAP_WRITE_LOW_OFFSET, Index);
}

/**
  Intercept a PM1 control register, which has two bytes.

  @param[in,out] Bitmap  I/O bitmap A, followed by B.
  @param[in]     Port    Its port; 0 if there is none.
**/
STATIC
VOID
ExecInterceptPm1Control (
  IN OUT UINT8   *Bitmap,
  IN     UINT16  Port
  )
{
  if (Port != 0) {
    ExecSetBit (Bitmap, Port);
    ExecSetBit (Bitmap, (UINT32)Port + 1);
  }
}

/**
  Fill the MSR bitmap and the I/O bitmaps.

  @param[in] Parameters  Where they are.
**/
VOID
ExecBuildBitmaps (
  IN CONST EXEC_PARAMETERS  *Parameters
  )
{
  UINT8   *Bitmap;
  UINTN   Index;
  UINT32  Msr;

  Bitmap = (UINT8 *)(UINTN)Parameters->MsrBitmap;
  ZeroMem (Bitmap, SIZE_4KB);
  for (Index = 0; Index < ARRAY_SIZE (mHiddenMsrs); Index++) {
    ExecInterceptMsr (Bitmap, mHiddenMsrs[Index]);
  }

  for (Msr = MSR_IA32_VMX_BASIC; Msr <= MSR_IA32_VMX_VMFUNC; Msr++) {
    ExecInterceptMsr (Bitmap, Msr);
  }

  //
  // Bitmap A and B follow one another, as the ports do. An access to several ports
  // exits if the bit of any is set ("I/O-Bitmap Addresses", 24.6.4 [25.6.4]).
  //
  Bitmap = (UINT8 *)(UINTN)Parameters->IoBitmaps;
  ZeroMem (Bitmap, 2 * SIZE_4KB);
  for (Index = 0; Index < ARRAY_SIZE (mResetPorts); Index++) {
    ExecSetBit (Bitmap, mResetPorts[Index]);
  }

  if (!Parameters->IgnoreSleep) {
    ExecInterceptPm1Control (Bitmap, Parameters->Sleep.ControlPort);
    ExecInterceptPm1Control (Bitmap, Parameters->Sleep.ControlPortB);
  }
}
