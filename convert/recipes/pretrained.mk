# Makes convert/recipes/pretrained again: an embedder that has learnt from YAMNet what it hears in 37 h of speech, music and
# sounds that nobody labelled, and has met no labelled recording. Trainings with clips begin with it (train-embedder --start).
#
#   make -f convert/recipes/pretrained.mk DATA=../shared/data
#
# Downloads 9 GB of Debian's packages; then 40 minutes and 10 GB of memory on two cores. WORK and DEBIAN are as in default.mk.

DATA ?= ../shared/data
PYTHON ?= .venv/bin/python
WORK ?= build/pretrained
DEBIAN ?= $(WORK)/debian
OUTPUT ?= convert/recipes/pretrained

RECIPES = convert/recipes
LEARNT = $(WORK)/learnt
PACKAGES = 0ad-data csoundqt-examples cube2-data elpa-redtick etw-data gigalomania-data gnome-shell-pomodoro-data \
	hydrogen-drumkits minetest-mod-homedecor nexuiz-data nexuiz-music redeclipse-data stormbaancoureur-data \
	supertuxkart-data triplea tuxpaint-plugins-default ufoai-music ufoai-sound warzone2100-data

.PHONY: pretrained
pretrained:
	$(MAKE) -f $(RECIPES)/default.mk DATA=$(DATA) PYTHON=$(PYTHON) WORK=$(WORK) DEBIAN=$(DEBIAN) PRETRAINED=$(LEARNT) \
		PLANS="$(RECIPES)/default_background.json $(RECIPES)/pretrained_background.json" MORE_PACKAGES="$(PACKAGES)" \
		FIRST_OPTIONS="--seek 0.5 --optimiser muon" FIRST_STEPS=12000 $(LEARNT)/embedder.json
	mkdir -p $(OUTPUT)
	cp $(LEARNT)/learnt.npz $(LEARNT)/embedder.json $(OUTPUT)
