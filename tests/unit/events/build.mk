# Unit tests and fuzz targets of live events.
HUB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard mod_invokemu/dispatch/hub*.c) mod_invokemu/dispatch/heap.c mod_invokemu/dispatch/loop.c)

$(B)/obj/tests/unit/events/%.o: TEST_CFLAGS = $(APR_CFLAGS)
$(B)/obj/tests/fuzz/fuzz_hub.o: TEST_CFLAGS = $(APR_CFLAGS)
$(B)/tests/test_websocket: $(B)/obj/tests/unit/events/test_websocket.o $(B)/obj/mod_invokemu/events/websocket.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka -lcrypto
$(B)/tests/replay_websocket: $(B)/obj/tests/fuzz/fuzz_websocket.o $(B)/obj/tests/fuzz/replay.o $(B)/obj/mod_invokemu/events/websocket.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcrypto
$(B)/tests/test_hub $(B)/tests/test_hub_many $(B)/tests/test_hub_strangers: $(B)/tests/%: $(B)/obj/tests/unit/events/%.o $(B)/obj/tests/unit/events/hub_child.o $(B)/obj/tests/unit/events/hub_stub.o $(POOL_BLOCKS) $(HUB_OBJ) $(B)/obj/mod_invokemu/util/ids.o $(B)/obj/mod_invokemu/util/clock.o $(B)/obj/mod_invokemu/util/err.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka -ljansson -lcrypto $(APR_LIBS)
$(B)/tests/replay_hub: $(B)/obj/tests/fuzz/fuzz_hub.o $(B)/obj/tests/fuzz/replay.o $(B)/obj/tests/unit/events/hub_stub.o $(POOL_BLOCKS) $(HUB_OBJ) $(B)/obj/mod_invokemu/util/ids.o $(B)/obj/mod_invokemu/util/clock.o $(B)/obj/mod_invokemu/util/err.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -ljansson -lcrypto $(APR_LIBS)
# The parts of a child are compiled against httpd, and linked without it.
$(B)/obj/tests/unit/events/test_rate.o $(B)/obj/tests/unit/events/test_socket.o: TEST_CFLAGS = $(HTTPD_CFLAGS)
$(B)/tests/test_rate: $(addprefix $(B)/obj/,tests/unit/events/test_rate.o mod_invokemu/events/socket_rate.o mod_invokemu/events/allowance.o) $(POOL_BLOCKS) $(B)/libimucore.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(CORE_LIBS) $(APR_LIBS)
$(B)/tests/test_socket: $(addprefix $(B)/obj/,tests/unit/events/test_socket.o $(addprefix mod_invokemu/events/,socket.o socket_queue.o socket_rate.o allowance.o message.o websocket.o)) $(POOL_BLOCKS) $(B)/libimucore.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka $(CORE_LIBS) $(APR_LIBS)
UNIT_TESTS += $(B)/tests/test_rate $(B)/tests/test_socket $(B)/tests/test_websocket $(B)/tests/replay_websocket $(B)/tests/test_hub $(B)/tests/test_hub_many $(B)/tests/test_hub_strangers $(B)/tests/replay_hub
$(B)/fuzz/fuzz_websocket: tests/fuzz/fuzz_websocket.c mod_invokemu/events/websocket.c
	@mkdir -p $(@D)
	clang $(STD) -g -O1 -I. -fsanitize=fuzzer,address,undefined -o $@ $^ -lcrypto
$(B)/fuzz/fuzz_hub: tests/fuzz/fuzz_hub.c tests/unit/events/hub_stub.c $(wildcard mod_invokemu/dispatch/hub*.c) mod_invokemu/dispatch/heap.c mod_invokemu/dispatch/loop.c mod_invokemu/util/ids.c mod_invokemu/util/clock.c mod_invokemu/util/err.c
	@mkdir -p $(@D)
	clang $(STD) -g -O1 -I. $(APR_CFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ -ljansson -lcrypto $(APR_LIBS)
