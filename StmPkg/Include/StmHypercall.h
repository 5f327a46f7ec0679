/** @file
  Hypercalls of the executive monitor: VMCALL in its guest, CPL 0, number in
  EAX. They lie outside the number space of the STM API, so that a guest that
  calls the STM by mistake is refused and not misunderstood. The executive
  monitor never forwards a guest's VMCALL to the STM.

  Copyright (c) 2026, STM Lab contributors
  SPDX-License-Identifier: BSD-2-Clause-Patent
**/

#ifndef STM_HYPERCALL_H_
#define STM_HYPERCALL_H_

///
/// Is the executive monitor there? RAX: EXEC_HYPERCALL_SIGNATURE.
///
#define EXEC_HYPERCALL_PRESENT  0x4C000001

///
/// Stop the STM, leave VMX operation, continue natively after the VMCALL: on the
/// processor that calls, in 64-bit mode, with page tables that map the executive
/// monitor at its physical address, as the firmware's do.
/// RAX: EXEC_HYPERCALL_SUCCESS, or an error and nothing changed.
///
#define EXEC_HYPERCALL_LEAVE  0x4C000002

///
/// Exit statistics. RBX in: basic exit reason; RBX out: how often it occurred
/// since the launch, on all processors.
///
#define EXEC_HYPERCALL_STATISTICS  0x4C000003

///
/// Let the STM keep its SMI handler from a page of memory, and let it be reached
/// again. RBX in: physical address of the page, aligned to 4 KB. RAX:
/// EXEC_HYPERCALL_SUCCESS, or an error and nothing changed; RBX out: the STM's status,
/// 0 if it was not asked.
///
#define EXEC_HYPERCALL_PROTECT    0x4C000004
#define EXEC_HYPERCALL_UNPROTECT  0x4C000005

#define EXEC_HYPERCALL_SIGNATURE    0x45584543
#define EXEC_HYPERCALL_SUCCESS      0
#define EXEC_HYPERCALL_UNKNOWN      0x80000001
#define EXEC_HYPERCALL_BAD_INPUT    0x80000002
#define EXEC_HYPERCALL_STM_REFUSED  0x80000003

#endif
