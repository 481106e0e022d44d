# Unit tests of what is free of httpd: each tests/unit/core/test_X.c becomes one program linked with libimucore.a.

CORE_TESTS := $(patsubst tests/unit/core/test_%.c,$(B)/tests/core_%,$(wildcard tests/unit/core/test_*.c))

$(B)/obj/tests/unit/core/%.o: tests/unit/core/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(APR_CFLAGS) -c -o $@ $<
$(B)/tests/core_%: $(B)/obj/tests/unit/core/test_%.o $(B)/obj/tests/unit/core/tempdb.o $(B)/libimucore.a $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(CORE_LIBS) $(APR_LIBS)

.SECONDARY: $(CORE_TESTS:$(B)/tests/core_%=$(B)/obj/tests/unit/core/test_%.o) $(B)/obj/tests/unit/core/tempdb.o
UNIT_TESTS += $(CORE_TESTS)

# The reader of uploads, fuzzed; its corpus is replayed as a unit test.
$(B)/obj/tests/fuzz/fuzz_multipart.o: TEST_CFLAGS = $(APR_CFLAGS)
$(B)/tests/replay_multipart: $(B)/obj/tests/fuzz/fuzz_multipart.o $(B)/obj/tests/fuzz/replay.o $(B)/libimucore.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ $(CORE_LIBS) $(APR_LIBS)
UNIT_TESTS += $(B)/tests/replay_multipart

# Drives jobs without a worker, in servers started for tests.
$(B)/imu-hook: tests/tools/imu-hook.c $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(SAN_FLAGS) -MF $@.d -o $@ $< $(B)/libimuwire.a -ljansson
ALL += $(B)/imu-hook

# The reader of tokens, likewise.
$(B)/obj/tests/fuzz/fuzz_token.o: TEST_CFLAGS = $(APR_CFLAGS)
$(B)/tests/replay_token: $(B)/obj/tests/fuzz/fuzz_token.o $(B)/obj/tests/fuzz/replay.o $(B)/libimucore.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ $(CORE_LIBS) $(APR_LIBS)
$(B)/fuzz/fuzz_token: tests/fuzz/fuzz_token.c $(CORE_SRC) $(B)/gen/queries.c $(B)/gen/migrations.c
	@mkdir -p $(@D)
	clang $(STD) -g -O1 -I. $(APR_CFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(CORE_LIBS) $(APR_LIBS)
UNIT_TESTS += $(B)/tests/replay_token
include tests/unit/events/build.mk

# Unit tests of the dispatcher's parts, with a hub that only notes what it is told.
DISPATCH_TESTS := $(patsubst tests/unit/dispatch/test_%.c,$(B)/tests/dispatch_%,$(wildcard tests/unit/dispatch/test_*.c))
DISPATCH_PARTS := $(patsubst %,$(B)/obj/mod_invokemu/dispatch/%.o,loop conn workers worker_frames runs run_request scheduler hook)

$(B)/obj/tests/unit/dispatch/%.o: tests/unit/dispatch/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(APR_CFLAGS) -c -o $@ $<
$(B)/tests/dispatch_%: $(B)/obj/tests/unit/dispatch/test_%.o $(B)/obj/tests/unit/dispatch/fake_hub.o $(B)/obj/tests/unit/core/tempdb.o \
		$(DISPATCH_PARTS) $(B)/libimucore.a $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(CORE_LIBS) $(APR_LIBS)
.SECONDARY: $(DISPATCH_TESTS:$(B)/tests/dispatch_%=$(B)/obj/tests/unit/dispatch/test_%.o) $(B)/obj/tests/unit/dispatch/fake_hub.o
UNIT_TESTS += $(DISPATCH_TESTS)
