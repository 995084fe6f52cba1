# YouTube-8M's five models on the recordings of ESC-10, each fold measured by models that did not learn from it. The embedder has
# met none of them:
#
#   make -f convert/recipes/esc10.mk DATA=../shared/data
#
# EMBEDDER is the .tflite file that export-embedder wrote; without it, the embedder of the bundle that ships. What is done is not
# done again.

DATA ?= ../shared/data
PYTHON ?= .venv/bin/python
EMBEDDER ?=
WORK ?= build/esc10
FOLDS ?= 1,2,3,4
SEEDS ?= 0,1,2

CONVERT = $(PYTHON) -m convert

.DELETE_ON_ERROR:
.PHONY: table
table: $(WORK)/esc10.tfrecord
	$(CONVERT) compare $< --folds $(FOLDS) --seeds $(SEEDS) --recipe esc10 -o $(WORK)/compared

$(WORK)/esc10.tfrecord: $(EMBEDDER)
	$(CONVERT) embed $(DATA)/esc10 $(if $(EMBEDDER),--embedder $(EMBEDDER)) -o $@
