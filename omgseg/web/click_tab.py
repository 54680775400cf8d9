"""The tab of clicks: an object is chosen in a picture by points and boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from omgseg.web import controls
from omgseg.web.clicks import Clicks, Step, draw_view, resized, view_scale
from omgseg.web.guard import guarded
from omgseg.web.legend import message_html
from omgseg.web.limits import Refused
from omgseg.web.uploads import read_picture

ADD, REMOVE, BOX = "Part of the object (+)", "Not part of it (\u2212)", "Corner of a box"
START = "Upload a picture, then click on an object in it."
READY = "Click on an object."


class ClickTab:
    """One object at a time, refined by every further click.

    The model keeps the features of one picture; another visitor's click in between has them computed again.

    Args:
        site: what the tabs share, see :class:`omgseg.web.page.Site`.
    """

    def __init__(self, site) -> None:
        self.site = site
        self._encoded: tuple[str, np.ndarray, np.ndarray] | None = None  # path, picture, view

    def build(self) -> None:
        """Lay out the tab inside the current ``gr.Blocks``."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                picture = controls.picture_input(self.site.workspace, "click-picture", height=520)
            with gr.Column(scale=1, min_width=260):
                mode = gr.Radio([ADD, REMOVE, BOX], value=ADD, label="The next click", elem_id="click-mode")
                with gr.Row():
                    undo = gr.Button("Undo", size="sm", min_width=80, elem_id="click-undo")
                    reset = gr.Button("Reset", size="sm", min_width=80, elem_id="click-reset")
                status = gr.HTML(message_html(START), elem_id="click-status", elem_classes="flush")
                files = controls.downloads("Mask PNG", "JSON")
        clicks = gr.State(None, time_to_live=self.site.limits.keep_seconds)
        shown = [clicks, picture, status, *files]
        # All under one limit, so that clicks are taken in their order, and features of one picture are used at a time.
        rules = {"concurrency_id": "clicks", "concurrency_limit": 1, "api_visibility": "private"}
        picture.upload(guarded(self.start), [picture], shown, **rules)
        picture.clear(self.forget, None, [clicks, status, *files], api_visibility="private")
        picture.select(
            guarded(self.click),
            [clicks, picture, mode],
            shown,
            trigger_mode="multiple",
            show_progress="hidden",
            **rules,
        )
        undo.click(
            guarded(self.undo), [clicks], shown, trigger_mode="multiple", show_progress="hidden", **rules
        )
        reset.click(guarded(self.reset), [clicks], shown, show_progress="hidden", **rules)

    def start(self, path: str | None) -> list[Any]:
        """Encode the picture, so that the first click is as quick as the others."""
        image, view = self._encode(path)
        return self._show(Clicks(path, view_scale(*image.shape[:2])), view)

    def forget(self) -> list[Any]:
        """The picture was taken away."""
        return [None, message_html(START), *self._no_files()]

    def click(self, clicks: Clicks | None, shown: str | None, mode: str, event: gr.SelectData) -> list[Any]:
        """A click on the picture; `shown` is the file that was seen when it was made."""
        if clicks is None:
            raise Refused("Upload a picture first.")
        if len(clicks.steps) >= self.site.limits.clicks:
            raise Refused(f"No more than {self.site.limits.clicks} clicks on an object; undo some, or reset.")
        image, view = self._encode(clicks.path)
        height, width = image.shape[:2]
        scale = 1 if shown == clicks.path else clicks.scale  # at first the upload itself is seen
        x, y = (
            int(min(max(value / scale, 0), most - 1))
            for value, most in zip(event.index, (width, height), strict=True)
        )
        if mode != BOX:
            clicks = self._predicted(replace(clicks, corner=None), point=(x, y, int(mode == ADD)))
        elif clicks.corner is None:
            clicks = replace(clicks, corner=(x, y), steps=())
        elif (box := clicks.box_to(x, y)) is None:
            raise Refused("The second corner must be to the side of, and above or below, the first one.")
        else:
            clicks = self._predicted(replace(clicks, corner=None, steps=()), box=box)
        return self._show(clicks, view)

    def undo(self, clicks: Clicks | None) -> list[Any]:
        """Take the last click back."""
        return self._changed(clicks, lambda clicks: clicks.undone())

    def reset(self, clicks: Clicks | None) -> list[Any]:
        """Take all clicks back."""
        return self._changed(clicks, lambda clicks: replace(clicks, corner=None, steps=()))

    def _changed(self, clicks: Clicks | None, change) -> list[Any]:
        if clicks is None:
            raise Refused("There are no clicks yet.")
        return self._show(change(clicks), self._encode(clicks.path)[1])

    def _predicted(self, clicks: Clicks, point=None, box=None) -> Clicks:
        """With one more prompt and its result. A click corrects the mask so far: the tenth is as quick as the first."""
        before = clicks.result
        if point is None:
            prompts = {"boxes": np.array([box], np.float32)}
        else:
            if before is None and not point[2]:
                raise Refused("Click on the object first, then on what does not belong to it.")
            prompts = {"points": np.array([point[:2]], np.float32), "labels": np.array([point[2]])}
            if before is not None:
                prompts["mask"] = before.masks[0]
        result = self.site.seg.interactive.predict(**prompts)
        step = Step(result.replace(image=None), point, box)
        return replace(clicks, steps=(*clicks.steps, step))

    def _encode(self, path: str | None) -> tuple[np.ndarray, np.ndarray]:
        """The picture and its view; the model has its features afterwards."""
        if self._encoded is None or self._encoded[0] != path:
            image = read_picture(path, self.site.limits)
            self._encoded = None  # an error must not leave the old picture's features under the new name
            self.site.seg.interactive.set_image(image)
            self._encoded = (path, image, resized(image, view_scale(*image.shape[:2])))
        return self._encoded[1:]

    def _show(self, clicks: Clicks, view: np.ndarray) -> list[Any]:
        folder, result = self.site.workspace.new_folder(), clicks.result
        picture = folder / "clicks.jpg"
        Image.fromarray(draw_view(view, clicks)).save(picture, quality=92)
        if result is None or not len(result):
            text = READY if clicks.corner is None else "Now click on the opposite corner."
            return [clicks, str(picture), message_html(text), *self._no_files()]
        mask = folder / "mask.png"
        Image.fromarray(result.masks[0].astype(np.uint8) * 255).save(mask)
        content = result.save(folder / "mask.json")
        area = 100 * result.areas[0] / (result.size[0] * result.size[1])
        given = ["a box"] if clicks.box is not None else []
        if count := len(clicks.points):
            given.append(f"{count} click{'' if count == 1 else 's'}")
        text = f"Mask from {' and '.join(given)}: {area:.1f} % of the picture."
        buttons = [gr.DownloadButton(value=str(file), interactive=True) for file in (mask, content)]
        return [clicks, str(picture), message_html(text), *buttons]

    @staticmethod
    def _no_files() -> list[Any]:
        return [gr.DownloadButton(value=None, interactive=False) for _ in range(2)]
