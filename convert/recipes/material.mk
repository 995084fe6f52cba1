# Included by the recipes: the sound that is not of the clips, and how embedders learn from it. Speech, music and other sound
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
PACKAGES = $(G722) 0ad-data alsa-utils asc-music asterisk-core-sounds-fr-wav asterisk-core-sounds-it-wav \
	berusky2-data boswars-data btanks-data bucklespring-data caveexpress-data colobot-common-sounds crrcsim-data \
	csoundqt-examples cube2-data elpa-redtick endless-sky-data etw-data extremetuxracer-data fillets-ng-data flare-game \
	flightgear-data-base freeciv-data freecol freedroidrpg-data fretsonfire-songs-muldjord fretsonfire-songs-sectoid \
	gigalomania-data gnome-audio gnome-shell-pomodoro-data hedgewars-data horgand-data hydrogen-drumkits \
	hyperrogue-music klettres-data krank libreoffice-common lincity-ng-data lugaru-data mame-data marsshooter-data \
	megaglest-data micropolis-data minetest-data minetest-mod-homedecor naev-data netpanzer-data neverball-common \
	nexuiz-data nexuiz-music opencity-data openclonk-data planetblupi-common plee-the-bear-data pushover-data \
	redeclipse-data scorched3d-data scratch searchandrescue-data simutrans-pak64 singularity-music sonic-pi-samples \
	stormbaancoureur-data supertux-data supertuxkart-data torcs-data trackballs-data triplea tuxpaint-plugins-default \
	tuxpaint-stamps-default ufoai-music ufoai-sound unknown-horizons warmux-data warzone2100-data warzone2100-music \
	wesnoth-1.16-data wesnoth-1.16-music widelands-data xemacs21-basesupport zaz-data
VOICES = espeak-ng libespeak-ng1 espeak-ng-data libpcaudio0 libsonic0
ESPEAK = $(DEBIAN)/voices/usr
ARCHIVE = .*\.\(zip\|pk3\|wz\)
SOUND_FILE = .*\.\(wav\|ogg\|flac\|opus\|mp3\|g722\)

# Downloads 9 GB, one package after the other; only their sounds are kept, those in zip archives too.
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

$(BACKGROUND)/background.json: $(DEBIAN)/spoken $(DEBIAN)/decoded $(PACKAGES:%=$(DEBIAN)/unpacked/%) $(PLAN)
	$(CONVERT) background $(DEBIAN) --plan $(PLAN) --teacher $(TEACHER) -o $(BACKGROUND)

TRAIN_EMBEDDER = $(CONVERT) train-embedder --background $(BACKGROUND)/train --teacher $(TEACHER) --no-masks --uses 3 \
	--textures 0.15 --seek 0.5
