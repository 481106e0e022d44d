/* Runs a fuzz target over its corpus, as a unit test: replay_NAME reads tests/fuzz/corpus/NAME, or
 * the files and folders given. Each file is also run cut short at several places, which finds reads
 * past the end under the address sanitizer. An empty corpus fails. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_files;

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st)) {
        perror(path);
        exit(1);
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    if (!data || fread(data, 1, size, f) != size) {
        perror(path);
        exit(1);
    }
    fclose(f);
    for (size_t eighths = 8; eighths >= 1; eighths--) {
        /* A block of exactly this size, so that the sanitizer sees the first byte behind it. */
        size_t len = size * eighths / 8;
        uint8_t *part = malloc(len ? len : 1);
        if (!part) {
            perror("malloc");
            exit(1);
        }
        memcpy(part, data, len);
        LLVMFuzzerTestOneInput(part, len);
        free(part);
    }
    free(data);
    n_files++;
}

static void run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st)) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(st.st_mode)) {
        run_file(path);
        return;
    }
    DIR *dir = opendir(path);
    if (!dir) {
        perror(path);
        exit(1);
    }
    for (struct dirent *e; (e = readdir(dir));) {
        char file[4096];
        if (e->d_name[0] == '.')
            continue;
        if (snprintf(file, sizeof file, "%s/%s", path, e->d_name) < (int)sizeof file)
            run_file(file);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    char path[512];
    const char *name = strrchr(argv[0], '/');
    name = name ? name + 1 : argv[0];
    if (!strncmp(name, "replay_", 7))
        name += 7;
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s", name);
    if (argc < 2)
        run_path(path);
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    if (n_files == 0) {
        fprintf(stderr, "%s: the corpus is empty\n", path);
        return 1;
    }
    printf("%s: %u files replayed\n", name, n_files);
    return 0;
}
