#include "worker/diffusion/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HEADER  ((uint64_t)16 << 20) /* a large model's is a few hundred KiB */
#define MAX_ENTRIES 65536
#define MAX_NAME    512
#define CHUNK_BYTES ((size_t)4 << 20)

static int dtype_by_name(const char *name, imu_dtype *type)
{
    static const struct {
        const char *name;
        imu_dtype type;
    } known[] = {{"F32", IMU_F32}, {"BF16", IMU_BF16}, {"F16", IMU_F16}, {"F64", IMU_F64},
                 {"I64", IMU_I64}, {"I32", IMU_I32},   {"U8", IMU_U8}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) {
            *type = known[i].type;
            return 1;
        }
    return 0;
}

static imu_engine_status bad(imu_fault *fault, const char *name, const char *what)
{
    return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The safetensors header is damaged: %.100s: %s.",
                    name, what);
}

static imu_engine_status parse_shape(const json_t *shape, imu_st_entry *e, imu_fault *fault)
{
    if (!json_is_array(shape) || json_array_size(shape) > IMU_ST_MAX_DIMS)
        return bad(fault, e->name, "no shape or too many dimensions");
    e->ndim = (int)json_array_size(shape);
    e->count = 1;
    for (int i = 0; i < e->ndim; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        int64_t v = json_is_integer(d) ? json_integer_value(d) : -1;
        if (v < 0 || (v > 0 && e->count > (uint64_t)INT64_MAX / 8 / (uint64_t)v))
            return bad(fault, e->name, "an impossible dimension");
        e->dim[i] = v;
        e->count *= (uint64_t)v;
    }
    return IMU_ENGINE_OK;
}

static imu_engine_status parse_entry(const char *name, const json_t *value, uint64_t data_size,
                                     imu_st_entry *e, imu_fault *fault)
{
    if (strlen(name) > MAX_NAME)
        return bad(fault, name, "the name is too long");
    e->name = strdup(name);
    if (!e->name)
        return imu_fail_memory(fault);
    const char *type = json_string_value(json_object_get(value, "dtype"));
    if (!type || !dtype_by_name(type, &e->type))
        return bad(fault, name, "a number format this engine doesn't read");
    imu_engine_status s = parse_shape(json_object_get(value, "shape"), e, fault);
    if (s)
        return s;
    const json_t *range = json_object_get(value, "data_offsets");
    const json_t *first = json_array_get(range, 0), *last = json_array_get(range, 1);
    if (json_array_size(range) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return bad(fault, name, "no data offsets");
    int64_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin || (uint64_t)end > data_size)
        return bad(fault, name, "the data lie outside the file");
    e->offset = (uint64_t)begin;
    e->size = (uint64_t)(end - begin);
    if (e->size != e->count * imu_dtype_size(e->type))
        return bad(fault, name, "shape and size of the data differ");
    return IMU_ENGINE_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const imu_st_entry *)a)->name, ((const imu_st_entry *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const imu_st_entry *x = a, *y = b;
    return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1)
                                  : (x->size > y->size) - (x->size < y->size);
}

/* The format wants each byte of the data to be one tensor's: shared ones and ones that nobody owns
 * are how a small file pretends to be a large model, or hides something. Leaves the entries in the
 * order of their data. */
static imu_engine_status check_places(imu_safetensors *st, uint64_t data_size, imu_fault *fault)
{
    uint64_t end = 0;
    qsort(st->entries, st->count, sizeof *st->entries, by_place);
    for (size_t i = 0; i < st->count; i++) {
        const imu_st_entry *e = &st->entries[i];
        if (e->offset < end)
            return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                            "The safetensors header is damaged: %.80s and %.80s share bytes.",
                            st->entries[i - 1].name, e->name);
        if (e->offset > end)
            return bad(fault, e->name, "the bytes before it are no tensor's");
        end = e->offset + e->size;
    }
    return end == data_size ? IMU_ENGINE_OK
                            : imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                                       "The safetensors header is damaged: the last bytes of the "
                                       "file are no tensor's.");
}

static imu_engine_status parse_root(json_t *root, uint64_t data_size, imu_safetensors *st,
                                    imu_fault *fault)
{
    size_t n = json_object_size(root);
    if (!json_is_object(root) || n > MAX_ENTRIES)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The safetensors header is no table of tensors.");
    st->entries = calloc(n ? n : 1, sizeof *st->entries);
    if (!st->entries)
        return imu_fail_memory(fault);
    const char *name;
    json_t *value;
    json_object_foreach (root, name, value) {
        if (!strcmp(name, "__metadata__"))
            continue;
        imu_st_entry *e = &st->entries[st->count++];
        imu_engine_status s = parse_entry(name, value, data_size, e, fault);
        if (s)
            return s;
    }
    imu_engine_status s = check_places(st, data_size, fault);
    qsort(st->entries, st->count, sizeof *st->entries, by_name);
    return s;
}

imu_engine_status imu_st_parse(const char *header, size_t size, uint64_t data_size,
                               imu_safetensors **out, imu_fault *fault)
{
    imu_safetensors *st = calloc(1, sizeof *st);
    if (!st)
        return imu_fail_memory(fault);
    json_error_t error;
    json_t *root = json_loadb(header, size, JSON_REJECT_DUPLICATES, &error);
    imu_engine_status s = root ? parse_root(root, data_size, st, fault)
                          : json_error_code(&error) == json_error_out_of_memory
                              ? imu_fail_memory(fault)
                              : imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                                         "The safetensors header is no JSON: %.100s.", error.text);
    json_decref(root);
    if (s) {
        imu_st_close(st);
        return s;
    }
    *out = st;
    return IMU_ENGINE_OK;
}

static int read_at(int fd, void *dst, uint64_t size, uint64_t offset)
{
    char *p = dst;
    while (size) {
        size_t part = size > ((size_t)1 << 30) ? (size_t)1 << 30 : (size_t)size;
        ssize_t n = pread(fd, p, part, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        size -= (uint64_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static imu_engine_status open_fd(int fd, imu_safetensors **out, imu_fault *fault)
{
    struct stat info;
    uint8_t head[8];
    if (fstat(fd, &info) || !S_ISREG(info.st_mode) || info.st_size < 8 || read_at(fd, head, 8, 0))
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "It is too short for a safetensors file.");
    uint64_t size = 0;
    for (int i = 7; i >= 0; i--)
        size = size << 8 | head[i];
    if (size > (uint64_t)info.st_size - 8)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The safetensors header is longer than the file.");
    if (size > MAX_HEADER)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The safetensors header is too long.");
    imu_safetensors *st = NULL;
    char *header = malloc((size_t)size + 1);
    imu_st_file *file = malloc(sizeof *file);
    imu_engine_status s = header && file ? IMU_ENGINE_OK : imu_fail_memory(fault);
    if (!s && read_at(fd, header, size, 8))
        s = imu_fail(fault, IMU_ENGINE_BAD_MODEL, "It can't be read.");
    if (!s)
        s = imu_st_parse(header, (size_t)size, (uint64_t)info.st_size - 8 - size, &st, fault);
    free(header);
    if (s) {
        free(file);
        return s;
    }
    *file = (imu_st_file){
        .fd = fd, .data_start = 8 + size, .size = info.st_size, .changed = info.st_mtim};
    st->files = file;
    st->file_count = 1;
    *out = st;
    return IMU_ENGINE_OK;
}

imu_engine_status imu_st_open(const char *path, imu_safetensors **out, imu_fault *fault)
{
    imu_fault why = {.text = ""};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, IMU_ST_PATH "%s.", path, strerror(errno));
    imu_engine_status s = open_fd(fd, out, &why);
    if (s) {
        close(fd);
        return imu_fail(fault, s, IMU_ST_PATH "%.240s", path, why.text);
    }
    return IMU_ENGINE_OK;
}

void imu_st_close(imu_safetensors *st)
{
    if (!st)
        return;
    for (size_t i = 0; i < st->count; i++)
        free(st->entries[i].name);
    free(st->entries);
    for (size_t i = 0; i < st->file_count; i++)
        close(st->files[i].fd);
    free(st->files);
    free(st);
}

/* Room in `st` for what `more` has. */
static bool make_room(imu_safetensors *st, const imu_safetensors *more)
{
    imu_st_entry *entries =
        realloc(st->entries, (st->count + more->count + 1) * sizeof *st->entries);
    if (!entries)
        return false;
    st->entries = entries;
    imu_st_file *files =
        realloc(st->files, (st->file_count + more->file_count + 1) * sizeof *st->files);
    if (!files)
        return false;
    st->files = files;
    return true;
}

imu_engine_status imu_st_join(imu_safetensors *st, imu_safetensors *more, imu_fault *fault)
{
    imu_engine_status s = IMU_ENGINE_OK;
    if (st->count + more->count > MAX_ENTRIES)
        s = imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The shards hold too many tensors.");
    for (size_t i = 0; i < more->count && !s; i++)
        if (imu_st_find(st, more->entries[i].name))
            s = imu_fail(fault, IMU_ENGINE_BAD_MODEL, "Two shards hold the tensor %.200s.",
                         more->entries[i].name);
    if (!s && !make_room(st, more))
        s = imu_fail_memory(fault);
    if (!s) {
        for (size_t i = 0; i < more->count; i++) {
            st->entries[st->count] = more->entries[i];
            st->entries[st->count++].file += st->file_count;
        }
        for (size_t i = 0; i < more->file_count; i++)
            st->files[st->file_count++] = more->files[i];
        more->count = more->file_count = 0; /* they are st's now */
        qsort(st->entries, st->count, sizeof *st->entries, by_name);
    }
    imu_st_close(more);
    return s;
}

void imu_st_read_ahead(const imu_safetensors *st)
{
    /* Only advice: what it answers changes nothing. */
    for (size_t i = 0; i < st->file_count; i++)
        (void)posix_fadvise(st->files[i].fd, 0, 0, POSIX_FADV_WILLNEED);
}

const imu_st_entry *imu_st_find(const imu_safetensors *st, const char *name)
{
    imu_st_entry key = {.name = (char *)name};
    return bsearch(&key, st->entries, st->count, sizeof *st->entries, by_name);
}

/* Reads bytes of a tensor's data. What was learnt of the file when it was opened must still hold:
 * other bytes in the same places would draw nonsense without a word. */
static imu_engine_status read_data(const imu_safetensors *st, const imu_st_entry *entry, void *dst,
                                   uint64_t size, uint64_t from, imu_fault *fault)
{
    const imu_st_file *file = &st->files[entry->file];
    struct stat now;
    if (entry->file >= st->file_count ||
        read_at(file->fd, dst, size, file->data_start + entry->offset + from))
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "Can't read the tensor %.200s.", entry->name);
    if (fstat(file->fd, &now) || now.st_size != file->size ||
        now.st_mtim.tv_sec != file->changed.tv_sec || now.st_mtim.tv_nsec != file->changed.tv_nsec)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The file of the tensor %.200s was changed while it was in use.",
                        entry->name);
    return IMU_ENGINE_OK;
}

imu_engine_status imu_st_read_part(const imu_safetensors *st, const imu_st_entry *entry,
                                   uint64_t at, uint64_t count, void *dst, imu_fault *fault)
{
    uint64_t width = imu_dtype_size(entry->type);
    if (at > entry->count || count > entry->count - at)
        return imu_fail(fault, IMU_ENGINE_INTERNAL, "%.200s: more is asked for than there is.",
                        entry->name);
    return read_data(st, entry, dst, count * width, at * width, fault);
}

imu_engine_status imu_st_read_f32(const imu_safetensors *st, const imu_st_entry *entry, float *dst,
                                  imu_fault *fault)
{
    if (entry->type == IMU_F32)
        return imu_st_read_part(st, entry, 0, entry->count, dst, fault);
    size_t width = imu_dtype_size(entry->type), per_chunk = CHUNK_BYTES / width;
    void *buffer = malloc(CHUNK_BYTES);
    if (!buffer)
        return imu_fail_memory(fault);
    imu_engine_status s = IMU_ENGINE_OK;
    for (uint64_t done = 0; done < entry->count && !s;) {
        size_t n = entry->count - done < per_chunk ? (size_t)(entry->count - done) : per_chunk;
        s = read_data(st, entry, buffer, n * width, done * width, fault);
        if (!s)
            imu_to_f32(entry->type, buffer, dst + done, n);
        done += n;
    }
    free(buffer);
    return s;
}
