# Unit tests and fuzz targets of live events.
HUB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard mod_invokemu/dispatch/hub*.c) mod_invokemu/dispatch/loop.c)

$(B)/obj/tests/unit/events/%.o: TEST_CFLAGS = $(APR_CFLAGS)
$(B)/obj/tests/fuzz/fuzz_hub.o: TEST_CFLAGS = $(APR_CFLAGS)
$(B)/tests/test_websocket: $(B)/obj/tests/unit/events/test_websocket.o $(B)/obj/mod_invokemu/events/websocket.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka -lcrypto
$(B)/tests/replay_websocket: $(B)/obj/tests/fuzz/fuzz_websocket.o $(B)/obj/tests/fuzz/replay.o $(B)/obj/mod_invokemu/events/websocket.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcrypto
$(B)/tests/test_hub: $(B)/obj/tests/unit/events/test_hub.o $(B)/obj/tests/unit/events/hub_stub.o $(HUB_OBJ) $(B)/obj/mod_invokemu/util/ids.o $(B)/obj/mod_invokemu/util/err.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lcmocka -ljansson -lcrypto $(APR_LIBS)
$(B)/tests/replay_hub: $(B)/obj/tests/fuzz/fuzz_hub.o $(B)/obj/tests/fuzz/replay.o $(B)/obj/tests/unit/events/hub_stub.o $(HUB_OBJ) $(B)/obj/mod_invokemu/util/ids.o $(B)/obj/mod_invokemu/util/err.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -ljansson -lcrypto $(APR_LIBS)
UNIT_TESTS += $(B)/tests/test_websocket $(B)/tests/replay_websocket $(B)/tests/test_hub $(B)/tests/replay_hub
