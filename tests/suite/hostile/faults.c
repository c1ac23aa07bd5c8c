/* Put before the C library of the program: makes one of its calls fail as the environment says. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static atomic_long met;

#define NEXT(name) static __typeof__(&name) next; if (!next) next = dlsym(RTLD_NEXT, #name)

/* Tells whether this call is one that FAULT_CALL, FAULT_PATH, FAULT_FROM and FAULT_EVERY mean. */
static int is_due(const char *call, const char *path) {
    const char *wanted = getenv("FAULT_CALL");
    if (!wanted || strcmp(wanted, call) || !strstr(path, getenv("FAULT_PATH"))) return 0;
    long number = ++met, from = atol(getenv("FAULT_FROM")), every = atol(getenv("FAULT_EVERY"));
    return every ? number >= from && (number - from) % every == 0 : number == from;
}

static int is_due_for(const char *call, int fd) {
    char link[64], path[8192];
    if (!getenv("FAULT_CALL")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len <= 0 || path[0] != '/') return 0;
    path[len] = 0;
    return is_due(call, path);
}

static int does(const char *what) { return !strncmp(getenv("FAULT_DO"), what, strlen(what)); }

/* Returns what a call that fails returns; does not return where the process is to end. */
static ssize_t fail(int fd) {
    if (does("lose")) {
        /* The machine stops before these bytes are on the disk. */
        struct stat about;
        if (!fstat(fd, &about) && S_ISREG(about.st_mode) && !ftruncate(fd, 0) && ftruncate(fd, about.st_size)) abort();
        kill(getpid(), SIGKILL);
    }
    if (does("kill")) kill(getpid(), SIGKILL);
    errno = atoi(getenv("FAULT_DO"));
    return -1;
}

/* Changes the file that FAULT_FILE names, before it is read on. */
static void change(void) {
    const char *file = getenv("FAULT_FILE");
    struct stat about;
    if (stat(file, &about)) abort();
    if (does("cut") && truncate(file, about.st_size / 2)) abort();
    if (does("grow")) {
        int fd = open(file, O_WRONLY | O_APPEND);
        if (fd < 0 || write(fd, "more", 4) != 4) abort();
        close(fd);
    }
}

static ssize_t read_end(ssize_t len, void *buffer) {
    if (len > 0 && does("other")) ((unsigned char *)buffer)[0] ^= 1;
    return len;
}

static int is_harmless(void) { return does("cut") || does("grow") || does("other"); }

ssize_t read(int fd, void *buffer, size_t len) {
    NEXT(read);
    if (!is_due_for("read", fd)) return next(fd, buffer, len);
    if (!is_harmless()) return fail(fd);
    if (!does("other")) change();
    return read_end(next(fd, buffer, len), buffer);
}

ssize_t pread64(int fd, void *buffer, size_t len, off64_t offset) {
    NEXT(pread64);
    const char *slow = getenv("FAULT_SLOW_US");
    if (slow) usleep(atoi(slow));
    if (!is_due_for("read", fd)) return next(fd, buffer, len, offset);
    if (!is_harmless()) return fail(fd);
    if (!does("other")) change();
    return read_end(next(fd, buffer, len, offset), buffer);
}

ssize_t write(int fd, const void *buffer, size_t len) {
    NEXT(write);
    return is_due_for("write", fd) ? fail(fd) : next(fd, buffer, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    NEXT(writev);
    return is_due_for("write", fd) ? fail(fd) : next(fd, parts, count);
}

ssize_t pwrite64(int fd, const void *buffer, size_t len, off64_t offset) {
    NEXT(pwrite64);
    return is_due_for("write", fd) ? fail(fd) : next(fd, buffer, len, offset);
}

int fsync(int fd) {
    NEXT(fsync);
    return is_due_for("sync", fd) ? (int)fail(fd) : next(fd);
}

int fdatasync(int fd) {
    NEXT(fdatasync);
    return is_due_for("sync", fd) ? (int)fail(fd) : next(fd);
}

int rename(const char *from, const char *to) {
    NEXT(rename);
    return is_due("rename", to) ? (int)fail(-1) : next(from, to);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    NEXT(clock_gettime);
    int result = next(clock, time);
    const char *second = getenv("FAULT_CLOCK");
    if (second && clock == CLOCK_REALTIME) time->tv_sec = atol(second);
    return result;
}
