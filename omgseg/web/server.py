"""Serving the page."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from omgseg.inference import OMGSegInferencer
from omgseg.web.gate import Hosts, guarding
from omgseg.web.page import CSS, build_app, theme
from omgseg.web.uploads import Limits, Workspace

LOOPBACK = "127.0.0.1"


def serve(
    seg: OMGSegInferencer,
    host: str = LOOPBACK,
    port: int = 7860,
    limits: Limits | None = None,
    ready: Callable[[str], None] | None = None,
    allowed_hosts: Iterable[str] = (),
) -> None:
    """Serve the page until Ctrl-C or SIGTERM. Nothing is kept: uploads and results are removed at the end.

    Args:
        seg: the inferencer of the model.
        host: the address to listen on. The default is reached from this machine only; anyone who reaches another one
            can use the model, as there is no password.
        port: 0 takes a free one.
        limits: what is accepted.
        ready: called with the page's address once it can be opened.
        allowed_hosts: names under which a reverse proxy serves the page. Requests for other names than those of this
            machine, and of pages of other names, are refused.

    Raises:
        OSError: the port is taken.
    """
    limits = limits or Limits()
    workspace = Workspace(limits)
    try:
        with _terminable():
            try:
                app = launch(seg, host, port, limits, workspace, allowed_hosts)
            except OSError as error:  # Gradio's own message names settings of its own
                raise OSError(
                    f"the page cannot listen on {host}, port {port}: is it taken? Another port, or 0, may be free"
                ) from error
            try:
                if ready is not None:
                    ready(app.local_url)
                threading.Event().wait()
            except KeyboardInterrupt:
                pass
            finally:
                app.close(verbose=False)
    finally:
        workspace.close()


def launch(
    seg: OMGSegInferencer,
    host: str,
    port: int,
    limits: Limits,
    workspace: Workspace,
    allowed_hosts: Iterable[str] = (),
):
    """Start the server in a thread of its own; returns the app, whose ``close`` ends it."""
    app = build_app(seg, limits, workspace)
    app.queue(max_size=limits.waiting, api_open=False)
    app.launch(
        server_name=host,
        server_port=port or _free_port(host),
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        show_error=False,
        max_file_size=limits.upload_bytes,
        state_session_capacity=limits.visitors,
        max_threads=8,
        footer_links=[],
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        app_kwargs={"lifespan": guarding(Hosts(host, allowed_hosts), limits, workspace, app.fns)},
        theme=theme(),
        css=CSS,
    )
    return app


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the program as Ctrl-C does, so that temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
