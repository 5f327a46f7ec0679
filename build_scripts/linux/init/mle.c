/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Linux as the executive monitor: the module launched, used and unloaded, without KVM, beside it, and around it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lab.h"

#define DEBUGFS "/sys/kernel/debug"
#define STATE DEBUGFS "/linux_mle/state"
#define LOG DEBUGFS "/linux_mle/log"

enum { SMIS = 5 };

/* What begins now; the lab sorts the machine's events by these times. */
static void phase(const char *name)
{
    report("phase", "name=%s", name);
    record("mle-phase", 0, name);
}

static void report_file(const char *name, const char *path)
{
    char line[256];
    FILE *file = fopen(path, "r");

    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        report(name, "%s", line);
    }
    if (file) {
        fclose(file);
    }
}

/* What the module tells: its state, and the STM's event log. */
static void report_state(void)
{
    report_file("mle", STATE);
    report_file("mle-event", LOG);
}

/* SMIs raised on each processor, and a variable written on each. */
static void use_smm(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    report_smis();
    for (int cpu = 0; cpu < processors; cpu++) {
        run_on(cpu);
        for (int i = 0; i < SMIS; i++) {
            raise_smi();
        }
    }
    report_smis();
    variables();
}

static void unload(void)
{
    int error = syscall(SYS_delete_module, "linux_mle", O_NONBLOCK) == 0 ? 0 : errno;

    report("unload", "name=linux_mle error=%d", error);
}

static void launch(const char *name)
{
    load_module("linux_mle.ko", "");
    phase(name);
    report_state();
    use_smm();
}

static void stop(const char *name)
{
    report_state();
    phase("stopping");
    unload();
    phase(name);
    use_smm();
}

static void set_online(int cpu, int online)
{
    char path[64];

    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
    report("hotplug", "cpu=%d online=%d error=%d", cpu, online, write_word(path, online ? "1" : "0"));
}

/* Each processor but the first goes and comes back. */
static void plug(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    run_on(0);
    for (int cpu = 1; cpu < processors; cpu++) {
        set_online(cpu, 0);
        report_state();
        set_online(cpu, 1);
    }
    phase("plugged");
    report_state();
    use_smm();
}

static void after_a_night(void)
{
    phase("woken");
    report_state();
    use_smm();
}

void launcher(void)
{
    load_module("msr.ko", "");
    load_module("efivarfs.ko", "");
    mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
    phase("before");
    use_smm();

    launch("alone");
    stop("between");

    load_module("linux_mle.ko", "give_up=initialize");
    phase("given-up");
    use_smm();

    if (load_kvm("")) {
        launch("kvm");
        kvm_tests("timer");
        kvm_tests("smp");
        plug();
        sleep_and_look("deep", 1, after_a_night);
        stop("after");
    }
}
