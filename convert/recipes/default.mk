# Makes edge_detector/bundles/default again from the recordings, step by step; a step that is done is not done twice,
# and one that was interrupted goes on from its last checkpoint. Run from the root of the repository:
#
#   make -f convert/recipes/default.mk DATA=../shared/data
#
# DATA   folder with esc10/LABEL/FOLD-SOURCE-TAKE.ogg, world/LABEL/*.ogg and peers/yamnet.tflite
# WORK   where the steps meet
# OUTPUT the bundle
# EMBEDDER  an embedder that was exported before, in place of a new one
# NEGATIVES what teach tells new sounds from; shipped with the default bundle, beside any other
# SCORES what cross_validation.mk measured, for the card (default_scores.json)
# SEED   of the sequence model and of what is drawn at the end
# MUSIC_EVERY, FALSE_ALARMS, LOWEST_ON  to try more or less of the music as it is, and other thresholds
# CALIBRATE_HOURS  of each kind of background that thresholds are chosen on, so that none outweighs the others
# SHARE  weight of AudioSet's labels in a class that they are fused into
#
# All four folds are learnt from: how well the recipe detects what it has not met, cross_validation.mk measures.

WORK ?= build/recipe
OUTPUT ?= edge_detector/bundles/default
SEED ?= 1
MUSIC_EVERY ?= 3
FALSE_ALARMS ?= 0.25
LOWEST_ON ?= 0.5
CALIBRATE_HOURS ?= 1.2
SHARE ?= 0.5
SEQUENCES ?= 2500
MORE_SEQUENCES ?= 1500
VALIDATION_SEQUENCES ?= 500
EPOCHS ?= 40

.DELETE_ON_ERROR:
.PHONY: bundle
bundle: $(WORK)/verified.json

include convert/recipes/material.mk

CLIPS = $(DATA)/esc10
CLASSES = $(RECIPES)/default_classes.json
FOLDS ?= 1,2,3,4
HELD_OUT ?=
SCORES ?= $(if $(HELD_OUT),,$(RECIPES)/default_scores.json)
NEGATIVES ?= $(if $(filter edge_detector/bundles/default,$(OUTPUT)),$(RECIPES)/default_negatives.tfrecord,$(WORK)/negatives.tfrecord)

EMBED = $(CONVERT) embed $(CLIPS) --folds $(FOLDS) --background $(BACKGROUND)/train --embedder $(EMBEDDER)

$(WORK)/train-1.tfrecord: $(EMBEDDER)
	$(EMBED) --soundscapes $(SEQUENCES) --part train --seed 1 -o $@

$(WORK)/train-3.tfrecord $(WORK)/train-4.tfrecord: $(WORK)/train-%.tfrecord: $(EMBEDDER)
	$(EMBED) --soundscapes $(MORE_SEQUENCES) --part train --seed $* -o $@

# Background once as it is, and of music a part: composed sequences hold a third of it, and most of that under something else.
$(WORK)/train-quiet.tfrecord: $(EMBEDDER)
	$(EMBED) --part background --of speech other --skip-damaged -o $@

$(WORK)/train-music.tfrecord: $(EMBEDDER)
	$(EMBED) --part background --of music --every $(MUSIC_EVERY) --skip-damaged -o $@

# In parts, so that make -j2 composes with both cores.
$(WORK)/train.tfrecord: $(WORK)/train-1.tfrecord $(WORK)/train-3.tfrecord $(WORK)/train-4.tfrecord $(WORK)/train-quiet.tfrecord $(WORK)/train-music.tfrecord
	cp $(WORK)/train-1.tfrecord.json $@.json
	cat $^ > $@

$(WORK)/validation.tfrecord: $(EMBEDDER)
	$(EMBED) --soundscapes $(VALIDATION_SEQUENCES) --part validation --seed 2 -o $@

$(WORK)/lstm/sequence.json: $(WORK)/train.tfrecord $(WORK)/validation.tfrecord
	$(CONVERT) train $(WORK)/train.tfrecord --validation $(WORK)/validation.tfrecord --model lstm --keep-inputs 0.5 \
		--shuffle 20000 --epochs $(EPOCHS) --seed $(SEED) -o $(WORK)/lstm

$(WORK)/fused/sequence.json: $(WORK)/lstm/sequence.json $(CLASSES)
	$(CONVERT) fuse $(WORK)/lstm --embedder $(EMBEDDER) --classes $(CLASSES) --share $(SHARE) -o $(WORK)/fused

$(WORK)/sequence.tflite: $(WORK)/fused/sequence.json
	$(CONVERT) export $(WORK)/fused --precision float16 --records $(WORK)/validation.tfrecord -o $@

BUNDLE = $(CONVERT) bundle --name default --release 2.0.0 --embedder $(EMBEDDER) --sequence $(WORK)/sequence.tflite \
	--sequence-source $(WORK)/fused --classes $(CLASSES) --about $(RECIPES)/default_about.json

$(WORK)/draft/manifest.json: $(WORK)/sequence.tflite $(CLASSES) $(RECIPES)/default_about.json
	$(BUNDLE) -o $(WORK)/draft

$(WORK)/calibration.json: $(WORK)/draft/manifest.json
	$(CONVERT) calibrate $(WORK)/draft --background $(BACKGROUND)/calibrate --clips $(CLIPS) --folds $(FOLDS) \
		--hours $(CALIBRATE_HOURS) --false-alarms-per-hour $(FALSE_ALARMS) --lowest-on $(LOWEST_ON) --margin 0 -o $@

$(OUTPUT)/manifest.json: $(WORK)/calibration.json
	$(BUNDLE) --calibration $(WORK)/calibration.json $(if $(SCORES),--scores $(SCORES)) \
		$(if $(HELD_OUT),--evaluate $(CLIPS) --evaluate-folds $(HELD_OUT),--evaluate-background $(BACKGROUND)/test) -o $(OUTPUT)

# What teach tells new sounds from: embeddings, so that nobody needs the recordings. They belong to this very embedder.
$(NEGATIVES): $(OUTPUT)/manifest.json
	$(CONVERT) embed $(CLIPS) --folds $(FOLDS) --background $(BACKGROUND)/train --bundle $(OUTPUT) --soundscapes 600 --seed 7 -o $@

$(WORK)/verified.json: $(OUTPUT)/manifest.json $(NEGATIVES)
	$(CONVERT) verify $(OUTPUT) --embedder-source $(TEACHER) --sequence-source $(WORK)/fused --json > $@
	cat $@
