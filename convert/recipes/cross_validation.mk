# Makes the default bundle four times, each without one of the folds, so that every recording is heard by networks and
# thresholds that never met it:
#
#   make -f convert/recipes/cross_validation.mk DATA=../shared/data
#
# Each takes as long as the bundle itself; what is done is not done twice. Give STEPS and the rest as to default.mk.

WORK ?= build/cross-validation

.PHONY: all 1 2 3 4
all: 1 2 3 4

1: OTHERS = 2,3,4
2: OTHERS = 1,3,4
3: OTHERS = 1,2,4
4: OTHERS = 1,2,3

1 2 3 4: material
	$(MAKE) -f convert/recipes/default.mk FOLDS=$(OTHERS) HELD_OUT=$@ WORK=$(WORK)/fold-$@ OUTPUT=$(WORK)/fold-$@/bundle \
		DEBIAN=$(WORK)/debian BACKGROUND=$(WORK)/background

# Made once, before two folds could begin to make it at the same time.
.PHONY: material
material:
	$(MAKE) -f convert/recipes/default.mk DEBIAN=$(WORK)/debian BACKGROUND=$(WORK)/background $(WORK)/background/background.json
