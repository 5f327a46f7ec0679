/** @file
  What the SMI handlers need, and the executive monitor therefore cannot protect.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Resource.h"
#include <Library/BaseMemoryLib.h>
#include <Register/Intel/ArchitecturalMsr.h>

///
/// Most ranges that one claim stands for.
///
#define MOST_NEEDS  5

///
/// A claim of everything, and TSEG, meet what is protected whatever accesses it names, even
/// none.
///
#define ANY_ACCESS  MAX_UINT32

///
/// Where a reader of the firmware's claims is.
///
typedef struct {
  UINTN      Page;
  UINTN      Offset;
  UINTN      Bit;    ///< of a claim of bits: the first that is still to be told
  BOOLEAN    Own;    ///< what needs no claim has been told
} CURSOR;

/**
  Do a claim and what is to be protected have a place and an access in common?

  @param[in] One    A range that is claimed.
  @param[in] Other  A range that is to be protected.

  @retval TRUE   They do.
  @retval FALSE  They do not.
**/
STATIC
BOOLEAN
Meet (
  IN CONST STM_RANGE  *One,
  IN CONST STM_RANGE  *Other
  )
{
  return (BOOLEAN)((One->Space == Other->Space) &&
                   (((One->Access & Other->Access) != 0) || (One->Access == ANY_ACCESS)) &&
                   (One->Base < Other->End) && (Other->Base < One->End));
}

/**
  Fill a range.

  @param[out] Range   It.
  @param[in]  Space   STM_SPACE.
  @param[in]  Access  STM_ACCESS_READ and so on, or ANY_ACCESS.
  @param[in]  Base    First place.
  @param[in]  End     First place behind it.
**/
STATIC
VOID
Fill (
  OUT STM_RANGE  *Range,
  IN  UINT32     Space,
  IN  UINT32     Access,
  IN  UINT64     Base,
  IN  UINT64     End
  )
{
  Range->Space  = Space;
  Range->Access = Access;
  Range->Base   = Base;
  Range->End    = End;
}

/**
  What a claim of memory stands for: where memory accesses reach PCI configuration space,
  it is that, too.

  @param[in]  Limits  Where that is.
  @param[in]  Claim   The claim.
  @param[out] Needs   The ranges.

  @return Their number.
**/
STATIC
UINTN
NeedsOfMemory (
  IN  CONST STM_LIMITS  *Limits,
  IN  CONST STM_RANGE   *Claim,
  OUT STM_RANGE         *Needs
  )
{
  UINT64  Base;
  UINT64  End;

  Needs[0] = *Claim;
  Base     = MAX (Claim->Base, Limits->EcamBase);
  End      = MIN (Claim->End, Limits->EcamBase + Limits->EcamSize);
  if ((Limits->EcamBase == 0) || (Base >= End)) {
    return 1;
  }

  Fill (&Needs[1], StmSpacePci, Claim->Access, Base - Limits->EcamBase, End - Limits->EcamBase);
  return 2;
}

/**
  What a claim of PCI configuration space stands for: the ports by which it is reached, the
  registers, and the page of memory where they are.

  @param[in]  Limits  How to follow its path, and where the memory is.
  @param[in]  Pci     The claim.
  @param[out] Needs   The ranges.

  @return Their number.
**/
STATIC
UINTN
NeedsOfPci (
  IN  CONST STM_LIMITS            *Limits,
  IN  CONST STM_RSC_PCI_CFG_DESC  *Pci,
  OUT STM_RANGE                   *Needs
  )
{
  UINT64  Page;

  Fill (&Needs[0], StmSpaceIo, STM_ACCESS_READ | STM_ACCESS_WRITE, STM_PCI_PORTS_BASE, STM_PCI_PORTS_END);
  if (!StmPciResolve (Limits, Pci, &Needs[1])) {
    return 1;
  }

  if (Needs[1].End > Limits->EcamSize) {
    return 2;
  }

  Page = Limits->EcamBase + (Needs[1].Base & ~(UINT64)(STM_PCI_FUNCTION_SIZE - 1));
  Fill (&Needs[2], StmSpaceMemory, Needs[1].Access, Page, Page + STM_PCI_FUNCTION_SIZE);
  return 3;
}

/**
  Is a write of an MSR one of all its bits? Those that VM entries and VM exits of the handler
  switch the STM does not write for it, so it does not look at bits of them either.

  @param[in] Msr  The MSR.

  @retval TRUE   It is.
  @retval FALSE  Bits that keep their value are not written.
**/
BOOLEAN
EFIAPI
StmMsrIsWhole (
  IN UINT64  Msr
  )
{
  switch (Msr) {
    case MSR_IA32_SYSENTER_CS:
    case MSR_IA32_SYSENTER_ESP:
    case MSR_IA32_SYSENTER_EIP:
    case MSR_IA32_DEBUGCTL:
    case MSR_IA32_PAT:
    case MSR_IA32_EFER:
    case MSR_IA32_FS_BASE:
    case MSR_IA32_GS_BASE:
      return TRUE;
    default:
      return FALSE;
  }
}

/**
  What a claim of a control register or an MSR stands for, part by part. To read a bit of it
  the handler has to read the register, so that is all of it; to write a bit it leaves the
  others as they are, and these may be protected.

  @param[in]     Space      StmSpaceRegister or StmSpaceMsr.
  @param[in]     First      Place of bit 0.
  @param[in]     ReadMask   Bits that it reads.
  @param[in]     WriteMask  Bits that it writes.
  @param[in,out] Bit        Where to begin, 0 for the first part; gets the bit behind this one.
  @param[out]    Needs      The ranges.

  @return Their number.
**/
STATIC
UINTN
NeedsOfBits (
  IN     UINT32     Space,
  IN     UINT64     First,
  IN     UINT64     ReadMask,
  IN     UINT64     WriteMask,
  IN OUT UINTN      *Bit,
  OUT    STM_RANGE  *Needs
  )
{
  UINTN  Count;

  Count = 0;
  if ((*Bit == 0) && (ReadMask != 0)) {
    Fill (&Needs[0], Space, STM_ACCESS_READ, First, First + STM_REGISTER_BITS);
    Count = 1;
  }

  while ((*Bit < STM_REGISTER_BITS) && (((WriteMask >> *Bit) & 1) == 0)) {
    (*Bit)++;
  }

  if (*Bit < STM_REGISTER_BITS) {
    Fill (&Needs[Count], Space, STM_ACCESS_WRITE, First + *Bit, First);
    while ((*Bit < STM_REGISTER_BITS) && (((WriteMask >> *Bit) & 1) != 0)) {
      (*Bit)++;
    }

    Needs[Count].End = First + *Bit;
    Count++;
  }

  return Count;
}

/**
  The next part of a claim of bits.

  @param[in]     Resource  The claim, of a control register or an MSR.
  @param[in,out] Cursor    Behind it; stays at it until all parts are told.
  @param[out]    Needs     The ranges.

  @return Their number.
**/
STATIC
UINTN
NextBits (
  IN     CONST STM_RSC  *Resource,
  IN OUT CURSOR         *Cursor,
  OUT    STM_RANGE      *Needs
  )
{
  CONST STM_RSC_MSR_DESC             *Msr;
  CONST STM_REGISTER_VIOLATION_DESC  *Register;
  UINTN                              Count;

  Msr      = &Resource->Msr;
  Register = &Resource->RegisterViolation;
  if (Resource->Header.RscType == MACHINE_SPECIFIC_REG) {
    Count = NeedsOfBits (
              StmSpaceMsr,
              STM_MSR_PLACE (Msr->MsrIndex, 0),
              Msr->ReadMask,
              ((Msr->WriteMask != 0) && StmMsrIsWhole (Msr->MsrIndex)) ? MAX_UINT64 : Msr->WriteMask,
              &Cursor->Bit,
              Needs
              );
  } else {
    Count = NeedsOfBits (
              StmSpaceRegister,
              STM_REGISTER_PLACE (Register->RegisterType, 0),
              Register->ReadMask,
              Register->WriteMask,
              &Cursor->Bit,
              Needs
              );
  }

  if (Cursor->Bit < STM_REGISTER_BITS) {
    Cursor->Offset -= Resource->Header.Length;
  } else {
    Cursor->Bit = 0;
  }

  return Count;
}

/**
  What the handler needs, claim by claim. Without a claim TSEG is the firmware's own, and
  the ports at which its INS and OUTS run under the monitor trap flag stay open: were one
  protected, the handler would fail at a port that it has not named.

  @param[in]     Limits  What protection must respect.
  @param[in,out] Cursor  Zeroed for the first claim.
  @param[out]    Needs   The ranges that the claim stands for, MOST_NEEDS at most.
  @param[out]    Count   Their number.

  @retval TRUE   There is a claim.
  @retval FALSE  There are no more.
**/
STATIC
BOOLEAN
NextClaim (
  IN     CONST STM_LIMITS  *Limits,
  IN OUT CURSOR            *Cursor,
  OUT    STM_RANGE         *Needs,
  OUT    UINTN             *Count
  )
{
  CONST STM_RSC      *Resource;
  STM_RESOURCE_KIND  Kind;
  STM_RANGE          Claim;

  if (!Cursor->Own) {
    Cursor->Own = TRUE;
    Fill (&Needs[0], StmSpaceMemory, ANY_ACCESS, Limits->TsegBase, Limits->TsegEnd);
    Fill (&Needs[1], StmSpaceIo, STM_ACCESS_READ | STM_ACCESS_WRITE, STM_STEP_PORTS_BASE, STM_STEP_PORTS_END);
    Fill (
      &Needs[2],
      StmSpaceIo,
      STM_ACCESS_READ | STM_ACCESS_WRITE,
      STM_STEP_PORTS_BASE + STM_PORT_TWIN,
      STM_STEP_PORTS_END + STM_PORT_TWIN
      );
    *Count = 3;
    return TRUE;
  }

  while (Cursor->Page < Limits->BiosPages) {
    Resource = (CONST STM_RSC *)(Limits->BiosList + Cursor->Page * SIZE_4KB + Cursor->Offset);
    Kind     = StmResourceRead (Resource, SIZE_4KB - Cursor->Offset, Limits->PhysicalBits, &Claim);
    if ((Kind == StmResourceEnd) || (Kind == StmResourceMalformed)) {
      Cursor->Page++;
      Cursor->Offset = 0;
      continue;
    }

    Cursor->Offset += Resource->Header.Length;
    switch (Kind) {
      case StmResourceRange:
      case StmResourceTrappedIo:
        if (Claim.Space == StmSpaceMemory) {
          *Count = NeedsOfMemory (Limits, &Claim, Needs);
        } else {
          Needs[0] = Claim;
          *Count   = 1;
        }

        return TRUE;
      case StmResourcePci:
        *Count = NeedsOfPci (Limits, &Resource->PciCfg, Needs);
        return TRUE;
      case StmResourceMsr:
      case StmResourceRegister:
        *Count = NextBits (Resource, Cursor, Needs);
        return TRUE;
      case StmResourceAll:
        for (*Count = 0; *Count < MOST_NEEDS; (*Count)++) {
          Fill (&Needs[*Count], (UINT32)*Count, ANY_ACCESS, 0, MAX_UINT64);
        }

        return TRUE;
      default:
        break;
    }
  }

  return FALSE;
}

/**
  Does the handler need any of what is to be protected? TSEG is the firmware's
  own, and the ports of StmStartStep stay open; everything else it has to claim in its list.

  @param[in] Limits  What protection must respect.
  @param[in] Range   What is to be protected.

  @retval TRUE   It does.
  @retval FALSE  It does not.
**/
BOOLEAN
EFIAPI
StmResourceIsClaimed (
  IN CONST STM_LIMITS  *Limits,
  IN CONST STM_RANGE   *Range
  )
{
  CURSOR     Cursor;
  STM_RANGE  Needs[MOST_NEEDS];
  UINTN      Count;

  ZeroMem (&Cursor, sizeof (Cursor));
  while (NextClaim (Limits, &Cursor, Needs, &Count)) {
    while (Count > 0) {
      Count--;
      if (Meet (&Needs[Count], Range)) {
        return TRUE;
      }
    }
  }

  return FALSE;
}

/**
  The accesses to a place that the handler needs.

  @param[in]  Limits  What protection must respect.
  @param[in]  Space   STM_SPACE.
  @param[in]  Place   Address, port, MSR or register.
  @param[out] End     First place behind it for which the answer may differ.

  @return STM_ACCESS_READ and so on.
**/
UINT32
EFIAPI
StmResourceClaimedAt (
  IN  CONST STM_LIMITS  *Limits,
  IN  UINT32            Space,
  IN  UINT64            Place,
  OUT UINT64            *End
  )
{
  CURSOR     Cursor;
  STM_RANGE  Needs[MOST_NEEDS];
  UINTN      Count;
  UINT32     Access;

  Access = 0;
  *End   = MAX_UINT64;
  ZeroMem (&Cursor, sizeof (Cursor));
  while (NextClaim (Limits, &Cursor, Needs, &Count)) {
    while (Count > 0) {
      Count--;
      if ((Needs[Count].Space != Space) || (Needs[Count].End <= Place)) {
        continue;
      }

      if (Needs[Count].Base > Place) {
        *End = MIN (*End, Needs[Count].Base);
      } else {
        *End    = MIN (*End, Needs[Count].End);
        Access |= Needs[Count].Access;
      }
    }
  }

  return Access & STM_ACCESS_ALL;
}
