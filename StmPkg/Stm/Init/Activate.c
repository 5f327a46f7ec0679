/** @file
  Activation of a processor: from the entry stack under the lock to its own
  block, tables and VMCS.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Init.h"
#include "Api/Api.h"
#include "Guest/Guest.h"
#include "Log/Log.h"
#include "Protect/Snapshot.h"
#include "Session/Session.h"
#include <Register/Intel/Cpuid.h>

#define CPUID_SHA  BIT29   ///< CPUID.(7,0):EBX

//
// Layout.inc
//
STATIC_ASSERT (STM_DYNAMIC_FROM_TABLES == 0x6000, "Layout.inc: STM_DYNAMIC_FROM_TABLES");
STATIC_ASSERT (STM_TABLES_POINTERS == 0x1000, "Layout.inc: STM_ASIDE");
STATIC_ASSERT (STM_TABLES_DOMAINS + STM_DOMAIN_PLACES * sizeof (UINT64) <= STM_TABLES_POINTERS, "VMCS database");
STATIC_ASSERT (STM_TABLES_SPARE + SIZE_4KB == STM_DYNAMIC_FROM_TABLES, "the spare block's pages lie together");
STATIC_ASSERT (STM_SPARE_PROCESSOR + SIZE_4KB == STM_BLOCK_PROCESSOR, "the spare block's pages lie together");
STATIC_ASSERT (STM_DYNAMIC_SHARED + sizeof (STM_SHARED) <= STM_SPARE_PROCESSOR, "loader data, STM_SHARED, spare STM_PROCESSOR");
STATIC_ASSERT (sizeof (STM_SNAPSHOT_USE) == 16, "StmMsegLayout.h: STM_SNAPSHOT_USES_SIZE");
STATIC_ASSERT (STM_DYNAMIC_SHARED + OFFSET_OF (STM_SHARED, Lock) == 0x80, "Layout.inc: STM_SHARED_LOCK");
STATIC_ASSERT (STM_DYNAMIC_ENTRY_STACK + SIZE_4KB == 0x2000, "Layout.inc: STM_ENTRY_STACK_TOP");
STATIC_ASSERT (OFFSET_OF (STM_PROCESSOR, Interrupted) == 0, "Exit.nasm");
STATIC_ASSERT (OFFSET_OF (STM_PROCESSOR, Handler) == 0x80, "Exit.nasm");
STATIC_ASSERT ((OFFSET_OF (STM_PROCESSOR, Other) & 15) == 0, "FXSAVE");
STATIC_ASSERT (OFFSET_OF (STM_OTHER_REGISTERS, Dr6) == 0x20, "Registers.nasm: OTHER_DR6");
STATIC_ASSERT (OFFSET_OF (STM_OTHER_REGISTERS, Fx) == 0x50, "Registers.nasm: OTHER_FX");
STATIC_ASSERT (OFFSET_OF (STM_INTERRUPTED, Cr3) == 0x38, "Registers.nasm: SAVED_CR3, and what is before it");
STATIC_ASSERT (OFFSET_OF (STM_HANDLER_ENTRY, TimeLimit) == 0x70, "Registers.nasm: ENTRY_LIMIT, and what is before it");
STATIC_ASSERT (OFFSET_OF (STM_HANDLER_ENTRY, CsAccess) == 0x78, "Registers.nasm: ENTRY_CS_ACCESS");
STATIC_ASSERT (VMX_HOST_PAT == 0x0007040600070406ULL, "Registers.nasm: PAT_INITIAL");
STATIC_ASSERT (STM_BLOCK_PROCESSOR + sizeof (STM_PROCESSOR) <= STM_BLOCK_HIDDEN, "block layout");
STATIC_ASSERT (STM_BLOCK_HIDDEN + sizeof (STM_HIDDEN_STATE) <= STM_BLOCK_SIZE, "block layout");
STATIC_ASSERT (STM_BLOCK_RING + STM_BLOCK_RING_RECORDS * sizeof (STM_RING_RECORD) <= STM_BLOCK_PROCESSOR, "block layout");
STATIC_ASSERT (STM_LARGE_BLOCK_START + STM_LARGE_BLOCK_SIZE == STM_BLOCK_SIZE, "large block layout");
STATIC_ASSERT (STM_LARGE_BLOCK_RING + STM_BLOCK_RING_RECORDS * sizeof (STM_RING_RECORD) <= STM_BLOCK_PROCESSOR, "large block layout");
STATIC_ASSERT (STM_BLOCK_PROCESSOR - STM_BLOCK_STACK_TOP == 0x800, "Layout.inc: STM_STACK_FROM_PROCESSOR");
STATIC_ASSERT (sizeof (STM_LOADER_DATA) <= STM_LOADER_DATA_SIZE, "StmMsegLayout.h");
STATIC_ASSERT (sizeof (STM_RING_RECORD) == 64, "StmMemory.h: STM_RECORDS_A_PAGE");
STATIC_ASSERT (sizeof (STM_PROFILE) <= STM_DYNAMIC_SHARED_SIZE - STM_DYNAMIC_PROFILE, "profile");
STATIC_ASSERT (sizeof (STM_PROFILE) <= SIZE_4KB, "draft of the profile");
STATIC_ASSERT (STM_POOL_MOST_PAGES <= STM_PAGE_MAP_MOST_PAGES, "pages of tables");

STM_PROCESSOR *
EFIAPI
StmActivate (
  IN CONST VMX_REGISTERS  *Registers,
  IN UINTN                Stubs,
  IN UINTN                SmmExit,
  IN UINTN                SmmGuestExit,
  IN UINTN                PolicySmmExit,
  IN UINTN                PolicySmmGuestExit
  );

STM_ENTER
EFIAPI
StmActivateProcessor (
  IN OUT STM_PROCESSOR  *Processor
  );

/**
  Set memory at the end of MSEG aside for the snapshot policy, if there is that.

  @param[in,out] Shared  Shared state.
  @param[in]     Loader  The loader's data.

  @retval TRUE   Done.
  @retval FALSE  MSEG has no room for it.
**/
STATIC
BOOLEAN
PlaceSnapshots (
  IN OUT STM_SHARED             *Shared,
  IN     CONST STM_LOADER_DATA  *Loader
  )
{
  UINT64  Size;

  if (Loader->SnapshotPages > STM_SNAPSHOT_MOST_PAGES) {
    return FALSE;
  }

  Size = STM_SNAPSHOT_SIZE (Loader->SnapshotPages, Loader->NumberOfProcessors);
  if (Size > Loader->MsegSize) {
    return FALSE;
  }

  Shared->Snapshot.Pages = (UINT32)Loader->SnapshotPages;
  Shared->Snapshot.Pool  = Shared->MsegEnd - Loader->SnapshotPages * SIZE_4KB;
  Shared->Snapshot.Uses  = (STM_SNAPSHOT_USE *)(UINTN)(Shared->Snapshot.Pool - STM_SNAPSHOT_USES_SIZE (Loader->SnapshotPages));
  Shared->Snapshot.Roots = Shared->MsegEnd - Size;
  return TRUE;
}

/**
  Fill the shared state from what the loader says, if that is consistent.

  As many processors are served as the loader announces, and there are more blocks
  than that: a processor needs a VMCS in MSEG even to be sent away, since the host
  state of the one that it came with is the executive monitor's to write.

  @param[out] Shared  Shared state, zeroed after its first words.
  @param[in]  Loader  The loader's data.
  @param[in]  Tables  Physical address of the activation page tables.

  @retval TRUE   Done.
  @retval FALSE  The loader's data contradict each other or the processor.
**/
STATIC
BOOLEAN
TakeLoaderData (
  OUT STM_SHARED             *Shared,
  IN  CONST STM_LOADER_DATA  *Loader,
  IN  UINT64                 Tables
  )
{
  Shared->MsegBase         = Loader->MsegBase;
  Shared->MsegEnd          = Loader->MsegBase + Loader->MsegSize;
  Shared->TsegBase         = Loader->TsegBase;
  Shared->TsegEnd          = Loader->TsegBase + Loader->TsegSize;
  Shared->Dynamic          = (UINT64)(UINTN)Shared - STM_DYNAMIC_SHARED;
  Shared->ActivationTables = Tables;
  Shared->PhysicalBits     = Loader->PhysicalAddressBits;
  Shared->Rendezvous.Ticks = Loader->RendezvousTicks;
  Shared->VmcsSize         = StmVmcsSize ();
  CopyMem (Shared->MsegSha256, Loader->MsegSha256, sizeof (Shared->MsegSha256));

  return (BOOLEAN)((Loader->Signature == STM_LOADER_DATA_SIGNATURE) &&
                   (Loader->MsegBase == (AsmReadMsr64 (MSR_IA32_SMM_MONITOR_CTL) & 0xFFFFF000)) &&
                   (Loader->PhysicalAddressBits >= 32) && (Loader->PhysicalAddressBits <= 52) &&
                   (Shared->TsegEnd > Shared->TsegBase) && (Shared->TsegEnd <= SIZE_4GB) &&
                   (Shared->MsegEnd > Shared->MsegBase) &&
                   (Shared->MsegBase >= Shared->TsegBase) && (Shared->MsegEnd <= Shared->TsegEnd) &&
                   (Tables > Shared->MsegBase) &&
                   StmTakeTables (Shared) &&
                   PlaceSnapshots (Shared, Loader) &&
                   StmDivideMseg (Shared, Loader->NumberOfProcessors));
}

/**
  Hash the static part of MSEG, with the SHA extensions if the processor has them: in
  general-purpose registers it takes ten times the instructions.

  @param[in]  Shared  Shared state with the memory map filled in.
  @param[in]  Tables  Where the static part ends.
  @param[out] Digest  The digest.
**/
STATIC
VOID
HashImage (
  IN  CONST STM_SHARED  *Shared,
  IN  UINT64            Tables,
  OUT UINT8             Digest[STM_SHA256_DIGEST_SIZE]
  )
{
  CONST VOID                                   *Image;
  CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS_EBX  Ebx;
  UINT32                                       Leaves;
  UINTN                                        Size;

  Image      = (CONST VOID *)(UINTN)Shared->MsegBase;
  Size       = (UINTN)(Tables - Shared->MsegBase);
  Ebx.Uint32 = 0;
  AsmCpuid (CPUID_SIGNATURE, &Leaves, NULL, NULL, NULL);
  if (Leaves >= CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS) {
    AsmCpuidEx (CPUID_STRUCTURED_EXTENDED_FEATURE_FLAGS, 0, NULL, &Ebx.Uint32, NULL, NULL);
  }

  if ((Ebx.Uint32 & CPUID_SHA) != 0) {
    StmSha256With (Image, Size, AsmSha256Blocks, Digest);
  } else {
    StmSha256 (Image, Size, Digest);
  }
}

/**
  Work of the first processor inside: zero the shared part of the dynamic area,
  check the image, build what all processors share.

  The static part of MSEG is never written, so a second launch starts from the
  same bytes as the first; the loader's digest lies outside the hashed range.

  No block is touched: another processor, counted out, may still have one
  instruction to go, the VM entry from its own (Session/Leave.nasm).

  @param[in,out] Shared  Start of the dynamic area.
  @param[in]     Loader  The loader's data, if it is one of ours.
  @param[in]     Tables  Physical address of the activation page tables.
  @param[in]     Stubs   First exception stub.
**/
STATIC
VOID
ActivateFirst (
  IN OUT STM_SHARED             *Shared,
  IN     CONST STM_LOADER_DATA  *Loader,
  IN     UINT64                 Tables,
  IN     UINTN                  Stubs
  )
{
  UINT8            Digest[STM_SHA256_DIGEST_SIZE];
  STM_LOADER_DATA  Found;
  BOOLEAN          Told;
  BOOLEAN          Placed;
  UINTN            Start;
  UINT32           Problem;

  Start = OFFSET_OF (STM_SHARED, MsegBase);
  ZeroMem ((UINT8 *)Shared + Start, sizeof (*Shared) - Start);
  Told   = (BOOLEAN)(Loader->Signature == STM_LOADER_DATA_SIGNATURE);
  Placed = TRUE;
  if (!Told) {
    Placed = StmFindPlace (Tables, &Found);
    Loader = &Found;
  }

  if (!TakeLoaderData (Shared, Loader, Tables)) {
    StmCrash (NULL, StmCrashBadState, 0, 0, 0, StmBadLoaderData);
  }

  ZeroMem (
    (VOID *)(UINTN)(Shared->Dynamic + STM_DYNAMIC_MSR_BITMAP),
    STM_DYNAMIC_SHARED_SIZE - STM_DYNAMIC_MSR_BITMAP
    );
  ZeroMem (Shared->Domains.Places, STM_DOMAIN_PLACES * sizeof (*Shared->Domains.Places));

  HashImage (Shared, Tables, Digest);
  if (Told && (CompareMem (Digest, Shared->MsegSha256, sizeof (Digest)) != 0)) {
    StmCrash (NULL, StmCrashImageModified, 0, 0, 0, 0);
  }

  CopyMem (Shared->MsegSha256, Digest, sizeof (Digest));
  if (Shared->Snapshot.Pages != 0) {
    ZeroMem (Shared->Snapshot.Uses, Shared->Snapshot.Pages * sizeof (*Shared->Snapshot.Uses));
  }

  Problem = StmBuildShared (Shared, Stubs);
  if (Problem != 0) {
    StmCrash (NULL, StmCrashBadState, 0, 0, 0, Problem);
  }

  Shared->NoSmram = !Placed;
}

/**
  Fill in what a processor's block begins with.

  @param[out] Processor  The processor's state, its block zeroed.
  @param[in]  Shared     Shared state.
  @param[in]  Slot       Number of the block.
  @param[in]  ApicId     Identifier of this processor.
**/
STATIC
VOID
FillBlock (
  OUT STM_PROCESSOR  *Processor,
  IN  STM_SHARED     *Shared,
  IN  UINT32         Slot,
  IN  UINT32         ApicId
  )
{
  Processor->Shared        = Shared;
  Processor->Slot          = Slot;
  Processor->ApicId        = ApicId;
  Processor->State         = StmProcessorOff;
  Processor->SmmMonitorCtl = AsmReadMsr64 (MSR_IA32_SMM_MONITOR_CTL);
}

/**
  Give a block that no other processor has to this one.

  @param[in,out] Shared  Shared state.
  @param[in]     Slot    Number of the block.
  @param[in]     ApicId  Identifier of this processor.

  @return The processor's state, its block zeroed.
**/
STATIC
STM_PROCESSOR *
StartBlock (
  IN OUT STM_SHARED  *Shared,
  IN     UINT32      Slot,
  IN     UINT32      ApicId
  )
{
  STM_PROCESSOR  *Processor;
  UINT64         Block;
  UINT64         Vmcss;
  UINT64         Ring;

  Processor = STM_PROCESSOR_OF (Shared, Slot);
  Block     = (UINT64)(UINTN)Processor - STM_BLOCK_PROCESSOR;
  if (Shared->Vmcss == 0) {
    Vmcss = Block;
    Ring  = Block + STM_BLOCK_RING;
    ZeroMem ((VOID *)(UINTN)Block, STM_BLOCK_SIZE);
  } else {
    Vmcss = Shared->Vmcss + (UINT64)Slot * STM_LARGE_VMCSS_SIZE;
    Ring  = Block + STM_LARGE_BLOCK_RING;
    ZeroMem ((VOID *)(UINTN)(Block + STM_LARGE_BLOCK_START), STM_LARGE_BLOCK_SIZE);
    ZeroMem ((VOID *)(UINTN)Vmcss, STM_LARGE_VMCSS_SIZE);
  }

  FillBlock (Processor, Shared, Slot, ApicId);
  Processor->TransferVmcs = Vmcss + STM_BLOCK_TRANSFER_VMCS;
  Processor->SmmGuestVmcs = Vmcss + STM_BLOCK_SMM_GUEST_VMCS;
  if ((Slot < Shared->ProcessorLimit) && (Shared->RingRecords != 0)) {
    Processor->Ring     = (STM_RING_RECORD *)(UINTN)Shared->Ring + (UINTN)Slot * Shared->RingRecords;
    Processor->RingMask = Shared->RingRecords - 1;
  } else {
    //
    // MSEG has no room for a ring, or more processors have come than it has parts for.
    //
    Processor->Ring     = (STM_RING_RECORD *)(UINTN)Ring;
    Processor->RingMask = STM_BLOCK_RING_RECORDS - 1;
  }

  return Processor;
}

/**
  Give the spare block to this processor, which is going to be refused.

  Of its second page only what is behind STM_SHARED is its own: there is no SMM-guest VMCS,
  no domain's state to hide, and the records are where that would be.

  @param[in,out] Shared  Shared state.
  @param[in]     ApicId  Identifier of this processor.

  @return The processor's state, its block zeroed.
**/
STATIC
STM_PROCESSOR *
StartSpareBlock (
  IN OUT STM_SHARED  *Shared,
  IN     UINT32      ApicId
  )
{
  STM_PROCESSOR  *Processor;
  UINT64         Block;

  Processor = STM_SPARE_OF (Shared);
  Block     = (UINT64)(UINTN)Processor - STM_BLOCK_PROCESSOR;
  ZeroMem ((VOID *)(UINTN)Block, SIZE_4KB);
  ZeroMem (Processor, STM_BLOCK_SIZE - STM_BLOCK_PROCESSOR);
  FillBlock (Processor, Shared, Shared->BlockLimit, ApicId);
  Processor->TransferVmcs = Block + STM_BLOCK_TRANSFER_VMCS;
  Processor->Ring         = (STM_RING_RECORD *)(UINTN)(Block + STM_BLOCK_HIDDEN);
  Processor->RingMask     = (STM_BLOCK_SIZE - STM_BLOCK_HIDDEN) / sizeof (STM_RING_RECORD) - 1;
  return Processor;
}

/**
  Find the block of this processor: the one it has had before, or a new one.

  A block belongs to its processor for good, whether its activation succeeds or
  not. So a start that fails can be repeated without taking another block, and no
  processor gets one from which another may still be leaving.

  @param[in,out] Shared  Shared state.

  @return The processor's state, its block zeroed. NULL if there is no room even to
          refuse it.
**/
STATIC
STM_PROCESSOR *
TakeBlock (
  IN OUT STM_SHARED  *Shared
  )
{
  UINT32  ApicId;
  UINT32  Slot;

  ApicId = VmxReadApicId ();
  for (Slot = 0; (Slot < Shared->Blocks) && (Slot < Shared->BlockLimit); Slot++) {
    if (STM_PROCESSOR_OF (Shared, Slot)->ApicId == ApicId) {
      break;
    }
  }

  if (Slot >= Shared->BlockLimit) {
    if (!STM_HAS_SPARE (Shared) || ((Shared->Spare != 0) && (STM_SPARE_OF (Shared)->ApicId != ApicId))) {
      return NULL;
    }

    Shared->Spare = 1;
    return StartSpareBlock (Shared, ApicId);
  }

  if (Slot == Shared->Blocks) {
    Shared->Blocks++;
  }

  return StartBlock (Shared, Slot, ApicId);
}

/**
  Called by Entry/Activate.nasm on the entry stack, under the lock, with the
  activation page tables and without an IDT.

  @param[in] Registers           General-purpose registers of the executive monitor.
  @param[in] Stubs               First exception stub.
  @param[in] SmmExit             Where SMM VM exits are to arrive.
  @param[in] SmmGuestExit        Where VM exits of the SMI handler are to arrive.
  @param[in] PolicySmmExit       The same, if there is an optional policy.
  @param[in] PolicySmmGuestExit  The same, if there is an optional policy.

  @return The processor's state; the processor is on its own tables.
**/
STM_PROCESSOR *
EFIAPI
StmActivate (
  IN CONST VMX_REGISTERS  *Registers,
  IN UINTN                Stubs,
  IN UINTN                SmmExit,
  IN UINTN                SmmGuestExit,
  IN UINTN                PolicySmmExit,
  IN UINTN                PolicySmmGuestExit
  )
{
  STM_SHARED             *Shared;
  CONST STM_LOADER_DATA  *Loader;
  STM_PROCESSOR          *Processor;
  UINT64                 Tables;
  BOOLEAN                Policy;

  Tables = AsmReadCr3 () & ~(UINT64)(SIZE_4KB - 1);
  Loader = (CONST STM_LOADER_DATA *)(UINTN)(Tables + STM_MSEG_ACTIVATION_TABLES_SIZE);
  Shared = (STM_SHARED *)(UINTN)(Tables + STM_DYNAMIC_FROM_TABLES + STM_DYNAMIC_SHARED);
  if (StmSessionEnter (Shared)) {
    ActivateFirst (Shared, Loader, Tables, Stubs);
    Policy               = (BOOLEAN)((Shared->Rendezvous.Ticks != 0) || (Shared->Snapshot.Pages != 0));
    Shared->SmmExit      = Policy ? PolicySmmExit : SmmExit;
    Shared->SmmGuestExit = Policy ? PolicySmmGuestExit : SmmGuestExit;
    StmSessionReady (Shared);
  }

  Processor = TakeBlock (Shared);
  if (Processor == NULL) {
    StmCrash (NULL, StmCrashBadState, 0, Shared->BlockLimit, 0, StmBadProcessorCount);
  }

  CopyMem (&Processor->Interrupted, Registers, sizeof (Processor->Interrupted));
  StmEnterHostState (Shared, Processor);
  return Processor;
}

/**
  Called by Entry/Activate.nasm on the processor's own stack, still under the
  lock: moves the interrupted side to a VMCS in MSEG, then serves the call that
  activated the STM like any other.

  @param[in,out] Processor  This processor.

  @return What the entry code shall do.
**/
STM_ENTER
EFIAPI
StmActivateProcessor (
  IN OUT STM_PROCESSOR  *Processor
  )
{
  StmSetUpTransferVmcs (Processor);
  if ((Processor->Shared->Snapshot.Pages != 0) && (Processor->Shared->EptPointer != 0)) {
    StmSnapshotResetMap (Processor);
  }

  StmUnlockActivations (Processor->Shared);
  if (Processor->Shared->NoSmram) {
    //
    // Which memory the handler's is nobody knows, so it cannot be run.
    //
    STM_RECORD (Processor, "refused", "cpu=%u reason=no-smrr", Processor->Slot);
    Processor->Refused = (UINT32)ERROR_STM_UNSPECIFIED;
  } else if (Processor->Shared->EptPointer == 0) {
    //
    // MSEG is too small for where it is, or for a processor without leaves of 1 GB.
    //
    STM_RECORD (Processor, "refused", "cpu=%u reason=mseg-tables pages=%u", Processor->Slot, Processor->Shared->PoolPages);
    Processor->Refused = (UINT32)ERROR_STM_OUT_OF_RESOURCES;
  }

  if (Processor->Refused != STM_SUCCESS) {
    return StmApiAnswer (Processor, Processor->Refused);
  }

  return StmApiExecutive (Processor);
}
