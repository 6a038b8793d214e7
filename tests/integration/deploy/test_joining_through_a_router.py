"""A machine that reaches one port of the head and nothing else, joins a training by one line."""

import json
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.joined_supervisor import own_command
from tests.support.actor_run import until
from tests.support.join_rig import ROOT
from tests.support.network_lab import Host, NetworkLab
from tests.support.training_run import SMALL

pytestmark = [pytest.mark.netns, pytest.mark.ray, pytest.mark.slow]
PORT = 6390
CUT_S = 30.0
PATIENCE_S = 120.0
SETTINGS = (
    "--set", "evaluation.every_s=0",
    "--set", "actors.wait_for_learner=false",
    "--set", "replay.capacity=400000",
)  # fmt: skip
LEDGER = """
import json, sys
from pathlib import Path
from common.keys import Keys
from common.wire import decode_meta
from deploy.run_folder import RunFolder
from deploy.run_redis import reader_url
from replay_server.connection import call, connect
folder = RunFolder(Path(sys.argv[1]))
connection, keys = connect(reader_url(folder), name="ledger"), Keys(folder.name)
entries = call(connection, "XRANGE", keys.meta("pc"), "-", "+")
metas = [decode_meta(fields[b"m"]) for _, fields in entries]
rows = call(connection, "XRANGE", keys.index, "-", "+")
own = [(fields[b"e"].decode(), int(name.decode().split("-")[1]))
       for name, fields in rows if fields[b"a"] == b"pc"]
end = max(sum(map(int, name.split(b"-"))) for name, fields in rows if fields[b"a"] == b"pc")
print(json.dumps({"metas": [[m.epoch, m.seq, m.transitions] for m in metas], "index": own, "end": end}))
"""


class LabTraining:
    """``train --listen`` on a host, watched through its own commands."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.environment = {"APEXMANIA_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
        self.run = folder / "lab"
        self.log = folder / "said"
        words = ("--run-dir", str(self.run), "--listen", f"{host.address}:{PORT}", "--actors", "1")
        self.process = host.start(
            own_command("train", *SMALL, *SETTINGS, *words),
            log=self.log,
            env=self.environment,
            cwd=folder,
        )

    def asked(self, *words: str) -> Any:
        """Returns the JSON that a command prints on this host."""
        done = self.host.run(own_command(*words, "--json"), env=self.environment)
        return json.loads(done.stdout)

    def heart(self, name: str) -> dict[str, Any]:
        assert self.process.poll() is None, self.log.read_text()
        if not (self.run / "config.yaml").exists():
            return {}
        return dict(self.asked("status", str(self.run))["hearts"].get(name, {}))

    def ledger(self) -> Mapping[str, Any]:
        script = [*own_command()[:2], "-c", LEDGER, str(self.run)]
        return dict(json.loads(self.host.run(script, env=self.environment).stdout))

    def end(self) -> dict[str, Any]:
        """Ends the training in order and returns its summary."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE_S)
        return dict(json.loads((self.run / "summary.json").read_text()))


@pytest.fixture
def lab() -> Iterator[NetworkLab]:
    with NetworkLab() as made:
        yield made


def test_it_contributes_and_a_cut_of_half_a_minute_costs_nothing(
    lab: NetworkLab, tmp_path: Path
) -> None:
    head, pc = lab.host("head"), lab.host("pc")
    lab.allow_only(pc, to=head.address, port=PORT)
    for folder in ("head", "pc"):
        (tmp_path / folder).mkdir()
    training = LabTraining(head, tmp_path / "head")
    until(lambda: bool(training.heart("actor-0").get("env_steps")), PATIENCE_S)
    line = training.asked("token", "create", "pc")["join_string"]
    said = tmp_path / "pc" / "said"
    environment = {"APEXMANIA_HOME": str(tmp_path / "pc" / "home"), "PYTHONPATH": str(ROOT)}
    assert head.run(["ping", "-c", "1", "-W", "1", pc.address], check=False).returncode != 0
    actor = pc.start(
        own_command("actor", "join", line), log=said, env=environment, cwd=tmp_path / "pc"
    )
    until(lambda: training.heart("pc").get("acked_transitions", 0) > 500, PATIENCE_S)

    lab.cut(pc)
    time.sleep(CUT_S)
    assert training.heart("pc") == {}
    assert "the head is away, driving goes on" in said.read_text()
    lab.mend(pc)
    until(
        lambda: (heart := training.heart("pc")) != {} and heart["spooled_segments"] < 5, PATIENCE_S
    )
    actor.send_signal(signal.SIGTERM)
    assert actor.wait(PATIENCE_S) == 0, said.read_text()
    assert "all of it reached the head" in said.read_text(), said.read_text()
    driven = int(said.read_text().split("after ")[1].split(" env")[0].replace(",", ""))
    until(lambda: len(training.ledger()["index"]) == len(training.ledger()["metas"]))
    books = training.ledger()
    assert sum(count for _, _, count in books["metas"]) == driven
    assert [seq for _, seq, _ in books["metas"]] == list(range(1, len(books["metas"]) + 1))
    assert books["index"] == [[f"{epoch}-{seq}", count] for epoch, seq, count in books["metas"]]
    summary = training.end()
    assert summary["replay"]["transitions_held"] >= books["end"], "the learner has all of them"
    assert summary["replay"]["gaps"] == summary["replay"]["quarantined"] == 0
