# invokemu: build, run, test. Each folder adds its targets through its own build.mk,
# so that this file stays the table of contents.

SHELL      := /bin/bash
.DEFAULT_GOAL := all
B          := build
ifeq ($(origin CC),default)
CC         := gcc
endif
CFLAGS     ?= -O2 -g
SAN        ?=
# SAN=address,undefined (or SAN=thread) builds everything into its own folder with those sanitizers.
ifneq ($(SAN),)
B          := build/$(if $(findstring thread,$(SAN)),tsan,san)
SAN_FLAGS  := -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
endif
WARN       := -Wall -Wextra -Wshadow -Werror
STD        := -std=gnu11 -D_GNU_SOURCE
HARDEN     := -fstack-protector-strong -D_FORTIFY_SOURCE=2
ifneq ($(SAN),)
HARDEN     :=
endif
ALL_CFLAGS  = $(STD) $(CFLAGS) $(WARN) $(HARDEN) $(SAN_FLAGS) -fPIC -MMD -MP -I. -I$(B)/gen

# Targets that other folders hang their products on.
ALL        :=
UNIT_TESTS :=
TEST_PROGRAMS :=
CLEAN      := $(B)

include $(sort $(wildcard */build.mk))

.PHONY: all clean
all: $(ALL)

clean:
	rm -rf build

include tools/targets.mk tools/train.mk

# Every compiled object keeps its own dependency file.
-include $(shell find $(B) -name '*.d' 2>/dev/null)
