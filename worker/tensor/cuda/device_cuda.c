/* The device by the CUDA runtime; products by cuBLASLt.
 *
 * cuBLASLt counts columns first: our row-major c = a b is its c' = b' a', so its first operand is
 * our b, and its rows are our columns. The way it chose for a product is kept: choosing takes
 * longer than many a product. */
#include "worker/tensor/cuda/device.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLANS = 512 };
#define WORKSPACE ((size_t)32 << 20)

/* What tells one kind of product from another: its numbers, and the alignments of a, b and c. */
enum { KEY = 17 };

typedef struct plan {
    int64_t key[KEY];
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algorithm;
} plan;

struct imu_device {
    int index;
    bool bf16;
    cudaStream_t stream;
    cublasLtHandle_t handle;
    void *workspace;
    plan plans[PLANS];
    int plan_count, next_victim;
    char name[256], error[120];
};

static int runtime(imu_device *d, cudaError_t status)
{
    if (status == cudaSuccess)
        return 0;
    snprintf(d->error, sizeof d->error, "%s", cudaGetErrorString(status));
    return -1;
}

static int library(imu_device *d, cublasStatus_t status)
{
    if (status == CUBLAS_STATUS_SUCCESS)
        return 0;
    snprintf(d->error, sizeof d->error, "cuBLASLt: %s", cublasLtGetStatusString(status));
    return -1;
}

static int start(imu_device *d)
{
    struct cudaDeviceProp about;
    if (runtime(d, cudaSetDevice(d->index)) ||
        runtime(d, cudaGetDeviceProperties(&about, d->index)) ||
        runtime(d, cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking)) ||
        library(d, cublasLtCreate(&d->handle)) || runtime(d, cudaMalloc(&d->workspace, WORKSPACE)))
        return -1;
    snprintf(d->name, sizeof d->name, "%s", about.name);
    d->bf16 = about.major >= 8;
    return 0;
}

imu_device *imu_device_open(int index, char *why, size_t size)
{
    imu_device *d = calloc(1, sizeof *d);
    if (!d) {
        snprintf(why, size, "no memory");
        return NULL;
    }
    d->index = index;
    if (start(d)) {
        snprintf(why, size, "%s", d->error);
        imu_device_close(d);
        return NULL;
    }
    return d;
}

static void drop_plan(plan *p)
{
    if (p->operation)
        cublasLtMatmulDescDestroy(p->operation);
    if (p->a)
        cublasLtMatrixLayoutDestroy(p->a);
    if (p->b)
        cublasLtMatrixLayoutDestroy(p->b);
    if (p->c)
        cublasLtMatrixLayoutDestroy(p->c);
    memset(p, 0, sizeof *p);
}

void imu_device_close(imu_device *d)
{
    if (!d)
        return;
    for (int i = 0; i < d->plan_count; i++)
        drop_plan(&d->plans[i]);
    if (d->workspace)
        cudaFree(d->workspace);
    if (d->handle)
        cublasLtDestroy(d->handle);
    if (d->stream)
        cudaStreamDestroy(d->stream);
    free(d);
}

int imu_device_enter(imu_device *d)
{
    return runtime(d, cudaSetDevice(d->index));
}

const char *imu_device_name(const imu_device *d)
{
    return d->name;
}

bool imu_device_has_bf16(const imu_device *d)
{
    return d->bf16;
}

void *imu_device_stream(const imu_device *d)
{
    return d->stream;
}

uint64_t imu_device_memory(imu_device *d)
{
    size_t left = 0, all;
    return runtime(d, cudaMemGetInfo(&left, &all)) ? UINT64_MAX : left;
}

void *imu_device_alloc(imu_device *d, size_t bytes)
{
    void *data = NULL;
    (void)d;
    if (cudaMalloc(&data, bytes ? bytes : 1) == cudaSuccess)
        return data;
    cudaGetLastError(); /* or the next kernel is blamed for it */
    return NULL;
}

void imu_device_free(imu_device *d, void *data)
{
    (void)d;
    cudaFree(data); /* waits for what still uses it */
}

static int copy(imu_device *d, void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind)
{
    return runtime(d, cudaMemcpyAsync(dst, src, bytes, kind, d->stream)) || imu_device_wait(d) ? -1
                                                                                               : 0;
}

int imu_device_upload(imu_device *d, void *dst, const void *src, size_t bytes)
{
    return copy(d, dst, src, bytes, cudaMemcpyHostToDevice);
}

int imu_device_download(imu_device *d, void *dst, const void *src, size_t bytes)
{
    return copy(d, dst, src, bytes, cudaMemcpyDeviceToHost);
}

int imu_device_wait(imu_device *d)
{
    return runtime(d, cudaStreamSynchronize(d->stream));
}

/* The runtime's name for such errors is sticky: each call answers them from then on. */
bool imu_device_lost(imu_device *d)
{
    cudaGetLastError();
    cudaError_t status = cudaStreamQuery(d->stream);
    if (status == cudaErrorNotReady)
        cudaGetLastError();
    return status != cudaErrorNotReady && runtime(d, status);
}

const char *imu_device_error(const imu_device *d)
{
    return d->error[0] ? d->error : cudaGetErrorString(cudaPeekAtLastError());
}

static cudaDataType_t type_of(imu_dtype type)
{
    return type == IMU_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static int layout(imu_device *d, cublasLtMatrixLayout_t *out, imu_dtype type, int64_t rows,
                  int64_t cols, int64_t ld, const imu_product *p, int64_t step)
{
    int32_t batch = (int32_t)p->batch;
    return library(d, cublasLtMatrixLayoutCreate(out, type_of(type), (uint64_t)rows, (uint64_t)cols,
                                                 ld)) ||
           library(d, cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                       &batch, sizeof batch)) ||
           library(d, cublasLtMatrixLayoutSetAttribute(
                          *out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step));
}

static int operation(imu_device *d, cublasLtMatmulDesc_t *out, const imu_product *p, bool biased)
{
    cublasOperation_t first = p->b_by_columns ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    int32_t bias_type = (int32_t)type_of(p->out);
    if (library(d, cublasLtMatmulDescCreate(out, CUBLAS_COMPUTE_32F, CUDA_R_32F)) ||
        library(d, cublasLtMatmulDescSetAttribute(*out, CUBLASLT_MATMUL_DESC_TRANSA, &first,
                                                  sizeof first)))
        return -1;
    return biased &&
           (library(d, cublasLtMatmulDescSetAttribute(*out, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                                      &epilogue, sizeof epilogue)) ||
            library(d, cublasLtMatmulDescSetAttribute(*out, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                                                      &bias_type, sizeof bias_type)));
}

static int describe(imu_device *d, const imu_product *p, bool biased, plan *made)
{
    int64_t b_rows = p->b_by_columns ? p->inner : p->cols;
    int64_t b_cols = p->b_by_columns ? p->cols : p->inner;
    return operation(d, &made->operation, p, biased) ||
           layout(d, &made->b, p->in, b_rows, b_cols, p->b_ld, p, p->b_step) ||
           layout(d, &made->a, p->in, p->inner, p->rows, p->a_ld, p, p->a_step) ||
           layout(d, &made->c, p->out, p->cols, p->rows, p->c_ld, p, p->c_step);
}

static int choose(imu_device *d, const uint32_t alignments[3], plan *made)
{
    static const cublasLtMatmulPreferenceAttributes_t which[4] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found = {0};
    size_t workspace = WORKSPACE;
    int count = 0;
    if (library(d, cublasLtMatmulPreferenceCreate(&preference)))
        return -1;
    int rc = library(
        d, cublasLtMatmulPreferenceSetAttribute(
               preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace));
    for (int i = 0; i < 4 && !rc; i++)
        rc = library(d, cublasLtMatmulPreferenceSetAttribute(
                            preference, which[i], &alignments[i < 2 ? i : 2], sizeof(uint32_t)));
    if (!rc)
        rc = library(d, cublasLtMatmulAlgoGetHeuristic(d->handle, made->operation, made->b, made->a,
                                                       made->c, made->c, preference, 1, &found,
                                                       &count));
    cublasLtMatmulPreferenceDestroy(preference);
    if (!rc && count == 0)
        rc = library(d, CUBLAS_STATUS_NOT_SUPPORTED);
    made->algorithm = found.algo;
    return rc;
}

/* The largest power of two, up to 256, that the address and every step from it are multiples of. */
static uint32_t alignment(const void *data, int64_t ld, int64_t step, imu_dtype type)
{
    uint64_t size = imu_dtype_size(type);
    uint64_t all = (uint64_t)(uintptr_t)data | (uint64_t)ld * size | (uint64_t)step * size | 256;
    return (uint32_t)(all & -all);
}

static plan *plan_for(imu_device *d, const imu_product *p, bool biased,
                      const uint32_t alignments[3])
{
    const int64_t key[KEY] = {
        p->rows,         p->cols,   p->inner,      p->batch,      p->a_ld,      p->b_ld,
        p->c_ld,         p->a_step, p->b_step,     p->c_step,     p->in,        p->out,
        p->b_by_columns, biased,    alignments[0], alignments[1], alignments[2]};
    for (int i = 0; i < d->plan_count; i++)
        if (!memcmp(d->plans[i].key, key, sizeof key))
            return &d->plans[i];
    plan made;
    memset(&made, 0, sizeof made);
    memcpy(made.key, key, sizeof key);
    if (describe(d, p, biased, &made) || choose(d, alignments, &made)) {
        drop_plan(&made);
        return NULL;
    }
    plan *slot =
        d->plan_count < PLANS ? &d->plans[d->plan_count++] : &d->plans[d->next_victim++ % PLANS];
    drop_plan(slot);
    memcpy(slot, &made, sizeof made);
    return slot;
}

int imu_device_product(imu_device *d, const imu_product *p, const void *a, const void *b,
                       const void *bias, void *c)
{
    const uint32_t alignments[3] = {alignment(a, p->a_ld, p->a_step, p->in),
                                    alignment(b, p->b_ld, p->b_step, p->in),
                                    alignment(c, p->c_ld, p->c_step, p->out)};
    float beta = p->accumulate ? 1.0f : 0.0f;
    plan *way = plan_for(d, p, bias != NULL, alignments);
    if (!way)
        return -1;
    if (bias &&
        library(d, cublasLtMatmulDescSetAttribute(way->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                  &bias, sizeof bias)))
        return -1;
    return library(d, cublasLtMatmul(d->handle, way->operation, &p->alpha, b, way->b, a, way->a,
                                     &beta, c, way->c, c, way->c, &way->algorithm, d->workspace,
                                     WORKSPACE, d->stream));
}
