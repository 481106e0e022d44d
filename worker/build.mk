# The engine: tensors on the CPU (oneDNN, OpenMP) and the diffusion networks on top of them.

ENGINE_SRC  := $(wildcard worker/tensor/*.c worker/tensor/cpu/*.c worker/diffusion/*.c)
ENGINE_OBJS := $(ENGINE_SRC:%.c=$(B)/obj/%.o)
ENGINE_LIBS := -ldnnl -ljansson -lunistring -lgomp -lm

$(B)/obj/worker/%.o: worker/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(WORKER_CFLAGS) -fvisibility=hidden -c -o $@ $<
$(B)/obj/worker/tensor/cpu/%.o: WORKER_CFLAGS += -fopenmp

$(B)/libimuengine.a: $(ENGINE_OBJS)
	rm -f $@ && ar rcs $@ $^

# Compares the engine with golden tensors: make check-engine FIXTURES=DIR
CHECK_ENGINE_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/engine/*.c))
$(B)/check-engine: $(CHECK_ENGINE_OBJS) $(B)/libimuengine.a
	$(CC) $(SAN_FLAGS) -o $@ $^ $(ENGINE_LIBS)
FIXTURES ?= tests/fixtures/diffusion
.PHONY: check-engine
check-engine: $(B)/check-engine
	$(B)/check-engine $(FIXTURES)

ALL        += $(B)/libimuengine.a
UNIT_TESTS += $(B)/check-engine
include worker/runtime.mk
