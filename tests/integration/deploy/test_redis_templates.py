"""What people with a Redis of their own are given is what a run gives its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.certificates import authority_pem, server_files
from deploy.foreign_redis import check_foreign
from deploy.redis_address import compose_address
from deploy.redis_listen import free_port
from deploy.redis_program import find_program
from deploy.redis_templates import ACTOR, placeholder, template_configuration, template_users
from replay_server.access import ROLES, actor_user, digest
from replay_server.connection import connect, wait_for_server

FOLDER = Path(__file__).parents[3] / "deploy" / "templates"
HOST = "127.0.0.2"


@pytest.mark.parametrize(
    ("name", "text"), [("redis.conf", template_configuration()), ("users.acl", template_users())]
)
def test_the_files_are_what_the_code_prints(name: str, text: str) -> None:
    assert (FOLDER / name).read_text() == text, f"write deploy.redis_templates anew into {name}"


@pytest.mark.redis
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="apt-get install redis-server")
def test_a_real_server_takes_them_once_the_passwords_are_filled_in(tmp_path: Path) -> None:
    port = free_port()
    configuration = _filled_in(tmp_path, port)
    program = str(find_program(tls=True).path)
    refused = subprocess.run([program, configuration], capture_output=True, text=True, check=False)
    assert refused.returncode != 0, "no password is left at what everybody knows"
    users = template_users()
    for name in (*ROLES, ACTOR):
        users = users.replace(f"#{placeholder(name)} ", f"#{digest('pw-' + name)} ")
    (tmp_path / "users.acl").write_text(users)
    server = subprocess.Popen([program, configuration], stdout=subprocess.DEVNULL)
    try:
        urls = {
            user: compose_address(
                host=HOST, port=port, user=user, password=password, ca_pem=authority_pem()
            )
            for user, password in (
                ("launcher", "pw-launcher"),
                (actor_user(ACTOR), f"pw-{ACTOR}"),
            )
        }
        for url in urls.values():
            connection = connect(url, name="test")
            wait_for_server(connection, url=url, timeout_s=20)
            connection.close()
        check_foreign(urls["launcher"])
    finally:
        server.terminate()
        server.wait()


def _filled_in(folder: Path, port: int) -> Path:
    files = server_files(HOST)
    (folder / "data").mkdir()
    (folder / "users.acl").write_text(template_users())
    text = template_configuration()
    for old, new in (
        ("/etc/apexmania/ca.pem", files.authority),
        ("/etc/apexmania/server.pem", files.certificate),
        ("/etc/apexmania/server-key.pem", files.key),
        ("/etc/apexmania/users.acl", folder / "users.acl"),
        ("/var/lib/apexmania/redis", folder / "data"),
        ("-192.168.1.5", HOST),
        ("tls-port 6390", f"tls-port {port}"),
    ):
        assert old in text
        text = text.replace(old, str(new))
    configuration = folder / "redis.conf"
    configuration.write_text(text)
    return configuration
