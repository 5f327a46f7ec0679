/** @file
  The VMCS database: a hash table of words.

  An SMI looks for one record, however many there are, and takes no lock. That is
  safe because a record never moves: what is removed leaves a mark behind, over which
  a search goes on, and a mark is taken away only where no search has to go on.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Domain.h"
#include <Library/BaseLib.h>

///
/// A place is the address of a VMCS, and in its low bits STM_DOMAIN_PRESENT and
/// the policy.
///
#define POLICY_SHIFT  1

#define PLACE_EMPTY    0
#define PLACE_REMOVED  BIT10
#define PLACE_NONE     STM_DOMAIN_PLACES

#define ADDRESS_MASK  (~(UINT64)(SIZE_4KB - 1))
#define POLICY_MASK   0x3FF

///
/// 2^64 divided by the golden ratio: VMCSs lie in neighbouring pages, which it spreads.
///
#define HASH_FACTOR  0x9E3779B97F4A7C15ULL
#define HASH_SHIFT   56

STATIC_ASSERT (STM_DOMAIN_PLACES == 1 << (64 - HASH_SHIFT), "a hash is a place");

/**
  The place behind another.

  @param[in] Place  0 to STM_DOMAIN_PLACES - 1.

  @return The next one, 0 behind the last.
**/
STATIC
UINT32
Next (
  IN UINT32  Place
  )
{
  return (Place + 1) % STM_DOMAIN_PLACES;
}

/**
  The place before another.

  @param[in] Place  0 to STM_DOMAIN_PLACES - 1.

  @return The one before it, the last one before 0.
**/
STATIC
UINT32
Previous (
  IN UINT32  Place
  )
{
  return (Place + STM_DOMAIN_PLACES - 1) % STM_DOMAIN_PLACES;
}

/**
  Search for a VMCS.

  @param[in]  Domains  The database.
  @param[in]  Vmcs     Its address.
  @param[out] Free     First place on the way where it could be put; PLACE_NONE if
                       there is none.

  @return Its place, PLACE_NONE if it is not there.
**/
STATIC
UINT32
Search (
  IN  CONST STM_DOMAINS  *Domains,
  IN  UINT64             Vmcs,
  OUT UINT32             *Free
  )
{
  UINT32  Place;
  UINT32  Count;
  UINT64  Word;

  *Free = PLACE_NONE;
  Place = (UINT32)RShiftU64 (MultU64x64 (RShiftU64 (Vmcs, 12), HASH_FACTOR), HASH_SHIFT);
  for (Count = 0; Count < STM_DOMAIN_PLACES; Count++, Place = Next (Place)) {
    Word = *(volatile CONST UINT64 *)&Domains->Places[Place];
    if ((Word & STM_DOMAIN_PRESENT) != 0) {
      if ((Word & ADDRESS_MASK) == Vmcs) {
        return Place;
      }

      continue;
    }

    if (*Free == PLACE_NONE) {
      *Free = Place;
    }

    if (Word == PLACE_EMPTY) {
      break;
    }
  }

  return PLACE_NONE;
}

/**
  Find a VMCS in the database.

  @param[in] Domains  The database. Another processor may change it meanwhile.
  @param[in] Vmcs     Physical address of the VMCS, or of the VMXON region.

  @return STM_DOMAIN_POLICY and STM_DOMAIN_PRESENT, 0 if it is not there.
**/
UINT32
EFIAPI
StmDomainFind (
  IN CONST STM_DOMAINS  *Domains,
  IN UINT64             Vmcs
  )
{
  UINT32  Place;
  UINT32  Free;
  UINT64  Word;

  Place = Search (Domains, Vmcs, &Free);
  if (Place == PLACE_NONE) {
    return 0;
  }

  //
  // It may have been removed, and the place taken, since.
  //
  Word = *(volatile CONST UINT64 *)&Domains->Places[Place];
  return ((Word & ADDRESS_MASK) == Vmcs)
         ? (((UINT32)Word >> POLICY_SHIFT) & POLICY_MASK) | ((UINT32)Word & STM_DOMAIN_PRESENT) : 0;
}

/**
  Take a record out.

  @param[in,out] Domains  The database.
  @param[in]     Place    Where it is.
**/
STATIC
VOID
Remove (
  IN OUT STM_DOMAINS  *Domains,
  IN     UINT32       Place
  )
{
  volatile UINT64  *Places;

  Places        = Domains->Places;
  Places[Place] = PLACE_REMOVED;
  Domains->Count--;

  //
  // A search ends at an empty place, so none needs a mark that stands before one.
  //
  if (Places[Next (Place)] == PLACE_EMPTY) {
    for ( ; Places[Place] == PLACE_REMOVED; Place = Previous (Place)) {
      Places[Place] = PLACE_EMPTY;
    }
  }
}

/**
  Serve a request of MANAGE_VMCS_DATABASE. One processor at a time.

  "StmApi.h" names two statuses for this call, ERROR_STM_INVALID_VMCS and
  ERROR_STM_VMCS_PRESENT, to which "StmStatusCode.h" gives no number. The one that it
  has about the database stands for both: the caller knows what it has asked for.

  @param[in,out] Domains  The database.
  @param[in]     Request  A copy of the request; the caller has checked that its VMCS
                          is the executive monitor's.

  @retval STM_SUCCESS                      Done.
  @retval ERROR_INVALID_PARAMETER          A reserved bit is set, or AddOrRemove or, to
                                           add, XStatePolicy is none.
  @retval ERROR_STM_INVALID_VMCS_DATABASE  To add: it is there. To remove: it is not.
  @retval ERROR_STM_OUT_OF_RESOURCES       To add: the database is full.
**/
UINT32
EFIAPI
StmDomainManage (
  IN OUT STM_DOMAINS                      *Domains,
  IN     CONST STM_VMCS_DATABASE_REQUEST  *Request
  )
{
  UINT64   Vmcs;
  UINT32   Place;
  UINT32   Free;
  BOOLEAN  Add;

  Vmcs = Request->VmcsPhysPointer;
  Add  = (BOOLEAN)(Request->AddOrRemove == STM_VMCS_DATABASE_REQUEST_ADD);
  if (((Vmcs & ~ADDRESS_MASK) != 0) || (Request->Reserved1 != 0) ||
      (!Add && (Request->AddOrRemove != STM_VMCS_DATABASE_REQUEST_REMOVE)) ||
      (Add && (Request->XStatePolicy != XSTATE_READWRITE) && (Request->XStatePolicy != XSTATE_READONLY) &&
       (Request->XStatePolicy != XSTATE_SCRUB)))
  {
    return (UINT32)ERROR_INVALID_PARAMETER;
  }

  Place = Search (Domains, Vmcs, &Free);
  if ((Place != PLACE_NONE) == Add) {
    return (UINT32)ERROR_STM_INVALID_VMCS_DATABASE;
  }

  if (!Add) {
    Remove (Domains, Place);
    return STM_SUCCESS;
  }

  if (Domains->Count == STM_DOMAIN_LIMIT) {
    return (UINT32)ERROR_STM_OUT_OF_RESOURCES;
  }

  *(volatile UINT64 *)&Domains->Places[Free] =
    Vmcs | STM_DOMAIN_PRESENT |
    (STM_DOMAIN_POLICY (Request->DomainType, Request->XStatePolicy, Request->DegradationPolicy) << POLICY_SHIFT);
  Domains->Count++;
  return STM_SUCCESS;
}
