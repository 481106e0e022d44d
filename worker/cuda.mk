# The CUDA backend, a plugin that the worker loads where there is a GPU: built where NVIDIA's toolkit is whole.

NVCC ?= $(or $(shell command -v nvcc),$(wildcard /usr/local/cuda/bin/nvcc))
CUDA_HOME := $(patsubst %/bin/nvcc,%,$(realpath $(NVCC)))
# nvcc comes without the libraries, too: each of these has a package of its own.
CUDA_PARTS := bin/nvcc include/cuda_runtime.h include/cublasLt.h lib64/libcublasLt.so lib64/libcudart_static.a
CUDA_MISSING := $(if $(CUDA_HOME),$(filter-out $(wildcard $(CUDA_PARTS:%=$(CUDA_HOME)/%)),$(CUDA_PARTS:%=$(CUDA_HOME)/%)),nvcc)
CUDA_SRC  := $(wildcard worker/tensor/cuda/*.c)
CUDA_KERNELS := $(wildcard worker/tensor/cuda/*.cu)
CUDA_OBJS := $(CUDA_SRC:%.c=$(B)/obj/%.o) $(CUDA_KERNELS:%.cu=$(B)/obj/%.cu.o) $(addprefix $(B)/obj/worker/tensor/,arena.o dtype.o)
# Machine code for what Debian's users may have, and PTX for what comes after.
CUDA_ARCH := $(foreach sm,75 80 86 89 90,-gencode arch=compute_$(sm),code=sm_$(sm)) -gencode arch=compute_90,code=compute_90

$(B)/obj/worker/tensor/cuda/device_cuda.o: WORKER_CFLAGS += -I$(CUDA_HOME)/include
$(B)/obj/worker/%.cu.o: worker/%.cu $(wildcard worker/tensor/cuda/*.h)
	@mkdir -p $(@D)
	$(CUDA_HOME)/bin/nvcc -O2 -std=c++17 -I. -Xcompiler -Wall,-Wextra,-fPIC,-fvisibility=hidden -t 0 $(CUDA_ARCH) -c -o $@ $<
$(B)/invokemu-cuda.so: $(CUDA_OBJS)
	$(CC) -shared -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-rpath,$(CUDA_HOME)/lib64 -o $@ $^ -L$(CUDA_HOME)/lib64 \
		-lcublasLt -lcudart_static -lstdc++ -lpthread -ldl -lrt -lm

.PHONY: cuda
ifeq ($(CUDA_MISSING),)
cuda: $(B)/invokemu-cuda.so
ifeq ($(SAN),)
ALL += $(B)/invokemu-cuda.so
endif
else
cuda:
	@echo "There is no whole CUDA toolkit (13 or later); missing: $(CUDA_MISSING)."; \
	echo "Install it with cuBLAS, or say where it is: make cuda NVCC=/path/to/nvcc"; exit 1
# Said where the worker is built.
WITHOUT_CUDA = @echo "No CUDA here (missing: $(CUDA_MISSING)): the worker computes on the processor only (docs/engine.md)."
endif

# The same code and kernels on a device that is the processor: tested without a GPU, and without NVIDIA's headers.
EMULATED_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(filter-out %/device_cuda.c,$(CUDA_SRC))) $(CUDA_KERNELS:%.cu=$(B)/obj/%.emulated.o) \
                 $(addprefix $(B)/obj/tests/engine/,emulated.o device_host.o)
EMULATED_CXXFLAGS = -std=gnu++17 $(CFLAGS) $(WARN) $(SAN_FLAGS) -MMD -MP -I.
$(B)/obj/worker/%.emulated.o: worker/%.cu
	@mkdir -p $(@D)
	$(CXX) $(EMULATED_CXXFLAGS) -x c++ -c -o $@ $<
$(B)/obj/tests/engine/emulated.o: tests/engine/emulated.cc
	@mkdir -p $(@D)
	$(CXX) $(EMULATED_CXXFLAGS) -c -o $@ $<
$(B)/check-engine-emulated: $(CHECK_ENGINE_OBJS) $(B)/obj/tests/engine/on_emulated.o $(EMULATED_OBJS) $(B)/libimuengine.a
	$(CXX) $(SAN_FLAGS) -o $@ $^ $(ENGINE_LIBS)
$(B)/tests/test_backends: $(B)/obj/tests/unit/test_backends.o $(EMULATED_OBJS) $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CXX) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_memory: $(B)/obj/tests/unit/test_memory.o $(EMULATED_OBJS) $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CXX) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
# A whole worker on it.
$(B)/tests/worker-emulated: $(B)/obj/worker/main.o $(B)/obj/tests/engine/worker_emulated.o $(EMULATED_OBJS) $(B)/libimuruntime.a $(B)/libimuengine.a $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CXX) $(SAN_FLAGS) -o $@ $^ $(RUNTIME_LIBS)
TEST_PROGRAMS += $(B)/tests/worker-emulated
UNIT_TESTS += $(B)/check-engine-emulated $(B)/tests/test_backends $(B)/tests/test_memory
