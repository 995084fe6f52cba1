# Makes edge_detector/bundles/default again from the recordings, step by step; a step that is done is not done twice,
# and one that was interrupted goes on from its last checkpoint. Run from the root of the repository:
#
#   make -f convert/recipes/default.mk DATA=../shared/data
#
# DATA   folder with esc10/LABEL/FOLD-SOURCE-TAKE.ogg and peers/yamnet.tflite
# WORK   where the steps meet
# OUTPUT the bundle
#
# Folds 1 to 3 are learnt from. Fold 4 is looked at by the last step only, and nothing is chosen by it.

DATA ?= ../shared/data
PYTHON ?= .venv/bin/python
WORK ?= build/recipe
OUTPUT ?= edge_detector/bundles/default
STEPS ?= 4000
SEQUENCES ?= 6000
VALIDATION_SEQUENCES ?= 1000

CONVERT = $(PYTHON) -m convert
CLIPS = $(DATA)/esc10
FOLDS = 1,2,3
HELD_OUT = 4
RECIPES = convert/recipes

.DELETE_ON_ERROR:
.PHONY: bundle
bundle: $(WORK)/verified.json

$(WORK)/embedder/embedder.json:
	$(CONVERT) train-embedder $(CLIPS) --folds $(FOLDS) --teacher $(DATA)/peers/yamnet.tflite \
		--width 0.5 --steps $(STEPS) --seed 1 -o $(WORK)/embedder

$(WORK)/embedder.tflite: $(WORK)/embedder/embedder.json
	$(CONVERT) export-embedder $(WORK)/embedder --precision dynamic --clips $(CLIPS) --folds $(FOLDS) -o $@

# The float32 file is not shipped; it is what the small one is measured against.
$(WORK)/embedder-float32.tflite: $(WORK)/embedder/embedder.json
	$(CONVERT) export-embedder $(WORK)/embedder --precision float32 --clips $(CLIPS) --folds $(FOLDS) -o $@

EMBED = $(CONVERT) embed $(CLIPS) --folds $(FOLDS) --embedder $(WORK)/embedder.tflite --pca $(WORK)/embedder/pca.npz

$(WORK)/train.tfrecord: $(WORK)/embedder.tflite
	$(EMBED) --soundscapes $(SEQUENCES) --part train --seed 1 -o $@

$(WORK)/validation.tfrecord: $(WORK)/embedder.tflite
	$(EMBED) --soundscapes $(VALIDATION_SEQUENCES) --part validation --seed 2 -o $@

$(WORK)/lstm/sequence.json: $(WORK)/train.tfrecord $(WORK)/validation.tfrecord
	$(CONVERT) train $(WORK)/train.tfrecord --validation $(WORK)/validation.tfrecord --model lstm --seed 1 -o $(WORK)/lstm

$(WORK)/sequence.tflite: $(WORK)/lstm/sequence.json
	$(CONVERT) export $(WORK)/lstm --precision float32 --records $(WORK)/validation.tfrecord -o $@

$(OUTPUT)/manifest.json: $(WORK)/embedder-float32.tflite $(WORK)/embedder.tflite $(WORK)/sequence.tflite \
		$(RECIPES)/default_classes.json $(RECIPES)/default_about.json
	$(CONVERT) bundle --name default --embedder $(WORK)/embedder.tflite --embedder-source $(WORK)/embedder \
		--sequence $(WORK)/sequence.tflite --sequence-source $(WORK)/lstm \
		--classes $(RECIPES)/default_classes.json --about $(RECIPES)/default_about.json \
		--evaluate $(CLIPS) --evaluate-folds $(HELD_OUT) -o $(OUTPUT)

$(WORK)/verified.json: $(OUTPUT)/manifest.json
	$(CONVERT) verify $(OUTPUT) --embedder-source $(WORK)/embedder --sequence-source $(WORK)/lstm --json > $@
	cat $@
