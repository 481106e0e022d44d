# What to do with the products: tests, the private instance, installation, measurements.
# Included last, when every folder has added its own.

.PHONY: test test-built check test-san lint run stop status conformance bench kill-test packages-run packages-test packages-lint

packages-run:
	@tools/install-packages run
packages-test:
	@tools/install-packages run test
packages-lint:
	@tools/install-packages run test lint

tests/node_modules/.installed: tests/package.json tests/package-lock.json
	cd tests && npm ci --no-audit --no-fund --no-update-notifier --loglevel=error --fetch-retries=6
	touch $@

# All processors, unless make was told how many.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# The build needs packages, and GNU make looks for headers (by apr-1-config and the like) while it reads the makefiles:
# so packages come first, and the build follows in a make of its own.
test: packages-test
	@$(MAKE) $(JOBS) --no-print-directory test-built
test-built: all $(UNIT_TESTS) $(TEST_PROGRAMS) $(BENCHES) tests/node_modules/.installed
	IMU_BUILD=$(B) node tools/test.mjs --units "$(UNIT_TESTS)"

# ONLY=http,events runs these groups alone.
check: all $(UNIT_TESTS) $(TEST_PROGRAMS) tests/node_modules/.installed
	IMU_BUILD=$(B) node tools/test.mjs --units "$(UNIT_TESTS)" --only $(or $(ONLY),guards,unit)

test-san: packages-test
	@$(MAKE) $(JOBS) --no-print-directory SAN=address,undefined check ONLY=unit,http,events,worker

lint: packages-lint
	tools/lint

# The private instance below ROOT (default run/): PORT=9090 LISTEN= MULTIUSER=on|off ROOT=run LOG_SIZE=10M.
export PORT LISTEN MULTIUSER ROOT LOG_SIZE
run: packages-run
	@$(MAKE) -q all >/dev/null 2>&1 || echo "Building. The first time, that takes some minutes."
	@$(MAKE) $(JOBS) -s --no-print-directory all
	@B=$(B) tools/instance start
stop:
	@tools/instance stop
status:
	@tools/instance status

.PHONY: install uninstall
# sudo make install, or make install DESTDIR=... for a package.
install:
	@[ -e $(B)/mod_invokemu.so ] && [ -e $(B)/invokemu-worker ] || { echo "run make first (as yourself, not as root)"; exit 1; }
	@tools/install $(B) "$(DESTDIR)"
uninstall:
	@tools/uninstall "$(DESTDIR)"

# make conformance SUITE=DIR [FILES="a.test.mjs b.test.mjs"]: a black-box suite against fresh private servers.
SUITE ?= ../shared/conformance
conformance: packages-test
	@$(MAKE) $(JOBS) --no-print-directory all
	IMU_BUILD=$(B) node tools/conformance.mjs $(SUITE) $(FILES)

# make kill-test ROUNDS=100 [SEED=n]: kills worker, dispatcher or an httpd child while jobs run, again and again.
ROUNDS ?= 100
kill-test: packages-test
	@$(MAKE) $(JOBS) --no-print-directory all
	IMU_BUILD=$(B) node tests/kill/run.mjs $(ROUNDS) $(SEED)

# make bench [SOCKETS=2000]: one table of speed, memory and delays, with the aims.
SOCKETS ?= 2000
bench: packages-test tests/node_modules/.installed
	@$(MAKE) $(JOBS) --no-print-directory all
	ulimit -n $$(ulimit -Hn) && IMU_BUILD=$(B) node tests/bench/bench.mjs $(SOCKETS)
