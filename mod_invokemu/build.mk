# The module, and the part of it that is free of httpd (shared with unit tests and the command line).

APXS        ?= apxs
APR_CFLAGS  := $(shell apr-1-config --includes --cppflags 2>/dev/null) $(shell apu-1-config --includes 2>/dev/null)
APR_LIBS    := $(shell apr-1-config --link-ld 2>/dev/null) $(shell apu-1-config --link-ld 2>/dev/null)
HTTPD_CFLAGS = $(APR_CFLAGS) -I$(shell $(APXS) -q INCLUDEDIR 2>/dev/null)
CORE_LIBS   := -ljansson -lcrypt -lcrypto -lzxcvbn -larchive -lsqlite3 -lm

# The worker's readers of what describes a model, for the look at it before it is offered.
MODEL_FILES_SRC := $(addprefix worker/diffusion/,model_files.c model_kind.c file_kind.c folder_kind.c inversion_names.c upscaler_shape.c single_file.c sharded.c safetensors.c json_file.c tokenizer_table.c tokenizer_files.c int_map.c fault.c) worker/tensor/dtype.c
CORE_SRC := $(wildcard mod_invokemu/util/*.c mod_invokemu/store/*.c mod_invokemu/mail/*.c) mod_invokemu/validate.c \
            $(wildcard mod_invokemu/auth/core_*.c mod_invokemu/policy.c mod_invokemu/multipart.c) \
            worker/nodes/declaration.c $(MODEL_FILES_SRC)
MOD_SRC  := $(filter-out $(CORE_SRC),$(wildcard mod_invokemu/*.c mod_invokemu/api/*.c mod_invokemu/auth/*.c \
            mod_invokemu/events/*.c mod_invokemu/dispatch/*.c))
CORE_OBJ := $(CORE_SRC:%.c=$(B)/obj/%.o) $(B)/obj/gen/queries.o $(B)/obj/gen/migrations.o $(B)/obj/gen/nodes.o
MOD_OBJ  := $(MOD_SRC:%.c=$(B)/obj/%.o) $(B)/obj/gen/schemas.o

$(B)/gen/queries.c: $(wildcard sql/queries/*.sql) tools/embed-sql.awk
	@mkdir -p $(@D)
	LC_ALL=C awk -v mode=queries -f tools/embed-sql.awk $(sort $(filter %.sql,$^)) > $@.tmp && mv $@.tmp $@
$(B)/gen/migrations.c: $(wildcard sql/migrations/*.sql) tools/embed-sql.awk
	@mkdir -p $(@D)
	LC_ALL=C awk -v mode=migrations -f tools/embed-sql.awk $(sort $(filter %.sql,$^)) > $@.tmp && mv $@.tmp $@

# What the worker's nodes take and give, for the check of a graph that is to be queued.
$(B)/gen/nodes.c: $(B)/node-table
	@mkdir -p $(@D)
	$(B)/node-table > $@.tmp && mv $@.tmp $@

# Their schemas, for GET /openapi.json.
$(B)/gen/schemas.c: $(B)/node-table
	@mkdir -p $(@D)
	$(B)/node-table schemas > $@.tmp && mv $@.tmp $@

$(B)/obj/gen/%.o: $(B)/gen/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(APR_CFLAGS) -fvisibility=hidden -c -o $@ $<
$(B)/obj/mod_invokemu/%.o: mod_invokemu/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(HTTPD_CFLAGS) -fvisibility=hidden -c -o $@ $<

$(B)/libimucore.a: $(CORE_OBJ)
	rm -f $@ && ar rcs $@ $^
$(B)/mod_invokemu.so: $(MOD_OBJ) $(CORE_OBJ) $(B)/libimuwire.a
	$(CC) -shared $(SAN_FLAGS) -Wl,-z,relro -Wl,-z,now -o $@ $^ $(CORE_LIBS) -lcurl

ALL += $(B)/libimucore.a $(B)/mod_invokemu.so
