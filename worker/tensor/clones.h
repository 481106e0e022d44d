/* IMU_CLONES: compile a hot loop once per instruction set and pick at load time. A sanitizer build
 * keeps the one plain version: its start-up code is not ready when the choice is made. */
#ifndef IMU_TENSOR_CLONES_H
#define IMU_TENSOR_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(IMU_NO_CLONES)
#define IMU_CLONES __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#else
#define IMU_CLONES
#endif

#endif
