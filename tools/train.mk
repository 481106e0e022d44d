# Training the built-in model (docs/model.md). Nothing here is needed to build, to run or to test.

.PHONY: packages-train train-data train train-stop train-pause train-resume train-status train-eval train-export
packages-train:
	@PACKAGES=tools/train/packages.txt tools/install-packages train

tools/train/node_modules/.installed: tools/train/package.json tools/train/package-lock.json
	cd tools/train && npm ci --no-audit --no-fund --no-update-notifier --loglevel=error
	touch $@

train-data: packages-train tools/train/node_modules/.installed
	tools/train/run data

# Starts the training in the background, or goes on with it.
train: train-data
	tools/train/run start
train-stop:
	tools/train/run stop
train-pause:
	tools/train/run pause
train-resume:
	tools/train/run resume
train-status:
	@tools/train/run status
train-export: packages-train
	/usr/bin/python3 tools/train/export.py $(or $(TO),train/model)
# Figures of the checkpoint as it is, on held-out prompts: EDGE=128|256 COUNT=200.
train-eval: packages-train
	/usr/bin/python3 tools/train/evaluate.py $(or $(EDGE),128) $(or $(COUNT),200)

# make check-model [MODEL=DIR] [COUNT=200]: what the model draws of combinations it never saw, and what the judge sees in it.
.PHONY: check-model
MODEL ?= models/sample
check-model: packages-test
	$(MAKE) $(JOBS) $(B)/imu-render
	IMU_BUILD=$(B) node tests/model/check.mjs $(MODEL) $(or $(COUNT),200)
