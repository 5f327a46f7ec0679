/** @file
  Lists of resources and what they protect, once more and from the words of
  StmResourceDescriptor.h and StmApi.h: what the real code is compared with.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef REFERENCE_H_
#define REFERENCE_H_

#include <Base.h>

enum { SpaceMemory, SpaceIo, SpaceMsr, SpaceNone };

///
/// One descriptor that could be read.
///
typedef struct {
  UINT32    Type;
  UINT32    Length;
  UINT32    Offset;
  UINT32    Space;      ///< SpaceNone if it names nothing of the three
  UINT32    Access;     ///< 1 read, 2 write, 4 execute
  UINT64    First;
  UINT64    Last;       ///< the last place that it names
  UINT64    Masks[2];   ///< bits for reads and for writes, if Bits
  BOOLEAN   Bits;       ///< an MSR: places are its bits, from First on, and each has its accesses
  UINT64    Next;       ///< of END: where the list goes on
  BOOLEAN   Ignored;
  BOOLEAN   Returned;
} REF_ITEM;

#define REF_ITEMS  512

///
/// A list: its descriptors before END, as many as could be read.
///
typedef struct {
  REF_ITEM    Items[REF_ITEMS];
  UINT32      Count;
  BOOLEAN     Ended;      ///< there is an END
  BOOLEAN     Returned;   ///< one of them, or END, has ReturnStatus set
  UINT64      Next;       ///< continuation of END
} REF_LIST;

///
/// What calls have protected and given back, in their order.
///
typedef struct {
  UINT32    Space;
  UINT32    Access;
  UINT64    First;
  UINT64    Last;
  UINT64    Masks[2];
  BOOLEAN   Bits;
  BOOLEAN   Protect;
} REF_CHANGE;

#define REF_CHANGES  4096

typedef struct {
  REF_CHANGE    Changes[REF_CHANGES];
  UINT32        Count;
} REF_HISTORY;

///
/// Where INS and OUTS of the SMI handler run before the STM does their access: nobody can
/// protect these ports.
///
#define REF_STEP_FIRST  0xED
#define REF_STEP_LAST   0xF0
#define REF_TWIN        0x8000   ///< the ports of the other half, with the same bits in the bitmap

VOID
RefReadList (
  IN  CONST UINT8  *Bytes,
  IN  UINTN        Size,
  IN  UINT32       PhysicalBits,
  OUT REF_LIST     *List
  );

UINT32
RefBits (
  IN CONST UINT64  Masks[2],
  IN UINT64        Bit
  );

VOID
RefNeeds (
  IN  CONST REF_ITEM  *Claim,
  OUT UINT64          Masks[2]
  );

BOOLEAN
RefClaims (
  IN CONST REF_LIST  *Claims,
  IN CONST REF_ITEM  *Item
  );

BOOLEAN
RefIsStepPort (
  IN CONST REF_ITEM  *Item
  );

UINT32
RefProtectedAt (
  IN CONST REF_HISTORY  *History,
  IN UINT32             Space,
  IN UINT64             Place
  );

#endif
