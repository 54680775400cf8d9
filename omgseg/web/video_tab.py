"""The tab of videos: upload, words, progress, and the video with its masks."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import gradio as gr

from omgseg.files import safe_name
from omgseg.inference import SegmentationResult, VideoResult
from omgseg.structures import Task, Vocabulary
from omgseg.visualization import VideoWriter
from omgseg.web import parts
from omgseg.web.parts import Site, Track, guarded
from omgseg.web.uploads import FilmFacts, Refused, as_uploaded, check_film

SECONDS_BETWEEN_NEWS = 0.5
LEFT_KEPT = 256
"""Number of ended sessions to remember, as a request of theirs may still run."""


class _Stopped(Exception):
    """The visitor has stopped the work."""


class _Job:
    """Work on a video, which another thread can stop while it runs or waits.

    Args:
        visitor: the session that the work belongs to.
        work: makes the generator of the work from the job; the generator calls :meth:`check` regularly.
    """

    def __init__(self, visitor: str | None, work: Callable[[_Job], Iterator[Any]]) -> None:
        self.visitor = visitor
        self._work = work(self)
        self.is_stopped = False
        self._step = threading.Lock()

    def __iter__(self) -> Iterator[Any]:
        while True:
            with self._step:
                news = next(self._work, None)
            if news is None:
                return
            yield news

    def check(self) -> None:
        """End the work from inside after :meth:`stop`.

        Raises:
            _Stopped: the work was stopped.
        """
        if self.is_stopped:
            raise _Stopped

    def stop(self) -> None:
        """Stop the work, and wait until it has cleaned up."""
        self.is_stopped = True
        with self._step:
            self._work.close()


class VideoTab:
    """Segments a video while it is read; pixels are not kept in memory.

    Args:
        site: the inferencer, limits and workspace of the page.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self._job: _Job | None = None
        self._left: deque[str | None] = deque(maxlen=LEFT_KEPT)

    def build(self) -> None:
        """Lay out the tab inside the current ``gr.Blocks``."""
        limits = self.site.limits
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                film = as_uploaded(
                    gr.Video(
                        label=f"Video, up to {limits.video_seconds:g} s",
                        sources=["upload"],
                        height=280,
                        include_audio=True,
                        elem_id="video-in",
                    ),
                    self.site.workspace,
                )
                task = parts.task_input(self.site, video=True)
                words = parts.word_input(self.site, "video-words", hint=parts.word_hint(self.site))
                with gr.Row():
                    start = gr.Button("Segment", variant="primary", elem_id="video-start", min_width=120)
                    stop = gr.Button("Stop", min_width=80, interactive=False, elem_id="video-stop")
                style = parts.drawing()
            with gr.Column(scale=3, min_width=320):
                result = gr.Video(
                    label="Result",
                    interactive=False,
                    height=460,
                    elem_id="video-out",
                    autoplay=True,
                    loop=True,
                )
                status = gr.HTML(
                    parts.message_html("The objects appear here."),
                    elem_id="video-status",
                    elem_classes="flush",
                )
                files = parts.downloads("MP4", "JSON", "COCO")
        start.click(
            guarded(self.segment),
            [film, task, words, *style],
            [result, status, stop, *files],
            concurrency_id="videos",
            concurrency_limit=1,
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=[status],
        )
        stop.click(self.stop, None, None, api_visibility="private", queue=False)

    def segment(
        self,
        path: str | None,
        task_name: str,
        words: str | list[str] | None,
        score: float,
        opacity: float,
        colorblind: bool,
        request: gr.Request,
    ) -> Iterator[list[Any]]:
        """Run the model on a video; yields the progress, and the result at the end."""
        facts = check_film(path, self.site.limits)
        task = self.site.task_of(task_name, video=True)
        vocabulary = self.site.words_of(words, task)
        self.site.check_work(task, vocabulary, *facts.size)
        waiting = [gr.DownloadButton(value=None, interactive=False)] * 3
        style = {"opacity": opacity, "palette": parts.palette_of(colorblind), "by": "identity"}
        job = self._job = _Job(  # before the first yield, after which the visitor may leave
            request.session_hash,
            lambda job: self._work(job, path, task, vocabulary, facts, score, style),
        )
        if request.session_hash in self._left:
            return
        yield [
            None,
            parts.progress_html(0, facts.frames, "Reading the video ..."),
            gr.Button(interactive=True),
            *waiting,
        ]
        with suppress(_Stopped):
            yield from job
        if job.is_stopped:
            yield [None, parts.message_html("Stopped."), gr.Button(interactive=False), *waiting]

    def leave(self, request: gr.Request) -> None:
        """Stop the work of a visitor who has left, also if it has not begun; Gradio does not do this."""
        self._left.append(request.session_hash)  # first, as the work may begin meanwhile
        self.stop(request)

    def stop(self, request: gr.Request) -> None:
        """Stop the work on the visitor's video."""
        job = self._job
        if job is not None and job.visitor == request.session_hash:
            job.stop()

    def _work(
        self,
        job: _Job,
        path: str,
        task: Task,
        vocabulary: Vocabulary | None,
        facts: FilmFacts,
        score: float,
        style: dict[str, Any],
    ) -> Iterator[list[Any]]:
        folder, name = self.site.workspace.new_folder(), safe_name(Path(path).stem)
        try:
            frames: list[SegmentationResult] = []
            tracks: dict[int, Track] = {}
            stream = self.site.seg.stream(path, task=task.value, vocabulary=vocabulary)
            began = told = time.monotonic()
            with (
                VideoWriter(folder / f"{name}_segments.mp4", facts.fps) as writer,
                closing(stream) as results,
            ):
                for frame in results:
                    job.check()
                    if len(frames) >= self.site.limits.video_frames:
                        raise Refused(
                            f"The video has more than {self.site.limits.video_frames} frames. Cut it first."
                        )
                    frame = frame.confident(score)
                    writer.add(frame.draw(**style))
                    parts.count_tracks(tracks, frame, style["palette"])
                    frames.append(frame.replace(image=None))
                    if time.monotonic() - told > SECONDS_BETWEEN_NEWS:
                        told = time.monotonic()
                        yield [gr.skip(), self._news(len(frames), facts, told - began), *[gr.skip()] * 4]
            video = VideoResult(frames, facts.fps, path=None, name=name)
            news = self._finished(video, folder, tracks)
        except BaseException:  # also after the visitor has stopped or left
            shutil.rmtree(folder, ignore_errors=True)
            raise
        yield news

    @staticmethod
    def _news(done: int, facts: FilmFacts, seconds: float) -> str:
        speed = done / seconds
        if facts.frames is None:
            return parts.progress_html(done, None, f"{done} frames, {speed:.1f} per second")
        left = max(facts.frames - done, 0) / speed
        return parts.progress_html(
            done, facts.frames, f"Frame {done} of {facts.frames}, {speed:.1f} per second, {left:.0f} s left"
        )

    def _finished(self, video: VideoResult, folder: Path, tracks: dict[int, Track]) -> list[Any]:
        film = folder / f"{video.name}_segments.mp4"
        content = video.save(folder / f"{video.name}_segments.json")
        coco = folder / f"{video.name}_coco.json"
        coco.write_text(json.dumps(video.to_coco()))
        buttons = [gr.DownloadButton(value=str(file), interactive=True) for file in (film, content, coco)]
        return [str(film), parts.tracks_html(tracks.values()), gr.Button(interactive=False), *buttons]
