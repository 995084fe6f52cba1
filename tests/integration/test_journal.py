"""The log of `run` as one sequence: each event, each reload and refusal, a break and its end, each of them once."""

import re

from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.journal import ONE_BARK, JournalledService

PORTAUDIO = "Expression '"
"""What PortAudio writes on its own thread when a device vanishes."""

AT_THE_START = {
    r"INFO: edge-detector [\d.]+: bundle default [\d.]+, \d+ classes enabled, \S+edge\.toml",
    r"INFO: connected to the broker 127\.0\.0\.1:\d+",
    r"INFO: cot: listening at 16000 Hz",
    r"INFO: yard: listening at 16000 Hz",
}
OF_THE_YARD = [
    r"INFO: yard: Dog barking started, [01]\.\d\d",
    r"INFO: yard: Dog barking ended after \d\.\d s, peak [01]\.\d\d",
    r"INFO: yard: end of the recording",
]
AFTERWARDS = [
    r"INFO: cot: Dog barking started, [01]\.\d\d",
    r"INFO: cot: Dog barking ended after \d\.\d s, peak [01]\.\d\d",
    r"INFO: the configuration was reloaded; applied: rain on 0\.\d\d -> 0\.80",
    r"WARNING: these changes of the configuration take effect at the next restart: \[node\] name nursery -> kitchen",
    r"ERROR: the configuration was not reloaded, the previous one stays in force: \S+: unknown key 'detecton'; did you mean .*",
    r"WARNING: cot: reconnecting: the microphone 'default' was lost: .*; is it still plugged in\?",
    r"INFO: cot: listening again at 16000 Hz, after \d+\.\d s",
    r"INFO: cot: Dog barking started, [01]\.\d\d",
    r"INFO: cot: Dog barking ended after \d\.\d s, peak [01]\.\d\d",
    r"INFO: stopped",
]


def test_the_journal_tells_all_that_happens_in_order_and_nothing_else(broker: Broker, microphone: FakeMicrophone) -> None:
    with JournalledService(broker, microphone, ONE_BARK) as service:
        service.awaits("cot: listening at")
        service.awaits("connected to the broker")
        service.awaits("yard: end of the recording")
        service.plays()
        service.awaits("cot: Dog barking ended")
        service.reloads()
        service.refuses()
        service.unplugs()
        service.plugs()
        service.plays()
        service.awaits("cot: Dog barking ended", times=2)
        assert service.stop() == 0
        lines = [line for line in service.log.splitlines() if not line.startswith(PORTAUDIO)]
    at_the_start = [line for line in lines if any(re.fullmatch(pattern, line) for pattern in AT_THE_START)]
    assert len(at_the_start) == len(set(at_the_start)) == len(AT_THE_START), "in any order, since threads write them"
    rest = [line for line in lines if line not in at_the_start]
    expected = [*OF_THE_YARD, *AFTERWARDS]
    assert len(rest) == len(expected), "\n".join(rest)
    for line, pattern in zip(rest, expected, strict=True):
        assert re.fullmatch(pattern, line), line
