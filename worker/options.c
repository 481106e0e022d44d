/* See options.h. */
#include "worker/options.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char usage[] =
    "usage: invokemu-worker --socket PATH [options]       renders pictures\n"
    "       invokemu-worker --media --socket PATH [...]   decodes uploads in a sandbox\n"
    "       invokemu-worker --print-schemas               prints the schemas of all nodes\n"
    "\n"
    "  --models DIR        models lie below this folder (default: anywhere)\n"
    "  --tokenizers DIR    tokenizers that the server keeps, for models of one file (default: "
    "none)\n"
    "  --user NAME         become this user, when started as root\n"
    "  --group NAME        group of the socket file, whose mode is 0660\n"
    "  --peer-uid USER     a user (name or number) who may connect, besides root and the worker's "
    "own; repeatable\n"
    "  --name TEXT         what the worker calls itself (default: the host's name)\n"
    "  --device NAME       what computes: cpu, cuda or cuda:1 (default: auto, a GPU if there is "
    "one)\n"
    "  --threads N         threads that compute (default: one for each processor)\n"
    "  --cache-mb N        memory for models on the processor (default: half of the machine's)\n"
    "  --gpu-mb N          memory of the GPU to use (default: nearly all that is free)\n"
    "  --precision NAME    what is computed with: f32 or bf16 (default: bf16 where the device has "
    "it)\n"
    "  --sequential-guidance  the two halves of guidance one after the other: slower, less "
    "memory\n"
    "  --children N        pictures that --media decodes at once (default: 4)\n";

static int complain(const char *what, const char *value)
{
    fprintf(stderr, "invokemu-worker: %s: %s\n", what, value);
    return -1;
}

static int read_number(const char *text, long min, long max, long *out)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno || end == text || *end || v < min || v > max)
        return -1;
    *out = v;
    return 0;
}

static int add_peer(imu_options *o, const char *text)
{
    long number;
    if (o->n_peers == IMU_MAX_PEERS)
        return complain("too many --peer-uid", text);
    if (read_number(text, 0, 0x7fffffff, &number)) {
        const struct passwd *pw = getpwnam(text);
        if (!pw)
            return complain("no such user", text);
        number = (long)pw->pw_uid;
    }
    o->peers[o->n_peers++] = (uid_t)number;
    return 0;
}

static int read_precision(imu_options *o, const char *name)
{
    if (strcmp(name, "f32") != 0 && strcmp(name, "bf16") != 0)
        return complain("--precision must be f32 or bf16, not", name);
    o->precision = strcmp(name, "f32") ? IMU_PRECISION_BF16 : IMU_PRECISION_F32;
    return 0;
}

static int read_one(imu_options *o, int c, const char *value)
{
    long n;
    switch (c) {
    case 's':
        o->socket = value;
        return 0;
    case 'm':
        o->models = value;
        return 0;
    case 'w':
        o->tokenizers = value;
        return 0;
    case 'u':
        o->user = value;
        return 0;
    case 'g':
        o->group = value;
        return 0;
    case 'n':
        o->name = value;
        return 0;
    case 'p':
        return add_peer(o, value);
    case 'd':
        o->device = value;
        return 0;
    case 't':
        if (read_number(value, 0, 1024, &n))
            return complain("--threads must be 0 to 1024, not", value);
        o->threads = (int)n;
        return 0;
    case 'c':
        if (read_number(value, 1, 1L << 30, &n))
            return complain("--cache-mb must be at least 1, not", value);
        o->cache_bytes = (uint64_t)n << 20;
        return 0;
    case 'v':
        if (read_number(value, 1, 1L << 30, &n))
            return complain("--gpu-mb must be at least 1, not", value);
        o->gpu_bytes = (uint64_t)n << 20;
        return 0;
    case 'k':
        if (read_number(value, 1, 64, &n))
            return complain("--children must be 1 to 64, not", value);
        o->media_children = (int)n;
        return 0;
    case 'r':
        return read_precision(o, value);
    case 'S':
        o->sequential = true;
        return 0;
    case 'M':
        o->media = true;
        return 0;
    case 'P':
        o->print_schemas = true;
        return 0;
    default:
        fputs(usage, c == 'h' ? stdout : stderr);
        return c == 'h' ? 1 : -1;
    }
}

int imu_options_read(imu_options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        {"socket", required_argument, NULL, 's'},
        {"models", required_argument, NULL, 'm'},
        {"tokenizers", required_argument, NULL, 'w'},
        {"user", required_argument, NULL, 'u'},
        {"group", required_argument, NULL, 'g'},
        {"name", required_argument, NULL, 'n'},
        {"peer-uid", required_argument, NULL, 'p'},
        {"device", required_argument, NULL, 'd'},
        {"threads", required_argument, NULL, 't'},
        {"cache-mb", required_argument, NULL, 'c'},
        {"children", required_argument, NULL, 'k'},
        {"gpu-mb", required_argument, NULL, 'v'},
        {"precision", required_argument, NULL, 'r'},
        {"sequential-guidance", no_argument, NULL, 'S'},
        {"media", no_argument, NULL, 'M'},
        {"print-schemas", no_argument, NULL, 'P'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    memset(o, 0, sizeof *o);
    o->media_children = 4;
    o->precision = IMU_PRECISION_AUTO;
    o->cache_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        int rc = read_one(o, c, optarg);
        if (rc)
            return rc;
    }
    if (optind < argc)
        return complain("not understood", argv[optind]);
    if (!o->socket && !o->print_schemas) {
        fputs(usage, stderr);
        return -1;
    }
    return 0;
}

int imu_options_drop_root(const imu_options *o)
{
    uid_t uid = getuid();
    gid_t gid = getgid();
    const struct passwd *pw = NULL;
    if (o->user && getuid() == 0) {
        pw = getpwnam(o->user);
        if (!pw)
            return complain("no such user", o->user);
        uid = pw->pw_uid;
        gid = pw->pw_gid;
    }
    if (o->group) {
        const struct group *gr = getgrnam(o->group);
        if (!gr)
            return complain("no such group", o->group);
        gid = gr->gr_gid;
    }
    if ((pw || o->group) && chown(o->socket, uid, gid))
        return complain("the socket file can't be handed over", strerror(errno));
    /* Whatever happens later, no program that this process starts gains rights. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return complain("prctl", strerror(errno));
    if (!pw)
        return 0;
    if (initgroups(pw->pw_name, pw->pw_gid) || setgid(pw->pw_gid) || setuid(pw->pw_uid))
        return complain("can't become user", pw->pw_name);
    if (pw->pw_uid != 0 && (setuid(0) == 0 || getuid() != pw->pw_uid))
        return complain("root rights could not be given up for", pw->pw_name);
    return 0;
}

bool imu_options_peer_allowed(const imu_options *o, long uid)
{
    if (uid < 0)
        return false;
    if (uid == 0 || (uid_t)uid == getuid())
        return true;
    for (int i = 0; i < o->n_peers; i++)
        if (o->peers[i] == (uid_t)uid)
            return true;
    return false;
}
