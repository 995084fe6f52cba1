# Makes convert/recipes/pretrained again: an embedder that has learnt from YAMNet what it hears in 37 h of speech, music and
# sounds that nobody labelled, and has met no labelled recording. Trainings with clips begin with it (train-embedder --start).
#
#   make -f convert/recipes/pretrained.mk DATA=../shared/data
#
# Downloads 9 GB of Debian's packages; then 40 minutes and 10 GB of memory on two cores with AVX-512. WORK and DEBIAN are as in
# default.mk.

WORK ?= build/pretrained
OUTPUT ?= convert/recipes/pretrained
LAYERS = 32s,64p,96,128p,192,256p
LEARNT = $(WORK)/learnt

.DELETE_ON_ERROR:
.PHONY: pretrained
pretrained: $(LEARNT)/embedder.json
	mkdir -p $(OUTPUT)
	cp $(LEARNT)/learnt.npz $(LEARNT)/embedder.json $(OUTPUT)

include convert/recipes/material.mk

$(LEARNT)/embedder.json: $(BACKGROUND)/background.json
	$(TRAIN_EMBEDDER) --layers $(LAYERS) --optimiser muon --steps 12000 --learning-rate 0.004 --unsorted-weight 10 --seed 1 -o $(LEARNT)
