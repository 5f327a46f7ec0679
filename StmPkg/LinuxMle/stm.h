/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent */
/* Calls of the STM: docs/reference/stm-api.rst describes each. */
#ifndef LINUX_MLE_STM_H
#define LINUX_MLE_STM_H

#include "mle.h"

#define STM_START		  0x10001
#define STM_STOP		  0x10002
#define STM_PROTECT_RESOURCE	  0x10003
#define STM_INITIALIZE_PROTECTION 0x10007
#define STM_MANAGE_EVENT_LOG	  0x10008

/*
 * Calls the STM, and keeps what it answers in *this. Interrupts are off.
 *
 * page: physical address of a page for ECX:EBX, or 0.
 * edx: the call's argument.
 *
 * Returns 0; -EIO if the STM refuses (this->status); -ENODEV if the processor does
 * (this->vm_error, 0 if no VMCS was current).
 */
int mle_call(struct mle_processor *this, u32 api, u64 page, u32 edx);

#endif
