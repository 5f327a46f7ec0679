/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent */
/* The STM's event log: docs/reference/stm-api.rst describes it. */
#ifndef LINUX_MLE_LOG_H
#define LINUX_MLE_LOG_H

#include <linux/seq_file.h>

#include "mle.h"

/* Process context. 0 or -ENOMEM; what there is is freed by the other. */
int mle_log_allocate(void);
void mle_log_free(void);

/*
 * Opens the session's log, and keeps the SMI handler from its page. Interrupts are off,
 * between INITIALIZE_PROTECTION and START. Returns what mle_call does.
 */
int mle_log_open(struct mle_processor *this);

/* A line for each entry, the oldest first; marks them as read. */
void mle_log_show(struct seq_file *file);

#endif
