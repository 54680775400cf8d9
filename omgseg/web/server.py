"""Serves the page."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from omgseg.inference import OMGSegInferencer
from omgseg.structures import Vocabulary
from omgseg.web.gate import Hosts, guarding
from omgseg.web.page import CSS, build_app, theme
from omgseg.web.parts import label_spaces_of
from omgseg.web.uploads import Limits, Workspace

LOOPBACK = "127.0.0.1"


def serve(
    seg: OMGSegInferencer,
    host: str = LOOPBACK,
    port: int = 7860,
    limits: Limits | None = None,
    ready: Callable[[str], None] | None = None,
    allowed_hosts: Iterable[str] = (),
    names: Iterable[str] = (),
) -> None:
    """Serve the page until Ctrl-C or SIGTERM. Uploads and results are deleted at the end.

    Args:
        seg: the inferencer of the model.
        host: the address to listen on. The default can be reached from this machine only. There is no password:
            everyone who can reach the address can use the model.
        port: the port; 0: any free one.
        limits: limits of requests and uploads.
        ready: called with the address of the page when it can be opened.
        allowed_hosts: names under which a reverse proxy serves the page. Requests to other names than these and those
            of this machine, and requests from pages of other origins, are refused.
        names: label spaces from which clicked objects get names, by name or file; see :func:`label_spaces_of`.

    Raises:
        OSError: the port is in use.
        UnsupportedRequest, FileNotFoundError, ValueError: see :func:`label_spaces_of`.
    """
    limits = limits or Limits()
    spaces = label_spaces_of(seg, names)
    workspace = Workspace(limits)
    try:
        with _terminable():
            try:
                app = launch(seg, host, port, limits, workspace, allowed_hosts, spaces)
            except OSError as error:  # Gradio's message names settings that users do not have
                raise OSError(
                    f"the page cannot listen on {host}, port {port}, which may be in use; "
                    "give another port, or 0 for a free one"
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
    label_spaces: Mapping[str, Vocabulary] | None = None,
):
    """Start the server in a separate thread; returns the app, whose ``close`` ends it."""
    app = build_app(seg, limits, workspace, label_spaces)
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
    """Let SIGTERM end the program like Ctrl-C, so that temporary files are deleted."""
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
