/** @file
  Snapshot of memory outside SMRAM, an optional policy: while an SMI handler runs, nobody
  changes what it reads.

  A handler gets a request in a buffer outside SMRAM, and by the PI communication protocol
  the buffer's address there, too. What it checks another processor or a device may change
  before it is used. Which memory is such a buffer only the firmware knows, and its handlers
  do not tell. So the STM takes all memory outside SMRAM for it:

    first read of a page    the page is copied, the handler reads the copy
    first write             a second copy keeps what was there before
    RSM                     bytes that the handler has changed go to where they belong

  Bytes that it did not change stay as others have left them meanwhile. What it writes is
  seen outside after RSM and not before, and no other processor's handler sees it earlier.
  A device that the handler has read or write memory works on the memory, not on the copy:
  handlers that do this do not suit the policy.

  Without the policy the handler's EPT is one for all processors, and none of this runs.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Snapshot.h"
#include "Ept.h"
#include "Protect.h"
#include "Guest/Guest.h"
#include <Library/SynchronizationLib.h>

#define LEGACY_VIDEO_BASE  0xA0000
#define LEGACY_VIDEO_END   0xC0000

#define EPT_COPY  (EPT_READ | (EPT_MEMORY_TYPE_WB << EPT_MEMORY_TYPE_SHIFT))

/**
  Find a processor's copy of a page.

  @param[in] Processor  This processor.
  @param[in] Page       The page.

  @return What is known of the copy; NULL if there is none.
**/
STATIC
STM_SNAPSHOT_USE *
FindCopy (
  IN CONST STM_PROCESSOR  *Processor,
  IN UINT64               Page
  )
{
  STM_SNAPSHOT_USE  *Use;
  UINT32            Number;
  UINT32            Left;

  Number = 0;
  for (Left = Processor->SnapshotPages; Left != 0; Left--) {
    Use = StmSnapshotNext (Processor, &Number);
    if (Use->Page == Page) {
      return Use;
    }
  }

  return NULL;
}

/**
  Copy a page for the handler.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Page       The page.

  @return What is known of the copy.
**/
STATIC
STM_SNAPSHOT_USE *
MakeCopy (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Page
  )
{
  UINT32  Number;

  Number = StmSnapshotTake (Processor, Page);
  CopyMem (StmSnapshotPage (Processor->Shared, Number), StmOpenWindow (Processor, Page, FALSE), SIZE_4KB);
  StmCloseWindow (Processor);
  return &Processor->Shared->Snapshot.Uses[Number];
}

/**
  Keep what a copy holds before the handler writes to it.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in,out] Use        What is known of the copy.
  @param[in]     Copy       The copy.
**/
STATIC
VOID
KeepBefore (
  IN OUT STM_PROCESSOR     *Processor,
  IN OUT STM_SNAPSHOT_USE  *Use,
  IN     CONST VOID        *Copy
  )
{
  UINT32  Number;

  Number = StmSnapshotTake (Processor, STM_SNAPSHOT_BEFORE);
  CopyMem (StmSnapshotPage (Processor->Shared, Number), Copy, SIZE_4KB);
  Use->Before = Number + 1;
}

/**
  Give the handler a page of memory outside SMRAM that it is going to access.

  @param[in,out] Processor  This processor, the SMM-guest VMCS current.
  @param[in]     Address    Guest-physical address.
  @param[in]     Access     STM_ACCESS_READ and so on.
  @param[out]    Physical   Where that is, in the copy. OPTIONAL

  @retval TRUE   The handler can access it.
  @retval FALSE  It is no such memory, it is protected, or the tables have none yet.
**/
BOOLEAN
StmSnapshotTouch (
  IN OUT STM_PROCESSOR  *Processor,
  IN     UINT64         Address,
  IN     UINT32         Access,
  OUT    UINT64         *Physical OPTIONAL
  )
{
  STM_SHARED        *Shared;
  STM_SNAPSHOT_USE  *Use;
  UINT64            *Entry;
  UINT64            Page;
  UINT32            Denied;

  Shared = Processor->Shared;
  Page   = Address & ~(UINT64)(SIZE_4KB - 1);
  if (((Access & STM_ACCESS_EXECUTE) != 0) || !StmIsSnapshot (Shared, STM_ECAM_NOW (Shared), Page)) {
    return FALSE;
  }

  Denied = StmProtectedAt (Processor, StmSpaceMemory, Page, 1);
  if ((Denied & (STM_ACCESS_READ | Access)) != 0) {
    return FALSE;
  }

  Entry = StmSnapshotEntry (Processor, Page);
  if (Entry == NULL) {
    return FALSE;
  }

  if ((Page >= LEGACY_VIDEO_BASE) && (Page < LEGACY_VIDEO_END)) {
    //
    // No memory: a copy would be of no use.
    //
    *Entry |= (EPT_READ | EPT_WRITE) & ~(UINT64)Denied;
  } else {
    Use = FindCopy (Processor, Page);
    if (Use == NULL) {
      Use = MakeCopy (Processor, Page);
    }

    *Entry = (UINTN)StmSnapshotPage (Shared, (UINT32)(Use - Shared->Snapshot.Uses)) | EPT_COPY;
    if ((Access & STM_ACCESS_WRITE) != 0) {
      if (Use->Before == 0) {
        KeepBefore (Processor, Use, (CONST VOID *)(UINTN)(*Entry & EPT_ADDRESS_MASK));
      }

      *Entry |= EPT_WRITE;
    }
  }

  if (Physical != NULL) {
    *Physical = (*Entry & EPT_ADDRESS_MASK) + (Address - Page);
  }

  return TRUE;
}

/**
  Write the bytes of a word that the handler has changed, all at once: others may read and
  write the word at the same time.

  @param[in,out] Word    The word, where it belongs.
  @param[in]     Before  What it was for the handler.
  @param[in]     After   What the handler has made of it.
**/
STATIC
VOID
WriteBytes (
  IN OUT UINT64  *Word,
  IN     UINT64  Before,
  IN     UINT64  After
  )
{
  UINT64  Mask;
  UINT64  Byte;
  UINT64  Seen;

  Mask = 0;
  for (Byte = MAX_UINT8; Byte != 0; Byte = LShiftU64 (Byte, 8)) {
    if (((Before ^ After) & Byte) != 0) {
      Mask |= Byte;
    }
  }

  do {
    Seen = *(volatile UINT64 *)Word;
  } while (InterlockedCompareExchange64 (Word, Seen, (Seen & ~Mask) | (After & Mask)) != Seen);
}

/**
  Write what the handler has changed to where it belongs.

  @param[in] Processor  This processor.
  @param[in] Use        What is known of the copy; there are contents from before.
**/
STATIC
VOID
WriteBack (
  IN CONST STM_PROCESSOR     *Processor,
  IN CONST STM_SNAPSHOT_USE  *Use
  )
{
  CONST UINT64  *Before;
  CONST UINT64  *After;
  UINT64        *Window;
  UINTN         Index;

  After  = StmSnapshotPage (Processor->Shared, (UINT32)(Use - Processor->Shared->Snapshot.Uses));
  Before = StmSnapshotPage (Processor->Shared, Use->Before - 1);
  Window = StmOpenWindow (Processor, Use->Page, TRUE);
  for (Index = 0; Index < SIZE_4KB / sizeof (*After); Index++) {
    if (After[Index] != Before[Index]) {
      WriteBytes (&Window[Index], Before[Index], After[Index]);
    }
  }

  StmCloseWindow (Processor);
}

/**
  The handler has ended, and has touched memory outside SMRAM: write what it has changed to
  where it belongs, and forget the copies. What the executive monitor has protected since
  stays as it is, and so does what is known to be PCI configuration space since.

  @param[in,out] Processor  This processor.
**/
VOID
StmSnapshotEnd (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  STM_SNAPSHOT_USE  *Use;
  UINT32            Number;
  UINT32            Left;

  Number = 0;
  for (Left = Processor->SnapshotPages; Left != 0; Left--) {
    Use = StmSnapshotNext (Processor, &Number);
    if ((Use->Before != 0) && StmIsSnapshot (Processor->Shared, STM_ECAM_NOW (Processor->Shared), Use->Page) &&
        ((StmProtectedAt (Processor, StmSpaceMemory, Use->Page, 1) & STM_ACCESS_WRITE) == 0))
    {
      WriteBack (Processor, Use);
    }
  }

  StmSnapshotResetMap (Processor);
  Number = 0;
  for ( ; Processor->SnapshotPages != 0; Processor->SnapshotPages--) {
    *(volatile UINT32 *)&StmSnapshotNext (Processor, &Number)->Owner = 0;
  }

  StmFlushEpt ();
}
