"""AudioSet's released features: the archive unpacked into a folder for each part, with every record's checksum verified.

https://research.google.com/audioset/download.html has the archive and the numbers of segments, and no checksum of the archive.
"""

import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.files import atomic_path, write_json
from convert.progress import Progress
from convert.records.damage import Damage
from convert.records.tfrecord import read_positioned
from edge_detector.errors import EdgeDetectorError

ARCHIVE = "features.tar.gz"
URL = "https://storage.googleapis.com/us_audioset/youtube_corpus/v1/features"
LARGEST_ARCHIVE_BYTES = 4_000_000_000
"""The archive has 2.4 GB."""

SEGMENTS: Mapping[str, int] = {"bal_train": 22_176, "eval": 20_383, "unbal_train": 2_042_985}
"""Segments of each part by AudioSet's page. Its lists and features have a few less: eval_segments.csv names 20,371."""

LEAST_SHARE = 0.99
LARGEST_SHARD_BYTES = 100_000_000
_MEMBER = re.compile(r"(?:\./)?audioset_v1_embeddings/(bal_train|eval|unbal_train)/([\w-]+\.tfrecord)")


@dataclass(frozen=True, slots=True)
class Part:
    """Files and segments of one part of the features."""

    files: int
    segments: int


def unpack_features(archive: Path, folder: Path, *, all_segments: bool) -> Mapping[str, Part]:
    """Unpack the archive into FOLDER/PART/NAME.tfrecord, and verify each record.

    Args:
        archive: features.tar.gz.
        folder: where the parts go.
        all_segments: require the number of segments that AudioSet's page states, up to a hundredth less.

    Raises EdgeDetectorError for an archive that is damaged or is another.
    """
    progress = Progress("fetch audioset: file", sum((4_096, 4_070, 4_062)))
    counts: dict[str, list[int]] = {name: [] for name in SEGMENTS}
    try:
        with tarfile.open(archive, "r|gz") as content:
            for member in content:
                found = _MEMBER.fullmatch(member.name)
                if found is None or not member.isfile():
                    continue
                part, name = found.groups()
                counts[part].append(_unpack(content, member, folder / part / name))
                progress.update(sum(map(len, counts.values())))
    except (tarfile.TarError, EOFError, OSError) as error:
        text = f"{archive} is damaged or not AudioSet's archive: {error}; delete it and run the command again"
        raise EdgeDetectorError(text) from error
    progress.close()
    parts = {name: Part(len(files), sum(files)) for name, files in counts.items()}
    for name, part in parts.items():
        if all_segments and not LEAST_SHARE * SEGMENTS[name] <= part.segments <= SEGMENTS[name]:
            raise EdgeDetectorError(
                f"{archive} has {part.segments} segments in {name}, AudioSet's page states {SEGMENTS[name]}; get it again, "
                "or give --any-count for a mirror with a part of it"
            )
    write_json(folder / "segments.json", parts)
    return parts


def _unpack(content: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> int:
    """Write one file and return its number of records."""
    if member.size > LARGEST_SHARD_BYTES:
        raise EdgeDetectorError(f"{member.name} has {member.size} bytes; a file of AudioSet's features has 3 MB at most")
    source = content.extractfile(member)
    if source is None:
        raise EdgeDetectorError(f"{member.name} is no file; get the archive again")
    with atomic_path(path) as temporary:
        temporary.write_bytes(source.read())
        return sum(1 for _ in read_positioned(temporary, Damage()))
