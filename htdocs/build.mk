# The browser UI: npm packages are installed from the lock file, then build.mjs writes the served tree.
HTDOCS_SRC := $(shell find htdocs/src -type f)

ALL += $(B)/htdocs/index.html

htdocs/node_modules/.installed: htdocs/package.json htdocs/package-lock.json
	cd htdocs && npm ci --no-audit --no-fund --no-update-notifier --loglevel=error --fetch-retries=6
	touch $@

$(B)/htdocs/index.html: htdocs/build.mjs $(HTDOCS_SRC) htdocs/node_modules/.installed
	node htdocs/build.mjs $(B)/htdocs
