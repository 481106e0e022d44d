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
