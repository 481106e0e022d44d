/* The inside of a LoRA, shared by the file that reads names and the one that computes. */
#ifndef IMU_DIFFUSION_LORA_PARTS_H
#define IMU_DIFFUSION_LORA_PARTS_H

#include "worker/diffusion/lora.h"
#include "worker/diffusion/safetensors.h"

#include <time.h>

/* What a tensor is to its layer. */
typedef enum imu_lora_role {
    IMU_ROLE_DOWN = 0, /* [rank, in, ...] */
    IMU_ROLE_UP,       /* [out, rank] */
    IMU_ROLE_MID,      /* [rank, rank, kernel, kernel] */
    IMU_ROLE_ALPHA,
    IMU_ROLE_W1, /* Kronecker factors, whole or as products of two */
    IMU_ROLE_W1_A,
    IMU_ROLE_W1_B,
    IMU_ROLE_W1_CORE, /* [rank, rank, kernel, kernel]: then A is [rank, out], B [rank, in] */
    IMU_ROLE_W2,
    IMU_ROLE_W2_A,
    IMU_ROLE_W2_B,
    IMU_ROLE_W2_CORE,
    IMU_ROLE_DIFF,
    IMU_ROLE_DIFF_BIAS,
    IMU_ROLE_SCALE,     /* DoRA's lengths, of each output or each input */
    IMU_ROLE_MAGNITUDE, /* the same of each output, as PEFT names them */
    IMU_ROLES
} imu_lora_role;

struct imu_lora_module {
    imu_lora_part part;
    char name[200];
    const imu_st_entry *role[IMU_ROLES];
};

struct imu_lora {
    int holders;
    imu_safetensors *file;
    imu_lora_module *modules; /* by part and name */
    size_t count;
    uint64_t device, inode, size;
    struct timespec changed;
};

/* One of the factors that LoHa and LoKr are made of, or NULL. */
const imu_st_entry *imu_lora_any(const imu_lora_module *m);

/* Sorts the tensors of l->file into layers; for imu_lora_open and fuzzing. */
imu_engine_status imu_lora_sort(imu_lora *l, imu_fault *fault);

#endif
