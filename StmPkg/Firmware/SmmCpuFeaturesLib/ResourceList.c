/** @file
  The list of resources that the SMI handlers need, as drivers add to it.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "ResourceList.h"
#include <Library/BaseMemoryLib.h>

/**
  The descriptor at an offset of the list.

  @param[in] List    The list.
  @param[in] Offset  Bytes from its start.

  @return The descriptor, or the END behind the last one.
**/
STATIC
STM_RSC *
At (
  IN CONST RESOURCE_LIST  *List,
  IN UINT32               Offset
  )
{
  return (STM_RSC *)(List->Buffer + Offset);
}

/**
  Write the END behind the last descriptor.

  @param[in,out] List  The list.
**/
STATIC
VOID
WriteEnd (
  IN OUT RESOURCE_LIST  *List
  )
{
  STM_RSC_END  *End;

  End = &At (List, List->Used)->End;
  ZeroMem (End, sizeof (*End));
  End->Hdr.RscType = END_OF_RESOURCES;
  End->Hdr.Length  = sizeof (*End);
}

/**
  Make a list empty: a lone END.

  @param[in,out] List  Buffer, Size and PhysicalBits are set; Size has room for an END.
**/
VOID
EFIAPI
ResourceListClear (
  IN OUT RESOURCE_LIST  *List
  )
{
  List->Used = 0;
  WriteEnd (List);
}

/**
  Check the descriptors that a driver has passed, and measure them.

  @param[in]  List        The list that they are for.
  @param[in]  Resources   Descriptors one after another.
  @param[in]  NumEntries  How many of them; 0 if an END follows the last one.
  @param[out] Length      Their bytes, without an END.

  @retval RETURN_SUCCESS            They are well-formed and claim something.
  @retval RETURN_INVALID_PARAMETER  One is not.
  @retval RETURN_OUT_OF_RESOURCES   They are longer than List can be.
**/
STATIC
RETURN_STATUS
Measure (
  IN  CONST RESOURCE_LIST  *List,
  IN  CONST STM_RSC        *Resources,
  IN  UINT32               NumEntries,
  OUT UINT32               *Length
  )
{
  CONST STM_RSC      *Resource;
  STM_RESOURCE_KIND  Kind;
  STM_RANGE          Range;
  UINT32             Index;

  *Length = 0;
  for (Index = 0; (NumEntries == 0) || (Index < NumEntries); Index++) {
    Resource = (CONST STM_RSC *)((CONST UINT8 *)Resources + *Length);
    Kind     = StmResourceRead (Resource, List->Size, List->PhysicalBits, &Range);
    if (Kind == StmResourceEnd) {
      break;
    }

    if ((Kind == StmResourceMalformed) || (Kind == StmResourceIgnored) || (Resource->Header.ReturnStatus != 0)) {
      return RETURN_INVALID_PARAMETER;
    }

    *Length += Resource->Header.Length;
    if (*Length > List->Size) {
      return RETURN_OUT_OF_RESOURCES;
    }
  }

  return RETURN_SUCCESS;
}

/**
  Unite two ranges that overlap or touch.

  @param[in]     Base         First place of one.
  @param[in]     Length       Its places.
  @param[in,out] OtherBase    First place of the other; of both afterwards.
  @param[in,out] OtherLength  Its places; of both afterwards.
  @param[in]     Most         Places that a descriptor can name.

  @retval TRUE   They are one.
  @retval FALSE  There is a gap, or they are too long: nothing has changed.
**/
STATIC
BOOLEAN
Unite (
  IN     UINT64  Base,
  IN     UINT64  Length,
  IN OUT UINT64  *OtherBase,
  IN OUT UINT64  *OtherLength,
  IN     UINT64  Most
  )
{
  UINT64  Low;
  UINT64  High;

  if ((Base > *OtherBase + *OtherLength) || (*OtherBase > Base + Length)) {
    return FALSE;
  }

  Low  = MIN (Base, *OtherBase);
  High = MAX (Base + Length, *OtherBase + *OtherLength);
  if (High - Low > Most) {
    return FALSE;
  }

  *OtherBase   = Low;
  *OtherLength = High - Low;
  return TRUE;
}

/**
  Make one descriptor of two, if that is possible.

  @param[in]     Old  A descriptor of the list.
  @param[in,out] New  Another one; takes over what Old claims.

  @retval TRUE   New stands for both.
  @retval FALSE  New has not changed.
**/
STATIC
BOOLEAN
TakeOver (
  IN     CONST STM_RSC  *Old,
  IN OUT STM_RSC        *New
  )
{
  UINT64  Base;
  UINT64  Length;

  if (Old->Header.RscType != New->Header.RscType) {
    return FALSE;
  }

  switch (Old->Header.RscType) {
    case MEM_RANGE:
    case MMIO_RANGE:
      //
      // STM_RSC_MEM_DESC and STM_RSC_MMIO_DESC have the same members.
      //
      Base   = New->Mem.Base;
      Length = New->Mem.Length;
      if ((Old->Mem.RWXAttributes != New->Mem.RWXAttributes) ||
          !Unite (Old->Mem.Base, Old->Mem.Length, &Base, &Length, MAX_UINT64))
      {
        return FALSE;
      }

      New->Mem.Base   = Base;
      New->Mem.Length = Length;
      return TRUE;
    case IO_RANGE:
      Base   = New->Io.Base;
      Length = New->Io.Length;
      if (!Unite (Old->Io.Base, Old->Io.Length, &Base, &Length, MAX_UINT16)) {
        return FALSE;
      }

      New->Io.Base   = (UINT16)Base;
      New->Io.Length = (UINT16)Length;
      return TRUE;
    case MACHINE_SPECIFIC_REG:
      if ((Old->Msr.MsrIndex != New->Msr.MsrIndex) || (Old->Msr.KernelModeProcessing != New->Msr.KernelModeProcessing)) {
        return FALSE;
      }

      New->Msr.ReadMask  |= Old->Msr.ReadMask;
      New->Msr.WriteMask |= Old->Msr.WriteMask;
      return TRUE;
    default:
      return (BOOLEAN)((Old->Header.Length == New->Header.Length) &&
                       (CompareMem (Old, New, Old->Header.Length) == 0));
  }
}

/**
  Take a descriptor out of the list; the others move up.

  @param[in,out] List    The list, without a valid END afterwards.
  @param[in]     Offset  Where it is.
**/
STATIC
VOID
Remove (
  IN OUT RESOURCE_LIST  *List,
  IN     UINT32         Offset
  )
{
  UINT32  Length;

  Length      = At (List, Offset)->Header.Length;
  List->Used -= Length;
  CopyMem (At (List, Offset), At (List, Offset + Length), List->Used - Offset);
}

/**
  Add one descriptor. What it takes over leaves the list, so that it may meet others
  that it did not meet before: those are looked for again.

  @param[in,out] List      The list with room for it; has no valid END afterwards.
  @param[in]     Resource  The descriptor.
**/
STATIC
VOID
AddOne (
  IN OUT RESOURCE_LIST  *List,
  IN     CONST STM_RSC  *Resource
  )
{
  STM_RSC  *New;
  UINT32   Offset;
  UINT32   Place;

  //
  // Written where it will stay if nothing is taken over: there is room for it.
  //
  Place = List->Used;
  New   = At (List, Place);
  CopyMem (New, Resource, Resource->Header.Length);
  Offset = 0;
  while (Offset < Place) {
    if (!TakeOver (At (List, Offset), New)) {
      Offset += At (List, Offset)->Header.Length;
      continue;
    }

    List->Used = Place + New->Header.Length;
    Place     -= At (List, Offset)->Header.Length;
    Remove (List, Offset);
    New    = At (List, Place);
    Offset = 0;
  }

  List->Used = Place + New->Header.Length;
}

/**
  Add resources. Ranges of one kind that overlap or touch become one, masks of an MSR
  are united.

  @param[in,out] List        The list. A call that fails has changed nothing.
  @param[in]     Resources   Descriptors one after another.
  @param[in]     NumEntries  How many of them; 0 if an END follows the last one. An END
                             is the end in any case.

  @retval RETURN_SUCCESS            Done.
  @retval RETURN_INVALID_PARAMETER  A descriptor is malformed, or has ReturnStatus or
                                    IgnoreResource set.
  @retval RETURN_OUT_OF_RESOURCES   There is no room, or no END within the size of List.
**/
RETURN_STATUS
EFIAPI
ResourceListAdd (
  IN OUT RESOURCE_LIST  *List,
  IN     CONST STM_RSC  *Resources,
  IN     UINT32         NumEntries
  )
{
  CONST STM_RSC  *Resource;
  RETURN_STATUS  Status;
  UINT32         Length;
  UINT32         Offset;

  Status = Measure (List, Resources, NumEntries, &Length);
  if (RETURN_ERROR (Status)) {
    return Status;
  }

  if (Length > List->Size - sizeof (STM_RSC_END) - List->Used) {
    return RETURN_OUT_OF_RESOURCES;
  }

  for (Offset = 0; Offset < Length; Offset += Resource->Header.Length) {
    Resource = (CONST STM_RSC *)((CONST UINT8 *)Resources + Offset);
    AddOne (List, Resource);
  }

  WriteEnd (List);
  return RETURN_SUCCESS;
}

/**
  Find a descriptor.

  @param[in]  List      The list.
  @param[in]  Resource  The descriptor, byte by byte as the list has it.
  @param[out] Offset    Where it is.

  @retval TRUE   It is there.
  @retval FALSE  It is not.
**/
STATIC
BOOLEAN
Find (
  IN  CONST RESOURCE_LIST  *List,
  IN  CONST STM_RSC        *Resource,
  OUT UINT32               *Offset
  )
{
  for (*Offset = 0; *Offset < List->Used; *Offset += At (List, *Offset)->Header.Length) {
    if ((At (List, *Offset)->Header.Length == Resource->Header.Length) &&
        (CompareMem (At (List, *Offset), Resource, Resource->Header.Length) == 0))
    {
      return TRUE;
    }
  }

  return FALSE;
}

/**
  Delete resources.

  @param[in,out] List        The list. A call that fails has changed nothing.
  @param[in]     Resources   Descriptors as the list has them, NULL for all.
  @param[in]     NumEntries  As for ResourceListAdd.

  @retval RETURN_SUCCESS            Done.
  @retval RETURN_INVALID_PARAMETER  A descriptor is malformed or not in the list.
  @retval RETURN_OUT_OF_RESOURCES   There is no END within the size of List.
**/
RETURN_STATUS
EFIAPI
ResourceListDelete (
  IN OUT RESOURCE_LIST  *List,
  IN     CONST STM_RSC  *Resources  OPTIONAL,
  IN     UINT32         NumEntries
  )
{
  CONST STM_RSC  *Resource;
  RETURN_STATUS  Status;
  UINT32         Length;
  UINT32         Offset;
  UINT32         Place;

  if (Resources == NULL) {
    ResourceListClear (List);
    return RETURN_SUCCESS;
  }

  Status = Measure (List, Resources, NumEntries, &Length);
  if (RETURN_ERROR (Status)) {
    return Status;
  }

  for (Offset = 0; Offset < Length; Offset += Resource->Header.Length) {
    Resource = (CONST STM_RSC *)((CONST UINT8 *)Resources + Offset);
    if (!Find (List, Resource, &Place)) {
      return RETURN_INVALID_PARAMETER;
    }
  }

  for (Offset = 0; Offset < Length; Offset += Resource->Header.Length) {
    Resource = (CONST STM_RSC *)((CONST UINT8 *)Resources + Offset);
    if (Find (List, Resource, &Place)) {
      Remove (List, Place);
    }
  }

  WriteEnd (List);
  return RETURN_SUCCESS;
}

/**
  Copy the list, END included.

  @param[in]     List    The list.
  @param[out]    Buffer  Gets it.
  @param[in,out] Size    Bytes at Buffer; gets the bytes of the list.

  @retval RETURN_SUCCESS           Done.
  @retval RETURN_BUFFER_TOO_SMALL  Nothing was copied.
**/
RETURN_STATUS
EFIAPI
ResourceListGet (
  IN     CONST RESOURCE_LIST  *List,
  OUT    STM_RSC              *Buffer,
  IN OUT UINT32               *Size
  )
{
  UINT32  Room;

  Room  = *Size;
  *Size = List->Used + sizeof (STM_RSC_END);
  if (Room < *Size) {
    return RETURN_BUFFER_TOO_SMALL;
  }

  CopyMem (Buffer, List->Buffer, *Size);
  return RETURN_SUCCESS;
}
