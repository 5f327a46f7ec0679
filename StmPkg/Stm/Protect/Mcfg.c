/** @file
  Where ACPI's tables say that PCI configuration space is in memory: from the root pointer
  to the table of tables, and from there to MCFG.

  Pure code: compiles on the host.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Mcfg.h"
#include <IndustryStandard/Acpi.h>
#include <IndustryStandard/MemoryMappedConfigurationSpaceAccessTable.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>

typedef EFI_ACPI_2_0_ROOT_SYSTEM_DESCRIPTION_POINTER                                           ROOT_POINTER;
typedef EFI_ACPI_DESCRIPTION_HEADER                                                            TABLE;
typedef EFI_ACPI_MEMORY_MAPPED_CONFIGURATION_BASE_ADDRESS_TABLE_HEADER                         MCFG;
typedef EFI_ACPI_MEMORY_MAPPED_ENHANCED_CONFIGURATION_SPACE_BASE_ADDRESS_ALLOCATION_STRUCTURE  ALLOCATION;

///
/// The part of the root pointer that ACPI 1.0 has.
///
#define OLD_ROOT_SIZE  OFFSET_OF (ROOT_POINTER, Length)

#define BUS_SIZE  SIZE_1MB

typedef struct {
  STM_READ_MEMORY    Read;
  CONST VOID         *Context;
} READER;

/**
  Copy bytes.

  @param[in]  Reader   How.
  @param[in]  Address  Physical address, of any alignment.
  @param[out] Bytes    Gets them.
  @param[in]  Size     Their number.

  @retval TRUE   Copied, each one read once.
  @retval FALSE  Some of them must not be read.
**/
STATIC
BOOLEAN
Copy (
  IN  CONST READER  *Reader,
  IN  UINT64        Address,
  OUT VOID          *Bytes,
  IN  UINTN         Size
  )
{
  UINT64  Word;
  UINTN   Index;

  Word = 0;
  for (Index = 0; Index < Size; Index++, Address++) {
    if (((Index == 0) || ((Address & 7) == 0)) && !Reader->Read (Reader->Context, Address & ~(UINT64)7, &Word)) {
      return FALSE;
    }

    ((UINT8 *)Bytes)[Index] = (UINT8)RShiftU64 (Word, 8 * (Address & 7));
  }

  return TRUE;
}

/**
  Do bytes sum up to 0, as those of a table must?

  @param[in] Bytes  They.
  @param[in] Size   Their number.

  @retval TRUE   They do.
  @retval FALSE  They do not.
**/
STATIC
BOOLEAN
IsSum (
  IN CONST VOID  *Bytes,
  IN UINTN       Size
  )
{
  UINT8  Sum;

  for (Sum = 0; Size > 0; Size--) {
    Sum += ((CONST UINT8 *)Bytes)[Size - 1];
  }

  return (BOOLEAN)(Sum == 0);
}

/**
  Copy a table, and check the copy.

  @param[in]  Reader     How.
  @param[in]  Address    Where it is.
  @param[in]  Signature  What it must be.
  @param[out] Table      SIZE_4KB bytes.

  @retval TRUE   It is sound.
  @retval FALSE  It is another one, longer than a page, or its sum is wrong.
**/
STATIC
BOOLEAN
CopyTable (
  IN  CONST READER  *Reader,
  IN  UINT64        Address,
  IN  UINT32        Signature,
  OUT TABLE         *Table
  )
{
  UINT32  Length;

  if (!Copy (Reader, Address, Table, sizeof (*Table))) {
    return FALSE;
  }

  //
  // The header is not read again: what follows it must fit what it said.
  //
  Length = Table->Length;
  return (BOOLEAN)((Table->Signature == Signature) && (Length >= sizeof (*Table)) && (Length <= SIZE_4KB) &&
                   Copy (Reader, Address + sizeof (*Table), Table + 1, Length - sizeof (*Table)) &&
                   IsSum (Table, Length));
}

/**
  Find the table of tables: XSDT, or RSDT where there is none.

  @param[in]  Reader   How to read.
  @param[in]  Rsdp     Where the root pointer is.
  @param[out] Address  Where the table is.
  @param[out] Bytes    Bytes of each of its entries.

  @retval TRUE   Found.
  @retval FALSE  The root pointer is none.
**/
STATIC
BOOLEAN
FindRoot (
  IN  CONST READER  *Reader,
  IN  UINT64        Rsdp,
  OUT UINT64        *Address,
  OUT UINT32        *Bytes
  )
{
  ROOT_POINTER  Root;

  if (!Copy (Reader, Rsdp, &Root, OLD_ROOT_SIZE) || !IsSum (&Root, OLD_ROOT_SIZE) ||
      (Root.Signature != EFI_ACPI_2_0_ROOT_SYSTEM_DESCRIPTION_POINTER_SIGNATURE))
  {
    return FALSE;
  }

  *Address = Root.RsdtAddress;
  *Bytes   = sizeof (UINT32);
  if (Root.Revision < EFI_ACPI_2_0_ROOT_SYSTEM_DESCRIPTION_POINTER_REVISION) {
    return TRUE;
  }

  if (!Copy (Reader, Rsdp + OLD_ROOT_SIZE, (UINT8 *)&Root + OLD_ROOT_SIZE, sizeof (Root) - OLD_ROOT_SIZE) ||
      (Root.Length != sizeof (Root)) || !IsSum (&Root, sizeof (Root)))
  {
    return FALSE;
  }

  if (Root.XsdtAddress != 0) {
    *Address = Root.XsdtAddress;
    *Bytes   = sizeof (UINT64);
  }

  return TRUE;
}

/**
  Read ECAM of segment 0 from a copy of MCFG.

  @param[in]  Table  The copy, sound as a table.
  @param[out] Base   Where bus 0 begins.
  @param[out] Size   Bytes.

  @retval StmMcfgFound      Done.
  @retval StmMcfgAbsent     It tells of nothing.
  @retval StmMcfgSegments   It tells of other segments.
  @retval StmMcfgMalformed  It is cut, tells of the segment twice, or not of bus 0.
**/
STATIC
STM_MCFG
ReadMcfg (
  IN  CONST MCFG  *Table,
  OUT UINT64      *Base,
  OUT UINT64      *Size
  )
{
  CONST ALLOCATION  *Allocation;
  STM_MCFG          Found;
  UINT32            Left;
  BOOLEAN           Segments;

  Left = Table->Header.Length - sizeof (Table->Header);
  if ((Left < sizeof (Table->Reserved)) || ((Left - sizeof (Table->Reserved)) % sizeof (*Allocation) != 0)) {
    return StmMcfgMalformed;
  }

  Segments   = FALSE;
  Found      = StmMcfgAbsent;
  Allocation = (CONST ALLOCATION *)(Table + 1);
  for (Left -= sizeof (Table->Reserved); Left > 0; Left -= sizeof (*Allocation), Allocation++) {
    if (Allocation->PciSegmentGroupNumber != 0) {
      Segments = TRUE;
      continue;
    }

    //
    // A range that does not begin with bus 0 says where bus 0 would be, and nothing of
    // whether it is there.
    //
    if ((Found == StmMcfgFound) || (Allocation->StartBusNumber != 0) || (Allocation->BaseAddress % BUS_SIZE != 0)) {
      return StmMcfgMalformed;
    }

    Found = StmMcfgFound;
    *Base = Allocation->BaseAddress;
    *Size = ((UINT64)Allocation->EndBusNumber + 1) * BUS_SIZE;
  }

  return Segments ? StmMcfgSegments : Found;
}

/**
  Find ECAM of segment 0 by the table MCFG (PCI Firmware Specification, 4.1.2).

  A table is copied before anything of it is believed: it is memory that anybody can write.

  @param[in]  Read     Reads 8 bytes of the tables.
  @param[in]  Context  For it.
  @param[in]  Rsdp     Where ACPI's root pointer is, 0 for no ACPI.
  @param[out] Buffer   STM_MCFG_BUFFER bytes.
  @param[out] Base     With StmMcfgFound: where bus 0 begins, and the buses from there on
  @param[out] Size     have their bytes.

  @return What was found.
**/
STM_MCFG
EFIAPI
StmFindMcfg (
  IN  STM_READ_MEMORY  Read,
  IN  CONST VOID       *Context,
  IN  UINT64           Rsdp,
  OUT UINT8            *Buffer,
  OUT UINT64           *Base,
  OUT UINT64           *Size
  )
{
  READER    Reader = { Read, Context };
  TABLE     *Root;
  TABLE     *Table;
  STM_MCFG  Found;
  UINT64    Address;
  UINT32    Bytes;
  UINT32    Offset;
  UINT32    Signature;

  if (Rsdp == 0) {
    return StmMcfgAbsent;
  }

  Root  = (TABLE *)Buffer;
  Table = (TABLE *)(Buffer + SIZE_4KB);
  if (!FindRoot (&Reader, Rsdp, &Address, &Bytes)) {
    return StmMcfgMalformed;
  }

  Signature = EFI_ACPI_2_0_ROOT_SYSTEM_DESCRIPTION_TABLE_SIGNATURE;
  if (Bytes == sizeof (UINT64)) {
    Signature = EFI_ACPI_2_0_EXTENDED_SYSTEM_DESCRIPTION_TABLE_SIGNATURE;
  }

  if (!CopyTable (&Reader, Address, Signature, Root) ||
      ((Root->Length - sizeof (*Root)) % Bytes != 0))
  {
    return StmMcfgMalformed;
  }

  Found = StmMcfgAbsent;
  for (Offset = sizeof (*Root); Offset < Root->Length; Offset += Bytes) {
    Address = 0;
    CopyMem (&Address, Buffer + Offset, Bytes);

    //
    // What cannot be read cannot be MCFG: ACPI's other tables may be elsewhere.
    //
    if (!Copy (&Reader, Address, &Signature, sizeof (Signature)) ||
        (Signature != EFI_ACPI_2_0_MEMORY_MAPPED_CONFIGURATION_BASE_ADDRESS_TABLE_SIGNATURE))
    {
      continue;
    }

    if ((Found != StmMcfgAbsent) ||
        !CopyTable (&Reader, Address, EFI_ACPI_2_0_MEMORY_MAPPED_CONFIGURATION_BASE_ADDRESS_TABLE_SIGNATURE, Table))
    {
      return StmMcfgMalformed;
    }

    Found = ReadMcfg ((CONST MCFG *)Table, Base, Size);
    if (Found == StmMcfgMalformed) {
      return Found;
    }
  }

  return Found;
}
