# Makes the default bundle four times, each without one of the folds, so that every recording is heard by networks and
# thresholds that never met it; scores each on its fold beside YAMNet, and adds the scores up:
#
#   make -j2 -f convert/recipes/cross_validation.mk DATA=../shared/data
#
# The embedder has met none of the recordings, so that all four share it. What is done is not done twice; give SEED and the rest
# as to default.mk, with the same WORK to go on from what it made.

DATA ?= ../shared/data
PYTHON ?= .venv/bin/python
WORK ?= build/recipe
BACKGROUND ?= $(WORK)/background
OTHERS ?= $(wildcard $(DATA)/check)

FOLDS = 1 2 3 4
SCORES = $(FOLDS:%=$(WORK)/%/score.json)

.DELETE_ON_ERROR:
# Bundles are no passing thing on the way to scores, that make would take away again.
.SECONDARY:
.PHONY: table
table: $(SCORES)
	$(PYTHON) -m convert cross-validate $(SCORES) --json > $(WORK)/cross-validation.json
	$(PYTHON) -m convert cross-validate $(SCORES) $(if $(OTHERS),--picture $(WORK)/found_and_false.svg)

$(WORK)/%/score.json: $(WORK)/%/bundle/manifest.json
	$(PYTHON) -m convert score $(WORK)/$*/bundle $(DATA)/esc10 --folds $* --background $(BACKGROUND)/test --soundscapes --conditions \
		--signals 2 --peer $(DATA)/peers/yamnet.tflite $(if $(OTHERS),--others $(OTHERS)) --json > $@

# What folds share is made once, before two of them could begin to make it at the same time.
$(FOLDS:%=$(WORK)/%/bundle/manifest.json) &:
	+$(MAKE) -f convert/recipes/default.mk DATA=$(DATA) PYTHON=$(PYTHON) WORK=$(WORK) $(FOLDS:%=$(WORK)/%/bundle/manifest.json)
