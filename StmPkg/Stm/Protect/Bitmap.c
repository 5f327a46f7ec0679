/** @file
  What MSRs and ports the SMI handler can reach: all, but for what would subvert
  the STM, and what the executive monitor protects.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Bitmap.h"
#include "State/State.h"

///
/// The four bitmaps in the page, "MSR-Bitmap Address", 24.6.9 [25.6.9]: reads of MSRs
/// from 0 and from C0000000H, writes of the same.
///
#define MSR_BITMAP_HIGH   0x400
#define MSR_BITMAP_WRITE  0x800
#define MSR_HIGH_BASE     0xC0000000
#define MSR_RANGE         0x2000

/**
  Do accesses to a place cause a VM exit whatever is protected?

  State/Msr.c has the MSRs and why. At the STM's port the handler could forge records.

  @param[in] Space  StmSpaceIo or StmSpaceMsr.
  @param[in] Place  Port or MSR.

  @return Accesses that are.
**/
STATIC
UINT32
OwnAt (
  IN UINT32  Space,
  IN UINT64  Place
  )
{
  UINTN   Index;
  UINT32  First;
  UINT32  Last;

  if (Space == StmSpaceMsr) {
    for (Index = 0; StmGuardedMsrs (Index, &First, &Last); Index++) {
      if ((Place >= First) && (Place <= Last)) {
        return STM_ACCESS_WRITE;
      }
    }

    return 0;
  }

  return (Place == STM_RECORD_PORT_STM) ? STM_ACCESS_ALL : 0;
}

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
  )
{
  UINTN  Index;

  for (Index = 0; Index < Ports; Index++) {
    if (OwnAt (StmSpaceIo, Port + Index) != 0) {
      return TRUE;
    }
  }

  return FALSE;
}

/**
  Set or clear a bit of a bitmap: accesses cause a VM exit, or not. Another processor
  may read the bitmap at the same time.

  @param[in,out] Bitmap  The bitmap.
  @param[in]     Number  Bit.
  @param[in]     Set     TRUE to set it.
**/
STATIC
VOID
Intercept (
  IN OUT UINT8    *Bitmap,
  IN     UINT64   Number,
  IN     BOOLEAN  Set
  )
{
  volatile UINT8  *Byte;
  UINT8           Bit;

  Byte = &Bitmap[Number / 8];
  Bit  = (UINT8)(1 << (Number % 8));
  if (((*Byte & Bit) != 0) != Set) {
    *Byte ^= Bit;
  }
}

/**
  Let accesses to a port or an MSR cause a VM exit.

  @param[in] Shared  Shared state.
  @param[in] Space   StmSpaceIo or StmSpaceMsr.
  @param[in] Place   Port or MSR.
  @param[in] Access  Accesses that do; others do not.
**/
STATIC
VOID
InterceptAt (
  IN CONST STM_SHARED  *Shared,
  IN UINT32            Space,
  IN UINT64            Place,
  IN UINT32            Access
  )
{
  UINT8  *Bitmap;

  if (Space == StmSpaceIo) {
    Intercept (
      (UINT8 *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_IO_BITMAP),
      Place & (STM_PORT_TWIN - 1),
      (BOOLEAN)(Access != 0)
      );
    return;
  }

  Bitmap = (UINT8 *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_MSR_BITMAP);
  if (Place >= MSR_HIGH_BASE) {
    Place  -= MSR_HIGH_BASE;
    Bitmap += MSR_BITMAP_HIGH;
  }

  //
  // MSRs that have no bit cause a VM exit anyhow.
  //
  if (Place < MSR_RANGE) {
    Intercept (Bitmap, Place, (BOOLEAN)((Access & STM_ACCESS_READ) != 0));
    Intercept (Bitmap + MSR_BITMAP_WRITE, Place, (BOOLEAN)((Access & STM_ACCESS_WRITE) != 0));
  }
}

/**
  Is this MSR one whose writes cause a VM exit whatever is protected?

  @param[in] Msr  The MSR.

  @retval TRUE   It is.
  @retval FALSE  It is not.
**/
BOOLEAN
StmMsrIsOwn (
  IN UINT64  Msr
  )
{
  return (BOOLEAN)((OwnAt (StmSpaceMsr, Msr) != 0) || ((Msr >= MSR_RANGE) && (Msr < MSR_HIGH_BASE)) ||
                   (Msr >= MSR_HIGH_BASE + MSR_RANGE));
}

/**
  Bring the bitmap of MSRs in line with a profile: an access to any protected bit of one
  causes a VM exit.

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.
  @param[in] Range    Bits that the profile may have changed in.
**/
STATIC
VOID
ApplyMsrs (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile,
  IN CONST STM_RANGE    *Range
  )
{
  UINT64  Msr;
  UINT64  Last;
  UINT64  Place;
  UINT64  Next;
  UINT64  End;
  UINT32  Access;

  End    = 0;
  Access = 0;
  Last   = (Range->End - 1) / STM_REGISTER_BITS;
  for (Msr = Range->Base / STM_REGISTER_BITS; Msr <= Last; Msr++) {
    //
    // Between the two ranges that have bits, and behind them, there is nothing to do.
    //
    if ((Msr >= MSR_RANGE) && (Msr < MSR_HIGH_BASE)) {
      Msr = MSR_HIGH_BASE;
    }

    if ((Msr > Last) || (Msr >= MSR_HIGH_BASE + MSR_RANGE)) {
      break;
    }

    if (STM_MSR_PLACE (Msr + 1, 0) > End) {
      //
      // Not all of it is in the part of the profile that was found last.
      //
      Access = 0;
      for (Place = STM_MSR_PLACE (Msr, 0); Place < STM_MSR_PLACE (Msr + 1, 0); Place = Next) {
        Access |= StmProfileAt (Profile, StmSpaceMsr, Place, &Next);
        End     = (Place == STM_MSR_PLACE (Msr, 0)) ? Next : 0;
      }
    }

    InterceptAt (Shared, StmSpaceMsr, Msr, Access | OwnAt (StmSpaceMsr, Msr));
  }
}

///
/// What is known of ports from one on, up to another.
///
typedef struct {
  UINT64    End;
  UINT32    Access;
} FOUND;

/**
  The accesses to a port that cause a VM exit on its own account.

  @param[in]     Profile  The profile.
  @param[in]     Port     The port.
  @param[in]     Pci      TRUE if something of PCI configuration space is protected, or has been.
  @param[in,out] Found    What was found for the port before this one; End 0 to begin.

  @return STM_ACCESS_READ and so on.
**/
STATIC
UINT32
PortAccess (
  IN     CONST STM_PROFILE  *Profile,
  IN     UINT64             Port,
  IN     BOOLEAN            Pci,
  IN OUT FOUND              *Found
  )
{
  if (Port >= Found->End) {
    Found->Access = StmProfileAt (Profile, StmSpaceIo, Port, &Found->End);
  }

  //
  // Of PCI configuration space a register is protected, or some are: the STM looks at
  // each access to its ports.
  //
  if (Pci && (Port >= STM_PCI_PORTS_BASE) && (Port < STM_PCI_PORTS_END)) {
    return STM_ACCESS_ALL;
  }

  return Found->Access | OwnAt (StmSpaceIo, Port);
}

/**
  Bring the bitmap of ports in line with a profile. There is one for both halves of them, so
  a bit is set if it is needed for either port.

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.
  @param[in] Range    Ports that the profile may have changed in.
**/
STATIC
VOID
ApplyPorts (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile,
  IN CONST STM_RANGE    *Range
  )
{
  FOUND    Low;
  FOUND    High;
  UINT64   Port;
  UINT64   End;
  UINT64   Bit;
  BOOLEAN  Pci;

  Pci      = (BOOLEAN)(Shared->PciProtected != 0);
  Low.End  = 0;
  High.End = 0;
  End      = MIN (Range->End, Range->Base + STM_PORT_TWIN);
  for (Port = Range->Base; Port < End; Port++) {
    Bit = Port & (STM_PORT_TWIN - 1);
    if (Bit == 0) {
      Low.End  = 0;
      High.End = 0;
    }

    InterceptAt (
      Shared,
      StmSpaceIo,
      Bit,
      PortAccess (Profile, Bit, Pci, &Low) | PortAccess (Profile, Bit | STM_PORT_TWIN, Pci, &High)
      );
  }
}

/**
  Bring the bitmaps of the SMI handler in line with a profile, within a range.

  @param[in] Shared   Shared state.
  @param[in] Profile  The profile.
  @param[in] Range    Ports or bits of MSRs that the profile may have changed in.
**/
VOID
StmApplyBitmaps (
  IN CONST STM_SHARED   *Shared,
  IN CONST STM_PROFILE  *Profile,
  IN CONST STM_RANGE    *Range
  )
{
  if (Range->Space == StmSpaceMsr) {
    ApplyMsrs (Shared, Profile, Range);
  } else {
    ApplyPorts (Shared, Profile, Range);
  }
}

/**
  Fill the bitmaps of the SMI handler, which are zeroed.

  @param[in] Shared  Shared state.
**/
VOID
StmBuildBitmaps (
  IN CONST STM_SHARED  *Shared
  )
{
  UINTN   Index;
  UINT32  First;
  UINT32  Last;

  for (Index = 0; StmGuardedMsrs (Index, &First, &Last); Index++) {
    for ( ; First <= Last; First++) {
      InterceptAt (Shared, StmSpaceMsr, First, STM_ACCESS_WRITE);
    }
  }

  InterceptAt (Shared, StmSpaceIo, STM_RECORD_PORT_STM, OwnAt (StmSpaceIo, STM_RECORD_PORT_STM));
}
