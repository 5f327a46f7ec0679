/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Control registers as the kernel shows them: it sends an NMI to a processor, whose handler prints the registers of
 * the kernel code that it interrupts. So this is also an NMI that a guest must get.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab.h"

enum { BUFFER = 16 << 20, SETTLE = 300000 };

/* Keeps a processor in the kernel: it fills pages that are there. */
static void stay_in_the_kernel(int cpu)
{
    int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    char *buffer = calloc(1, BUFFER);

    run_on(cpu);
    while (buffer && read(zeros, buffer, BUFFER) > 0) {
    }
    _exit(1);
}

void show_registers(int cpu, int from)
{
    int trigger = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
    pid_t child = fork();

    if (child == 0) {
        stay_in_the_kernel(cpu);
    }
    run_on(from);
    usleep(SETTLE);
    report("registers", "cpu=%d asked=%d", cpu, write(trigger, "l", 1) == 1);
    usleep(SETTLE);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(trigger);
}
