# The worker's runtime: protocol, graph, nodes, pictures, media process. The engine is in build.mk.

RUNTIME_SRC := $(wildcard worker/*.c worker/graph/*.c worker/nodes/*.c worker/image/*.c worker/media/*.c)
RUNTIME_OBJ  := $(RUNTIME_SRC:%.c=$(B)/obj/%.o)
RUNTIME_LIBS  = -ljansson -lpng -ljpeg -lwebpdemux -lwebp -lseccomp $(ENGINE_LIBS) -lpthread -lm

# Everything but main, for the unit tests.
$(B)/libimuruntime.a: $(filter-out %/worker/main.o,$(RUNTIME_OBJ))
	rm -f $@ && ar rcs $@ $^
$(B)/invokemu-worker: $(B)/obj/worker/main.o $(B)/libimuruntime.a $(B)/libimuengine.a $(B)/libimuwire.a
	$(CC) $(SAN_FLAGS) -Wl,-z,relro -Wl,-z,now -o $@ $^ $(RUNTIME_LIBS)
	$(WITHOUT_CUDA)

ALL += $(B)/invokemu-worker

# The nodes' declarations as C, for the server.
$(B)/node-table: tools/node-table.c $(B)/libimuruntime.a $(B)/libimuengine.a $(B)/libimuwire.a
	$(CC) $(ALL_CFLAGS) $(SAN_FLAGS) -MF $@.d -o $@ $(filter-out %.h,$^) $(RUNTIME_LIBS)

# Tests: the graph by itself; protocol and media process by a real process.
RUNTIME_TEST_LIBS = $(B)/libimuruntime.a $(B)/libimuengine.a $(B)/libimuwire.a
$(B)/obj/tests/worker/%.o: TEST_CFLAGS += -DIMU_BUILD_DIR='"$(B)"'
$(B)/tests/test_graph: $(B)/obj/tests/worker/test_graph.o $(RUNTIME_TEST_LIBS)
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(RUNTIME_LIBS)
$(B)/tests/test_protocol: $(B)/obj/tests/worker/test_protocol.o $(B)/obj/tests/worker/helper.o $(RUNTIME_TEST_LIBS) | $(B)/invokemu-worker
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(RUNTIME_LIBS)
$(B)/tests/test_media: $(B)/obj/tests/worker/test_media.o $(B)/obj/tests/worker/helper.o $(RUNTIME_TEST_LIBS) | $(B)/invokemu-worker
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka -lz $(RUNTIME_LIBS)

$(B)/tests/test_confine: $(B)/obj/tests/unit/test_confine.o $(B)/libimuruntime.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka -lseccomp -lpthread

$(B)/tests/test_unsharp: $(B)/obj/tests/unit/test_unsharp.o $(RUNTIME_TEST_LIBS)
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(RUNTIME_LIBS)

UNIT_TESTS += $(B)/tests/test_unsharp $(B)/tests/test_graph $(B)/tests/test_protocol $(B)/tests/test_media $(B)/tests/test_confine

# Fuzz targets, replayed by make test; $(B)/fuzz/fuzz_graph and fuzz_picture are the libFuzzer programs (clang).
$(B)/tests/replay_graph $(B)/tests/replay_picture: $(B)/tests/replay_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/replay.o $(RUNTIME_TEST_LIBS)
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ $(RUNTIME_LIBS)
$(B)/fuzz/fuzz_graph $(B)/fuzz/fuzz_picture: $(B)/fuzz/%: tests/fuzz/%.c $(filter-out worker/main.c,$(RUNTIME_SRC)) $(B)/libimuengine.a wire/wire.c wire/wire_writer.c wire/wire_socket.c
	@mkdir -p $(@D)
	clang $(STD) -g -O1 -I. -fsanitize=fuzzer,address,undefined -o $@ $^ $(RUNTIME_LIBS)
UNIT_TESTS += $(B)/tests/replay_graph $(B)/tests/replay_picture
