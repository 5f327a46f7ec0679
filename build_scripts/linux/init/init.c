/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Process 1 of the lab's Linux machine. Settings on the kernel's command line:
 *   kvm_intel.NAME=VALUE  parameters of the module
 *   lab.steps=A,B         what to do: kvm, guest, reload; default kvm,guest
 *   lab.only=NAME         one of the tests of step kvm
 *   lab.smi=1             SMIs, one after another, while a test of step kvm runs
 *   lab.guest=WORD        a word for the guest's kernel instead of "quiet"
 *   lab.reload=A=1,B=0;C  sets of parameters for step reload
 *   lab.role=executive    no KVM: report what a guest of the executive monitor finds
 *   lab.role=mle          Linux itself as the executive monitor: the module of StmPkg/LinuxMle, without and with KVM
 *   lab.sleep=WAY         of that role: sleep, then look again: deep (S3), s2idle, disk (S4)
 *   lab.nights=N          how often; default 1
 *   lab.end=WAY           of that role: reboot or panic instead of a power-off
 * A file /program is run instead of the steps.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "lab.h"

#define PROGRAM "/program"

static void prepare(void)
{
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
}

static void run_program(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        int port = open("/dev/ttyS1", O_RDWR | O_NOCTTY);

        dup2(port, 1);
        dup2(port, 2);
        /* The firmware writes to this port too; the lab shows what follows this line. */
        dprintf(port, "lab: program begins\n");
        execl(PROGRAM, PROGRAM, (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    /* What it wrote has to leave the terminal's buffer first. */
    int port = open("/dev/ttyS1", O_RDWR | O_NOCTTY);
    tcdrain(port);
    close(port);
    report("program", "exited=%d status=%d", WIFEXITED(status), WIFEXITED(status) ? WEXITSTATUS(status) : status);
}

static void run_steps(char *steps)
{
    for (char *step; (step = strsep(&steps, ",")) != NULL;) {
        report("step", "name=%s", step);
        if (strcmp(step, "kvm") == 0) {
            kvm_tests(setting("lab.only"));
        } else if (strcmp(step, "guest") == 0) {
            linux_guest();
        } else if (strcmp(step, "reload") == 0) {
            reload(setting("lab.reload"));
        }
    }
}

int main(void)
{
    struct utsname name;
    char steps[256] = "kvm,guest", parameters[256];

    prepare();
    const char *role = setting("lab.role") ? setting("lab.role") : "";
    uname(&name);
    report("boot", "kernel=%s cpus=%ld", name.release, sysconf(_SC_NPROCESSORS_ONLN));
    if (strcmp(role, "mle") == 0) {
        launcher();
        check_log(false);
        report("end", "done=1");
        end_machine(setting("lab.end"));
    }
    if (strcmp(role, "executive") == 0) {
        executive_guest();
        check_log(true);
        if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
            show_registers(1, 0);
            show_registers(0, 1);
        }
        report("end", "done=1");
        end_machine(setting("lab.end"));
    }
    snprintf(parameters, sizeof(parameters), "%s", module_settings("kvm_intel"));
    if (setting("lab.steps")) {
        snprintf(steps, sizeof(steps), "%s", setting("lab.steps"));
    }
    if (load_kvm(parameters)) {
        report_parameters();
        if (access(PROGRAM, X_OK) == 0) {
            run_program();
        } else {
            report_smis();
            run_steps(steps);
            report_smis();
        }
    }
    check_log(false);
    report("end", "done=1");
    reboot(RB_POWER_OFF);
    return 0;
}
