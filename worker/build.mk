# The engine: tensors on the CPU (oneDNN, OpenMP) and the diffusion networks on top of them.

ENGINE_SRC  := $(wildcard worker/tensor/*.c worker/tensor/cpu/*.c worker/diffusion/*.c)
ENGINE_OBJS := $(ENGINE_SRC:%.c=$(B)/obj/%.o)
ENGINE_LIBS := -ldnnl -ljansson -lunistring -lcrypto -lgomp -ldl -lm

$(B)/obj/worker/%.o: worker/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(WORKER_CFLAGS) -fvisibility=hidden -c -o $@ $<
$(B)/obj/worker/tensor/cpu/%.o: WORKER_CFLAGS += -fopenmp

$(B)/libimuengine.a: $(ENGINE_OBJS)
	rm -f $@ && ar rcs $@ $^

# Compares the engine with golden tensors: make check-engine FIXTURES=DIR
CHECK_ENGINE_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/engine/check*.c))
$(B)/check-engine: $(CHECK_ENGINE_OBJS) $(B)/obj/tests/engine/on_device.o $(B)/libimuengine.a
	$(CC) $(SAN_FLAGS) -o $@ $^ $(ENGINE_LIBS)
$(B)/imu-render: $(B)/obj/tests/engine/render.o $(B)/obj/tests/bench/engine/lapse.o $(B)/libimuengine.a
	$(CC) $(SAN_FLAGS) -o $@ $^ $(ENGINE_LIBS)
# How fast: figures one a line. A model of 2 GB with random weights is made in BENCH_MODEL and kept.
BENCH_ENGINE_OBJS := $(patsubst %,$(B)/obj/tests/bench/engine/%.o,device floor lapse)
BENCH_MODEL ?= $(B)/bench-model
$(B)/bench-engine: $(patsubst %,$(B)/obj/tests/bench/engine/%.o,bench_engine profile random_model) $(BENCH_ENGINE_OBJS) $(B)/libimuengine.a
	$(CC) $(SAN_FLAGS) -o $@ $^ $(ENGINE_LIBS)
$(B)/bench-ops: $(B)/obj/tests/bench/engine/bench_ops.o $(BENCH_ENGINE_OBJS) $(B)/libimuengine.a
	$(CC) $(SAN_FLAGS) -o $@ $^ $(ENGINE_LIBS)
$(B)/bench-precision: $(B)/obj/tests/bench/engine/bench_precision.o $(B)/libimuengine.a
	$(CC) $(SAN_FLAGS) -o $@ $^ $(ENGINE_LIBS)
BENCHES := $(B)/bench-engine $(B)/bench-ops $(B)/bench-precision $(B)/imu-render
.PHONY: bench-engine bench-ops bench-precision
bench-engine: $(B)/bench-engine
	mkdir -p $(BENCH_MODEL)
	$(B)/bench-engine $(BENCH_MODEL) bf16
	$(B)/bench-engine $(BENCH_MODEL) f32
bench-ops: $(B)/bench-ops
	$(B)/bench-ops bf16
	$(B)/bench-ops f32
FIXTURES ?= tests/fixtures/diffusion
# How exact: errors against golden tensors by family, backend and precision; with SAMPLE=DIR, a trained model, bf16 against float32 too.
# In bf16 the bounds of float32 don't count, so their exit status does not either.
PRECISION_ROWS = awk -v way=$$way.$$type '/\/(text[12]?|unet|vae)\.safetensors/ { sub(/\.safetensors/, "", $$1); print $$1 "." way, $$4, "(" $$6 ")" }'
bench-precision: $(B)/bench-precision $(B)/check-engine $(B)/check-engine-emulated
	@for type in f32 bf16; do for way in cpu emulated; do \
		program=$(B)/check-engine; [ $$way = cpu ] || program=$$program-$$way; \
		CHECK_PRECISION=$$type $$program $(FIXTURES) 2>/dev/null | $(PRECISION_ROWS); done; done
	$(if $(SAMPLE),$(B)/bench-precision $(SAMPLE))
.PHONY: check-engine
check-engine: $(B)/check-engine
	$(B)/check-engine $(FIXTURES)

$(B)/tests/test_engine: $(B)/obj/tests/unit/test_engine.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_arena: $(B)/obj/tests/unit/test_arena.o $(B)/obj/worker/tensor/arena.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka
$(B)/tests/test_scarce: $(B)/obj/tests/unit/test_scarce.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_brownian: $(B)/obj/tests/unit/test_brownian.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_preview: $(B)/obj/tests/unit/test_preview.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_skip: $(B)/obj/tests/unit/test_skip.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_lora: $(B)/obj/tests/unit/test_lora.o $(B)/obj/tests/unit/st_write.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_upscaler: $(B)/obj/tests/unit/test_upscaler.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_adapters: $(B)/obj/tests/unit/test_adapters.o $(B)/obj/tests/unit/st_write.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_tiles: $(B)/obj/tests/unit/test_tiles.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_ways: $(B)/obj/tests/unit/test_ways.o $(B)/obj/tests/unit/st_write.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_weights: $(B)/obj/tests/unit/test_weights.o $(B)/obj/tests/unit/st_write.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/test_single_file: $(B)/obj/tests/unit/test_single_file.o $(B)/obj/tests/unit/st_write.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(ENGINE_LIBS)
$(B)/tests/replay_safetensors $(B)/tests/replay_prompt $(B)/tests/replay_model $(B)/tests/replay_lora $(B)/tests/replay_checkpoint $(B)/tests/replay_shards $(B)/tests/replay_config: $(B)/tests/replay_%: $(B)/obj/tests/fuzz/fuzz_%.o \
		$(B)/obj/tests/fuzz/replay.o $(B)/libimuengine.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ $(ENGINE_LIBS)
# With the networks; of the backend, what is built already.
$(B)/fuzz/fuzz_config: tests/fuzz/fuzz_config.c $(wildcard worker/diffusion/*.c) $(B)/libimuengine.a
	@mkdir -p $(@D)
	clang $(STD) -g -O1 -I. -fsanitize=fuzzer,address,undefined -o $@ $^ $(ENGINE_LIBS)
# Needs clang; the parsers alone, without the networks.
FUZZ_ENGINE_SRC := $(addprefix worker/diffusion/,lora.c lora_apply.c names.c file_kind.c inversion_names.c upscaler_shape.c model_kind.c single_file.c sharded.c safetensors.c prompt.c tokenizer.c tokenizer_table.c tokenizer_files.c int_map.c json_file.c array.c fault.c randn.c brownian.c) \
                   $(wildcard worker/diffusion/scheduler*.c) \
                   worker/tensor/dtype.c
$(B)/fuzz/fuzz_safetensors $(B)/fuzz/fuzz_prompt $(B)/fuzz/fuzz_model $(B)/fuzz/fuzz_lora $(B)/fuzz/fuzz_checkpoint $(B)/fuzz/fuzz_shards: $(B)/fuzz/%: tests/fuzz/%.c $(FUZZ_ENGINE_SRC)
	@mkdir -p $(@D)
	clang $(STD) -g -O1 -I. -fsanitize=fuzzer,address,undefined -o $@ $^ -ljansson -lunistring -lcrypto -lm

ALL        += $(B)/libimuengine.a
UNIT_TESTS += $(B)/check-engine \
              $(addprefix $(B)/tests/test_,arena brownian engine preview scarce skip weights single_file ways tiles adapters upscaler lora) \
              $(addprefix $(B)/tests/replay_,safetensors prompt model lora checkpoint shards config)
include worker/cuda.mk worker/runtime.mk
