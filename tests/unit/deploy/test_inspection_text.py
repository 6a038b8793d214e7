"""What replay inspect prints is read by people, so no line is longer than a terminal."""

from deploy.inspection_text import inspection_text

VALUES = {
    "run": "a-run",
    "redis": "valkey 9.0.0",
    "used_memory_bytes": 12_300_000,
    "max_memory_bytes": 2_000_000_000,
    "full": False,
    "entries": {"index": 12_345, "episodes": 6},
    "refused": {"evil": {"size": 3, "damaged": 1_200}},
    "banned": {"evil": "1,200 entries refused: damaged"},
    "actors": {"actor-0": {"segments": 1_234, "frames_bytes": 5_000_000}},
    "hearts": {
        "learner": {"role": "learner", "pid": 12_345, "doing": "waiting for Redis"},
        **{
            f"actor-{index}": {
                "role": "actor",
                "actor": f"actor-{index}",
                "pid": 20_000 + index,
                "time": 1795462345.5,
                "env_steps": 5_000,
                "fps": 120.25,
                "waiting": True,
                "last_finish_ms": None,
                "fault_causes": {"frozen": 2},
            }
            for index in range(7)
        },
    },
}


def test_heartbeats_are_a_table_with_one_fact_a_line() -> None:
    lines = inspection_text(VALUES).splitlines()
    assert max(map(len, lines)) <= 100
    words = [line.split() for line in lines]
    assert ["actor", *(f"actor-{index}" for index in range(5))] in words
    assert ["actor", "actor-5", "actor-6"] in words
    assert ["env_steps", "5,000", "5,000"] in words
    assert ["pid", "20005", "20006"] in words
    assert ["fps", "120.25", "120.25"] in words
    assert ["waiting", "yes", "yes"] in words
    assert ["last_finish_ms", "-", "-"] in words
    assert sum(line[0] == "actor" for line in words if line) == 2, "the headings"
    (clock,) = {cell for line in words if line[:1] == ["time"] for cell in line[1:]}
    assert clock.count(":") == 2
    assert ["fault_causes", "frozen:2", "frozen:2"] in words
    assert ["doing", "waiting", "for", "Redis"] in words
    assert ["index", "12,345"] in words
    assert ["actor-0", "1,234", "5.0"] in words
    assert ["evil:", "damaged", "1,200"] in words
    assert ["evil", "1,200", "entries", "refused:", "damaged"] in words
    assert "  let in again: apexmania token pardon evil" in lines


def test_lists_stand_rounded_below_the_table_of_their_process() -> None:
    heart = {
        "role": "replay",
        "priority_histogram": [100_000 + number for number in range(16)],
        "priority_edges": [0.05 * number for number in range(17)],
        "priority_effective_share": 0.5,
    }
    lines = inspection_text({**VALUES, "hearts": {"replay": heart}}).splitlines()
    assert max(map(len, lines)) <= 80
    table = lines.index("priority_effective_share     0.5")
    assert lines[table + 1].startswith("priority_histogram of replay: 100000 100001 ")
    assert lines[-1].endswith(" 0.75 0.8")
    assert "priority_edges of replay: 0 0.05 0.1 0.15 0.2 " in "\n".join(lines)


def test_a_run_that_nobody_drives_has_no_empty_tables() -> None:
    nothing: dict[str, object] = {"actors": {}, "hearts": {}, "refused": {}, "banned": {}}
    text = inspection_text({**VALUES, **nothing, "full": True})
    assert text.splitlines()[1].endswith("2,000 MB, full: it refuses writes")
    assert text.count("\n\n") == 1
