# Included by the recipes: the sound that is not of the clips, and the embedder fitted to it. Speech, music and other sound
# come from Debian's packages, downloaded and unpacked, not installed: default_background.json says which file is for training,
# for choosing thresholds, and for testing; no speaker or musician is in two of these, but for synthetic voices.

DATA ?= ../shared/data
PYTHON ?= .venv/bin/python
DEBIAN ?= $(WORK)/debian
BACKGROUND ?= $(WORK)/background

CONVERT = $(PYTHON) -m convert
RECIPES = convert/recipes
PLAN = $(RECIPES)/default_background.json
TEACHER = $(DATA)/peers/yamnet.tflite

G722 = asterisk-core-sounds-en-g722 asterisk-core-sounds-es-g722 asterisk-core-sounds-fr-g722 \
	asterisk-core-sounds-it-g722 asterisk-core-sounds-ru-g722 asterisk-moh-opsound-g722
PACKAGES = $(G722) alsa-utils asc-music asterisk-core-sounds-fr-wav asterisk-core-sounds-it-wav btanks-data \
	bucklespring-data caveexpress-data colobot-common-sounds crrcsim-data csoundqt-examples elpa-redtick emacspeak \
	endless-sky-data etw-data extremetuxracer-data fillets-ng-data freeciv-data fretsonfire-songs-sectoid gigalomania-data \
	gnome-audio gnome-shell-pomodoro-data hedgewars-data horgand-data klettres-data libreoffice-common lincity-ng-data \
	lomiri-sounds lugaru-data mame-data megaglest-data micropolis-data minetest-data minetest-mod-homedecor \
	netpanzer-data neverball-common opencity-data oxygen-sounds planetblupi-common plee-the-bear-data pushover-data \
	scorched3d-data scratch searchandrescue-data simutrans-pak64 sonic-pi-samples sound-icons stormbaancoureur-data \
	supertux-data trackballs-data triplea tuxpaint-plugins-default tuxpaint-stamps-default ufoai-sound warzone2100-music \
	xemacs21-basesupport zaz-data
VOICES = espeak-ng libespeak-ng1 espeak-ng-data libpcaudio0 libsonic0
ESPEAK = $(DEBIAN)/voices/usr
ARCHIVE = .*\.\(zip\|pk3\|wz\)
SOUND_FILE = .*\.\(wav\|ogg\|oga\|flac\|opus\|mp3\|g722\)

# Downloads 1.9 GB, one package after the other; only their sounds are kept, those in zip archives too.
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

# G.722 is sound of 7 kHz, twice what a telephone carries; libsndfile does not read it. There are 2,836 files, and ffmpeg takes longer to
# start than to decode one: fifty at a time.
$(DEBIAN)/decoded: $(G722:%=$(DEBIAN)/unpacked/%)
	for package in $(G722); do find $(DEBIAN)/$$package -name '*.g722'; done | xargs -P 2 -n 50 sh -c ' \
		number=0; for file; do inputs="$$inputs -f g722 -i $$file"; outputs="$$outputs -map $$number $${file%.g722}.wav"; \
		number=$$((number + 1)); done; ffmpeg -nostdin -loglevel error -y $$inputs $$outputs' _
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

$(BACKGROUND)/background.json: $(DEBIAN)/spoken $(DEBIAN)/decoded $(PACKAGES:%=$(DEBIAN)/unpacked/%) $(PLAN)
	$(CONVERT) background $(DEBIAN) --plan $(PLAN) --teacher $(TEACHER) --skip-damaged -o $(BACKGROUND)

# YAMNet's body, its projection fitted to sound of every kind but the clips, so that one embedder serves every fold of them.
EMBEDDER ?= $(WORK)/embedder/embedder.tflite
# Speech and music first: what is left of train is sound of every other kind.
FIT = $(BACKGROUND)/train/speech $(BACKGROUND)/train/music $(BACKGROUND)/train $(DATA)/world

$(WORK)/embedder/embedder.tflite: $(BACKGROUND)/background.json
	$(CONVERT) export-embedder $(TEACHER) --fit $(FIT) --recipe $(RECIPE) -o $@
