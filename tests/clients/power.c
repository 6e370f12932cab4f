/* A disk whose cache is lost with the power: preloaded into the gateway, it notes what each write to
 * a folder replaced, and which syncs returned. After a kill the tests take back what was not synced.
 *
 * KLAGOMAL_POWER_DIR    the folder
 * KLAGOMAL_POWER_LOG    the notes; links to what was removed or replaced lie beside it
 * KLAGOMAL_POWER_BOOT   stands for /proc/sys/kernel/random/boot_id
 * KLAGOMAL_POWER_STALL  while this file is there, a sync waits
 * KLAGOMAL_POWER_LIES   no sync is noted: a disk that lies
 *
 * A note is, little-endian: kind 1 | number 8 | inode 8 | and by kind
 *   W write     offset 8 | size before 8 | length 4 | bytes replaced 4 | those bytes
 *   T truncate  size before 8 | bytes cut off 4 | those bytes
 *   S sync      the last number noted when it was begun 8
 *   C create, M make a folder    path; the inode is the folder's above
 *   R rename    from, to; U unlink  path; what was there is linked as LOG.NUMBER
 * A path is its length 4 and its bytes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 65536
#define REAL(name) ((__typeof__(&name))real(#name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *dir, *log_path, *boot, *stall;
static size_t dir_length;
static int log_fd = -1, lies;
static uint64_t number;
static unsigned char tracked[FDS];

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
    dir = getenv("KLAGOMAL_POWER_DIR");
    log_path = getenv("KLAGOMAL_POWER_LOG");
    boot = getenv("KLAGOMAL_POWER_BOOT");
    stall = getenv("KLAGOMAL_POWER_STALL");
    lies = getenv("KLAGOMAL_POWER_LIES") != NULL;
    if (dir == NULL || log_path == NULL) return;
    dir_length = strlen(dir);
    int (*open_real)(const char *, int, ...) = real("open");
    log_fd = open_real(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int inside(const char *path) {
    return log_fd >= 0 && path != NULL && strncmp(path, dir, dir_length) == 0 &&
           (path[dir_length] == '/' || path[dir_length] == 0);
}

/* The folder above, whose sync keeps the folder itself. */
static int above(const char *path) {
    const char *name = dir == NULL ? NULL : strrchr(dir, '/');
    return log_fd >= 0 && name != NULL && strlen(path) == (size_t)(name - dir) &&
           strncmp(path, dir, (size_t)(name - dir)) == 0;
}

static int is_tracked(int fd) { return log_fd >= 0 && fd >= 0 && fd < FDS && tracked[fd]; }

static void put(const struct iovec *parts, int count) {
    ssize_t (*writev_real)(int, const struct iovec *, int) = real("writev");
    ssize_t wanted = 0;
    for (int at = 0; at < count; at++) wanted += (ssize_t)parts[at].iov_len;
    /* A note that is cut off would make the test mean nothing. */
    if (writev_real(log_fd, parts, count) != wanted) abort();
}

struct head {
    unsigned char kind;
    uint64_t number, inode;
} __attribute__((packed));

static struct head head(char kind, uint64_t inode) {
    return (struct head){(unsigned char)kind, ++number, inode};
}

static uint64_t inode_above(const char *path) {
    char copy[PATH_MAX];
    struct stat found;
    snprintf(copy, sizeof copy, "%s", path);
    return stat(dirname(copy), &found) == 0 ? found.st_ino : 0;
}

static void note_path(char kind, const char *path) {
    struct head first = head(kind, inode_above(path));
    uint32_t length = (uint32_t)strlen(path);
    struct iovec parts[] = {{&first, sizeof first}, {&length, 4}, {(void *)path, length}};
    put(parts, 3);
}

/* Keeps what lies at path, to be put back. */
static void keep(const char *path) {
    char saved[PATH_MAX];
    snprintf(saved, sizeof saved, "%s.%llu", log_path, (unsigned long long)(number + 1));
    if (link(path, saved) != 0 && errno != ENOENT) abort();
}

/* The gateway writes through files that it may not read. */
static char *read_back(int fd, uint32_t length, off_t at) {
    int (*open_real)(const char *, int, ...) = real("open");
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reader = open_real(path, O_RDONLY | O_CLOEXEC);
    char *bytes = malloc(length + 1);
    if (bytes == NULL || reader < 0 || REAL(pread)(reader, bytes, length, at) != (ssize_t)length) abort();
    REAL(close)(reader);
    return bytes;
}

static void note_write(int fd, off_t offset, size_t length) {
    struct stat found;
    if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode)) return;
    uint64_t at = (uint64_t)offset, size = (uint64_t)found.st_size;
    uint32_t old = 0, whole = (uint32_t)length;
    char *bytes = NULL;
    if (at < size) {
        old = (uint32_t)(size - at < length ? size - at : length);
        bytes = read_back(fd, old, offset);
    }
    struct head first = head('W', found.st_ino);
    struct iovec parts[] = {{&first, sizeof first}, {&at, 8}, {&size, 8}, {&whole, 4}, {&old, 4}, {bytes, old}};
    put(parts, 6);
    free(bytes);
}

static off_t place(int fd) {
    int flags = fcntl(fd, F_GETFL);
    struct stat found;
    if (flags >= 0 && (flags & O_APPEND) && fstat(fd, &found) == 0) return found.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

static size_t all(const struct iovec *parts, int count) {
    size_t sum = 0;
    for (int at = 0; at < count; at++) sum += parts[at].iov_len;
    return sum;
}

#define NOTED(fd, offset, length, call)                    \
    if (!is_tracked(fd)) return call;                      \
    pthread_mutex_lock(&lock);                             \
    note_write(fd, offset, length);                        \
    ssize_t done = call;                                   \
    int error = errno;                                     \
    pthread_mutex_unlock(&lock);                           \
    errno = error;                                         \
    return done

ssize_t write(int fd, const void *from, size_t length) {
    NOTED(fd, place(fd), length, REAL(write)(fd, from, length));
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    NOTED(fd, place(fd), all(parts, count), REAL(writev)(fd, parts, count));
}
ssize_t pwrite64(int fd, const void *from, size_t length, off64_t at) {
    NOTED(fd, at, length, REAL(pwrite64)(fd, from, length, at));
}
ssize_t pwrite(int fd, const void *from, size_t length, off_t at) {
    NOTED(fd, at, length, REAL(pwrite)(fd, from, length, at));
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    NOTED(fd, at, all(parts, count), REAL(pwritev64)(fd, parts, count, at));
}

int ftruncate64(int fd, off64_t to) {
    if (!is_tracked(fd)) return REAL(ftruncate64)(fd, to);
    pthread_mutex_lock(&lock);
    struct stat found;
    if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) {
        uint64_t size = (uint64_t)found.st_size;
        uint32_t cut = to < found.st_size ? (uint32_t)(found.st_size - to) : 0;
        char *bytes = read_back(fd, cut, to);
        struct head first = head('T', found.st_ino);
        struct iovec parts[] = {{&first, sizeof first}, {&size, 8}, {&cut, 4}, {bytes, cut}};
        put(parts, 4);
        free(bytes);
    }
    int done = REAL(ftruncate64)(fd, to);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate(int fd, off_t to) { return ftruncate64(fd, to); }

static int synced(int fd, int (*sync)(int)) {
    if (!is_tracked(fd)) return sync(fd);
    while (stall != NULL && access(stall, F_OK) == 0) usleep(5000);
    pthread_mutex_lock(&lock);
    uint64_t last = number;
    pthread_mutex_unlock(&lock);
    int done = sync(fd);
    struct stat found;
    if (done == 0 && !lies && fstat(fd, &found) == 0) {
        pthread_mutex_lock(&lock);
        struct head first = head('S', found.st_ino);
        struct iovec parts[] = {{&first, sizeof first}, {&last, 8}};
        put(parts, 2);
        pthread_mutex_unlock(&lock);
    }
    return done;
}
int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

static int opened(const char *path, int flags, mode_t mode) {
    int (*open_real)(const char *, int, ...) = real("open64");
    if (boot != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) path = boot;
    if (!inside(path) && !above(path)) return open_real(path, flags, mode);
    pthread_mutex_lock(&lock);
    int makes = (flags & O_CREAT) && access(path, F_OK) != 0;
    struct stat found;
    if ((flags & O_TRUNC) && stat(path, &found) == 0 && found.st_size > 0) {
        /* As if it were replaced: the old one is kept whole. */
        int (*unlink_real)(const char *) = real("unlink");
        keep(path);
        note_path('U', path);
        unlink_real(path);
        makes = 1;
    }
    int fd = open_real(path, flags, mode);
    if (fd >= 0 && fd < FDS) tracked[fd] = 1;
    if (fd >= 0 && makes) note_path('C', path);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE(flags, mode)                          \
    mode_t mode = 0;                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {         \
        va_list rest;                              \
        va_start(rest, flags);                     \
        mode = va_arg(rest, mode_t);               \
        va_end(rest);                              \
    }
int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(path, flags, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < FDS) tracked[fd] = 0;
    return REAL(close)(fd);
}

int mkdir(const char *path, mode_t mode) {
    if (!inside(path)) return REAL(mkdir)(path, mode);
    pthread_mutex_lock(&lock);
    int done = REAL(mkdir)(path, mode);
    int error = errno;
    if (done == 0) note_path('M', path);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int rename(const char *from, const char *to) {
    if (!inside(from) && !inside(to)) return REAL(rename)(from, to);
    pthread_mutex_lock(&lock);
    struct stat found;
    if (stat(to, &found) == 0 && S_ISREG(found.st_mode)) keep(to);
    struct head first = head('R', inode_above(to));
    uint32_t a = (uint32_t)strlen(from), b = (uint32_t)strlen(to);
    struct iovec parts[] = {{&first, sizeof first}, {&a, 4}, {(void *)from, a}, {&b, 4}, {(void *)to, b}};
    put(parts, 5);
    int done = REAL(rename)(from, to);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

int unlink(const char *path) {
    if (!inside(path)) return REAL(unlink)(path);
    pthread_mutex_lock(&lock);
    struct stat found;
    if (lstat(path, &found) == 0 && S_ISREG(found.st_mode)) {
        keep(path);
        note_path('U', path);
    }
    int done = REAL(unlink)(path);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
