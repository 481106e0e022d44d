# The administrator's command line, and upstream's names for its account commands.

CLI_OBJ   := $(patsubst %.c,$(B)/obj/%.o,$(wildcard cli/*.c))
CLI_NAMES := invoke-useradd invoke-userlist invoke-usermod invoke-userdel

$(B)/obj/cli/%.o: cli/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(APR_CFLAGS) -c -o $@ $<
$(B)/bin/invokemu: $(CLI_OBJ) $(B)/libimucore.a $(B)/libimuwire.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -Wl,-z,relro -Wl,-z,now -o $@ $^ $(CORE_LIBS) $(APR_LIBS)
	cd $(@D) && for name in $(CLI_NAMES); do ln -sf invokemu $$name; done

ALL += $(B)/bin/invokemu
