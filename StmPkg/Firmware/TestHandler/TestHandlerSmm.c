/** @file
  SMI handler that does on request what SMI handlers must not do, so that tests
  see what the STM makes of it.

  It is in every image, since tests are to run what users run, and does nothing
  unless the owner of the machine arms it with a fw_cfg file.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include "Attack.h"
#include "TestHandler.h"

#include <Guid/MsegSmram.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/CpuLib.h>
#include <Library/DebugLib.h>
#include <Library/HobLib.h>
#include <Library/SmmMemLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/StmFwCfgLib.h>
#include <Library/StmTryLib.h>
#include <Protocol/MmMp.h>
#include <Protocol/SmmCpuService.h>

#define CPUID_LEAF  0

//
// Page tables that map 4 GB at their own addresses in 2-MB pages.
//
#define TABLE_ENTRIES  512
#define DIRECTORIES    4
#define TABLE_PAGES    (2 + DIRECTORIES)
#define ENTRY_TABLE    (BIT0 | BIT1)
#define ENTRY_PAGE     (BIT0 | BIT1 | BIT7)

STATIC UINT64  mMsegBase;
STATIC UINT64  mMsegSize;
STATIC UINT64  *mTables;

///
/// One access to memory.
///
typedef struct {
  STM_TRY_ROUTINE    Routine;
  volatile UINT8     *Address;
  UINT8              Value;
  BOOLEAN            OwnTables;
  UINTN              Vector;
} MEMORY_ACCESS;

/**
  Read a byte.

  @param[in,out] Context  MEMORY_ACCESS.
**/
STATIC
VOID
EFIAPI
ReadByte (
  IN OUT VOID  *Context
  )
{
  MEMORY_ACCESS  *Access;

  Access        = Context;
  Access->Value = *Access->Address;
}

/**
  Write a byte.

  @param[in,out] Context  MEMORY_ACCESS.
**/
STATIC
VOID
EFIAPI
WriteByte (
  IN OUT VOID  *Context
  )
{
  MEMORY_ACCESS  *Access;

  Access           = Context;
  *Access->Address = Access->Value;
}

/**
  Make the page tables with which a handler gets around those of SMM.

  @retval EFI_SUCCESS  They are there.
  @retval others       No memory.
**/
STATIC
EFI_STATUS
MakeTables (
  VOID
  )
{
  EFI_STATUS            Status;
  EFI_PHYSICAL_ADDRESS  Pages;
  UINT64                *Pointers;
  UINT64                *Directories;
  UINTN                 Index;

  Status = gSmst->SmmAllocatePages (AllocateAnyPages, EfiRuntimeServicesData, TABLE_PAGES, &Pages);
  if (EFI_ERROR (Status)) {
    return Status;
  }

  mTables = (UINT64 *)(UINTN)Pages;
  ZeroMem (mTables, EFI_PAGES_TO_SIZE (TABLE_PAGES));
  Pointers    = mTables + TABLE_ENTRIES;
  Directories = Pointers + TABLE_ENTRIES;
  mTables[0]  = (UINT64)(UINTN)Pointers | ENTRY_TABLE;
  for (Index = 0; Index < DIRECTORIES; Index++) {
    Pointers[Index] = (UINT64)(UINTN)(Directories + Index * TABLE_ENTRIES) | ENTRY_TABLE;
  }

  for (Index = 0; Index < DIRECTORIES * TABLE_ENTRIES; Index++) {
    Directories[Index] = ((UINT64)Index * SIZE_2MB) | ENTRY_PAGE;
  }

  return EFI_SUCCESS;
}

/**
  Access one byte, a fault caught, on the processor that executes this code.

  @param[in,out] Buffer  MEMORY_ACCESS.

  @retval EFI_SUCCESS  Vector tells how it went.
**/
STATIC
EFI_STATUS
EFIAPI
TryAccess (
  IN OUT VOID  *Buffer
  )
{
  MEMORY_ACCESS  *Access;
  UINTN          Cr3;

  Access = Buffer;
  Cr3    = AsmReadCr3 ();
  StmIdtLoad ();
  if (Access->OwnTables) {
    AsmWriteCr3 ((UINTN)mTables);
  }

  Access->Vector = StmTry (Access->Routine, Access);
  AsmWriteCr3 (Cr3);
  StmIdtRestore ();
  return EFI_SUCCESS;
}

/**
  Run TryAccess on a processor.

  @param[in]     Processor  Index in the SMM system table.
  @param[in,out] Access     The access.

  @retval EFI_SUCCESS  It has run.
  @retval others       There is no such processor, or it is not in SMM.
**/
STATIC
EFI_STATUS
TryOn (
  IN     UINTN          Processor,
  IN OUT MEMORY_ACCESS  *Access
  )
{
  EFI_STATUS                         Status;
  EFI_MM_MP_PROTOCOL                 *MmMp;
  EDKII_SMM_CPU_RENDEZVOUS_PROTOCOL  *Together;

  if (Processor == gSmst->CurrentlyExecutingCpu) {
    return TryAccess (Access);
  }

  Status = gSmst->SmmLocateProtocol (&gEdkiiSmmCpuRendezvousProtocolGuid, NULL, (VOID **)&Together);
  if (!EFI_ERROR (Status)) {
    Status = Together->WaitForAllProcessor (Together, TRUE);
  }

  if (!EFI_ERROR (Status)) {
    Status = gSmst->SmmLocateProtocol (&gEfiMmMpProtocolGuid, NULL, (VOID **)&MmMp);
  }

  return EFI_ERROR (Status) ? Status : MmMp->DispatchProcedure (MmMp, TryAccess, Processor, 0, Access, NULL, NULL);
}

/**
  Access one byte.

  @param[in]     Routine  ReadByte or WriteByte.
  @param[in]     Address  Where.
  @param[in,out] Request  On which processor and page tables, and the value.

  @return StmTestDone, StmTestFaulted or StmTestRejected.
**/
STATIC
STM_TEST_RESULT
AccessMemory (
  IN     STM_TRY_ROUTINE   Routine,
  IN     UINT64            Address,
  IN OUT STM_TEST_REQUEST  *Request
  )
{
  MEMORY_ACCESS  Access;

  if (Address >= SIZE_4GB) {
    return StmTestRejected;
  }

  Access.Routine   = Routine;
  Access.Address   = (volatile UINT8 *)(UINTN)Address;
  Access.Value     = (UINT8)Request->Value;
  Access.OwnTables = (BOOLEAN)(Request->OwnTables != 0);
  Access.Vector    = STM_TRY_DONE;
  if (EFI_ERROR (TryOn (Request->Processor, &Access))) {
    return StmTestRejected;
  }

  Request->Value  = Access.Value;
  Request->Vector = (UINT32)Access.Vector;
  return (Access.Vector == STM_TRY_DONE) ? StmTestDone : StmTestFaulted;
}

/**
  Access one byte of MSEG.

  @param[in]     Routine  ReadByte or WriteByte.
  @param[in,out] Request  Where, on which processor and page tables, and the value.

  @return StmTestDone, StmTestFaulted or StmTestRejected.
**/
STATIC
STM_TEST_RESULT
AccessMseg (
  IN     STM_TRY_ROUTINE   Routine,
  IN OUT STM_TEST_REQUEST  *Request
  )
{
  return (Request->Offset < mMsegSize) ? AccessMemory (Routine, mMsegBase + Request->Offset, Request) : StmTestRejected;
}

/**
  Raise an exception that cannot be delivered.
**/
STATIC
VOID
CauseTripleFault (
  VOID
  )
{
  IA32_DESCRIPTOR  Empty;

  ZeroMem (&Empty, sizeof (Empty));
  AsmWriteIdtr (&Empty);
  CpuBreakpoint ();
}

/**
  Never end.

  @param[in] Halt  TRUE to halt the processor with interrupts off, FALSE to loop.
**/
STATIC
VOID
NeverEnd (
  IN BOOLEAN  Halt
  )
{
  DisableInterrupts ();
  while (TRUE) {
    if (Halt) {
      CpuSleep ();
    }
  }
}

/**
  Carry out one request.

  @param[in]     DispatchHandle  Not used.
  @param[in]     Context         Not used.
  @param[in,out] CommBuffer      STM_TEST_REQUEST.
  @param[in,out] CommBufferSize  Its bytes.

  @retval EFI_SUCCESS  The SMI is done with; the request holds the result.
**/
STATIC
EFI_STATUS
EFIAPI
TestHandler (
  IN     EFI_HANDLE  DispatchHandle,
  IN     CONST VOID  *Context         OPTIONAL,
  IN OUT VOID        *CommBuffer      OPTIONAL,
  IN OUT UINTN       *CommBufferSize  OPTIONAL
  )
{
  STM_TEST_REQUEST  Request;

  if ((CommBuffer == NULL) || (CommBufferSize == NULL) || (*CommBufferSize != sizeof (Request)) ||
      !SmmIsBufferOutsideSmmValid ((UINTN)CommBuffer, sizeof (Request)))
  {
    return EFI_SUCCESS;
  }

  CopyMem (&Request, CommBuffer, sizeof (Request));
  Request.Result = StmTestDone;
  switch (Request.Command) {
    case StmTestReadMseg:
      Request.Result = AccessMseg (ReadByte, &Request);
      break;
    case StmTestWriteMseg:
      Request.Result = AccessMseg (WriteByte, &Request);
      break;
    case StmTestReadMemory:
      Request.Result = AccessMemory (ReadByte, Request.Address, &Request);
      break;
    case StmTestCpuid:
      AsmCpuid (CPUID_LEAF, &Request.Value, NULL, NULL, NULL);
      break;
    case StmTestRdtsc:
      Request.Value = (UINT32)AsmReadTsc ();
      break;
    case StmTestTripleFault:
      CauseTripleFault ();
      break;
    case StmTestHalt:
    case StmTestLoop:
      NeverEnd ((BOOLEAN)(Request.Command == StmTestHalt));
      break;
    default:
      Request.Result = StmTestRejected;
      break;
  }

  CopyMem (CommBuffer, &Request, sizeof (Request));
  return EFI_SUCCESS;
}

/**
  Register the handler if the owner of the machine asks for it.

  @param[in] ImageHandle  Handle of this image.
  @param[in] SystemTable  EFI system table.

  @retval EFI_SUCCESS  The handler is registered, or not asked for.
  @retval others       It could not be registered.
**/
EFI_STATUS
EFIAPI
TestHandlerEntryPoint (
  IN EFI_HANDLE        ImageHandle,
  IN EFI_SYSTEM_TABLE  *SystemTable
  )
{
  EFI_HOB_GUID_TYPE     *Hob;
  EFI_SMRAM_DESCRIPTOR  *Mseg;
  EFI_HANDLE            DispatchHandle;
  EFI_STATUS            Status;
  UINTN                 Size;

  Status = TestResources ();
  if (EFI_ERROR (Status) || !StmFwCfgOpen (STM_TEST_HANDLER_FILE, &Size)) {
    return Status;
  }

  Hob = GetFirstGuidHob (&gMsegSmramGuid);
  if (Hob != NULL) {
    Mseg      = GET_GUID_HOB_DATA (Hob);
    mMsegBase = Mseg->PhysicalStart;
    mMsegSize = Mseg->PhysicalSize;
  }

  Status = MakeTables ();
  if (EFI_ERROR (Status)) {
    return Status;
  }

  DEBUG ((DEBUG_WARN, "%a: armed by %a\n", gEfiCallerBaseName, STM_TEST_HANDLER_FILE));
  Status = gSmst->SmiHandlerRegister (TestHandler, &gStmTestHandlerGuid, &DispatchHandle);
  return EFI_ERROR (Status) ? Status : AttackRegister (mTables);
}
