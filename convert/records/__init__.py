"""Embedding records: their protobuf messages, files, shards and batches, and the names of classes."""
