// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent
/*
 * The STM on all processors, and on each that comes, goes or sleeps.
 *
 * One opens the session in process context; the others start within an interrupt, all
 * at once and in any order. A processor that goes offline stops first, and one that
 * comes online is let in only when the STM has started on it. What suspends the last
 * processor stops it too, and it opens a new session when it wakes.
 */
#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/notifier.h>
#include <linux/printk.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>

#include "log.h"
#include "mle.h"

/* Where the module stands; a processor that comes online starts only in an active session. */
static enum { IDLE, ACTIVE, FAILED } state;
static int hotplug_state = -1;

const char *mle_state(void)
{
	static const char *const names[] = {"idle", "active", "failed"};

	return names[state];
}

int mle_allocate(void)
{
	int cpu, i;

	if (mle_log_allocate())
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct mle_processor *one = per_cpu_ptr(&mle_processors, cpu);

		one->vmxon = (void *)get_zeroed_page(GFP_KERNEL);
		if (!one->vmxon)
			return -ENOMEM;
		for (i = 0; i < MLE_ACTIVATION_VMCSS; i++) {
			one->activation[i] = (void *)get_zeroed_page(GFP_KERNEL);
			if (!one->activation[i])
				return -ENOMEM;
		}
	}
	return 0;
}

void mle_free(void)
{
	int cpu, i;

	for_each_possible_cpu(cpu) {
		struct mle_processor *one = per_cpu_ptr(&mle_processors, cpu);

		for (i = 0; i < MLE_ACTIVATION_VMCSS; i++)
			free_page((unsigned long)one->activation[i]);
		free_page((unsigned long)one->vmxon);
	}
	mle_log_free();
}

static void start_within_interrupt(void *failures)
{
	if (mle_start_another())
		atomic_inc(failures);
}

static void stop_within_interrupt(void *failures)
{
	if (mle_stop_here())
		atomic_inc(failures);
}

/* Returns how many processors could not be stopped. */
static int stop_all(void)
{
	atomic_t failures = ATOMIC_INIT(0);

	on_each_cpu(stop_within_interrupt, &failures, 1);
	return atomic_read(&failures);
}

static int start_all(void)
{
	atomic_t failures = ATOMIC_INIT(0);
	unsigned long flags;
	int error;

	preempt_disable();
	local_irq_save(flags);
	error = mle_start_first();
	local_irq_restore(flags);
	if (!error)
		smp_call_function(start_within_interrupt, &failures, 1);
	preempt_enable();
	if (atomic_read(&failures)) {
		/* All processors, or none: one without the STM could reach what the others protect. */
		stop_all();
		error = -EIO;
	}
	return error;
}

static int come_online(unsigned int cpu)
{
	unsigned long flags;
	int error;

	if (state != ACTIVE)
		return 0;
	local_irq_save(flags);
	error = mle_start_another();
	local_irq_restore(flags);
	return error;
}

static int go_offline(unsigned int cpu)
{
	unsigned long flags;
	int error;

	local_irq_save(flags);
	error = mle_stop_here();
	local_irq_restore(flags);
	return error;
}

/* The last processor, interrupts off; KVM leaves VMX operation behind it, and enters it again before. */
static int suspend(void)
{
	return state == ACTIVE ? mle_stop_here() : 0;
}

static void resume(void)
{
	if (state == ACTIVE && mle_start_first()) {
		pr_crit("linux_mle: no STM after the wake\n");
		state = FAILED;
	}
}

static struct syscore_ops sleep_operations = {.suspend = suspend, .resume = resume};

/* Before KVM executes VMXOFF. */
static int before_reboot(struct notifier_block *block, unsigned long event, void *data)
{
	cpus_read_lock();
	state = stop_all() ? FAILED : IDLE;
	cpus_read_unlock();
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = {.notifier_call = before_reboot, .priority = INT_MAX};

int mle_launch(void)
{
	int error;

	cpus_read_lock();
	error = start_all();
	if (!error) {
		state = ACTIVE;
		hotplug_state = cpuhp_setup_state_nocalls_cpuslocked(CPUHP_AP_ONLINE_DYN, "x86/linux_mle:online",
								     come_online, go_offline);
		if (hotplug_state < 0) {
			error = hotplug_state;
			state = stop_all() ? FAILED : IDLE;
		}
	}
	cpus_read_unlock();
	if (error)
		return error;
	register_syscore_ops(&sleep_operations);
	register_reboot_notifier(&reboot_block);
	return 0;
}

/*
 * Whether a processor stays under the STM, or in the VMX operation that the module has
 * entered: its pages are then in use, and KVM must not execute VMXOFF.
 */
bool mle_stays(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct mle_processor *one = per_cpu_ptr(&mle_processors, cpu);

		if (one->started || one->kept || one->own_vmx)
			return true;
	}
	return false;
}

/* Returns how many processors could not be stopped. */
int mle_stop(void)
{
	int failures;

	unregister_reboot_notifier(&reboot_block);
	unregister_syscore_ops(&sleep_operations);
	cpus_read_lock();
	__cpuhp_remove_state_cpuslocked(hotplug_state, false);
	failures = stop_all();
	state = failures ? FAILED : IDLE;
	cpus_read_unlock();
	return failures;
}
