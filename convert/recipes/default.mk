# Makes edge_detector/bundles/default again from the recordings, step by step; a step that is done is not done twice,
# and one that was interrupted goes on from its last checkpoint. Run from the root of the repository:
#
#   make -j2 -f convert/recipes/default.mk DATA=../shared/data
#
# DATA   folder with esc10/LABEL/FOLD-SOURCE-TAKE.ogg, world/LABEL/*.ogg and peers/yamnet.tflite
# WORK   where the steps meet
# OUTPUT the bundle
# EMBEDDER  an embedder that was exported before, in place of a new one
# NEGATIVES what teach tells new sounds from; shipped with the default bundle's embedder, beside any other
# SCORES what cross_validation.mk measured, for the card (default_scores.json)
# RECIPE hyper-parameters of all stages (default: convert/recipes/default.toml)
# SEED   of the sequence models
#
# The bundle learns from all four folds. Its thresholds come from four more sequence models, each without one of the folds, which
# have not met the recordings that they are tried on. cross_validation.mk measures how well the recipe detects what it has not met.

WORK ?= build/recipe
OUTPUT ?= edge_detector/bundles/default
RECIPE ?= default
SEED ?= 1

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: bundle
bundle: $(WORK)/verified.json

include convert/recipes/material.mk

CLIPS = $(DATA)/esc10
CLASSES = $(RECIPES)/default_classes.json
SCORES ?= $(RECIPES)/default_scores.json
NEGATIVES ?= $(if $(filter edge_detector/bundles/default,$(OUTPUT)),edge_detector/teaching/negatives.npz,$(WORK)/negatives.npz)
COMMA := ,

# Sequences of clips in other sound. Each names the folds of its clips, so that one set serves every model.
$(WORK)/train-%.tfrecord: $(EMBEDDER)
	$(CONVERT) compose $(CLIPS) --folds 1,2,3,4 --background $(BACKGROUND)/train $(DATA)/world --embedder $(EMBEDDER) \
		--classes $(CLASSES) --skip-damaged --recipe $(RECIPE) --set mixtures.seed=$* -o $@

$(WORK)/train.tfrecord: $(WORK)/train-1.tfrecord $(WORK)/train-2.tfrecord
	cp $(WORK)/train-1.tfrecord.json $@.json
	cat $^ > $@

# Without no fold (all), without one of them (3), or without two (1-3): these choose the thresholds of a bundle without one.
$(WORK)/%/lstm/sequence.json: $(WORK)/train.tfrecord
	$(CONVERT) train $(WORK)/train.tfrecord --recipe $(RECIPE) --set training.seed=$(SEED) \
		$(if $(filter all,$*),,--without-folds $(subst -,$(COMMA),$*)) -o $(@D)

$(WORK)/%/fused/sequence.json: $(WORK)/%/lstm/sequence.json $(CLASSES)
	$(CONVERT) fuse $(WORK)/$*/lstm --embedder $(EMBEDDER) --classes $(CLASSES) --recipe $(RECIPE) -o $(@D)

$(WORK)/%/fused/sequence.tflite: $(WORK)/%/fused/sequence.json
	$(CONVERT) export $(WORK)/$*/fused --precision float16 --records $(WORK)/train-1.tfrecord

BUNDLE = $(CONVERT) bundle $(WORK)/$(1)/fused --name default --release 2.1.0 --embedder $(EMBEDDER) --classes $(CLASSES) \
	--about $(RECIPES)/default_about.json

$(WORK)/%/draft/manifest.json: $(WORK)/%/fused/sequence.tflite $(RECIPES)/default_about.json
	$(call BUNDLE,$*) -o $(@D)

# Folds of the clips that each bundle learns from, and which model has not met each of them.
WITHOUT_all = 1=1 2=2 3=3 4=4
WITHOUT_1 = 2=1-2 3=1-3 4=1-4
WITHOUT_2 = 1=1-2 3=2-3 4=2-4
WITHOUT_3 = 1=1-3 2=2-3 4=3-4
WITHOUT_4 = 1=1-4 2=2-4 3=3-4
HELD_OUT = $(foreach pair,$(WITHOUT_$(1)),$(firstword $(subst =, ,$(pair)))=$(WORK)/$(lastword $(subst =, ,$(pair)))/draft)

define calibration
$(WORK)/$(1)/calibration.json: $(WORK)/$(1)/draft/manifest.json $(foreach pair,$(call HELD_OUT,$(1)),$(lastword $(subst =, ,$(pair)))/manifest.json)
	$(CONVERT) calibrate $(WORK)/$(1)/draft --recipe $(RECIPE) --background $(BACKGROUND)/calibrate --clips $(CLIPS) --held-out $(call HELD_OUT,$(1)) -o $$@
endef
$(foreach name,all 1 2 3 4,$(eval $(call calibration,$(name))))

# For the cross-validation: a bundle that has met nothing of one fold.
$(WORK)/%/bundle/manifest.json: $(WORK)/%/calibration.json
	$(call BUNDLE,$*) --calibration $(WORK)/$*/calibration.json -o $(@D)

$(OUTPUT)/manifest.json: $(WORK)/all/calibration.json
	$(call BUNDLE,all) --calibration $(WORK)/all/calibration.json $(if $(SCORES),--scores $(SCORES)) -o $(OUTPUT)

# What teach tells new sounds from: embeddings, so that the recordings are not needed. They belong to this very embedder. Scenes
# of clips in other sound, and the other sound as it is. Babies' cries under the ODbL are not in them.
$(WORK)/negatives-composed.tfrecord: $(WORK)/all/draft/manifest.json
	$(CONVERT) compose $(CLIPS) --background $(BACKGROUND)/train --embedder $(WORK)/all/draft --skip-damaged \
		--set mixtures.sequences=1000 mixtures.seed=7 -o $@

$(WORK)/negatives-whole.tfrecord: $(WORK)/all/draft/manifest.json
	$(CONVERT) embed $(BACKGROUND)/train --embedder $(WORK)/all/draft --skip-damaged -o $@

$(NEGATIVES): $(WORK)/negatives-composed.tfrecord $(WORK)/negatives-whole.tfrecord
	$(CONVERT) negatives $^ --most-per-label 100 -o $@

$(WORK)/verified.json: $(OUTPUT)/manifest.json $(NEGATIVES)
	$(CONVERT) verify $(OUTPUT) --embedder-source $(TEACHER) --sequence-source $(WORK)/all/fused --json > $@
	cat $@
