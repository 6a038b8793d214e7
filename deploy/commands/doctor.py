"""``apexmania doctor``: what is wrong on this machine and how to fix it."""

import json
import sys
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from common.errors import MachineError
from deploy.options import Json

_MARKS = {"ok": "[green]ok[/]  ", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def doctor(
    *,
    role: Annotated[
        str, Parameter(help="What this machine shall do: actor, learner, replay or all.")
    ] = "all",
    json_output: Json = False,
) -> int:
    """Prints one line a check; the exit code is 3 where one failed."""
    from deploy.doctor.machine import CHECKS, examine_machine  # noqa: PLC0415 - psutil only when it examines

    sys.stderr.write(f"Running up to {len(CHECKS)} checks; the slow ones take some seconds.\n")
    findings = examine_machine(role)  # type: ignore[arg-type] # it names the roles itself
    failed = any(finding.level == "fail" for finding in findings)
    if json_output:
        print(json.dumps({"ok": not failed, "checks": [f.to_dict() for f in findings]}, indent=2))
    else:
        console = Console()
        for finding in findings:
            console.print(
                f"{_MARKS[finding.level]}  {finding.check:<13} {escape(finding.found)}",
                highlight=False,
                soft_wrap=True,
            )
            if finding.fix:
                console.print(f"      fix: {escape(finding.fix)}", highlight=False, soft_wrap=True)
    return MachineError.exit_code if failed else 0
