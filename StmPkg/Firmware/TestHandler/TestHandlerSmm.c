/** @file
  SMI handler that does on request what SMI handlers must not do, so that tests
  see what the STM makes of it.

  It is in every image, since tests are to run what users run, and does nothing
  unless the owner of the machine arms it with a fw_cfg file.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <PiSmm.h>
#include <Guid/MsegSmram.h>
#include <Guid/StmTestHandler.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/DebugLib.h>
#include <Library/HobLib.h>
#include <Library/SmmMemLib.h>
#include <Library/SmmServicesTableLib.h>
#include <Library/StmFwCfgLib.h>
#include <Library/StmTryLib.h>
#include <Protocol/DebugSupport.h>

#define CPUID_LEAF  0

STATIC UINT64  mMsegBase;
STATIC UINT64  mMsegSize;

///
/// One access to memory.
///
typedef struct {
  volatile UINT8    *Address;
  UINT8             Value;
} MSEG_ACCESS;

/**
  Read a byte.

  @param[in,out] Context  MSEG_ACCESS.
**/
STATIC
VOID
EFIAPI
ReadByte (
  IN OUT VOID  *Context
  )
{
  MSEG_ACCESS  *Access;

  Access        = Context;
  Access->Value = *Access->Address;
}

/**
  Write a byte.

  @param[in,out] Context  MSEG_ACCESS.
**/
STATIC
VOID
EFIAPI
WriteByte (
  IN OUT VOID  *Context
  )
{
  MSEG_ACCESS  *Access;

  Access           = Context;
  *Access->Address = Access->Value;
}

/**
  Access one byte of MSEG, a fault caught.

  @param[in]     Routine  ReadByte or WriteByte.
  @param[in,out] Request  Offset and value.

  @return StmTestDone, StmTestFaulted or StmTestRejected.
**/
STATIC
STM_TEST_RESULT
AccessMseg (
  IN     STM_TRY_ROUTINE   Routine,
  IN OUT STM_TEST_REQUEST  *Request
  )
{
  MSEG_ACCESS  Access;
  UINTN        Vector;

  if (Request->Offset >= mMsegSize) {
    return StmTestRejected;
  }

  Access.Address = (volatile UINT8 *)(UINTN)(mMsegBase + Request->Offset);
  Access.Value   = (UINT8)Request->Value;
  StmIdtLoad ();
  Vector = StmTry (Routine, &Access);
  StmIdtRestore ();

  Request->Value = Access.Value;
  if (Vector == STM_TRY_DONE) {
    return StmTestDone;
  }

  return (Vector == EXCEPT_IA32_GP_FAULT) ? StmTestFaulted : StmTestRejected;
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
    case StmTestCpuid:
      AsmCpuid (CPUID_LEAF, &Request.Value, NULL, NULL, NULL);
      break;
    case StmTestTripleFault:
      CauseTripleFault ();
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
  UINTN                 Size;

  if (!StmFwCfgOpen (STM_TEST_HANDLER_FILE, &Size)) {
    return EFI_SUCCESS;
  }

  Hob = GetFirstGuidHob (&gMsegSmramGuid);
  if (Hob != NULL) {
    Mseg      = GET_GUID_HOB_DATA (Hob);
    mMsegBase = Mseg->PhysicalStart;
    mMsegSize = Mseg->PhysicalSize;
  }

  DEBUG ((DEBUG_WARN, "%a: armed by %a\n", gEfiCallerBaseName, STM_TEST_HANDLER_FILE));
  return gSmst->SmiHandlerRegister (TestHandler, &gStmTestHandlerGuid, &DispatchHandle);
}
