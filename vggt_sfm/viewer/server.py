"""Start and stop viser, quietly and only on the address that was asked for."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import io
import socket
from typing import TYPE_CHECKING

from vggt_sfm._log import get_logger
from vggt_sfm.errors import CapabilityError, missing_extra

if TYPE_CHECKING:
    import viser

_logger = get_logger(__name__)

USUAL_PORT = 8080
_PORTS_TRIED = 100
LABEL = "vggt-sfm"


def check_installed() -> None:
    """Raise CapabilityError if viser, an extra, is not installed."""
    if importlib.util.find_spec("viser") is None:
        raise missing_extra("the viewer needs", "viewer")


def start_server(host: str, port: int | None) -> viser.ViserServer:
    """Listen on an address.

    viser itself would go on to the next port where one is taken, and wait for ever where an address
    is not this machine's; so it is only given an address that has just been tried.

    Args:
        host: Name or address to listen on.
        port: Where to listen; None: 8080 or the next free one, which is said; 0: any free one.

    Raises:
        CapabilityError: If viser is not installed, or the address cannot be listened on.
    """
    check_installed()
    found = _usual_port(host) if port is None else _tried(host, port)
    import viser

    with _quiet_stdout():
        server = viser.ViserServer(host=host, port=found, label=LABEL, verbose=False)
    if port and server.get_port() != port:  # taken by another program since it was tried
        stop_server(server)
        raise _taken(host, port)
    return server


def stop_server(server: viser.ViserServer) -> None:
    """Stop listening and end viser's threads."""
    with _quiet_stdout():
        server.stop()


def address_url(host: str, port: int) -> str:
    """Return what a browser on this machine opens."""
    if host in ("0.0.0.0", "", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _quiet_stdout() -> contextlib.redirect_stdout[io.StringIO]:
    """Keep from stdout, which is for ``--json``, what viser says about itself there."""
    return contextlib.redirect_stdout(io.StringIO())


def _usual_port(host: str) -> int:
    for port in range(USUAL_PORT, USUAL_PORT + _PORTS_TRIED):
        try:
            _listen(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise _unusable(host, port, error) from error
        else:
            if port != USUAL_PORT:
                _logger.info("port %d is taken, %d is free", USUAL_PORT, port)
            return port
    raise _taken(host, USUAL_PORT)


def _tried(host: str, port: int) -> int:
    try:
        _listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise _taken(host, port) from error
        raise _unusable(host, port, error) from error
    except OverflowError as error:
        raise CapabilityError(f"--port {port}: ports are from 0 to 65535") from error
    return port


def _listen(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.create_server((host, port), family=family).close()


def _taken(host: str, port: int) -> CapabilityError:
    return CapabilityError(
        f"port {port} of {host} is taken by another program: choose another one with --port, or "
        "leave --port out to get a free one"
    )


def _unusable(host: str, port: int, error: OSError) -> CapabilityError:
    why = error.strerror or str(error)
    return CapabilityError(f"cannot listen on --host {host} --port {port}: {why}")
