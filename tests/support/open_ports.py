"""What processes offer to other machines."""

import ipaddress

import psutil

OWN = ipaddress.ip_address("127.0.0.1")


def addresses_outside(root: psutil.Process) -> dict[str, set[str]]:
    """Returns the addresses beyond 127.0.0.1 on which a process and its children listen, by command line."""
    found: dict[str, set[str]] = {}
    for process in (root, *root.children(recursive=True)):
        try:
            name = " ".join(process.cmdline())
            sockets = process.net_connections(kind="inet")
        except psutil.NoSuchProcess:
            continue
        for socket in sockets:
            if socket.status == psutil.CONN_LISTEN and not _own(socket.laddr.ip):
                found.setdefault(name, set()).add(f"{socket.laddr.ip}:{socket.laddr.port}")
    return found


def _own(text: str) -> bool:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address) == OWN or text == "::1"
