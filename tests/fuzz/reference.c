/** @file
  Lists of resources and what they protect, from the words of the headers.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "reference.h"

STATIC
UINT64
Get (
  IN CONST UINT8  *Bytes,
  IN UINT32       Count
  )
{
  UINT64  Value;

  for (Value = 0; Count-- != 0; ) {
    Value = Value << 8 | Bytes[Count];
  }

  return Value;
}

/**
  Name [Base, Base + Length) of a space with so many places.
**/
STATIC
BOOLEAN
Name (
  OUT REF_ITEM  *Item,
  IN  UINT32    Space,
  IN  UINT64    Base,
  IN  UINT64    Length,
  IN  UINT64    Places,
  IN  UINT32    Access
  )
{
  if ((Length == 0) || (Length > Places) || (Base > Places - Length)) {
    return FALSE;
  }

  Item->Space  = Space;
  Item->Access = Access;
  Item->First  = Base;
  Item->Last   = Base + Length - 1;
  return TRUE;
}

/**
  One descriptor.

  @retval TRUE   It could be read.
  @retval FALSE  It is none, or a field is not allowed.
**/
STATIC
BOOLEAN
ReadItem (
  IN  CONST UINT8  *At,
  IN  UINTN        Left,
  IN  UINT32       PhysicalBits,
  OUT REF_ITEM     *Item
  )
{
  STATIC CONST UINT8  Lengths[] = { 16, 32, 16, 32, 32, 22, 16, 8, 32 };
  UINT32              Flags;
  UINT32              Node;

  if (Left < 8) {
    return FALSE;
  }

  Item->Type   = (UINT32)Get (At, 4);
  Item->Length = (UINT32)Get (At + 4, 2);
  Item->Space  = SpaceNone;
  Item->Bits   = FALSE;
  Item->Next   = 0;
  Flags        = (UINT32)Get (At + 6, 2);
  if ((Item->Type > 8) || (Left < Lengths[Item->Type]) || ((Flags & 0x7FFE) != 0)) {
    return FALSE;
  }

  if (Item->Length != Lengths[Item->Type] + ((Item->Type == 5) ? At[15] * 6U : 0) || (Item->Length > Left)) {
    return FALSE;
  }

  Item->Returned = (BOOLEAN)(Flags & 1);
  Item->Ignored  = (BOOLEAN)(Flags >> 15);
  switch (Item->Type) {
    case 0:
      Item->Next = Get (At + 8, 8);
      return TRUE;
    case 1:
    case 3:
      if ((Get (At + 24, 4) > 7) || (Get (At + 28, 4) != 0) ||
          !Name (Item, SpaceMemory, Get (At + 8, 8), Get (At + 16, 8), 1ULL << PhysicalBits, At[24]))
      {
        return FALSE;
      }

      //
      // Whole pages.
      //
      Item->First &= ~0xFFFULL;
      Item->Last  |= 0xFFF;
      return TRUE;
    case 2:
      return (BOOLEAN)((Get (At + 12, 4) == 0) && Name (Item, SpaceIo, Get (At + 8, 2), Get (At + 10, 2), 0x10000, 3));
    case 4:
      Item->Bits     = TRUE;
      Item->Masks[0] = Get (At + 16, 8);
      Item->Masks[1] = Get (At + 24, 8);
      return (BOOLEAN)((Get (At + 12, 4) <= 1) &&
                       Name (
                         Item,
                         SpaceMsr,
                         Get (At + 8, 4) * 64,
                         64,
                         64ULL << 32,
                         ((Get (At + 16, 8) != 0) ? 1 : 0) | ((Get (At + 24, 8) != 0) ? 2 : 0)
                         ));
    case 5:
      for (Node = 0; Node <= At[15]; Node++) {
        if ((Get (At + 16 + Node * 6, 4) != 0x00060101) || (At[20 + Node * 6] > 7) || (At[21 + Node * 6] > 31)) {
          return FALSE;
        }
      }

      return (BOOLEAN)((Get (At + 8, 2) <= 3) && (Get (At + 12, 2) != 0) && (Get (At + 10, 2) + Get (At + 12, 2) <= 0x1000));
    case 6:
      return (BOOLEAN)((Get (At + 12, 2) <= 7) && (Get (At + 14, 2) == 0) &&
                       Name (Item, SpaceIo, Get (At + 8, 2), Get (At + 10, 2), 0x10000, At[12] & 3));
    case 8:
      return (BOOLEAN)((Get (At + 8, 4) < 5) && (Get (At + 12, 4) == 0));
    default:
      return TRUE;
  }
}

/**
  Read a list up to its END, or to what cannot be read.
**/
VOID
RefReadList (
  IN  CONST UINT8  *Bytes,
  IN  UINTN        Size,
  IN  UINT32       PhysicalBits,
  OUT REF_LIST     *List
  )
{
  UINTN     Offset;
  REF_ITEM  *Item;

  List->Count    = 0;
  List->Ended    = FALSE;
  List->Returned = FALSE;
  List->Next     = 0;
  for (Offset = 0; List->Count < REF_ITEMS; Offset += Item->Length) {
    Item         = &List->Items[List->Count];
    Item->Offset = (UINT32)Offset;
    if (!ReadItem (Bytes + Offset, Size - Offset, PhysicalBits, Item)) {
      return;
    }

    List->Returned = (BOOLEAN)(List->Returned || Item->Returned);
    if (Item->Type == 0) {
      List->Ended = TRUE;
      List->Next  = Item->Next;
      return;
    }

    List->Count++;
  }
}

/**
  Accesses that masks have at a bit.
**/
UINT32
RefBits (
  IN CONST UINT64  Masks[2],
  IN UINT64        Bit
  )
{
  return (UINT32)(Masks[0] >> Bit & 1) | (UINT32)(Masks[1] >> Bit & 1) << 1;
}

/**
  Bits that a claim of an MSR keeps from being protected: all for reads, since nobody reads
  one bit; and all for writes of those that are in a VMCS.
**/
VOID
RefNeeds (
  IN  CONST REF_ITEM  *Claim,
  OUT UINT64          Masks[2]
  )
{
  STATIC CONST UINT32  Switched[] = { 0x174, 0x175, 0x176, 0x1D9, 0x277, 0xC0000080, 0xC0000100, 0xC0000101 };
  UINT32               Index;

  Masks[0] = (Claim->Masks[0] != 0) ? MAX_UINT64 : 0;
  Masks[1] = Claim->Masks[1];
  for (Index = 0; Index < ARRAY_SIZE (Switched); Index++) {
    if ((Claim->First / 64 == Switched[Index]) && (Masks[1] != 0)) {
      Masks[1] = MAX_UINT64;
    }
  }
}

/**
  Does a claim of an MSR keep any of what a descriptor or a range names?
**/
STATIC
BOOLEAN
ClaimsBits (
  IN CONST REF_ITEM  *Claim,
  IN CONST REF_ITEM  *Item
  )
{
  UINT64  Needs[2];
  UINT64  Place;

  RefNeeds (Claim, Needs);
  for (Place = Claim->First; Place <= Claim->Last; Place++) {
    if ((Place >= Item->First) && (Place <= Item->Last) &&
        ((RefBits (Needs, Place - Claim->First) & (Item->Bits ? RefBits (Item->Masks, Place - Item->First) : Item->Access)) != 0))
    {
      return TRUE;
    }
  }

  return FALSE;
}

/**
  Does a list of the firmware's claim any of what a descriptor names? Only what is
  claimed in the same words: memory, ports, MSRs, all.
**/
BOOLEAN
RefClaims (
  IN CONST REF_LIST  *Claims,
  IN CONST REF_ITEM  *Item
  )
{
  CONST REF_ITEM  *Claim;
  UINT32          Index;

  for (Index = 0; Index < Claims->Count; Index++) {
    Claim = &Claims->Items[Index];
    if (Claim->Ignored) {
      continue;
    }

    if (Claim->Type == 7) {
      return TRUE;
    }

    if (Claim->Bits) {
      if ((Item->Space == SpaceMsr) && ClaimsBits (Claim, Item)) {
        return TRUE;
      }

      continue;
    }

    //
    // Of trapped ports the firmware needs both directions.
    //
    if ((Claim->Space == Item->Space) && (Claim->Space != SpaceNone) &&
        ((((Claim->Type == 6) ? 3 : Claim->Access) & Item->Access) != 0) &&
        (Claim->First <= Item->Last) && (Item->First <= Claim->Last))
    {
      return TRUE;
    }
  }

  return FALSE;
}

/**
  Does a descriptor protect a port that has to stay open without a claim?
**/
BOOLEAN
RefIsStepPort (
  IN CONST REF_ITEM  *Item
  )
{
  return (BOOLEAN)((Item->Space == SpaceIo) && ((Item->Access & 3) != 0) &&
                   (((Item->First <= REF_STEP_LAST) && (Item->Last >= REF_STEP_FIRST)) ||
                    ((Item->First <= REF_STEP_LAST + REF_TWIN) && (Item->Last >= REF_STEP_FIRST + REF_TWIN))));
}

/**
  What all changes together protect at one place.
**/
UINT32
RefProtectedAt (
  IN CONST REF_HISTORY  *History,
  IN UINT32             Space,
  IN UINT64             Place
  )
{
  CONST REF_CHANGE  *Change;
  UINT32            Access;
  UINT32            Here;
  UINT32            Index;

  Access = 0;
  for (Index = 0; Index < History->Count; Index++) {
    Change = &History->Changes[Index];
    if ((Change->Space == Space) && (Change->First <= Place) && (Place <= Change->Last)) {
      Here   = Change->Bits ? RefBits (Change->Masks, Place - Change->First) : Change->Access;
      Access = Change->Protect ? (Access | Here) : (Access & ~Here);
    }
  }

  return Access;
}
