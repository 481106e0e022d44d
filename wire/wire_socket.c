/* AF_UNIX sockets: connect, listen, who is at the other end. See wire.h. */
#include "wire/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int make_address(const char *path, struct sockaddr_un *addr)
{
    memset(addr, 0, sizeof *addr);
    addr->sun_family = AF_UNIX;
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof addr->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(addr->sun_path, path, len);
    return 0;
}

static int close_with_errno(int fd)
{
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* A socket, and the address of path for it. */
static int make_socket(const char *path, struct sockaddr_un *addr)
{
    return make_address(path, addr)
               ? -1
               : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int imu_wire_connect(const char *path)
{
    struct sockaddr_un addr;
    int fd = make_socket(path, &addr);
    if (fd < 0)
        return -1;
    /* A local connect is immediate; EAGAIN means that the listener's backlog is full. */
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr))
        return close_with_errno(fd);
    return fd;
}

/* Removes a socket file that nobody answers on. Fails with EADDRINUSE when somebody does. */
static int remove_stale(const char *path)
{
    struct stat st;
    if (lstat(path, &st))
        return errno == ENOENT ? 0 : -1;
    if (!S_ISSOCK(st.st_mode)) {
        errno = EADDRINUSE;
        return -1;
    }
    int fd = imu_wire_connect(path);
    if (fd >= 0) {
        close(fd);
        errno = EADDRINUSE;
        return -1;
    }
    if (errno != ECONNREFUSED) {
        errno = EADDRINUSE;
        return -1;
    }
    return unlink(path);
}

int imu_wire_listen(const char *path, unsigned mode, int backlog)
{
    struct sockaddr_un addr;
    int fd = make_socket(path, &addr);
    if (fd < 0)
        return -1;
    /* The mode before bind closes the moment in which the file has the umask's looser one. */
    if (fchmod(fd, 0))
        return close_with_errno(fd);
    int rc = bind(fd, (struct sockaddr *)&addr, sizeof addr);
    if (rc && errno == EADDRINUSE) {
        if (remove_stale(path))
            return close_with_errno(fd);
        rc = bind(fd, (struct sockaddr *)&addr, sizeof addr);
    }
    if (rc)
        return close_with_errno(fd);
    if (listen(fd, backlog) || chmod(path, mode))
        return close_with_errno(fd);
    return fd;
}

long imu_wire_peer_uid(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
        return -1;
    return (long)cred.uid;
}
