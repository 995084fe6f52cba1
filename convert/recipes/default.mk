# Makes edge_detector/bundles/default again from the recordings, step by step; a step that is done is not done twice,
# and one that was interrupted goes on from its last checkpoint. Run from the root of the repository:
#
#   make -f convert/recipes/default.mk DATA=../shared/data
#
# DATA   folder with esc10/LABEL/FOLD-SOURCE-TAKE.ogg and peers/yamnet.tflite
# WORK   where the steps meet
# OUTPUT the bundle
# NEGATIVES what teach tells new sounds from; shipped with the default bundle, beside any other
# SCORES what cross_validation.mk measured, for the card
# SEED   of the first training and of the sequence model
# SEEDS  of the trainings with clips, whose weights are averaged: SEEDS=2 is one training with another seed
# PLANS, MORE_PACKAGES, FIRST_OPTIONS  for pretrained.mk: other material, and another first training
# CLIPS_OPTIONS, EVERY, FALSE_ALARMS  to try other trainings with clips, less of the background as it is, other thresholds
#
# All four folds are learnt from: how well the recipe hears what it has not met, cross_validation.mk measures. Speech, music and other
# sound come from Debian's packages (downloaded and unpacked, not installed): default_background.json says which file is for
# training, for choosing thresholds, and for testing; no speaker or musician is in two of these, but for synthetic voices.

DATA ?= ../shared/data
PYTHON ?= .venv/bin/python
WORK ?= build/recipe
OUTPUT ?= edge_detector/bundles/default
FIRST_STEPS ?= 14000
STEPS ?= 1600
SEED ?= 1
SEEDS ?= 1 2 3
LAYERS ?= 32s,64p,96,128p,192,256p
FIRST_OPTIONS ?=
CLIPS_OPTIONS ?=
EVERY ?= 1
FALSE_ALARMS ?= 0.1
SEQUENCES ?= 4000
MORE_SEQUENCES ?= 3000
VALIDATION_SEQUENCES ?= 700

CONVERT = $(PYTHON) -m convert
CLIPS = $(DATA)/esc10
FOLDS ?= 1,2,3,4
HELD_OUT ?=
RECIPES = convert/recipes
PLANS ?= $(RECIPES)/default_background.json
MORE_PACKAGES ?=
TEACHER = $(DATA)/peers/yamnet.tflite
DEBIAN ?= $(WORK)/debian
PRETRAINED ?= $(WORK)/pretrained
BACKGROUND ?= $(WORK)/background
NEGATIVES ?= $(if $(filter edge_detector/bundles/default,$(OUTPUT)),$(RECIPES)/default_negatives.tfrecord,$(WORK)/negatives.tfrecord)

G722 = asterisk-core-sounds-en-g722 asterisk-core-sounds-es-g722 asterisk-core-sounds-fr-g722 asterisk-core-sounds-it-g722 \
	asterisk-core-sounds-ru-g722 asterisk-moh-opsound-g722
SOUNDS = $(G722) asterisk-core-sounds-fr-wav asterisk-core-sounds-it-wav klettres-data fretsonfire-songs-sectoid \
	fretsonfire-songs-muldjord wesnoth-1.16-music lincity-ng-data warzone2100-music sonic-pi-samples alsa-utils
EFFECTS = berusky2-data boswars-data btanks-data bucklespring-data caveexpress-data colobot-common-sounds crrcsim-data \
	endless-sky-data extremetuxracer-data flare-game flightgear-data-base freeciv-data freedroidrpg-data gnome-audio \
	hedgewars-data horgand-data hyperrogue-music krank libreoffice-common lugaru-data mame-data megaglest-data \
	micropolis-data minetest-data netpanzer-data neverball-common opencity-data planetblupi-common plee-the-bear-data \
	scorched3d-data scratch searchandrescue-data simutrans-pak64 supertux-data torcs-data tuxpaint-stamps-default \
	unknown-horizons warmux-data wesnoth-1.16-data widelands-data xemacs21-basesupport
MUSIC = asc-music fillets-ng-data freecol marsshooter-data naev-data openclonk-data pushover-data singularity-music \
	trackballs-data zaz-data
VOICES = espeak-ng libespeak-ng1 espeak-ng-data libpcaudio0 libsonic0
ESPEAK = $(DEBIAN)/voices/usr
ARCHIVE = .*\.\(zip\|pk3\|wz\)
SOUND_FILE = .*\.\(wav\|ogg\|flac\|opus\|mp3\|g722\)

.DELETE_ON_ERROR:
.PHONY: bundle
bundle: $(WORK)/verified.json

# Downloads 6 GB, one package after the other; only their sounds are kept, those in zip archives too.
$(DEBIAN)/unpacked/%:
	mkdir -p $(DEBIAN)/packages $(@D)
	cd $(DEBIAN)/packages && rm -f $*_*.deb && apt-get download $*
	dpkg-deb -x $(DEBIAN)/packages/$*_*.deb $(DEBIAN)/$*
	find $(DEBIAN)/$* -type f -regex '$(ARCHIVE)' -exec sh -c '$(PYTHON) -m zipfile -e "$$1" "$${1%/*}"' _ {} \;
	find $(DEBIAN)/$* -type f ! -regex '$(SOUND_FILE)' -delete
	rm $(DEBIAN)/packages/$*_*.deb
	touch $@

$(DEBIAN)/unpacked.voices:
	mkdir -p $(DEBIAN)/packages
	cd $(DEBIAN)/packages && apt-get download $(VOICES)
	for package in $(VOICES); do dpkg-deb -x $(DEBIAN)/packages/$${package}_*.deb $(DEBIAN)/voices || exit 1; done
	touch $@

# G.722 is sound of 7 kHz, twice what a telephone carries; libsndfile does not read it.
$(DEBIAN)/decoded: $(G722:%=$(DEBIAN)/unpacked/%)
	for package in $(G722); do find $(DEBIAN)/$$package -name '*.g722'; done \
		| xargs -P 2 -I{} sh -c 'ffmpeg -nostdin -loglevel error -y -f g722 -i "$$1" "$${1%.g722}.wav"' _ {}
	touch $@

# What the voices read is on every Debian: 3,000 bytes of the GNU GPL from an offset, at so many words a minute.
$(DEBIAN)/spoken: $(DEBIAN)/unpacked.voices
	while read split voice offset words; do \
		mkdir -p $(DEBIAN)/espeak/$$split && \
		tail -c +$$((offset + 1)) /usr/share/common-licenses/GPL-3 | head -c 3000 | LD_LIBRARY_PATH=$$(echo $(ESPEAK)/lib/*-linux-gnu) \
		$(ESPEAK)/bin/espeak-ng --path=$$(echo $(ESPEAK)/lib/*-linux-gnu) -v $$voice -s $$words -w $(DEBIAN)/espeak/$$split/$$voice.wav --stdin \
		|| exit 1; \
	done < $(RECIPES)/default_voices.txt
	touch $@

UNPACKED = $(patsubst %,$(DEBIAN)/unpacked/%,$(SOUNDS) $(EFFECTS) $(MUSIC) $(MORE_PACKAGES))

$(BACKGROUND)/background.json: $(DEBIAN)/spoken $(DEBIAN)/decoded $(UNPACKED) $(PLANS)
	$(CONVERT) background $(DEBIAN) --plan $(PLANS) --teacher $(TEACHER) -o $(BACKGROUND)

TRAIN_EMBEDDER = $(CONVERT) train-embedder --background $(BACKGROUND)/train --teacher $(TEACHER) --layers $(LAYERS) --no-masks --uses 3 --textures 0.15

# Most of what the teacher knows can be learnt without the clips, so that all folds of a cross-validation begin with it.
$(PRETRAINED)/embedder.json: $(BACKGROUND)/background.json
	$(TRAIN_EMBEDDER) $(FIRST_OPTIONS) --steps $(FIRST_STEPS) --learning-rate 0.004 --unsorted-weight 10 --seed $(SEED) -o $(PRETRAINED)

WITH_CLIPS = $(TRAIN_EMBEDDER) $(CLIPS_OPTIONS) $(CLIPS) --folds $(FOLDS) --start $(PRETRAINED)

$(WORK)/embedder-%/embedder.json: $(PRETRAINED)/embedder.json
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

# Every minute of the background once, as it is: composed sequences hold a third of it, and most of that under something else.
$(WORK)/train-background.tfrecord: $(WORK)/embedder.tflite
	$(EMBED) --part background --every $(EVERY) --skip-damaged -o $@

# In parts, so that make -j2 composes with both cores.
$(WORK)/train.tfrecord: $(WORK)/train-1.tfrecord $(WORK)/train-3.tfrecord $(WORK)/train-4.tfrecord $(WORK)/train-background.tfrecord
	cp $(WORK)/train-1.tfrecord.json $@.json
	cat $^ > $@

$(WORK)/validation.tfrecord: $(WORK)/embedder.tflite
	$(EMBED) --soundscapes $(VALIDATION_SEQUENCES) --part validation --seed 2 -o $@

$(WORK)/lstm/sequence.json: $(WORK)/train.tfrecord $(WORK)/validation.tfrecord
	$(CONVERT) train $(WORK)/train.tfrecord --validation $(WORK)/validation.tfrecord --model lstm --keep-inputs 0.5 \
		--shuffle 20000 --epochs 60 --seed $(SEED) -o $(WORK)/lstm

$(WORK)/sequence.tflite: $(WORK)/lstm/sequence.json
	$(CONVERT) export $(WORK)/lstm --precision float32 --records $(WORK)/validation.tfrecord -o $@

BUNDLE = $(CONVERT) bundle --name default --release 1.6.0 --embedder $(WORK)/embedder.tflite --embedder-source $(WORK)/embedder \
	--sequence $(WORK)/sequence.tflite --sequence-source $(WORK)/lstm \
	--classes $(RECIPES)/default_classes.json --about $(RECIPES)/default_about.json

$(WORK)/draft/manifest.json: $(WORK)/embedder-float32.tflite $(WORK)/embedder.tflite $(WORK)/sequence.tflite \
		$(RECIPES)/default_classes.json $(RECIPES)/default_about.json
	$(BUNDLE) -o $(WORK)/draft

$(WORK)/calibration.json: $(WORK)/draft/manifest.json
	$(CONVERT) calibrate $(WORK)/draft --background $(BACKGROUND)/calibrate --clips $(CLIPS) --folds $(FOLDS) \
		--false-alarms-per-hour $(FALSE_ALARMS) --margin 0 -o $@

$(OUTPUT)/manifest.json: $(WORK)/calibration.json
	$(BUNDLE) --calibration $(WORK)/calibration.json $(if $(HELD_OUT),--evaluate $(CLIPS) --evaluate-folds $(HELD_OUT)) \
		--evaluate-background $(BACKGROUND)/test $(if $(SCORES),--scores $(SCORES)) -o $(OUTPUT)

# What teach tells new sounds from: embeddings, so that nobody needs the recordings. They belong to this very embedder.
$(NEGATIVES): $(OUTPUT)/manifest.json
	$(CONVERT) embed $(CLIPS) --folds $(FOLDS) --background $(BACKGROUND)/train --bundle $(OUTPUT) --soundscapes 600 --seed 7 -o $@

$(WORK)/verified.json: $(OUTPUT)/manifest.json $(NEGATIVES)
	$(CONVERT) verify $(OUTPUT) --embedder-source $(WORK)/embedder --sequence-source $(WORK)/lstm --json > $@
	cat $@
