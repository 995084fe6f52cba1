"""The only place that imports TensorFlow: graphs are built, trained and exported here."""

import os

# TensorFlow writes a page of advice about the processor to stderr before anything can be configured.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow turns oneDNN on by itself on newer processors only; with AVX2 alone it makes convolutions faster too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
