"""The Redis keyspace of one run. Every key that ApexMania touches is made here.

am:run                   string   name of the run that is served now, for who joins
am:{run}:contract        string   msgpack: game spec, contract fingerprint, resolved config
am:{run}:control         string   "running" | "draining" | "stopped": what every process polls
am:{run}:meta:<actor>    stream   <epoch>-<seq> {m: segment meta}         written by one actor
am:{run}:frames:<actor>  stream   <epoch>-<seq> {f: raw frames}           same id, same MULTI
am:{run}:actors          set      names of actors whose streams are read  written by the launcher
am:{run}:fleet           hash     actor -> its place, of those that drive now    written by the launcher
am:{run}:reward-lines    string   msgpack: files of the lines that the contract names
am:{run}:banned          hash     actor -> reason                         written by the service
am:{run}:banned-tokens   hash     actor -> digest of the token it had     written by the launcher
am:{run}:index           stream   <first id>-<count> {a: actor, e: entry} written by the service
am:{run}:episodes        stream   <episode number>-1 {...}                written by the service
am:{run}:quarantine      stream   what failed a check, with the reason; capped
am:{run}:refused         hash     "actor kind" -> entries that failed a check
am:{run}:priorities      string   snapshot of the sum tree's leaves
am:{run}:owner           string   token of the service that may extend the index
am:{run}:service         string   msgpack: host, port, secret of the sampling socket
am:{run}:limiter         string   msgpack: limiter state for actors that may wait
am:{run}:weights         string   header + safetensors
am:{run}:weights:hint    channel  the newest param version
am:{run}:heart:<name>    string   msgpack heartbeat, expires after 10 s
am:{run}:metrics         stream   one learner metrics row per entry; capped
am:{run}:evaluations     stream   one greedy evaluation per entry; capped
"""

from dataclasses import dataclass

CURRENT_RUN = "am:run"
"""Names the run that is served now."""
WRITE_PROBE = "am:{}:write-probe"
"""Written once before a run on the user's own Redis, to see that it takes writes; expires."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the keys of one run.

    Attributes:
        run: the run's name, unique on its Redis.
    """

    run: str

    def _key(self, suffix: str) -> str:
        return f"am:{{{self.run}}}:{suffix}"

    @property
    def contract(self) -> str:
        """Key of the run's contract."""
        return self._key("contract")

    @property
    def control(self) -> str:
        """Key that tells every process whether to go on."""
        return self._key("control")

    def meta(self, actor: str) -> str:
        """Stream of an actor's segment metadata."""
        return self._key(f"meta:{actor}")

    def frames(self, actor: str) -> str:
        """Stream of an actor's frames."""
        return self._key(f"frames:{actor}")

    @property
    def actors(self) -> str:
        """Set of the actors whose streams are read."""
        return self._key("actors")

    @property
    def fleet(self) -> str:
        """Places of the actors that drive now."""
        return self._key("fleet")

    @property
    def reward_lines(self) -> str:
        """Files of the reward lines."""
        return self._key("reward-lines")

    @property
    def banned(self) -> str:
        """Hash of the actors that are shut out, with the reason."""
        return self._key("banned")

    @property
    def banned_tokens(self) -> str:
        """Hash of the tokens that the actors had which are shut out."""
        return self._key("banned-tokens")

    @property
    def index(self) -> str:
        """Stream that orders all segments."""
        return self._key("index")

    @property
    def episodes(self) -> str:
        """Stream of finished episodes."""
        return self._key("episodes")

    @property
    def quarantine(self) -> str:
        """Stream of refused entries."""
        return self._key("quarantine")

    @property
    def refused(self) -> str:
        """Hash of how many entries were refused, by actor and kind."""
        return self._key("refused")

    @property
    def priorities(self) -> str:
        """Snapshot of the priorities."""
        return self._key("priorities")

    @property
    def service(self) -> str:
        """Address of the replay service's socket."""
        return self._key("service")

    @property
    def owner(self) -> str:
        """Token of the replay service that may extend the index."""
        return self._key("owner")

    @property
    def limiter(self) -> str:
        """State of the rate limiter."""
        return self._key("limiter")

    @property
    def weights(self) -> str:
        """The newest weights."""
        return self._key("weights")

    @property
    def weights_hint(self) -> str:
        """Pub/sub channel that announces weights."""
        return self._key("weights:hint")

    def heart(self, name: str) -> str:
        """Heartbeat of a process."""
        return self._key(f"heart:{name}")

    @property
    def hearts_pattern(self) -> str:
        """SCAN pattern of all heartbeats."""
        return self._key("heart:*").replace("[", "\\[")

    @property
    def metrics(self) -> str:
        """Stream of learner metrics."""
        return self._key("metrics")

    @property
    def evaluations(self) -> str:
        """Stream of greedy evaluations."""
        return self._key("evaluations")
