"""Review: what a person says about the clips, as recordings for `teach`."""
