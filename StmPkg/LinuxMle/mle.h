/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent */
/*
 * Linux as the executive monitor: what the parts of the module share. Each calls
 * downwards only:
 *
 *   main        load, unload
 *   report      debugfs
 *   processors  all processors: launch, stop, hot-plug, suspend, reboot
 *   start       one processor: VMX operation, activation VMCS, calls, and back
 *   log         the STM's event log
 *   stm         one call of the STM
 *   operation   VMX operation: KVM's or the module's own
 *   kvm         KVM kept in VMX operation
 *   vmx.h       instructions
 */
#ifndef LINUX_MLE_H
#define LINUX_MLE_H

#include <linux/percpu.h>
#include <linux/types.h>

/*
 * The processor copies nothing out of an activation VMCS before the STM does, and
 * the STM keeps its own copy: the next launch takes the other page, so nothing of
 * the one before is in it.
 */
#define MLE_ACTIVATION_VMCSS 2

/* What one processor has, and what became of it. */
struct mle_processor {
	void *activation[MLE_ACTIVATION_VMCSS]; /* pages */
	void *vmxon;           /* page; used where KVM has not executed VMXON */
	unsigned int launches; /* how often the STM was started here */
	u32 api;               /* the last call ... */
	u32 status;            /* ... and what the STM answered */
	u32 vm_error;          /* VM-instruction error of a VMCALL that the processor refused */
	u64 smis_before;       /* IA32_SMI_COUNT when the STM was started */
	bool own_vmx;          /* the module has executed VMXON here, not KVM */
	bool started;          /* the STM serves the SMIs of this processor */
	bool kept;             /* a launch failed, and STOP did, too: the STM has this processor */
};

DECLARE_PER_CPU(struct mle_processor, mle_processors);

/* main.c: parameters. */
extern char *mle_give_up;

/* processors.c. Process context. */
int mle_allocate(void);
void mle_free(void);
int mle_launch(void);
int mle_stop(void);
bool mle_stays(void);
const char *mle_state(void);

/* start.c. On the processor itself, interrupts off. Errors are negative. */
int mle_start_first(void);
int mle_start_another(void);
int mle_stop_here(void);
int mle_check_here(void);
int mle_check_give_up(void);

/* operation.c. On the processor itself, interrupts off. */
int mle_enter_vmx(struct mle_processor *this);
void mle_leave_vmx(struct mle_processor *this);
u32 mle_vmcs_revision(void);

/* kvm.c. Process context. */
int mle_hold_kvm(void);
void mle_release_kvm(void);
bool mle_holds_kvm(void);

/* report.c. */
void mle_report_begin(void);
void mle_report_end(void);

#endif
