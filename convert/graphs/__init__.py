"""The only place that imports TensorFlow: graphs are built, trained and exported here."""

import os

# TensorFlow writes a page of advice about the processor to stderr before anything can be configured.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
