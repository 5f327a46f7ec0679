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
#include <Library/StmCommandLib.h>
#include <Library/StmRecordLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Protocol/DebugSupport.h>
#include <Protocol/SmmCommunication.h>
#include <StmRecord.h>

#define OPTIONS         L"[-processor N] [-own-tables]"
#define OPTION_WORDS    3
#define EXCEPTION_NONE  "-"
#define WORD_SIZE       16

///
/// What a word of the command line asks the handler for.
///
typedef struct {
  CONST CHAR16    *Word;
  UINT32          Command;   ///< STM_TEST_COMMAND
  UINTN           Numbers;   ///< that must follow
} REQUEST;

STATIC CONST REQUEST  mRequests[] = {
  { L"mseg-read",    StmTestReadMseg,    0 },
  { L"mseg-write",   StmTestWriteMseg,   2 },
  { L"read",         StmTestReadMemory,  1 },
  { L"cpuid",        StmTestCpuid,       0 },
  { L"rdtsc",        StmTestRdtsc,       0 },
  { L"triple-fault", StmTestTripleFault, 0 },
  { L"halt",         StmTestHalt,        0 },
  { L"loop",         StmTestLoop,        0 }
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
  Find a request by its word.

  @param[in] Word  Of the command line.

  @return It; the word is one of mCommands.
**/
STATIC
CONST REQUEST *
FindRequest (
  IN CONST CHAR16  *Word
  )
{
  UINTN  Index;

  for (Index = 0; (Index < ARRAY_SIZE (mRequests) - 1) && (StrCmp (Word, mRequests[Index].Word) != 0); Index++) {
  }

  return &mRequests[Index];
}

/**
  Every command: send a request with the numbers and options of the arguments, and tell the
  answer.

  @param[in] Argc  Number of arguments.
  @param[in] Argv  The arguments: the command; offset or address, and value, hexadecimal;
                   options.

  @retval EFI_INVALID_PARAMETER  An option is unknown, or a number is missing.
  @retval others                 See SendRequest.
**/
STATIC
EFI_STATUS
Ask (
  IN UINTN   Argc,
  IN CHAR16  **Argv
  )
{
  CONST REQUEST     *Asked;
  STM_TEST_REQUEST  Request;
  EFI_STATUS        Status;
  CHAR8             Name[WORD_SIZE];

  Asked = FindRequest (Argv[1]);
  UnicodeStrToAsciiStrS (Asked->Word, Name, sizeof (Name));
  ZeroMem (&Request, sizeof (Request));
  if (!ReadOptions (&Argc, Argv, &Request) || (Argc < 2 + Asked->Numbers)) {
    return EFI_INVALID_PARAMETER;
  }

  Request.Command = Asked->Command;
  Request.Address = (Argc >= 3) ? StrHexToUint64 (Argv[2]) : 0;
  Request.Offset  = (UINT32)Request.Address;
  Request.Value   = (Argc >= 4) ? (UINT32)StrHexToUintn (Argv[3]) : 0;

  Status = SendRequest (&Request);
  StmRecord (
    STM_RECORD_PORT_FIRMWARE,
    "APP",
    "smm-test",
    "cmd=%a offset=0x%x value=0x%x processor=%u tables=%a result=%a exception=%a",
    Name,
    Request.Offset,
    Request.Value,
    Request.Processor,
    (Request.OwnTables != 0) ? "own" : "smm",
    ResultName (Request.Result),
    ExceptionName (&Request)
    );
  Print (
    L"SmmTest: %a: %a, value 0x%x, exception %a\n",
    Name,
    ResultName (Request.Result),
    Request.Value,
    ExceptionName (&Request)
    );
  return Status;
}

STATIC CONST STM_COMMAND  mCommands[] = {
  { L"mseg-read",    L"[OFFSET] " OPTIONS,     0, 1 + OPTION_WORDS, Ask },
  { L"mseg-write",   L"OFFSET VALUE " OPTIONS, 2, 2 + OPTION_WORDS, Ask },
  { L"read",         L"ADDRESS " OPTIONS,      1, 1 + OPTION_WORDS, Ask },
  { L"cpuid",        OPTIONS,                  0, OPTION_WORDS,     Ask },
  { L"rdtsc",        OPTIONS,                  0, OPTION_WORDS,     Ask },
  { L"triple-fault", OPTIONS,                  0, OPTION_WORDS,     Ask },
  { L"halt",         OPTIONS,                  0, OPTION_WORDS,     Ask },
  { L"loop",         OPTIONS,                  0, OPTION_WORDS,     Ask }
};

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
  return StmRunCommand (L"SmmTest", mCommands, ARRAY_SIZE (mCommands), Argc, Argv);
}
