/** @file
  Memory of the SMI handler, and of the interrupted side, as the handler could reach it
  itself: the STM must not read or write for it what it may not.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Protect.h"
#include "Snapshot.h"
#include "Guest/Guest.h"
#include "State/State.h"
#include "State/Walk.h"

#define EFER_LMA  BIT10

/**
  Read 8 bytes of a page table, of the interrupted side or of the SMI handler: what
  the handler could read itself. STM_READ_MEMORY.

  @param[in]  Context  STM_PROCESSOR.
  @param[in]  Address  Physical address, aligned to 8 bytes.
  @param[out] Value    What is there.

  @retval TRUE   Read.
  @retval FALSE  It is neither the handler's SMRAM nor memory that the executive monitor
                 may name, or it is protected.
**/
BOOLEAN
EFIAPI
StmReadTable (
  IN  CONST VOID  *Context,
  IN  UINT64      Address,
  OUT UINT64      *Value
  )
{
  CONST STM_PROCESSOR  *Processor;
  UINT64               Page;
  UINT8                *Window;

  Processor = Context;
  if (StmInHandlerSmram (Processor->Shared, Address, sizeof (*Value))) {
    *Value = *(volatile UINT64 *)(UINTN)Address;
    return TRUE;
  }

  Page = Address & ~(UINT64)(SIZE_4KB - 1);
  if (!StmPageIsExecutives (Processor->Shared, Page) || (StmProtectedAt (Processor, StmSpaceMemory, Page, 1) != 0)) {
    return FALSE;
  }

  Window = StmOpenWindow (Processor, Page, FALSE);
  *Value = *(volatile UINT64 *)(Window + (Address - Page));
  StmCloseWindow (Processor);
  return TRUE;
}

/**
  Say how linear addresses of the SMI handler are translated now.

  @param[in]  Processor  This processor, the SMM-guest VMCS current.
  @param[out] Space      For StmWalk.
**/
VOID
StmHandlerSpace (
  IN  CONST STM_PROCESSOR  *Processor,
  OUT STM_ADDRESS_SPACE    *Space
  )
{
  IA32_CR0  Cr0;
  IA32_CR4  Cr4;

  Cr0.UintN = (UINTN)VmRead (VMCS_GUEST_CR0);
  Cr4.UintN = (UINTN)VmRead (VMCS_GUEST_CR4);
  ZeroMem (Space, sizeof (*Space));
  Space->Cr3     = VmRead (VMCS_GUEST_CR3);
  Space->Flat    = (BOOLEAN)(Cr0.Bits.PG == 0);
  Space->Ia32e   = (BOOLEAN)((VmRead (VMCS_GUEST_IA32_EFER) & EFER_LMA) != 0);
  Space->Pae     = (BOOLEAN)Cr4.Bits.PAE;
  Space->Pse     = (BOOLEAN)Cr4.Bits.PSE;
  Space->Read    = StmReadTable;
  Space->Context = Processor;
}

/**
  Find a byte of memory of the SMI handler.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Linear     Linear address.
  @param[in]     Access     What the EPT has to allow: STM_ACCESS_READ and so on.
  @param[out]    Physical   Its physical address; under the snapshot policy that of the copy.

  @retval TRUE   Found.
  @retval FALSE  It is not mapped, or the handler has no access.
**/
STATIC
BOOLEAN
FindByte (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Linear,
  IN     UINT32         Access,
  OUT    UINT64         *Physical
  )
{
  STM_ADDRESS_SPACE  Space;
  UINT64             Size;

  StmHandlerSpace (Processor, &Space);

  if (!StmWalk (&Space, Linear, Physical) || (RShiftU64 (*Physical, Processor->Shared->PhysicalBits) != 0)) {
    return FALSE;
  }

  //
  // The bits of STM_ACCESS are those of an EPT entry.
  //
  return (BOOLEAN)(StmSnapshotTouch (Processor, *Physical, Access, Physical) ||
                   ((StmPageMapLookup (&Processor->Shared->Ept, *Physical, &Size) & Access) == Access));
}

/**
  Copy bytes from or to memory of the SMI handler, each one only if the EPT allows the
  handler the access.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Linear     Linear address.
  @param[in,out] Buffer     The bytes.
  @param[in]     Size       Their number.
  @param[in]     Access     STM_ACCESS_WRITE to write them; STM_ACCESS_READ, or
                            STM_ACCESS_EXECUTE for code, to read them.

  @return Bytes that were copied: fewer than Size if the next one is not mapped, or is
          where the handler has no access.
**/
UINTN
StmCopyHandlerMemory (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Linear,
  IN OUT VOID           *Buffer,
  IN     UINTN          Size,
  IN     UINT32         Access
  )
{
  UINT8   *Bytes;
  UINT8   *Place;
  UINT64  Physical;
  UINTN   Done;

  Bytes = Buffer;
  for (Done = 0; Done < Size; Done++) {
    if (!FindByte (Processor, Linear + Done, Access, &Physical)) {
      break;
    }

    if (StmInHandlerSmram (Processor->Shared, Physical, 1)) {
      Place = (UINT8 *)(UINTN)Physical;
    } else {
      Place  = StmOpenWindow (Processor, Physical & ~(UINT64)(SIZE_4KB - 1), (BOOLEAN)(Access == STM_ACCESS_WRITE));
      Place += Physical % SIZE_4KB;
    }

    if (Access == STM_ACCESS_WRITE) {
      *(volatile UINT8 *)Place = Bytes[Done];
    } else {
      Bytes[Done] = *(volatile UINT8 *)Place;
    }
  }

  StmCloseWindow (Processor);
  return Done;
}
