# YouTube-8M's five models on the recordings of ESC-10, each fold measured by models and an embedder that did not learn from it:
#
#   make -f convert/recipes/cross_validation.mk DATA=../shared/data      (or the embedders alone, see there)
#   make -f convert/recipes/esc10.mk DATA=../shared/data
#
# EMBEDDERS holds fold-N/embedder.tflite and fold-N/embedder/pca.npz, trained without fold N. Codes of different embedders have
# nothing in common, so all recordings are embedded anew for each tested fold. What is done is not done again.

DATA ?= ../shared/data
PYTHON ?= .venv/bin/python
EMBEDDERS ?= build/cross-validation
WORK ?= build/esc10
FOLDS ?= 1 2 3 4
SEEDS ?= 0,1,2

CONVERT = $(PYTHON) -m convert
RECORDS = $(FOLDS:%=$(WORK)/fold-%.tfrecord)
EMPTY :=
COMMA := ,
OPTIONS = all:batch=32 all:epochs=150 all:patience=15 lstm:layers=1 lstm:cells=128 lstm:learning-rate=0.001 \
	dbof:clusters=256 dbof:hidden=64 dbof:learning-rate=0.001 dbof:batch-norm-decay=0.95

.DELETE_ON_ERROR:
.PHONY: table
table: $(RECORDS)
	$(CONVERT) compare $(RECORDS) --split folds --folds $(subst $(EMPTY) $(EMPTY),$(COMMA),$(strip $(FOLDS))) --seeds $(SEEDS) \
		$(OPTIONS:%=--option %) -o $(WORK)/compared

$(WORK)/fold-%.tfrecord: $(EMBEDDERS)/fold-%/embedder.tflite
	$(CONVERT) embed $(DATA)/esc10 --embedder $< --pca $(EMBEDDERS)/fold-$*/embedder/pca.npz -o $@
