/** @file
  Session/: who is inside MSEG, who is a member of the STM's session, and the way
  out.

  Two counts, because they end at different times. A processor is a *member* from
  a successful INITIALIZE_PROTECTION, or START, to STOP. It is *inside* from its
  first instruction in MSEG to its last one, which comes after STOP: it still
  writes records, restores registers, and enters the executive monitor.

  What the first processor builds for all is built when nobody is inside, and
  stays as it is until nobody is inside again:

    (nobody inside) --activation--> building --> ready
    ready --INITIALIZE_PROTECTION--> open, 1 member
    open --INITIALIZE_PROTECTION, START--> one member more
    open --STOP--> one member less; the last one: over
    ready, open, over --the last processor leaves MSEG--> (nobody inside)

  A session that is over takes no new member. An activation waits a while for the
  processors that are on their way out, then it is refused with
  ERROR_STM_STOPPED.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_SESSION_H_
#define STM_SESSION_H_

#include "StmState.h"

///
/// STM_SHARED.Session: phase in bits 31:30, members in the others. One word, so
/// that a phase and its count change together.
///
#define STM_SESSION_PHASE    0xC0000000
#define STM_SESSION_MEMBERS  0x3FFFFFFF
#define STM_SESSION_NONE     0x00000000  ///< never built, or being built
#define STM_SESSION_READY    0x40000000  ///< built; nobody has called INITIALIZE_PROTECTION
#define STM_SESSION_OPEN     0x80000000  ///< at least one member
#define STM_SESSION_OVER     0xC0000000  ///< the last member has stopped

/**
  Wait for the lock of activations, and keep any processor from being activated.

  @param[in,out] Shared  Shared state.
**/
VOID
StmLockActivations (
  IN OUT STM_SHARED  *Shared
  );

/**
  Let processors be activated.

  @param[in,out] Shared  Shared state.
**/
VOID
StmUnlockActivations (
  IN OUT STM_SHARED  *Shared
  );

/**
  Count this processor in. The caller holds the activation lock.

  @param[in,out] Shared  Shared state.

  @retval TRUE   Nobody else is inside, nor can anybody come in before the lock is
                 released: build what all share, then call StmSessionReady.
  @retval FALSE  Others are inside: what they use must not change.
**/
BOOLEAN
StmSessionEnter (
  IN OUT STM_SHARED  *Shared
  );

/**
  What all share is built. The caller holds the activation lock.

  @param[in,out] Shared  Shared state.
**/
VOID
StmSessionReady (
  IN OUT STM_SHARED  *Shared
  );

/**
  Become a member of the session.

  @param[in,out] Shared  Shared state.
  @param[in]     Open    TRUE for INITIALIZE_PROTECTION, which opens the session.

  @retval STM_SUCCESS                 A member.
  @retval ERROR_STM_UNSPECIFIED       Nobody has called INITIALIZE_PROTECTION.
  @retval ERROR_STM_STOPPED           The session is over, and not everybody has left.
  @retval ERROR_STM_OUT_OF_RESOURCES  There are as many members as MSEG has room for.
**/
UINT32
StmSessionJoin (
  IN OUT STM_SHARED  *Shared,
  IN     BOOLEAN     Open
  );

/**
  Stop being a member. This processor stays inside until AsmLeave.

  @param[in,out] Shared  Shared state.
**/
VOID
StmSessionPart (
  IN OUT STM_SHARED  *Shared
  );

/**
  Leave MSEG by the VM entry that deactivates the dual-monitor treatment, and
  count this processor out. Does not return.

  @param[in] Registers  Interrupted registers, first member of STM_PROCESSOR. The
                        SMM-transfer VMCS is current, with HOST_RSP behind them
                        and the activation page tables in HOST_CR3.
  @param[in] Inside     STM_SHARED.Inside.
  @param[in] Tables     Physical address of the activation page tables.
  @param[in] Launched   The SMM-transfer VMCS has been launched.
**/
VOID
EFIAPI
AsmLeave (
  IN CONST VMX_REGISTERS  *Registers,
  IN volatile UINT32      *Inside,
  IN UINT64               Tables,
  IN BOOLEAN              Launched
  );

#endif
