/** @file
  What the parts of the tool share.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef ATTACK_H_
#define ATTACK_H_

#include <PiDxe.h>
#include <Library/BaseLib.h>
#include <Library/BaseMemoryLib.h>
#include <Library/StmStepLib.h>
#include <Library/UefiBootServicesTableLib.h>
#include <Library/UefiLib.h>
#include <Protocol/MpService.h>

#include "../../ExecutiveMonitor/Include/ExecutiveMonitor.h"

extern EFI_GUID  gExecutiveMonitorProtocolGuid;

///
/// Who carries out a step.
///
typedef enum {
  AttackByShell,                ///< this program: native, a guest, or in VMX root operation
  AttackByHandler,              ///< an SMI handler
  AttackByHandlerAlone,         ///< an SMI handler, in an SMI of this processor alone
  AttackByTool                  ///< a device or the executive monitor, at this program's request
} ATTACK_ACTOR;

///
/// A step of an actor other than the first two.
///
typedef
VOID
(*ATTACK_ROUTINE)(
  IN OUT STM_STEP  *Step
  );

///
/// A kind of step, as words name it.
///
typedef struct {
  CONST CHAR8       *Name;
  STM_STEP_KIND     Kind;       ///< StmStepNone if it has a routine
  UINTN             Arguments;
  ATTACK_ROUTINE    Routine;
} ATTACK_OPERATION;

#define ATTACK_LABEL_LENGTH  16

///
/// A word of the command, read.
///
typedef struct {
  CHAR8                     Label[ATTACK_LABEL_LENGTH];   ///< "-" without one
  CONST ATTACK_OPERATION    *Operation;
  ATTACK_ACTOR              Actor;
  STM_STEP                  Step;
} ATTACK_WORD;

///
/// Pages of this program's for attacks to use: page, page2, page3 for the tool's
/// own transfers, page4 for its lists, and what follows as one area.
///
#define ATTACK_PAGES  16

//
// Place.c
//

/**
  Where this program runs.

  @return State of the executive monitor; ExecStateOff without one.
**/
EXEC_STATE
AttackPlace (
  VOID
  );

/**
  Whether the STM is active.

  @retval TRUE   The executive monitor has started it.
  @retval FALSE  It has not, or there is none.
**/
BOOLEAN
AttackStmActive (
  VOID
  );

/**
  Get this program's pages. They are never given back, since the STM may protect them.

  @retval EFI_SUCCESS  They are there, all zero.
  @retval others       No memory.
**/
EFI_STATUS
AttackGetPages (
  VOID
  );

/**
  The address of one of this program's pages.

  @param[in] Index  Which, below ATTACK_PAGES.

  @return Its address.
**/
UINT64
AttackPage (
  IN UINTN  Index
  );

/**
  The address that a name stands for.

  @param[in]  Name     The name.
  @param[out] Address  Where that is.

  @retval TRUE   Found.
  @retval FALSE  There is no such name, or it means nothing where this program runs.
**/
BOOLEAN
AttackFindAddress (
  IN  CONST CHAR8  *Name,
  OUT UINT64       *Address
  );

//
// Words.c
//

/**
  Read a word: [LABEL=][smm.|alone.]OPERATION[:ARGUMENT...].

  @param[in]  Text  The word.
  @param[in]  Done  Words carried out, to whose values $LABEL refers.
  @param[in]  Count How many.
  @param[out] Word  What it says.

  @retval TRUE   Read.
  @retval FALSE  It is no such word.
**/
BOOLEAN
AttackReadWord (
  IN  CONST CHAR16       *Text,
  IN  CONST ATTACK_WORD  *Done,
  IN  UINTN              Count,
  OUT ATTACK_WORD        *Word
  );

//
// Shell.c
//

/**
  Carry out a step here, its exceptions caught.

  @param[in,out] Step  The step.
**/
VOID
AttackByShellStep (
  IN OUT STM_STEP  *Step
  );

//
// Handler.c
//

/**
  Let the SMI handler carry out a step.

  @param[in,out] Step   The step; its Result stays StmStepPending if there is no handler.
  @param[in]     Alone  In an SMI that this processor alone takes.
**/
VOID
AttackByHandlerStep (
  IN OUT STM_STEP  *Step,
  IN     BOOLEAN   Alone
  );

//
// Executive.c
//

/**
  Have the STM keep its SMI handler from memory. Arguments: address and bytes, whole
  pages. Value: the STM's status.

  @param[in,out] Step  The step.
**/
VOID
AttackProtect (
  IN OUT STM_STEP  *Step
  );

/**
  Have the STM keep its SMI handler from ports. Arguments: first port and number.

  @param[in,out] Step  The step.
**/
VOID
AttackProtectPorts (
  IN OUT STM_STEP  *Step
  );

/**
  Have the STM keep its SMI handler from an MSR. Argument: its number.

  @param[in,out] Step  The step.
**/
VOID
AttackProtectMsr (
  IN OUT STM_STEP  *Step
  );

/**
  Have the STM keep its SMI handler from PCI configuration space. Arguments: function, as
  port CF8H takes it, first register and number of bytes.

  @param[in,out] Step  The step.
**/
VOID
AttackProtectPci (
  IN OUT STM_STEP  *Step
  );

/**
  Have the STM keep its SMI handler from a page, asked on another processor: as the
  executive monitor's guest only. Arguments: number of the processor and address.

  @param[in,out] Step  The step.
**/
VOID
AttackProtectFrom (
  IN OUT STM_STEP  *Step
  );

/**
  Raise an SMI that no handler claims.

  @param[in,out] Step  The step.
**/
VOID
AttackRaiseSmi (
  IN OUT STM_STEP  *Step
  );

//
// Race.c
//

/**
  Have another processor write to memory over and over. Arguments: number of the processor
  and address of 8 bytes.

  @param[in,out] Step  The step.
**/
VOID
AttackRace (
  IN OUT STM_STEP  *Step
  );

/**
  Have another processor write two numbers to memory in turn, over and over. Arguments:
  number of the processor, address of 8 bytes, and the numbers.

  @param[in,out] Step  The step.
**/
VOID
AttackSwap (
  IN OUT STM_STEP  *Step
  );

/**
  Wait until the racing processor, if there is one, is out of the last SMI: it writes again.
**/
VOID
AttackWaitForRace (
  VOID
  );

/**
  Have it end. Rejected if it does not.

  @param[in,out] Step  The step.
**/
VOID
AttackCalm (
  IN OUT STM_STEP  *Step
  );

/**
  Run a routine on another processor, and wait for its end.

  @param[in]     Processor  Its number.
  @param[in]     Routine    The routine.
  @param[in,out] Context    Its argument.

  @retval TRUE   It has run.
  @retval FALSE  There is no such processor, or it is busy.
**/
BOOLEAN
AttackRunOn (
  IN     UINT64            Processor,
  IN     EFI_AP_PROCEDURE  Routine,
  IN OUT VOID              *Context
  );

//
// Device.c
//

/**
  Read memory by DMA. Arguments: width and physical address.

  @param[in,out] Step  The step.
**/
VOID
AttackDeviceRead (
  IN OUT STM_STEP  *Step
  );

/**
  Write memory by DMA. Arguments: width, physical address and contents.

  @param[in,out] Step  The step.
**/
VOID
AttackDeviceWrite (
  IN OUT STM_STEP  *Step
  );

/**
  Have a device write memory while something else goes on. Arguments: width, physical
  address and contents.

  @param[in,out] Step  The step.
**/
VOID
AttackDeviceLater (
  IN OUT STM_STEP  *Step
  );

/**
  Have QEMU's fw_cfg write "QEMU" to memory by DMA. Argument: physical address.

  @param[in,out] Step  The step.
**/
VOID
AttackFwCfgWrite (
  IN OUT STM_STEP  *Step
  );

#endif
