/** @file
  Where PCI configuration space is in memory (ECAM): what the chipset says, and ACPI's tables.

  The chipset is asked through ports CF8H and CFCH only as long as nobody knows better: any
  processor that is not in SMM can write to CF8H between our write to it and our read of
  CFCH, and what is read is then another register. So a value counts that is read several
  times alike, each time with our address still there behind it, and ECAM counts if the host
  bridge, read through it, says the same. Once ECAM is known it is asked through ECAM, where
  nobody can come between.

  What remains: where the chipset has ECAM disabled there is nothing to compare with, and a
  processor that changes the address and puts ours back, at the right moment each time, is
  believed. It has to be outside SMM to do so, where it could write the registers of the
  chipset itself.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Pci.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Mcfg.h"
#include "State/State.h"

///
/// Below 4 GB: interrupt controllers and flash memory from here on.
///
#define FIXED_MMIO  0xFEC00000ULL

///
/// Host bridge of the platform, device 0 of bus 0, and where it holds the address of
/// ECAM: "PCIEXBAR", Intel 3 Series Express Chipset Family datasheet, 5.1.14. Bits 2:1
/// are the size, bit 0 enables it; bits 63:36 are no address. Of size 3, which is reserved,
/// nobody knows what it does, enabled or not: QEMU keeps ECAM where it was.
///
#define HOST_BRIDGE_Q35  0x29C08086
#define PCIEXBAR         0x60
#define PCIEXBAR_END     0x68
#define PCIEXBAR_ENABLE  BIT0
#define PCIEXBAR_LIMIT   SIZE_64GB
#define PCIEXBAR_SIZE(Value)    (SIZE_256MB >> (((UINT32)(Value) >> 1) & 3))
#define PCIEXBAR_IS_OFF(Value)  ((((Value) & PCIEXBAR_ENABLE) == 0) && (PCIEXBAR_SIZE (Value) >= SIZE_64MB))

///
/// Reads by ports that have to be alike, one behind the other, and most that are made; how
/// often the chipset is asked until it and what is in memory agree.
///
#define ALIKE       3
#define MOST_READS  256
#define MOST_ASKED  16

typedef enum {
  ChipsetUnknown,
  ChipsetKnown,
  ChipsetRefused    ///< and the record tells why
} CHIPSET;

/**
  Could ECAM be there? An address at which the STM must not write, in RAM below the end of
  TSEG or among the registers of processors and flash memory, is none.

  @param[in] Shared  Shared state.
  @param[in] Ecam    STM_ECAM.

  @retval TRUE   It could.
  @retval FALSE  It could not, or has no bytes.
**/
STATIC
BOOLEAN
IsPlaceOfEcam (
  IN CONST STM_SHARED  *Shared,
  IN UINT64            Ecam
  )
{
  UINT64  Limit;
  UINT64  Base;
  UINT64  Size;

  Limit = LShiftU64 (1, Shared->PhysicalBits);
  Base  = STM_ECAM_BASE (Ecam);
  Size  = STM_ECAM_SIZE (Ecam);
  return (BOOLEAN)((Size != 0) && (Base >= Shared->TsegEnd) && (Base < Limit) && (Size <= Limit - Base) &&
                   ((Base >= SIZE_4GB) || (Base + Size <= FIXED_MMIO)));
}

/**
  Where the chipset decodes ECAM.

  @param[in] Bar  PCIEXBAR.

  @return STM_ECAM, 0 if it is disabled or its size is the reserved one.
**/
STATIC
UINT64
DecodeBar (
  IN UINT64  Bar
  )
{
  UINT64  Size;

  Size = PCIEXBAR_SIZE (Bar);
  if (((Bar & PCIEXBAR_ENABLE) == 0) || (Size < SIZE_64MB)) {
    return 0;
  }

  return STM_ECAM (Bar & (PCIEXBAR_LIMIT - Size), Size);
}

/**
  Read a register of the host bridge by ports.

  @param[in,out] Shared    Shared state.
  @param[in]     Register  The register.
  @param[out]    Value     What it holds.

  @retval TRUE   Read, as often as needed.
  @retval FALSE  No value was read often enough.
**/
STATIC
BOOLEAN
ReadByPorts (
  IN OUT STM_SHARED  *Shared,
  IN     UINT32      Register,
  OUT    UINT32      *Value
  )
{
  UINT32  Last;
  UINT32  Alike;
  UINT32  Left;

  Last  = 0;
  Alike = 0;
  for (Left = MOST_READS; (Left != 0) && (Alike != ALIKE); Left--) {
    if (!StmAccessPciPort (Shared, STM_PCI_ENABLE | Register, STM_PCI_PORTS_DATA, 4, FALSE, Value)) {
      Alike = 0;
    } else {
      Alike = (*Value == Last) ? Alike + 1 : 1;
      Last  = *Value;
    }
  }

  return (BOOLEAN)(Alike == ALIKE);
}

/**
  Is the host bridge in ECAM at a place, and does it say that ECAM is there?

  @param[in] Processor  This processor.
  @param[in] Ecam       STM_ECAM, where it could be.

  @retval TRUE   It is.
  @retval FALSE  It is not.
**/
STATIC
BOOLEAN
IsConfirmed (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Ecam
  )
{
  UINT64  Bridge;
  UINT64  Low;
  UINT64  High;

  StmAccessEcam (Processor, Ecam, 0, 4, FALSE, &Bridge);
  StmAccessEcam (Processor, Ecam, PCIEXBAR, 4, FALSE, &Low);
  StmAccessEcam (Processor, Ecam, PCIEXBAR + 4, 4, FALSE, &High);
  return (BOOLEAN)((Bridge == HOST_BRIDGE_Q35) && (DecodeBar (Low | LShiftU64 (High, 32)) == Ecam));
}

/**
  Tell why there is no protection.

  @param[in] Processor  This processor.
  @param[in] Reason     Why.

  @return FALSE
**/
STATIC
BOOLEAN
Refuse (
  IN CONST STM_PROCESSOR  *Processor,
  IN CONST CHAR8          *Reason
  )
{
  STM_RECORD (Processor, "refused", "cpu=%u reason=%a", Processor->Slot, Reason);
  return FALSE;
}

/**
  Where does the chipset have ECAM?

  Only where it is disabled there is none. Where it is enabled at an address that the STM
  cannot guard, a handler would reach by it all that is protected.

  @param[in,out] Processor  This processor. A chipset that is known once stays so.
  @param[out]    Ecam       STM_ECAM, 0 if it is disabled.

  @retval ChipsetKnown    Ecam is what the chipset decodes.
  @retval ChipsetUnknown  The STM does not know the chipset.
  @retval ChipsetRefused  Nothing that was read can be believed, or it is enabled where the
                          STM cannot guard it.
**/
STATIC
CHIPSET
ReadChipset (
  IN OUT STM_PROCESSOR  *Processor,
  OUT    UINT64         *Ecam
  )
{
  STM_SHARED  *Shared;
  UINT32      Bridge;
  UINT32      Low;
  UINT32      High;
  UINT32      Left;
  BOOLEAN     Unguarded;

  Shared = Processor->Shared;
  *Ecam  = Shared->ChipsetEcam;
  if ((*Ecam != 0) && IsConfirmed (Processor, *Ecam)) {
    return ChipsetKnown;
  }

  Unguarded = FALSE;
  for (Left = MOST_ASKED; Left != 0; Left--) {
    if (!ReadByPorts (Shared, 0, &Bridge) || !ReadByPorts (Shared, PCIEXBAR, &Low) || !ReadByPorts (Shared, PCIEXBAR + 4, &High)) {
      break;
    }

    if ((Bridge != HOST_BRIDGE_Q35) && (Shared->KnownChipset == 0)) {
      return ChipsetUnknown;
    }

    *Ecam     = DecodeBar (Low | LShiftU64 (High, 32));
    Unguarded = (BOOLEAN)(!PCIEXBAR_IS_OFF (Low) && !IsPlaceOfEcam (Shared, *Ecam));
    if ((Bridge == HOST_BRIDGE_Q35) && !Unguarded && ((*Ecam == 0) || IsConfirmed (Processor, *Ecam))) {
      Shared->KnownChipset = 1;
      Shared->ChipsetEcam  = *Ecam;
      return ChipsetKnown;
    }
  }

  Refuse (Processor, Unguarded ? "pciexbar" : "chipset");
  return ChipsetRefused;
}

/**
  Find out where ECAM is: where the chipset has it. Of one that the STM does not know it is
  where ACPI's tables had it at INITIALIZE_PROTECTION.

  @param[in,out] Processor  This processor; nobody else looks for it.
  @param[out]    Ecam       STM_ECAM.

  @retval TRUE   It is there.
  @retval FALSE  Nobody can say, and the record tells why.
**/
BOOLEAN
StmFindEcam (
  IN OUT STM_PROCESSOR  *Processor,
  OUT    UINT64         *Ecam
  )
{
  CHIPSET  Chipset;

  Chipset = ReadChipset (Processor, Ecam);
  if (Chipset == ChipsetUnknown) {
    *Ecam = Processor->Shared->McfgEcam;
  }

  return (BOOLEAN)(Chipset != ChipsetRefused);
}

/**
  Read 8 bytes of ACPI's tables: STM_READ_MEMORY. They are in memory that the executive
  monitor could name; what a table in it refers to in SMRAM is none.

  @param[in]  Context  STM_PROCESSOR.
  @param[in]  Address  Physical address, aligned to 8 bytes.
  @param[out] Value    What is there.

  @retval TRUE   Read.
  @retval FALSE  It is in SMRAM, or no memory.
**/
STATIC
BOOLEAN
EFIAPI
ReadAcpi (
  IN  CONST VOID  *Context,
  IN  UINT64      Address,
  OUT UINT64      *Value
  )
{
  CONST STM_PROCESSOR  *Processor;
  UINT8                *Window;

  Processor = Context;
  if (!StmPageIsExecutives (Processor->Shared, Address & ~(UINT64)(SIZE_4KB - 1))) {
    return FALSE;
  }

  Window = StmOpenWindow (Processor, Address & ~(UINT64)(SIZE_4KB - 1), FALSE);
  *Value = *(volatile UINT64 *)(Window + Address % SIZE_4KB);
  StmCloseWindow (Processor);
  return TRUE;
}

/**
  At INITIALIZE_PROTECTION: read where ACPI's tables have ECAM, and compare that with the
  chipset.

  What is trusted when: the PSD, in SMRAM, for where ACPI's root pointer is; the chipset's
  register, since it is what decodes accesses, whenever ECAM is looked for; the tables, which
  are memory that anybody can write, once, here, before anything is protected. A table that
  differs from the chipset says that one of both is not what the firmware has made, and
  nobody can say which: then there is no protection. Nor is there where the table tells of
  more than segment 0: no descriptor can name the functions of another one. Tables that
  cannot be read say nothing against the chipset; without a chipset that the STM knows they
  would be all there is. What such a table names is guarded, but not used by the STM on its
  own: a false one makes it write nowhere.

  @param[in,out] Processor  This processor; nobody else uses the draft of the profile.
  @param[in]     Rsdp       Where ACPI's root pointer is, 0 for no ACPI.

  @retval TRUE   Shared->McfgEcam is set, 0 for no table.
  @retval FALSE  Refused, and recorded why.
**/
BOOLEAN
StmCheckEcam (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Rsdp
  )
{
  STM_SHARED  *Shared;
  STM_MCFG    Found;
  CHIPSET     Chipset;
  UINT64      Ecam;
  UINT64      Base;
  UINT64      Size;
  BOOLEAN     Known;

  Shared           = Processor->Shared;
  Shared->McfgEcam = 0;
  Found            = StmFindMcfg (ReadAcpi, Processor, Rsdp, (UINT8 *)(UINTN)Shared->Draft, &Base, &Size);
  Chipset          = ReadChipset (Processor, &Ecam);
  if (Chipset == ChipsetRefused) {
    return FALSE;
  }

  if (Found == StmMcfgSegments) {
    return Refuse (Processor, "segments");
  }

  if (Found == StmMcfgFound) {
    Shared->McfgEcam = STM_ECAM (Base, Size);
  }

  Known = (BOOLEAN)(Chipset == ChipsetKnown);
  if ((Found == StmMcfgMalformed) || (!Known && (Found == StmMcfgFound) && !IsPlaceOfEcam (Shared, Shared->McfgEcam))) {
    Shared->McfgEcam = 0;
    if (Known) {
      STM_RECORD (Processor, "acpi", "cpu=%u problem=malformed rsdp=0x%lx", Processor->Slot, Rsdp);
    } else {
      STM_RECORD (Processor, "refused", "cpu=%u reason=acpi rsdp=0x%lx", Processor->Slot, Rsdp);
    }

    return Known;
  }

  //
  // A table may name fewer buses than the chipset decodes, but no other ones.
  //
  if (Known && (Found == StmMcfgFound) && ((Base != STM_ECAM_BASE (Ecam)) || (Size > STM_ECAM_SIZE (Ecam)))) {
    STM_RECORD (
      Processor,
      "refused",
      "cpu=%u reason=ecam mcfg=0x%lx mcfg_size=0x%lx chipset=0x%lx chipset_size=0x%lx",
      Processor->Slot,
      Base,
      Size,
      STM_ECAM_BASE (Ecam),
      STM_ECAM_SIZE (Ecam)
      );
    return FALSE;
  }

  return TRUE;
}

/**
  Would a write move ECAM away from where the STM guards it?

  @param[in] Place   STM_PCI_PLACE.
  @param[in] Length  Bytes.

  @retval TRUE   It would.
  @retval FALSE  It would not.
**/
BOOLEAN
StmPciIsOwn (
  IN UINT64  Place,
  IN UINT64  Length
  )
{
  return (BOOLEAN)((Place < PCIEXBAR_END) && (Place + Length > PCIEXBAR));
}
