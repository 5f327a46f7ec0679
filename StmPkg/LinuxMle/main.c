// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent
/*
 * Linux as the executive monitor: loading this module launches the STM on every
 * processor of the running system, unloading it stops the STM.
 *
 * The page docs/guide/launching.rst tells what any launcher has to do.
 */
#include <linux/module.h>
#include <linux/printk.h>

#include "mle.h"

char *mle_give_up;
module_param_named(give_up, mle_give_up, charp, 0400);
MODULE_PARM_DESC(give_up, "give up after this call of the launch (initialize), to show that SMIs come back");

/* What the module holds, unless a processor stays under the STM. */
static void release(void)
{
	if (mle_stays()) {
		/* The STM's copy of the VMXON pointer is in use, and KVM must not execute VMXOFF. */
		pr_crit("linux_mle: the STM stays: pages and VMX operation are left as they are\n");
		return;
	}
	mle_release_kvm();
	mle_free();
}

static int __init begin(void)
{
	int error = mle_check_give_up();

	if (!error)
		error = mle_allocate();
	if (!error)
		error = mle_hold_kvm();
	if (!error)
		error = mle_launch();
	if (error) {
		release();
		return error;
	}
	mle_report_begin();
	pr_info("linux_mle: the STM serves the SMIs of %u processors\n", num_online_cpus());
	return 0;
}

static void __exit end(void)
{
	mle_report_end();
	if (!mle_stop())
		pr_info("linux_mle: the STM is stopped\n");
	release();
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("Launches the SMI Transfer Monitor from a running Linux");
MODULE_LICENSE("Dual BSD/GPL");
