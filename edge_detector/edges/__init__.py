"""One outside library per file, and nothing else: these modules never import each other."""
