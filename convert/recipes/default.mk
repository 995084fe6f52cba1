# Makes edge_detector/bundles/default again from the recordings, step by step; a step that is done is not done twice,
# and one that was interrupted goes on from its last checkpoint. Run from the root of the repository:
#
#   make -f convert/recipes/default.mk DATA=../shared/data
#
# DATA   folder with esc10/LABEL/FOLD-SOURCE-TAKE.ogg and peers/yamnet.tflite
# WORK   where the steps meet
# OUTPUT the bundle
# NEGATIVES what teach tells new sounds from; shipped with the default bundle, beside any other
# SCORES what cross_validation.mk measured, for the card (default_scores.json)
# PRETRAINED the embedder that trainings begin with; its convolutions become two each, as LAYERS says
# SEED   of the sequence model and of what is drawn at the end
# SEEDS  of the trainings with clips, whose weights are averaged
# MUSIC_EVERY, FALSE_ALARMS, LOWEST_ON  to try more or less of the music as it is, and other thresholds
#
# All four folds are learnt from: how well the recipe hears what it has not met, cross_validation.mk measures.

WORK ?= build/recipe
OUTPUT ?= edge_detector/bundles/default
PRETRAINED ?= convert/recipes/pretrained
LAYERS ?= 32s,16x64p,48x96,64x128p,96x192,96x256p
STEPS ?= 800
SEED ?= 1
SEEDS ?= 1 2
MUSIC_EVERY ?= 3
FALSE_ALARMS ?= 0.25
LOWEST_ON ?= 0.3
SEQUENCES ?= 4000
MORE_SEQUENCES ?= 3000
VALIDATION_SEQUENCES ?= 700

.DELETE_ON_ERROR:
.PHONY: bundle
bundle: $(WORK)/verified.json

include convert/recipes/material.mk

CLIPS = $(DATA)/esc10
FOLDS ?= 1,2,3,4
HELD_OUT ?=
SCORES ?= $(if $(HELD_OUT),,$(RECIPES)/default_scores.json)
NEGATIVES ?= $(if $(filter edge_detector/bundles/default,$(OUTPUT)),$(RECIPES)/default_negatives.tfrecord,$(WORK)/negatives.tfrecord)

WITH_CLIPS = $(TRAIN_EMBEDDER) $(CLIPS) --folds $(FOLDS) --layers $(LAYERS) --start $(PRETRAINED)

$(WORK)/embedder-%/embedder.json: $(BACKGROUND)/background.json $(PRETRAINED)/embedder.json
	$(WITH_CLIPS) --steps $(STEPS) --seed $* -o $(WORK)/embedder-$*

$(WORK)/embedder/embedder.json: $(SEEDS:%=$(WORK)/embedder-%/embedder.json)
	$(WITH_CLIPS) --mean-of $(SEEDS:%=$(WORK)/embedder-%) --seed $(SEED) -o $(WORK)/embedder

$(WORK)/embedder.tflite: $(WORK)/embedder/embedder.json
	$(CONVERT) export-embedder $(WORK)/embedder --precision dynamic --clips $(CLIPS) --folds $(FOLDS) -o $@

# The float32 file is not shipped; it is what the small one is measured against.
$(WORK)/embedder-float32.tflite: $(WORK)/embedder/embedder.json
	$(CONVERT) export-embedder $(WORK)/embedder --precision float32 --clips $(CLIPS) --folds $(FOLDS) -o $@

EMBED = $(CONVERT) embed $(CLIPS) --folds $(FOLDS) --background $(BACKGROUND)/train --embedder $(WORK)/embedder.tflite --pca $(WORK)/embedder/pca.npz

$(WORK)/train-1.tfrecord: $(WORK)/embedder.tflite
	$(EMBED) --soundscapes $(SEQUENCES) --part train --seed 1 -o $@

$(WORK)/train-3.tfrecord $(WORK)/train-4.tfrecord: $(WORK)/train-%.tfrecord: $(WORK)/embedder.tflite
	$(EMBED) --soundscapes $(MORE_SEQUENCES) --part train --seed $* -o $@

# Background once as it is, and of music a part: composed sequences hold a third of it, and most of that under something else.
$(WORK)/train-quiet.tfrecord: $(WORK)/embedder.tflite
	$(EMBED) --part background --of speech other --skip-damaged -o $@

$(WORK)/train-music.tfrecord: $(WORK)/embedder.tflite
	$(EMBED) --part background --of music --every $(MUSIC_EVERY) --skip-damaged -o $@

# In parts, so that make -j2 composes with both cores.
$(WORK)/train.tfrecord: $(WORK)/train-1.tfrecord $(WORK)/train-3.tfrecord $(WORK)/train-4.tfrecord $(WORK)/train-quiet.tfrecord $(WORK)/train-music.tfrecord
	cp $(WORK)/train-1.tfrecord.json $@.json
	cat $^ > $@

$(WORK)/validation.tfrecord: $(WORK)/embedder.tflite
	$(EMBED) --soundscapes $(VALIDATION_SEQUENCES) --part validation --seed 2 -o $@

$(WORK)/lstm/sequence.json: $(WORK)/train.tfrecord $(WORK)/validation.tfrecord
	$(CONVERT) train $(WORK)/train.tfrecord --validation $(WORK)/validation.tfrecord --model lstm --keep-inputs 0.5 \
		--shuffle 20000 --epochs 60 --seed $(SEED) -o $(WORK)/lstm

$(WORK)/fused/sequence.json: $(WORK)/lstm/sequence.json
	$(CONVERT) fuse $(WORK)/lstm --embedder-source $(WORK)/embedder --teacher $(TEACHER) --classes $(RECIPES)/default_classes.json -o $(WORK)/fused

$(WORK)/sequence.tflite: $(WORK)/fused/sequence.json
	$(CONVERT) export $(WORK)/fused --precision float32 --records $(WORK)/validation.tfrecord -o $@

BUNDLE = $(CONVERT) bundle --name default --release 1.7.0 --embedder $(WORK)/embedder.tflite --embedder-source $(WORK)/embedder \
	--sequence $(WORK)/sequence.tflite --sequence-source $(WORK)/fused \
	--classes $(RECIPES)/default_classes.json --about $(RECIPES)/default_about.json

$(WORK)/draft/manifest.json: $(WORK)/embedder-float32.tflite $(WORK)/embedder.tflite $(WORK)/sequence.tflite \
		$(RECIPES)/default_classes.json $(RECIPES)/default_about.json
	$(BUNDLE) -o $(WORK)/draft

$(WORK)/calibration.json: $(WORK)/draft/manifest.json
	$(CONVERT) calibrate $(WORK)/draft --background $(BACKGROUND)/calibrate --clips $(CLIPS) --folds $(FOLDS) \
		--false-alarms-per-hour $(FALSE_ALARMS) --lowest-on $(LOWEST_ON) --margin 0 -o $@

$(OUTPUT)/manifest.json: $(WORK)/calibration.json
	$(BUNDLE) --calibration $(WORK)/calibration.json $(if $(HELD_OUT),--evaluate $(CLIPS) --evaluate-folds $(HELD_OUT)) \
		--evaluate-background $(BACKGROUND)/test $(if $(SCORES),--scores $(SCORES)) -o $(OUTPUT)

# What teach tells new sounds from: embeddings, so that nobody needs the recordings. They belong to this very embedder.
$(NEGATIVES): $(OUTPUT)/manifest.json
	$(CONVERT) embed $(CLIPS) --folds $(FOLDS) --background $(BACKGROUND)/train --bundle $(OUTPUT) --soundscapes 600 --seed 7 -o $@

$(WORK)/verified.json: $(OUTPUT)/manifest.json $(NEGATIVES)
	$(CONVERT) verify $(OUTPUT) --embedder-source $(WORK)/embedder --sequence-source $(WORK)/fused --json > $@
	cat $@
