# The frame format (no dependencies) and the client of the media process (jansson).

WIRE_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard wire/*.c))

$(B)/obj/wire/%.o: wire/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fvisibility=hidden -c -o $@ $<
$(B)/libimuwire.a: $(WIRE_OBJ)
	rm -f $@ && ar rcs $@ $^

$(B)/obj/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -c -o $@ $<

$(B)/tests/test_wire: $(B)/obj/tests/unit/test_wire.o $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka

# Fuzz targets: the same source is a libFuzzer target (make $(B)/fuzz/fuzz_wire, needs clang) and, linked
# with replay.c, a unit test that runs every file of its corpus.
$(B)/tests/replay_wire: $(B)/obj/tests/fuzz/fuzz_wire.o $(B)/obj/tests/fuzz/replay.o $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^
$(B)/tests/replay_media: $(B)/obj/tests/fuzz/fuzz_media.o $(B)/obj/tests/fuzz/replay.o $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -ljansson -lpthread
$(B)/fuzz/fuzz_media: tests/fuzz/fuzz_media.c $(wildcard wire/*.c)
	@mkdir -p $(@D)
	clang $(STD) -g -O1 -I. -fsanitize=fuzzer,address,undefined -o $@ $^ -ljansson -lpthread
$(B)/fuzz/fuzz_wire: tests/fuzz/fuzz_wire.c $(filter-out %/media_client.c,$(wildcard wire/*.c))
	@mkdir -p $(@D)
	clang $(STD) -g -O1 -I. -fsanitize=fuzzer,address,undefined -o $@ $^

ALL        += $(B)/libimuwire.a
UNIT_TESTS += $(B)/tests/test_wire $(B)/tests/replay_wire $(B)/tests/replay_media
