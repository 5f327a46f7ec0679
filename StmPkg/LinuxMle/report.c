// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent
/* What the module tells: /sys/kernel/debug/linux_mle. */
#include <asm/msr.h>
#include <linux/cpu.h>
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "log.h"
#include "mle.h"

static struct dentry *folder;

/* A line for the module, then one for each processor that is online. */
static int state_show(struct seq_file *file, void *unused)
{
	int cpu;

	seq_printf(file, "state=%s kvm=%d\n", mle_state(), mle_holds_kvm());
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		const struct mle_processor *one = per_cpu_ptr(&mle_processors, cpu);
		u64 smis = 0;

		rdmsrl_safe_on_cpu(cpu, MSR_SMI_COUNT, &smis);
		seq_printf(file, "cpu=%d started=%d own_vmx=%d launches=%u call=0x%x status=0x%x vm_error=%u smis=%llu\n",
			   cpu, one->started, one->own_vmx, one->launches, one->api, one->status, one->vm_error,
			   one->started ? smis - one->smis_before : 0);
	}
	cpus_read_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(state);

static int log_show(struct seq_file *file, void *unused)
{
	mle_log_show(file);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(log);

void mle_report_begin(void)
{
	folder = debugfs_create_dir("linux_mle", NULL);
	debugfs_create_file("state", 0400, folder, NULL, &state_fops);
	debugfs_create_file("log", 0400, folder, NULL, &log_fops);
}

void mle_report_end(void)
{
	debugfs_remove_recursive(folder);
}
