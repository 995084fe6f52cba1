"""The sequence models of YouTube-8M: graphs, training, streaming export."""
