# The administrator's command line, and upstream's names for its account commands.

# What requests publish too, the command line publishes too, by a way of its own (tell.c).
CLI_OBJ   := $(patsubst %,$(B)/obj/mod_invokemu/events/%.o,account_news board_news news publish) $(patsubst %.c,$(B)/obj/%.o,$(wildcard cli/*.c)) $(B)/obj/gen/import_reads.o $(B)/obj/gen/import_shape.o
CLI_NAMES := invoke-useradd invoke-userlist invoke-usermod invoke-userdel

$(B)/obj/cli/%.o: cli/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(APR_CFLAGS) -c -o $@ $<
$(B)/bin/invokemu: $(CLI_OBJ) $(B)/libimucore.a $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -Wl,-z,relro -Wl,-z,now -o $@ $^ $(CORE_LIBS) $(APR_LIBS)
	cd $(@D) && for name in $(CLI_NAMES); do ln -sf invokemu $$name; done

# What is read from another server's database, and what brings that of any version into one shape.
$(B)/gen/import_%.c: sql/import/%.sql tools/embed-sql.awk
	@mkdir -p $(@D)
	LC_ALL=C awk -v mode=queries -v set=imu_import_$* -f tools/embed-sql.awk $< > $@.tmp && mv $@.tmp $@
.PRECIOUS: $(B)/gen/import_%.c

ALL += $(B)/bin/invokemu
