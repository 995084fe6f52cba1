"""A corpus of short recordings, plans to embed it, and what became of them."""

import os
import signal
from pathlib import Path

from convert.embedder import corpus, plan
from convert.embedder.corpus import Recording, unlabelled
from convert.embedder.plan import EmbedPlan, make_shard, plan_embedding
from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from convert.records.forms import Record
from convert.tasks import Outcome
from tests.support.recorded_clips import embed, record


def write_corpus(folder: Path, recordings: int = 12) -> Path:
    for number in range(recordings):
        record(folder / f"{number}.wav", seconds=1.0 + number / 10)
    return folder


def planned(folder: Path, output: Path, shards: int | None = 2, *, skip_damaged: bool = False) -> EmbedPlan:
    return plan_embedding(
        unlabelled([folder]), (), None, embedder=DEFAULT_BUNDLE, output=output, shards=shards, skip_damaged=skip_damaged
    )


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def wanted(folder: Path, shards: int, output: Path) -> dict[str, bytes]:
    """What one process makes of a corpus."""
    assert embed(folder, "--unlabelled", "--shards", shards, "-o", output / "out") == 0
    return contents(output / "out")


def make_or_die(plan_of_all: EmbedPlan, marker: Path, number: int) -> Outcome:
    """Make a shard; the first process that is at shard 1 is killed while it writes."""

    def embedded(recording: Recording, embedder: CodeEmbedder) -> Record:
        if number == 1 and not marker.exists():
            marker.write_bytes(b"")
            os.kill(os.getpid(), signal.SIGKILL)
        return corpus.embedded(recording, embedder)

    plan.embedded = embedded  # type: ignore[attr-defined] # in a process of its own
    return make_shard(plan_of_all, number, wait=True)
