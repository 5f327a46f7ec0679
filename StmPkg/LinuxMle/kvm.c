// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent
/*
 * KVM kept in VMX operation by a virtual machine without a processor.
 *
 * KVM executes VMXON on every processor for its first virtual machine (6.1; from 6.12
 * on it may do so when it loads) and VMXOFF after the last one. VMXOFF fails under the
 * dual-monitor treatment, so the last one must not go before the STM is stopped. An
 * open virtual machine also has KVM enter VMX operation on a processor that comes
 * online, and again after a suspend.
 */
#include <linux/err.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm.h>

#include "mle.h"

static struct file *machine;

/* Returns 0 also if there is no KVM; negative if it cannot enter VMX operation. */
int mle_hold_kvm(void)
{
	struct file *kvm = filp_open("/dev/kvm", O_RDWR | O_CLOEXEC, 0);
	long number;

	if (IS_ERR(kvm))
		return PTR_ERR(kvm) == -ENOENT || PTR_ERR(kvm) == -ENXIO ? 0 : PTR_ERR(kvm);
	/* As a program does; the descriptor is that of the process that loads the module. */
	number = kvm->f_op->unlocked_ioctl ? kvm->f_op->unlocked_ioctl(kvm, KVM_CREATE_VM, 0) : -ENOTTY;
	fput(kvm);
	if (number < 0)
		return number;
	machine = fget(number);
	close_fd(number);
	return machine ? 0 : -EBADF;
}

void mle_release_kvm(void)
{
	if (machine)
		fput(machine);
	machine = NULL;
}

bool mle_holds_kvm(void)
{
	return machine;
}
