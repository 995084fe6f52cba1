# Makes the default bundle four times, each without one of the folds, so that every recording is heard by networks and
# thresholds that never met it; scores each on its fold beside YAMNet, and adds the scores up:
#
#   make -f convert/recipes/cross_validation.mk DATA=../shared/data
#
# The embedder has met none of the recordings, so that all four share it. What is done is not done twice; give SEED and the rest
# as to default.mk.

DATA ?= ../shared/data
PYTHON ?= .venv/bin/python
WORK ?= build/cross-validation

FOLDS = 1 2 3 4
SCORES = $(FOLDS:%=$(WORK)/fold-%/score.json)
COMMA := ,
EMPTY :=
OTHERS = $(subst $(EMPTY) $(EMPTY),$(COMMA),$(strip $(filter-out $*,$(FOLDS))))
MAKE_BUNDLE = $(MAKE) -f convert/recipes/default.mk DATA=$(DATA) PYTHON=$(PYTHON) DEBIAN=$(WORK)/debian BACKGROUND=$(WORK)/background \
	EMBEDDER=$(WORK)/embedder/embedder.tflite

.DELETE_ON_ERROR:
# Bundles are no passing thing on the way to scores, that make would take away again.
.SECONDARY:
.PHONY: table
table: $(SCORES)
	$(PYTHON) -m convert cross-validate $(SCORES) --json > $(WORK)/cross-validation.json
	$(PYTHON) -m convert cross-validate $(SCORES)

$(WORK)/fold-%/score.json: $(WORK)/fold-%/bundle/manifest.json
	$(PYTHON) -m convert score $(WORK)/fold-$*/bundle $(DATA)/esc10 --folds $* --background $(WORK)/background/test --soundscapes --signals \
		--peer $(DATA)/peers/yamnet.tflite --calibrate-background $(WORK)/background/calibrate --json > $@

# What all folds share is made once, before two of them could begin to make it at the same time.
$(WORK)/fold-%/bundle/manifest.json: $(WORK)/embedder/embedder.tflite
	+$(MAKE_BUNDLE) FOLDS=$(OTHERS) HELD_OUT=$* WORK=$(WORK)/fold-$* OUTPUT=$(WORK)/fold-$*/bundle

$(WORK)/embedder/embedder.tflite:
	+$(MAKE_BUNDLE) WORK=$(WORK) $@
