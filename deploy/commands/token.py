"""``apexmania token``: who may join this machine's trainings by Redis alone."""

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deploy.options import Json

Name = Annotated[str, Parameter(help="Name of the actor, for instance gaming-pc.")]


def create(
    name: Name,
    /,
    *,
    address: Annotated[
        str | None,
        Parameter(
            help="HOST or HOST:PORT by which that machine reaches this one, where it is another than "
            "--listen had, for instance behind a router."
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Prints the join string, which is shown this once."""
    from deploy.invitations import invite  # noqa: PLC0415 - certificates only when it is typed

    invitation, line = invite(name, address=address)
    if json_output:
        values = {
            "name": name,
            "host": invitation.host,
            "port": invitation.port,
            "tls": invitation.tls,
        }
        print(json.dumps(values | {"join_string": line}, indent=2))
        return
    sys.stderr.write(
        f"On the machine that shall drive as {name} (it reaches {invitation.host}, port "
        f"{invitation.port}, TCP):\n  apexmania actor join 'THE LINE BELOW'\n"
        "The line holds a password and is shown this once; take it back with: "
        f"apexmania token revoke {name}\n"
    )
    print(line)


def list_tokens(*, json_output: Json = False) -> None:
    """Prints name, address and date of every token."""
    from deploy.tokens import read_tokens  # noqa: PLC0415 - only when it is typed

    tokens = read_tokens()
    if json_output:
        rows = [
            {"name": token.name, "address": token.address, "created": token.created}
            for token in tokens
        ]
        print(json.dumps(rows, indent=2))
        return
    if not tokens:
        sys.stderr.write("nobody may join yet; let one in: apexmania token create NAME\n")
        return
    print(f"{'name':<24} {'reaches this machine at':<28} created")
    for token in tokens:
        print(f"{token.name:<24} {token.address:<28} {token.created}")


def revoke(name: Name, /) -> None:
    """Prints what happens to the actor."""
    from deploy.tokens import revoke_token  # noqa: PLC0415 - only when it is typed

    revoke_token(name)
    print(f"{name} is let in no more; a running training cuts it off within seconds")


def pardon(
    name: Name,
    /,
    *,
    run: Annotated[Path, Parameter(help="Run folder.")] = Path("runs/latest"),
    redis: Annotated[
        str | None,
        Parameter(help="Its Redis, where it is not the run's own; or APEXMANIA_REDIS_URL."),
    ] = None,
) -> None:
    """Prints what the actor had been shut out for."""
    from deploy.pardon import pardon as lift  # noqa: PLC0415 - Redis only when it is asked
    from deploy.redis_address import given_address  # noqa: PLC0415 - same
    from deploy.run_folder import open_run  # noqa: PLC0415 - same

    reason = lift(open_run(run), name, url=given_address(redis, resume=run))
    print(f"{name} is let in again within seconds; it had been shut out: {reason}")
