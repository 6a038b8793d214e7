from pathlib import Path

from deploy.run_folder import RunFolder
from deploy.wandb_sink import keep_offsets, open_tails


def test_a_resumed_run_sends_only_what_is_new(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics_file.write_text('{"learner_steps": 1}\n{"learner_steps": 2}\n{"learner_')
    first = open_tails(folder)
    assert [row["learner_steps"] for row in first["learner"].rows()] == [1, 2]
    keep_offsets(folder, first)
    folder.metrics_file.write_text(
        '{"learner_steps": 1}\n{"learner_steps": 2}\n{"learner_steps": 3}\n'
    )
    assert [row["learner_steps"] for row in open_tails(folder)["learner"].rows()] == [3]


def test_a_file_that_was_made_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics_file.write_text('{"learner_steps": 1}\n{"learner_steps": 2}\n')
    first = open_tails(folder)
    list(first["learner"].rows())
    keep_offsets(folder, first)
    folder.metrics_file.write_text('{"learner_steps": 9}\n')
    assert [row["learner_steps"] for row in open_tails(folder)["learner"].rows()] == [9]
