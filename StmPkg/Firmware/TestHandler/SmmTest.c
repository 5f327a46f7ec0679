/** @file
  Shell application: sends one request to the test SMI handler and records the
  answer.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#include <Uefi.h>
#include <Guid/StmTestHandler.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/ShellCEntryLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Protocol/DebugSupport.h>
#include <Protocol/SmmCommunication.h>
#include <StmRecord.h>

#define USAGE           L"usage: SmmTest mseg-read [OFFSET] [OPTION ...] | mseg-write OFFSET VALUE [OPTION ...]\n"\
               L"               cpuid | triple-fault\n" \
               L"  -processor N  on this processor (index in SMM)\n" \
               L"  -own-tables   on page tables that the handler makes\n"
#define EXCEPTION_NONE  "-"

typedef struct {
  CONST CHAR16    *Name;
  CONST CHAR8     *RecordName;
  UINT32          Command;
  UINTN           Arguments;    ///< numbers it needs
} TEST_COMMAND;

STATIC CONST TEST_COMMAND  mCommands[] = {
  { L"mseg-read",    "mseg-read",    StmTestReadMseg,    0 },
  { L"mseg-write",   "mseg-write",   StmTestWriteMseg,   2 },
  { L"cpuid",        "cpuid",        StmTestCpuid,       0 },
  { L"triple-fault", "triple-fault", StmTestTripleFault, 0 }
};

/**
  The name of a result in records.

  @param[in] Result  STM_TEST_RESULT.

  @return An ASCII string.
**/
STATIC
CONST CHAR8 *
ResultName (
  IN UINT32  Result
  )
{
  switch (Result) {
    case StmTestDone:
      return "done";
    case StmTestFaulted:
      return "faulted";
    case StmTestRejected:
      return "rejected";
    default:
      return "no-handler";
  }
}

/**
  The name of an exception in records.

  @param[in] Request  The answer.

  @return An ASCII string.
**/
STATIC
CONST CHAR8 *
ExceptionName (
  IN CONST STM_TEST_REQUEST  *Request
  )
{
  if (Request->Result != StmTestFaulted) {
    return EXCEPTION_NONE;
  }

  switch (Request->Vector) {
    case EXCEPT_IA32_GP_FAULT:
      return "#GP";
    case EXCEPT_IA32_PAGE_FAULT:
      return "#PF";
    default:
      return "other";
  }
}

/**
  Read the options behind a command, and take them off the arguments.

  @param[in,out] Argc     Number of arguments; gets the number before the options.
  @param[in]     Argv     The arguments.
  @param[in,out] Request  Gets Processor and OwnTables.

  @retval TRUE   They could be read.
  @retval FALSE  An option is unknown, or its number is missing.
**/
STATIC
BOOLEAN
ReadOptions (
  IN OUT UINTN             *Argc,
  IN     CHAR16            **Argv,
  IN OUT STM_TEST_REQUEST  *Request
  )
{
  UINTN  Index;
  UINTN  First;

  for (First = 1; (First < *Argc) && (Argv[First][0] != L'-'); First++) {
  }

  for (Index = First; Index < *Argc; Index++) {
    if (StrCmp (Argv[Index], L"-own-tables") == 0) {
      Request->OwnTables = 1;
    } else if ((StrCmp (Argv[Index], L"-processor") == 0) && (Index + 1 < *Argc)) {
      Index++;
      Request->Processor = (UINT32)StrDecimalToUintn (Argv[Index]);
    } else {
      return FALSE;
    }
  }

  *Argc = First;
  return TRUE;
}

/**
  Send a request through the firmware's SMM communication.

  @param[in,out] Request  The request; gets the answer.

  @retval EFI_SUCCESS    The request was sent; Result tells whether a handler saw it.
  @retval EFI_NOT_FOUND  There is no SMM communication, or no such handler.
  @retval others         The request could not be sent.
**/
STATIC
EFI_STATUS
SendRequest (
  IN OUT STM_TEST_REQUEST  *Request
  )
{
  EFI_SMM_COMMUNICATION_PROTOCOL  *Communication;
  EFI_SMM_COMMUNICATE_HEADER      *Header;
  EFI_STATUS                      Status;
  UINTN                           Size;

  Status = gBS->LocateProtocol (&gEfiSmmCommunicationProtocolGuid, NULL, (VOID **)&Communication);
  if (EFI_ERROR (Status)) {
    return Status;
  }

  //
  // SMM maps runtime data, but no boot-services memory, once SMRAM is locked.
  //
  Size   = OFFSET_OF (EFI_SMM_COMMUNICATE_HEADER, Data) + sizeof (*Request);
  Status = gBS->AllocatePool (EfiRuntimeServicesData, Size, (VOID **)&Header);
  if (EFI_ERROR (Status)) {
    return Status;
  }

  CopyGuid (&Header->HeaderGuid, &gStmTestHandlerGuid);
  Header->MessageLength = sizeof (*Request);
  CopyMem (Header->Data, Request, sizeof (*Request));
  Status = Communication->Communicate (Communication, Header, &Size);
  CopyMem (Request, Header->Data, sizeof (*Request));
  gBS->FreePool (Header);
  return Status;
}

/**
  Entry point.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments.

  @retval 0      The handler answered.
  @return An EFI_STATUS without its high bit otherwise.
**/
INTN
EFIAPI
ShellAppMain (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  CONST TEST_COMMAND  *Command;
  STM_TEST_REQUEST    Request;
  EFI_STATUS          Status;
  UINTN               Index;

  ZeroMem (&Request, sizeof (Request));
  Command = NULL;
  if (!ReadOptions (&Argc, Argv, &Request)) {
    Argc = 0;
  }

  for (Index = 0; (Index < ARRAY_SIZE (mCommands)) && (Argc >= 2); Index++) {
    if (StrCmp (Argv[1], mCommands[Index].Name) == 0) {
      Command = &mCommands[Index];
    }
  }

  if ((Command == NULL) || (Argc < 2 + Command->Arguments)) {
    Print (USAGE);
    return (INTN)(EFI_INVALID_PARAMETER & ~MAX_BIT);
  }

  Request.Command = Command->Command;
  Request.Offset  = (Argc >= 3) ? (UINT32)StrHexToUintn (Argv[2]) : 0;
  Request.Value   = (Argc >= 4) ? (UINT32)StrHexToUintn (Argv[3]) : 0;

  Status = SendRequest (&Request);
  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "APP",
    "smm-test",
    "cmd=%a offset=0x%x value=0x%x processor=%u tables=%a result=%a exception=%a",
    Command->RecordName,
    Request.Offset,
    Request.Value,
    Request.Processor,
    (Request.OwnTables != 0) ? "own" : "smm",
    ResultName (Request.Result),
    ExceptionName (&Request)
    );
  Print (
    L"SmmTest: %s: %a, value 0x%x, exception %a\n",
    Command->Name,
    ResultName (Request.Result),
    Request.Value,
    ExceptionName (&Request)
    );
  return (INTN)(Status & ~MAX_BIT);
}
