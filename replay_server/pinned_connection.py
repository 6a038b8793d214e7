"""A TLS connection that trusts one certificate authority alone, and may show a certificate of its own.

Both travel in the address (``ssl_ca_data``, ``client_identity``), so that it works on any machine without
files. redis-py's own connection would trust every public authority beside ours.
"""

import os
import socket
import ssl
import tempfile
from typing import Any

from redis.connection import SSLConnection

CA_PARAMETER = "ssl_ca_data"
"""Names the authority in an address, as PEM."""
IDENTITY_PARAMETER = "client_identity"
"""Names the client's certificate and key in an address, as PEM one after the other."""


SERVER_NAME_PARAMETER = "server_name"
"""Names the host in the server's certificate in an address, where it is reached by another one."""


class PinnedConnection(SSLConnection):
    """Connects to a server whose certificate the named authority signed for the host's name.

    Args:
        client_identity: certificate and key, for a server that demands them.
        server_name: host in the server's certificate, where the server is reached by another address.
        named: what ``SSLConnection`` takes; without ``ssl_ca_data`` it is used as it is.
    """

    def __init__(
        self,
        *,
        client_identity: str | None = None,
        server_name: str | None = None,
        **named: Any,  # noqa: ANN401 - redis-py's own
    ) -> None:
        super().__init__(**named)
        self._identity = client_identity
        self._server_name = server_name

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        if self.ca_data is None:
            wrapped: ssl.SSLSocket = super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]
            return wrapped
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=self.ca_data)
        if self._identity is not None:
            _load_identity(context, self._identity)
        return context.wrap_socket(sock, server_hostname=self._server_name or self.host)


def _load_identity(context: ssl.SSLContext, pem: str) -> None:
    """Gives a context its certificate, which Python only takes from a file."""
    descriptor, name = tempfile.mkstemp(prefix="am-", suffix=".pem")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(pem)
        context.load_cert_chain(name)
    finally:
        os.unlink(name)  # noqa: PTH108 - as mkstemp named it
