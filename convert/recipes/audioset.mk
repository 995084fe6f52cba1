# A bundle of AudioSet's 527 classes, from its released features and Google's VGGish, whose embeddings they are:
#
#   make -f convert/recipes/audioset.mk
#
# FEATURES  web folder or folder with features.tar.gz (2.4 GB; Google's)
# VGGISH    web folder or folder with VGGish's checkpoint and PCA parameters (Google's)
# FETCHED   options of fetch audioset: --any-count for a mirror with some of the shards
# OPTIONS   replaced values of the training: --set lstm.cells=512
# CRITERIA  replaced criteria of thresholds: --set thresholds.enabled_found=0.7
# SIZE      precision of the embedder: dynamic (72 MB), float32 (289 MB), float16 or int8
#
# The LSTM learns from unbal_train and stops by bal_train; thresholds are chosen on half of eval, and measured on the other half.
# What is done is not done again; an interrupted download or training is resumed.

PYTHON ?= .venv/bin/python
WORK ?= build/audioset
OUTPUT ?= $(WORK)/bundle
RECIPE ?= audioset
SIZE ?= dynamic
FEATURES ?=
VGGISH ?=
FETCHED ?=
OPTIONS ?=
CRITERIA ?=

CONVERT = $(PYTHON) -m convert
LABELS = convert/recipes/audioset_labels.csv
DATA = $(WORK)/features

.DELETE_ON_ERROR:
.PHONY: bundle
bundle: $(OUTPUT)/manifest.json

$(DATA)/segments.json:
	$(CONVERT) fetch audioset $(if $(FEATURES),--mirror $(FEATURES)) $(FETCHED) -o $(@D)

$(WORK)/vggish/vggish_model.ckpt:
	$(CONVERT) fetch vggish $(if $(VGGISH),--mirror $(VGGISH)) -o $(@D)

$(WORK)/embedder/embedder.tflite: $(WORK)/vggish/vggish_model.ckpt
	$(CONVERT) export-embedder $< --precision $(SIZE) -o $@

$(WORK)/lstm/sequence.json: $(DATA)/segments.json
	$(CONVERT) train $(DATA)/unbal_train --validation $(DATA)/bal_train --classes $(LABELS) --recipe $(RECIPE) $(OPTIONS) -o $(@D)

$(WORK)/lstm/sequence.tflite: $(WORK)/lstm/sequence.json
	$(CONVERT) export $(@D) --records $(DATA)/eval

$(WORK)/eval.json: $(WORK)/lstm/sequence.json
	$(CONVERT) eval $(<D) $(DATA)/eval --json > $@

$(WORK)/calibration.json: $(WORK)/lstm/sequence.json
	$(CONVERT) calibrate-records $(<D) $(DATA)/eval --recipe $(RECIPE) $(CRITERIA) --class-file $(WORK)/classes.json -o $@

$(OUTPUT)/manifest.json: $(WORK)/embedder/embedder.tflite $(WORK)/lstm/sequence.tflite $(WORK)/calibration.json $(WORK)/eval.json
	$(CONVERT) bundle $(WORK)/lstm --embedder $(WORK)/embedder/embedder.tflite --calibration $(WORK)/calibration.json \
		--classes $(WORK)/classes.json --name audioset -o $(@D)
