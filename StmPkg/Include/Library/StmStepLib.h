/** @file
  Steps of attacks: one access or instruction each, which may fault. The same code
  carries them out for a guest, for the executive monitor in VMX root operation and
  for an SMI handler.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_STEP_LIB_H_
#define STM_STEP_LIB_H_

#define STM_STEP_ARGUMENTS  4

///
/// What a step does. Comments: its arguments, and what Value gets.
///
typedef enum {
  StmStepNone         = 0,
  StmStepRead         = 1,      ///< width 1, 2, 4 or 8, linear address: what is there
  StmStepWrite        = 2,      ///< width, linear address, contents
  StmStepReadMsr      = 3,      ///< MSR: its contents
  StmStepWriteMsr     = 4,      ///< MSR, contents
  StmStepIn           = 5,      ///< width 1, 2 or 4, port: what was read
  StmStepOut          = 6,      ///< width, port, what to write
  StmStepReadControl  = 7,      ///< 0, 2, 3 or 4 for CR0 and so on: its contents
  StmStepWriteControl = 8,      ///< 0, 2, 3 or 4, contents
  StmStepReadDebug    = 9,      ///< 0 to 3, 6 or 7 for DR0 and so on: its contents
  StmStepWriteDebug   = 10,     ///< 0 to 3, 6 or 7, contents
  StmStepFlags        = 11,     ///< none: RFLAGS
  StmStepInString     = 12,     ///< port, linear address, count of bytes
  StmStepOutString    = 13,     ///< port, linear address, count of bytes
  StmStepCall         = 14,     ///< linear address of code that returns: its RAX
  StmStepVmcall       = 15,     ///< EAX, EBX, ECX, EDX: EAX; Argument[1] and [3] get EBX and EDX
  StmStepVmxon        = 16,     ///< physical address: VMX_RESULT, as for those that follow
  StmStepVmxoff       = 17,     ///< none
  StmStepVmclear      = 18,     ///< physical address
  StmStepVmptrld      = 19,     ///< physical address
  StmStepVmread       = 20,     ///< field: its contents
  StmStepVmwrite      = 21,     ///< field, contents: VMX_RESULT
  StmStepReadSaved    = 22,     ///< of SMI handlers: width, offset from SMBASE: what is there
  StmStepWriteSaved   = 23,     ///< of SMI handlers: width, offset from SMBASE, contents
  StmStepRedirect     = 24,     ///< of SMI handlers: offset of 8 bytes, new contents, address that gets the old ones
  StmStepCatch        = 25,     ///< of SMI handlers: become the firmware's handler of protection exceptions
  StmStepCopy         = 26,     ///< from and to linear address, count of bytes
  StmStepWatch        = 27,     ///< linear address of 8 bytes, count of reads: how often they had changed
  StmStepUse          = 28      ///< linear address of 8 bytes, most that is allowed, count of reads: what was used
} STM_STEP_KIND;

typedef enum {
  StmStepPending  = 0,          ///< nobody carried it out
  StmStepDone     = 1,
  StmStepFaulted  = 2,          ///< it raised an exception: Vector
  StmStepRejected = 3           ///< no such step, or its arguments make no sense
} STM_STEP_RESULT;

///
/// One step. Kind and Argument are inputs.
///
typedef struct {
  UINT32    Kind;                         ///< STM_STEP_KIND
  UINT32    Result;                       ///< STM_STEP_RESULT
  UINT32    Vector;                       ///< of the exception, 0 without one
  UINT32    Violations;                   ///< of SMI handlers: protection exceptions that it caused
  UINT64    Argument[STM_STEP_ARGUMENTS];
  UINT64    Value;
} STM_STEP;

/**
  Carry out one step, the IDT of StmIdtLoad in force. Result, Vector and Value are set.

  @param[in,out] Step  The step. Those of SMI handlers are rejected here.
**/
VOID
EFIAPI
StmStepRun (
  IN OUT STM_STEP  *Step
  );

#endif
