# Unit tests of what is free of httpd: each tests/unit/core/test_X.c becomes one program linked with libimucore.a.

# Under the address sanitizer, each block of a pool is one of its own: linked into tests of ours, preloaded into httpd.
ifneq ($(findstring address,$(SAN)),)
POOL_BLOCKS := $(B)/obj/tests/tools/pool-blocks.o
ALL += $(B)/pool-blocks.so
endif
$(B)/obj/tests/tools/pool-blocks.o: TEST_CFLAGS = $(APR_CFLAGS)
$(B)/pool-blocks.so: $(B)/obj/tests/tools/pool-blocks.o
	$(CC) -shared $(SAN_FLAGS) -o $@ $^ $(APR_LIBS)

CORE_TESTS := $(patsubst tests/unit/core/test_%.c,$(B)/tests/core_%,$(wildcard tests/unit/core/test_*.c))

$(B)/obj/tests/unit/core/%.o: tests/unit/core/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(APR_CFLAGS) -c -o $@ $<
$(B)/tests/core_%: $(B)/obj/tests/unit/core/test_%.o $(B)/obj/tests/unit/core/tempdb.o $(POOL_BLOCKS) $(B)/libimucore.a $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(CORE_LIBS) $(APR_LIBS)

.SECONDARY: $(CORE_TESTS:$(B)/tests/core_%=$(B)/obj/tests/unit/core/test_%.o) $(B)/obj/tests/unit/core/tempdb.o
UNIT_TESTS += $(CORE_TESTS)

# Readers of foreign bytes in the module, fuzzed; each corpus is replayed as a unit test.
CORE_FUZZ := batch check csv mail manifest multipart query report tar text token yaml
CORE_FUZZ_MORE := $(B)/obj/tests/unit/core/tempdb.o $(B)/obj/mod_invokemu/dispatch/worker_frames.o $(addprefix $(B)/obj/cli/,files.o manifest.o tar.o user.o yaml.o)
$(CORE_FUZZ:%=$(B)/obj/tests/fuzz/fuzz_%.o): TEST_CFLAGS = $(APR_CFLAGS)
$(CORE_FUZZ:%=$(B)/tests/replay_%): $(B)/tests/replay_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/replay.o $(POOL_BLOCKS) \
		$(CORE_FUZZ_MORE) $(B)/libimucore.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(CORE_LIBS) $(APR_LIBS)
UNIT_TESTS += $(CORE_FUZZ:%=$(B)/tests/replay_%)

# The same as libFuzzer programs.
$(B)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	clang $(STD) -g -O1 -I. -I$(B)/gen $(APR_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<
CORE_FUZZ_SRC := $(CORE_SRC) $(B)/gen/queries.c $(B)/gen/migrations.c $(B)/gen/nodes.c tests/unit/core/tempdb.c tests/tools/pool-blocks.c \
                 mod_invokemu/dispatch/worker_frames.c $(addprefix cli/,files.c manifest.c tar.c user.c yaml.c)
$(CORE_FUZZ:%=$(B)/fuzz/fuzz_%): $(B)/fuzz/%: $(B)/fuzz/obj/tests/fuzz/%.o $(CORE_FUZZ_SRC:%.c=$(B)/fuzz/obj/%.o)
	clang -fsanitize=fuzzer,address,undefined -o $@ $^ -lcmocka $(CORE_LIBS) $(APR_LIBS)

# make fuzz [FUZZ_SECONDS=60]: every target for so long, from its corpus; what is new lands below build/fuzz.
FUZZ_SECONDS ?= 60
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
.PHONY: fuzz
fuzz: $(FUZZERS:%=$(B)/fuzz/fuzz_%)
	for name in $(FUZZERS); do mkdir -p $(B)/fuzz/new/$$name && $(B)/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) \
		-timeout=20 -print_final_stats=1 -verbosity=0 -artifact_prefix=$(B)/fuzz/$$name- $(B)/fuzz/new/$$name \
		tests/fuzz/corpus/$$name || exit 1; done

# Drives jobs without a worker, in servers started for tests.
$(B)/imu-hook: tests/tools/imu-hook.c $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(SAN_FLAGS) -MF $@.d -o $@ $< $(B)/libimuwire.a -ljansson
ALL += $(B)/imu-hook

# Ends a program in the middle of what it moves.
$(B)/end-at-rename.so: tests/tools/end-at-rename.c
	$(CC) $(ALL_CFLAGS) -shared -MF $@.d -o $@ $<
ALL += $(B)/end-at-rename.so

# Has a program see a later time.
$(B)/late.so: tests/tools/late.c
	$(CC) $(ALL_CFLAGS) -shared -MF $@.d -o $@ $<
ALL += $(B)/late.so

# Has the first of httpd's children end in the middle of something.
$(B)/early-end.so: tests/tools/early-end.c
	$(CC) $(ALL_CFLAGS) $(APR_CFLAGS) -shared -MF $@.d -o $@ $<
ALL += $(B)/early-end.so

include tests/unit/events/build.mk

# Unit tests of the dispatcher's parts, with a hub that only notes what it is told.
DISPATCH_TESTS := $(patsubst tests/unit/dispatch/test_%.c,$(B)/tests/dispatch_%,$(wildcard tests/unit/dispatch/test_*.c))
DISPATCH_PARTS := $(patsubst %,$(B)/obj/mod_invokemu/dispatch/%.o,heap loop conn workers worker_frames runs run_request scheduler scheduler_held scheduler_workers hook smtp)

$(B)/obj/tests/unit/dispatch/%.o: tests/unit/dispatch/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(APR_CFLAGS) -c -o $@ $<
$(B)/tests/dispatch_%: $(B)/obj/tests/unit/dispatch/test_%.o $(B)/obj/tests/unit/dispatch/fake_hub.o $(B)/obj/tests/unit/core/tempdb.o \
		$(POOL_BLOCKS) $(DISPATCH_PARTS) $(B)/libimucore.a $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka -lcurl $(CORE_LIBS) $(APR_LIBS)
.SECONDARY: $(DISPATCH_TESTS:$(B)/tests/dispatch_%=$(B)/obj/tests/unit/dispatch/test_%.o) $(B)/obj/tests/unit/dispatch/fake_hub.o
UNIT_TESTS += $(DISPATCH_TESTS)
