/* See mask.h. */
#include "worker/image/mask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- widening ---- */

/* Share of a pixel's darkness that reaches another one at this distance. */
static double reach(double distance, int radius, enum imu_mask_edge edge)
{
    if (distance > radius)
        return 0;
    if (edge == IMU_EDGE_LINEAR)
        return 1 - distance / radius;
    double deviation = radius / 2.5; /* upstream's: masks look the same there and here */
    return exp(-distance * distance / (2 * deviation * deviation));
}

static double *reach_table(int radius, enum imu_mask_edge edge)
{
    size_t side = (size_t)radius + 1;
    double *table = malloc(side * side * sizeof *table);
    for (size_t y = 0; table && y < side; y++)
        for (size_t x = 0; x < side; x++)
            table[y * side + x] = reach(hypot((double)x, (double)y), radius, edge);
    return table;
}

/* The darkest that reaches (x, y), 0 to 255. */
static double darkest(const imu_picture *grey, const double *table, int radius, int x, int y)
{
    double best = 0;
    int top = y > radius ? y - radius : 0, left = x > radius ? x - radius : 0;
    for (int v = top; v <= y + radius && v < grey->height; v++)
        for (int u = left; u <= x + radius && u < grey->width; u++) {
            double dark = 255 - grey->data[(size_t)v * (size_t)grey->width + (size_t)u];
            double got =
                dark * table[(size_t)abs(v - y) * ((size_t)radius + 1) + (size_t)abs(u - x)];
            best = got > best ? got : best;
        }
    return best;
}

static uint8_t widened(double dark, uint8_t before, enum imu_mask_edge edge, double lightest)
{
    /* The wire between the two is float32 upstream; rounding there decides what is quite white. */
    double value = (double)(float)(255 - dark);
    if (edge == IMU_EDGE_STAGED)
        value = value < before && before > lightest ? lightest : before;
    if (value > lightest && value < 255)
        value = lightest;
    return (uint8_t)fmin(fmax(value, 0), 255);
}

imu_picture *imu_mask_widen(const imu_picture *grey, int radius, enum imu_mask_edge edge,
                            double lightest, int (*stop)(void *user), void *user)
{
    imu_picture *out = imu_picture_new(grey->width, grey->height, 1);
    double *table = reach_table(radius, edge);
    bool stopped = !out || !table;
    for (int y = 0; !stopped && y < grey->height; y++) {
        for (int x = 0; x < grey->width; x++) {
            size_t i = (size_t)y * (size_t)grey->width + (size_t)x;
            out->data[i] =
                widened(darkest(grey, table, radius, x, y), grey->data[i], edge, lightest);
        }
        stopped = stop && stop(user);
    }
    free(table);
    if (stopped) {
        imu_picture_free(out);
        return NULL;
    }
    return out;
}

/* ---- fading ---- */

/* Squared distances along one line: d[i] = min over j of f[j] + (i - j)^2, by the lower envelope of
 * parabolas (Felzenszwalb and Huttenlocher). `where` and `from` have room for n and n + 1. */
static void line_distances(const double *f, int n, double *d, int *where, double *from)
{
    int k = 0;
    where[0] = 0;
    from[0] = -INFINITY;
    from[1] = INFINITY;
    for (int q = 1; q < n; q++) {
        double s;
        for (;; k--) {
            int v = where[k];
            s = ((f[q] + (double)q * q) - (f[v] + (double)v * v)) / (2.0 * q - 2.0 * v);
            if (s > from[k])
                break;
        }
        where[++k] = q;
        from[k] = s;
        from[k + 1] = INFINITY;
    }
    k = 0;
    for (int q = 0; q < n; q++) {
        while (from[k + 1] < q)
            k++;
        double step = q - where[k];
        d[q] = step * step + f[where[k]];
    }
}

/* Squared distance of every pixel to the nearest one that is at most `threshold`. */
static int distances(const imu_picture *grey, int threshold, double *out)
{
    int w = grey->width, h = grey->height, longest = w > h ? w : h;
    double far = 2.0 * longest * longest; /* more than any distance in it */
    double *line = calloc(3 * ((size_t)longest + 1), sizeof *line);
    int *where = calloc((size_t)longest, sizeof *where);
    if (!line || !where) {
        free(line);
        free(where);
        return -1;
    }
    double *found = line + longest + 1, *from = found + longest + 1;
    for (int x = 0; x < w; x++) {
        for (int y = 0; y < h; y++)
            line[y] = grey->data[(size_t)y * (size_t)w + (size_t)x] > threshold ? far : 0;
        line_distances(line, h, found, where, from);
        for (int y = 0; y < h; y++)
            out[(size_t)y * (size_t)w + (size_t)x] = found[y];
    }
    for (int y = 0; y < h; y++) {
        memcpy(line, out + (size_t)y * (size_t)w, (size_t)w * sizeof *line);
        line_distances(line, w, out + (size_t)y * (size_t)w, where, from);
    }
    free(line);
    free(where);
    return 0;
}

/* The cubic of least squares through `n` points: c[0] + c[1] x + c[2] x^2 + c[3] x^3. */
static void fit_cubic(const double *x, const double *y, int n, double c[4])
{
    double m[4][5] = {{0}};
    for (int k = 0; k < n; k++)
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 4; j++)
                m[i][j] += pow(x[k], i + j);
            m[i][4] += y[k] * pow(x[k], i);
        }
    for (int i = 0; i < 4; i++) { /* Gauss and Jordan; the largest first, as points may coincide */
        int best = i;
        for (int r = i + 1; r < 4; r++)
            best = fabs(m[r][i]) > fabs(m[best][i]) ? r : best;
        for (int j = 0; j < 5; j++) {
            double swap = m[i][j];
            m[i][j] = m[best][j];
            m[best][j] = swap;
        }
        for (int r = 0; r < 4 && fabs(m[i][i]) > 1e-12; r++) {
            double factor = r == i ? 0 : m[r][i] / m[i][i];
            for (int j = i; j < 5; j++)
                m[r][j] -= factor * m[i][j];
        }
    }
    for (int i = 0; i < 4; i++)
        c[i] = fabs(m[i][i]) > 1e-12 ? m[i][4] / m[i][i] : 0;
}

imu_picture *imu_mask_fade(const imu_picture *grey, int threshold, int size)
{
    /* Black for one pixel more than the mask, then gently to white. */
    const double x[] = {0, 1.0 / size, 0.2, 0.8, 1}, y[] = {0, 0, 0.2, 0.9, 1};
    size_t n = (size_t)grey->width * (size_t)grey->height;
    imu_picture *out = imu_picture_new(grey->width, grey->height, 1);
    double *squared = calloc(n, sizeof *squared), c[4];
    if (!out || !squared || distances(grey, threshold, squared)) {
        free(squared);
        imu_picture_free(out);
        return NULL;
    }
    fit_cubic(x, y, 5, c);
    for (size_t i = 0; i < n; i++) {
        double d = fmin(sqrt(squared[i]) / size, 1);
        double v = c[0] + d * (c[1] + d * (c[2] + d * c[3]));
        out->data[i] = (uint8_t)(255 * fmin(fmax(v, 0), 1));
    }
    free(squared);
    return out;
}

double imu_mask_at(const imu_picture *grey, double x, double y)
{
    double u = x * grey->width - 0.5, v = y * grey->height - 0.5, sum = 0;
    int left = (int)floor(u), top = (int)floor(v);
    for (int k = 0; k < 4; k++) {
        int i = left + k % 2, j = top + k / 2;
        double share = (1 - fabs(u - i)) * (1 - fabs(v - j));
        i = i < 0 ? 0 : i < grey->width ? i : grey->width - 1;
        j = j < 0 ? 0 : j < grey->height ? j : grey->height - 1;
        sum += share * grey->data[(size_t)j * (size_t)grey->width + (size_t)i];
    }
    return sum;
}

/* ---- holes ---- */

/* Colours weighted by how much of them is there. */
typedef struct level {
    int width, height;
    float (*cell)[4]; /* red, green, blue, weight */
} level;

enum { MAX_LEVELS = 20 };

static bool level_new(level *l, int width, int height)
{
    *l = (level){.width = width, .height = height};
    l->cell = calloc((size_t)width * (size_t)height, sizeof *l->cell);
    return l->cell != NULL;
}

/* Averages 2 x 2 cells, each by its weight. */
static void push_up(const level *fine, level *coarse)
{
    for (int y = 0; y < fine->height; y++)
        for (int x = 0; x < fine->width; x++) {
            const float *from = fine->cell[(size_t)y * (size_t)fine->width + (size_t)x];
            float *to = coarse->cell[(size_t)(y / 2) * (size_t)coarse->width + (size_t)(x / 2)];
            for (int c = 0; c < 3; c++)
                to[c] += from[c] * from[3];
            to[3] += from[3];
        }
    for (size_t i = 0; i < (size_t)coarse->width * (size_t)coarse->height; i++) {
        float *to = coarse->cell[i], weight = to[3];
        for (int c = 0; c < 3 && weight > 0; c++)
            to[c] /= weight;
        to[3] = fminf(weight, 1);
    }
}

/* The coarse level's colour at a place of the fine one, between its cells. */
static float between(const level *coarse, int x, int y, int c)
{
    float u = ((float)x - 0.5f) / 2, v = ((float)y - 0.5f) / 2;
    int left = (int)floorf(u), top = (int)floorf(v);
    float sum = 0;
    for (int k = 0; k < 4; k++) {
        int i = left + k % 2, j = top + k / 2;
        float share = (1 - fabsf(u - (float)i)) * (1 - fabsf(v - (float)j));
        i = i < 0 ? 0 : i < coarse->width ? i : coarse->width - 1;
        j = j < 0 ? 0 : j < coarse->height ? j : coarse->height - 1;
        sum += share * coarse->cell[(size_t)j * (size_t)coarse->width + (size_t)i][c];
    }
    return sum;
}

static void pull_down(const level *coarse, level *fine)
{
    for (int y = 0; y < fine->height; y++)
        for (int x = 0; x < fine->width; x++) {
            float *cell = fine->cell[(size_t)y * (size_t)fine->width + (size_t)x];
            for (int c = 0; c < 3 && cell[3] < 1; c++)
                cell[c] = cell[c] * cell[3] + between(coarse, x, y, c) * (1 - cell[3]);
        }
}

/* The levels, finest first, until one cell is left. @return how many, or 0 without memory */
static int build_levels(const imu_picture *p, level *l)
{
    int n = 0;
    if (!level_new(&l[n++], p->width, p->height))
        return 0;
    for (size_t i = 0; i < (size_t)p->width * (size_t)p->height; i++)
        for (int c = 0; c < 4; c++)
            l[0].cell[i][c] = (float)p->data[4 * i + (size_t)c] / (c == 3 ? 255.0f : 1.0f);
    for (; l[n - 1].width > 1 || l[n - 1].height > 1; n++) {
        if (n == MAX_LEVELS ||
            !level_new(&l[n], (l[n - 1].width + 1) / 2, (l[n - 1].height + 1) / 2))
            return 0;
        push_up(&l[n - 1], &l[n]);
    }
    return n;
}

imu_picture *imu_fill_holes(const imu_picture *p)
{
    level l[MAX_LEVELS] = {{0}};
    imu_picture *out = imu_picture_new(p->width, p->height, 3);
    int n = out ? build_levels(p, l) : 0;
    for (int i = n - 1; i > 0; i--)
        pull_down(&l[i], &l[i - 1]);
    for (size_t i = 0; n && i < (size_t)p->width * (size_t)p->height; i++)
        for (size_t c = 0; c < 3; c++)
            out->data[3 * i + c] = (uint8_t)fminf(fmaxf(l[0].cell[i][c] + 0.5f, 0), 255);
    for (int i = 0; i < MAX_LEVELS; i++)
        free(l[i].cell);
    if (!n) {
        imu_picture_free(out);
        return NULL;
    }
    return out;
}
