"""Names, one-line help and examples of all commands, apart from their code so that help is fast."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the command line.

    Attributes:
        name: what is typed last.
        target: ``module:function`` that runs it, imported when it is typed.
        help: one line.
        examples: two command lines shown at the end of its help, without the program's name.
        group: the command above it, or empty.
    """

    name: str
    target: str
    help: str
    examples: tuple[str, str]
    group: str = ""

    @property
    def full_name(self) -> str:
        """What is typed to run it."""
        return " ".join(part for part in ("apexmania", self.group, self.name) if part)


COMMANDS: tuple[Command, ...] = (
    Command(
        "train",
        "deploy.commands.train:train",
        "Train: start Redis, replay service, learner, evaluator and actors, and follow them.",
        ("train --preset quickstart --actors 1", "train --resume runs/latest --max-minutes 60"),
    ),
    Command(
        "evaluate",
        "deploy.commands.evaluate:evaluate",
        "Drive greedily with one checkpoint or several and report finish rate and lap times.",
        ("evaluate runs/latest --episodes 20", "evaluate runs/latest --all-checkpoints --json"),
    ),
    Command(
        "record",
        "deploy.commands.record:record",
        "Record a greedy lap of a checkpoint as an mp4 video.",
        ("record runs/latest --out lap.mp4", "record runs/latest --game standin --attempts 3"),
    ),
    Command(
        "doctor",
        "deploy.commands.doctor:doctor",
        "Check this machine and its link to the game, and say how to fix what is wrong.",
        ("doctor --role actor", "doctor --role actor --game standin --json"),
    ),
    Command(
        "status",
        "deploy.commands.status:status",
        "Show how a run is doing, or how it ended, and whether its health checks are ok.",
        ("status", "status runs/latest --check || echo a check is red"),
    ),
    Command(
        "plot",
        "deploy.commands.plot:plot",
        "Draw Q, loss, reward, epsilon, lap times and finish rate of one or several runs.",
        ("plot runs/latest", "plot runs/first runs/second --out comparison"),
    ),
    Command(
        "show",
        "deploy.commands.config:show",
        "Print the resolved configuration as YAML.",
        ("config show --preset quickstart", "config show --set learner.batch_size=64 --json"),
        "config",
    ),
    Command(
        "explain",
        "deploy.commands.config:explain",
        "Explain one key or one section: type, proven value, meaning and unit.",
        ("config explain learner.target", "config explain replay.alpha --json"),
        "config",
    ),
    Command(
        "diff",
        "deploy.commands.config:diff",
        "List the keys in which two presets, files or runs differ.",
        ("config diff proven quickstart", "config diff runs/latest my.yaml --json"),
        "config",
    ),
    Command(
        "schema",
        "deploy.commands.config:schema",
        "Print the JSON schema of the configuration, for editors.",
        ("config schema > apexmania.schema.json", "config schema | head -40"),
        "config",
    ),
    Command(
        "list",
        "deploy.commands.runs:list_runs",
        "List the runs in a folder with their results.",
        ("runs list", "runs list --runs-dir /data/runs --json"),
        "runs",
    ),
    Command(
        "compare",
        "deploy.commands.runs:compare",
        "Compare two runs: what was configured differently, and what came of it.",
        ("runs compare runs/first runs/second", "runs compare runs/first runs/latest --json"),
        "runs",
    ),
    Command(
        "inspect",
        "deploy.commands.replay:inspect",
        "Show what a running run's Redis holds: log, index, quarantine, heartbeats, memory.",
        ("replay inspect", "replay inspect runs/latest --json"),
        "replay",
    ),
    Command(
        "bench",
        "deploy.commands.replay:bench",
        "Measure what one more actor costs: synthetic actors on a Redis, a service and an ingest of their own.",
        ("replay bench --actors 100", "replay bench --actors 1000 --plot scale.png"),
        "replay",
    ),
    Command(
        "up",
        "deploy.commands.cluster:up",
        "Set up and start every machine of a cluster's file.",
        ("cluster up my-machines.yaml", "cluster up ~/clusters/my-machines.yaml"),
        "cluster",
    ),
    Command(
        "down",
        "deploy.commands.cluster:down",
        "End the nodes of all machines, leaving nothing behind.",
        ("cluster down my-machines.yaml", "cluster down my-machines.yaml --force"),
        "cluster",
    ),
    Command(
        "status",
        "deploy.commands.cluster:status",
        "Show each machine: node, Ray, games, versions.",
        ("cluster status my-machines.yaml", "cluster status my-machines.yaml --json"),
        "cluster",
    ),
    Command(
        "add-actor",
        "deploy.commands.cluster:add_actor",
        "Add a machine that drives, also while a training goes on.",
        (
            "cluster add-actor my-machines.yaml 192.168.1.23",
            "cluster add-actor my-machines.yaml 10.0.0.7",
        ),
        "cluster",
    ),
    Command(
        "remove-actor",
        "deploy.commands.cluster:remove_actor",
        "Take a machine that drives out of the cluster and its file.",
        (
            "cluster remove-actor my-machines.yaml 192.168.1.23",
            "cluster remove-actor my-machines.yaml 10.0.0.7",
        ),
        "cluster",
    ),
    Command(
        "logs",
        "deploy.commands.cluster:logs",
        "Print the end of every machine's logs.",
        ("cluster logs my-machines.yaml", "cluster logs my-machines.yaml --lines 100"),
        "cluster",
    ),
    Command(
        "node",
        "deploy.commands.cluster_node:node",
        "Make this machine head or worker of a cluster, stop that, or show it.",
        ("cluster node worker --head 192.168.1.10", "cluster node status --json"),
        "cluster",
    ),
    Command(
        "create",
        "deploy.commands.token:create",
        "Let an actor on another machine join: print its join string, once.",
        ("token create gaming-pc", "token create gaming-pc --address my-home.example.org:6390"),
        "token",
    ),
    Command(
        "list",
        "deploy.commands.token:list_tokens",
        "List who may join.",
        ("token list", "token list --json"),
        "token",
    ),
    Command(
        "revoke",
        "deploy.commands.token:revoke",
        "Let an actor join no more, and cut it off if it drives.",
        ("token revoke gaming-pc", "token revoke laptop"),
        "token",
    ),
    Command(
        "pardon",
        "deploy.commands.token:pardon",
        "Let an actor in again that the replay service shut out of a running training.",
        ("token pardon gaming-pc", "token pardon actor-0 --run runs/monday"),
        "token",
    ),
    Command(
        "join",
        "deploy.commands.actor:join",
        "Drive on this machine for a training elsewhere; needs no more than its join string.",
        ("actor join 'apexmania-join-1....'", "actor join gaming-pc"),
        "actor",
    ),
    Command(
        "store",
        "deploy.commands.actor:store",
        "Keep the credentials of a join string without driving yet.",
        ("actor store -", "actor store 'apexmania-join-1....'"),
        "actor",
    ),
    Command(
        "drive",
        "deploy.commands.actor:drive",
        "Drive as join does, in this process and without starting again.",
        (
            "actor drive gaming-pc",
            "actor drive gaming-pc --set game.trackmania.telemetry_port=9001",
        ),
        "actor",
    ),
    Command(
        "list",
        "deploy.commands.actor:list_joined",
        "List what this machine joined, and what waits on its disk.",
        ("actor list", "actor list --json"),
        "actor",
    ),
    Command(
        "leave",
        "deploy.commands.actor:leave",
        "Forget a join: credentials, reward lines and what waits on this machine's disk.",
        ("actor leave gaming-pc", "actor leave laptop"),
        "actor",
    ),
    Command(
        "record-line",
        "deploy.commands.game_line:record_line",
        "Record the reward line of a map: you drive one lap, or the stand-in does.",
        (
            "game record-line --name my-map --out lines/my-map.npz",
            "game record-line --name first-lap --game standin --track first-lap",
        ),
        "game",
    ),
    Command(
        "import-line",
        "deploy.commands.game_line:import_line",
        "Make a reward line of the reward.pkl that tmrl recorded.",
        (
            "game import-line reward.pkl --name my-map",
            "game import-line reward.pkl --name my-map --force",
        ),
        "game",
    ),
    Command(
        "standin",
        "deploy.commands.game_standin:standin",
        "Run the stand-in for TrackMania: a window, telemetry, a gamepad, and faults on demand.",
        (
            "game standin --track first-lap --autopilot",
            "game standin --track oval --fault stall@20+5 --fault drop@40",
        ),
        "game",
    ),
    Command(
        "fault",
        "deploy.commands.game_standin:fault",
        "Break a running stand-in in one of eleven ways, or heal it.",
        ("game fault stall --seconds 5", "game fault heal --control 9011"),
        "game",
    ),
)

GROUPS: dict[str, str] = {
    "config": "Look at the configuration.",
    "runs": "Look at past runs.",
    "replay": "Look at the replay, or measure what a fleet costs.",
    "cluster": "Train on several machines.",
    "token": "Say on the head who may join.",
    "actor": "Drive for a training on another machine.",
    "game": "Prepare TrackMania, or the stand-in for it.",
}


def _epilogue(*examples: str) -> str:
    return "Examples:\n\n" + "\n\n".join(f"  apexmania {example}" for example in examples)


def _group_examples(group: str) -> tuple[str, ...]:
    """Returns one example of each of the first two commands, or both of the only one."""
    commands = [command for command in COMMANDS if command.group == group]
    if len(commands) == 1:
        return commands[0].examples
    return tuple(command.examples[0] for command in commands[:2])


EPILOGUES: dict[str, str] = {
    "apexmania": _epilogue("train --preset quickstart", "doctor"),
    **{command.full_name: _epilogue(*command.examples) for command in COMMANDS},
    **{f"apexmania {group}": _epilogue(*_group_examples(group)) for group in GROUPS},
}
