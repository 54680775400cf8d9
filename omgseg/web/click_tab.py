"""The tab of clicks: points and boxes select an object in a picture, exemplars all that are like it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from omgseg.files import safe_name
from omgseg.inference import InteractivePredictor, OMGSegInferencer, SegmentationResult
from omgseg.protocols import MaskNamer
from omgseg.structures import Task
from omgseg.structures.run_lengths import encode_masks
from omgseg.visualization import draw_boxes
from omgseg.web import parts
from omgseg.web.parts import Site, guarded
from omgseg.web.uploads import Refused, read_picture

ADD, REMOVE, BOX = "Part of the object (+)", "Not part of it (\u2212)", "Corner of a box"
ALIKE, UNLIKE = "Corner of an exemplar: find all like it", "Corner of an exemplar: not like it"
MODES = {ADD: "points", REMOVE: "labels", BOX: "boxes", ALIKE: "exemplars", UNLIKE: "exemplars"}
"""Kinds of clicks, and the kind of prompt that they need."""
TYPED = "The words above"
START = "Upload a picture, then click on an object in it."
READY = "Click on an object."
START_BOX = "Upload a picture, then click on two corners around an object in it."
READY_BOX = "Click on two corners around an object."
NOTHING_ALIKE = "Nothing like it was found."
SHORTEST_VIEW, LONGEST_VIEW = 720, 1600
"""Limits of the longer side of the shown picture, in pixels: small pictures are enlarged, large ones reduced."""
GREEN, RED, WHITE = (22, 163, 74), (220, 38, 38), (255, 255, 255)


@dataclass(frozen=True)
class Step:
    """A prompt and its result.

    Attributes:
        result: the result, without pixels: one mask, or those of all that is like the exemplars.
        point: (x, y, label) in pixels of the picture, label 1 on the object and 0 not on it; or
        box: (x1, y1, x2, y2) in pixels of the picture; or
        exemplar: (x1, y1, x2, y2, label), label 1 to find all like it and 0 not.
    """

    result: SegmentationResult
    point: tuple[int, int, int] | None = None
    box: tuple[int, int, int, int] | None = None
    exemplar: tuple[int, int, int, int, int] | None = None


@dataclass(frozen=True)
class Clicks:
    """The state of a visitor, kept between requests.

    Attributes:
        path: file of the picture.
        scale: size of the shown picture relative to the picture.
        steps: the prompts in their order.
        corner: (x, y) of the first corner of an unfinished box.
    """

    path: str
    scale: float = 1.0
    steps: tuple[Step, ...] = ()
    corner: tuple[int, int] | None = None

    @property
    def result(self) -> SegmentationResult | None:
        """The last result."""
        return self.steps[-1].result if self.steps else None

    @property
    def points(self) -> list[tuple[int, int, int]]:
        """(x, y, label) of each click."""
        return [step.point for step in self.steps if step.point is not None]

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """The box, which is always the first prompt, or None."""
        return self.steps[0].box if self.steps else None

    @property
    def exemplars(self) -> list[tuple[int, int, int, int, int]]:
        """(x1, y1, x2, y2, label) of each exemplar; points and boxes are never among them."""
        return [step.exemplar for step in self.steps if step.exemplar is not None]

    def undone(self) -> Clicks:
        """The state without the last click."""
        if self.corner is not None:
            return replace(self, corner=None)
        return replace(self, steps=self.steps[:-1])

    def box_to(self, x: int, y: int) -> tuple[int, int, int, int] | None:
        """The box between the first corner and this one; None if it has no area."""
        left, right = sorted((self.corner[0], x))
        top, bottom = sorted((self.corner[1], y))
        return (left, top, right, bottom) if right > left and bottom > top else None


@dataclass(frozen=True)
class _Encoded:
    """A picture that the model has encoded.

    Attributes:
        path: file of the picture.
        image: RGB uint8 (H, W, 3).
        view: the picture at the shown size, RGB uint8 (h, w, 3).
        predictor: the predictor with the features.
    """

    path: str
    image: np.ndarray
    view: np.ndarray
    predictor: InteractivePredictor


class ClickTab:
    """Segments one object at a time, where every further click corrects its mask; or all objects like exemplars.

    A cache holds the encoded pictures of the most recent visitors, one per visitor; other pictures are encoded again.

    Args:
        site: the inferencer, limits and workspace of the page.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.modes = self.modes_of(site.seg)
        self._encoded: OrderedDict[str | None, _Encoded] = OrderedDict()

    @staticmethod
    def modes_of(seg: OMGSegInferencer) -> list[str]:
        """The kinds of clicks that a model takes; negative clicks need positive ones."""
        prompts = seg.abilities.prompts
        return [
            mode
            for mode, kind in MODES.items()
            if kind in prompts and (kind != "labels" or "points" in prompts)
        ]

    @property
    def _start(self) -> str:
        return START if ADD in self.modes else START_BOX

    @property
    def _ready(self) -> str:
        return READY if ADD in self.modes else READY_BOX

    def build(self) -> None:
        """Lay out the tab inside the current ``gr.Blocks``."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                picture = parts.picture_input(self.site, "click-picture", height=520)
            with gr.Column(scale=1, min_width=260):
                mode = gr.Radio(
                    self.modes,
                    value=self.modes[0],
                    label="The next click",
                    elem_id="click-mode",
                    visible=len(self.modes) > 1,
                )
                names = space = gr.State(None)
                if isinstance(self.site.seg.segmenter, MaskNamer):
                    names = parts.word_input(
                        self.site, "click-words", "Name it", "Words that the object may be."
                    )
                    space = gr.Dropdown(
                        [TYPED, *self.site.label_spaces],
                        value=TYPED,
                        label="Names from",
                        elem_id="click-names",
                        visible=bool(self.site.label_spaces),
                    )
                with gr.Row():
                    undo = gr.Button("Undo", size="sm", min_width=80, elem_id="click-undo")
                    reset = gr.Button("Reset", size="sm", min_width=80, elem_id="click-reset")
                status = gr.HTML(
                    parts.message_html(self._start), elem_id="click-status", elem_classes="flush"
                )
                files = parts.downloads("Mask PNG", "JSON")
        clicks = gr.State(None, time_to_live=self.site.limits.keep_seconds)
        shown = [clicks, picture, status, *files]
        # One shared limit, so that the clicks of a visitor run in their order.
        rules = {"concurrency_id": "clicks", "concurrency_limit": 1, "api_visibility": "private"}
        picture.upload(guarded(self.start), [picture], shown, **rules)
        picture.clear(self.forget, None, [clicks, status, *files], api_visibility="private")
        quiet = {"show_progress": "hidden", **rules}
        picture.select(
            guarded(self.click),
            [clicks, picture, mode, names, space],
            shown,
            trigger_mode="multiple",
            **quiet,
        )
        undo.click(guarded(self.undo), [clicks], shown, trigger_mode="multiple", **quiet)
        reset.click(guarded(self.reset), [clicks], shown, **quiet)

    def start(self, path: str | None, request: gr.Request) -> list[Any]:
        """Encode the picture, so that the first click is as fast as the others."""
        encoded = self._encode(path, request)
        return self._show(Clicks(path, view_scale(*encoded.image.shape[:2])), encoded.view)

    def forget(self, request: gr.Request) -> list[Any]:
        """Handle the removal of the picture."""
        self.leave(request)
        return [None, parts.message_html(self._start), *_no_files()]

    def leave(self, request: gr.Request) -> None:
        """Handle the end of a visitor's session."""
        self._encoded.pop(request.session_hash, None)

    def click(
        self,
        clicks: Clicks | None,
        shown: str | None,
        mode: str,
        names: str | list[str] | None,
        event: gr.SelectData,
        request: gr.Request,
        space: str | None = None,
    ) -> list[Any]:
        """Handle a click on the picture; `shown` is the file that was shown at the time of the click, and `space` the
        label space that gives the names in the place of typed words."""
        if clicks is None:
            raise Refused("Upload a picture first.")
        if mode not in self.modes:
            raise Refused(f"There is no click {mode!r}.")
        if len(clicks.steps) >= self.site.limits.clicks:
            raise Refused(f"No more than {self.site.limits.clicks} clicks on an object; undo some, or reset.")
        if space in (None, TYPED):
            words = self.site.words_of(names, Task.EVERYTHING)
        elif (words := self.site.label_spaces.get(space)) is None:
            raise Refused(f"There is no label space {space!r}.")
        encoded = self._encode(clicks.path, request)
        encoded.predictor.vocabulary = words
        height, width = encoded.image.shape[:2]
        scale = (
            1 if shown == clicks.path else clicks.scale
        )  # before the first answer the upload itself is shown
        x, y = (
            int(min(max(value / scale, 0), side - 1))
            for value, side in zip(event.index, (width, height), strict=True)
        )
        if bool(clicks.exemplars) != (mode in (ALIKE, UNLIKE)):  # the one takes the place of the other
            clicks = replace(clicks, steps=())
        if mode in (ADD, REMOVE):
            point = (x, y, int(mode == ADD))
            clicks = self._predicted(replace(clicks, corner=None), encoded.predictor, point=point)
        elif clicks.corner is None:
            clicks = replace(clicks, corner=(x, y), steps=() if mode == BOX else clicks.steps)
        elif (box := clicks.box_to(x, y)) is None:
            raise Refused("The second corner must be to the side of, and above or below, the first one.")
        elif mode == BOX:
            clicks = self._predicted(replace(clicks, corner=None, steps=()), encoded.predictor, box=box)
        else:
            clicks = _found_alike(clicks, encoded.predictor, (*box, int(mode == ALIKE)))
        return self._show(clicks, encoded.view)

    def undo(self, clicks: Clicks | None, request: gr.Request) -> list[Any]:
        """Undo the last click."""
        return self._changed(clicks, request, lambda clicks: clicks.undone())

    def reset(self, clicks: Clicks | None, request: gr.Request) -> list[Any]:
        """Undo all clicks."""
        return self._changed(clicks, request, lambda clicks: replace(clicks, corner=None, steps=()))

    def _changed(
        self, clicks: Clicks | None, request: gr.Request, change: Callable[[Clicks], Clicks]
    ) -> list[Any]:
        if clicks is None:
            raise Refused("There are no clicks yet.")
        return self._show(change(clicks), self._encode(clicks.path, request).view)

    def _predicted(
        self,
        clicks: Clicks,
        predictor: InteractivePredictor,
        point: tuple[int, int, int] | None = None,
        box: tuple[int, int, int, int] | None = None,
    ) -> Clicks:
        """The state with one more prompt and its result. A click corrects the previous mask; a model that takes no
        masks gets all prompts again."""
        before = clicks.result
        if point is None:
            result = predictor.predict(boxes=np.array([box], np.float32))
        elif before is None and not point[2]:
            raise Refused("Click on the object first, then on what does not belong to it.")
        elif before is not None and "masks" in self.site.seg.abilities.prompts:
            result = predictor.predict(points=[point[:2]], labels=[point[2]], mask=before.masks[0])
        else:
            points = [*clicks.points, point]
            result = predictor.predict(
                points=[(x, y) for x, y, _ in points],
                labels=[label for *_, label in points],
                boxes=clicks.box,
            )
        return replace(clicks, steps=(*clicks.steps, Step(result.replace(image=None), point, box)))

    def _encode(self, path: str | None, request: gr.Request) -> _Encoded:
        """The visitor's picture, with the model's features of it."""
        visitor = request.session_hash
        encoded = self._encoded.pop(visitor, None)
        if encoded is None or encoded.path != path:
            image = read_picture(path, self.site.limits)
            del encoded
            while len(self._encoded) >= self.site.limits.encoded:
                self._encoded.pop(next(iter(self._encoded), None), None)  # a visitor may leave meanwhile
            predictor = InteractivePredictor(self.site.seg.segmenter)
            predictor.set_image(image)
            encoded = _Encoded(path, image, resized(image, view_scale(*image.shape[:2])), predictor)
        self._encoded[visitor] = encoded
        return encoded

    def _show(self, clicks: Clicks, view: np.ndarray) -> list[Any]:
        folder, result = self.site.workspace.new_folder(), clicks.result
        picture = folder / "clicks.jpg"
        Image.fromarray(draw_view(view, clicks)).save(picture, quality=92)
        shown = [clicks, str(picture), self._text_html(clicks)]
        if result is None or not len(result):
            return [*shown, *_no_files()]
        name = safe_name(Path(clicks.path).stem)
        mask = folder / f"{name}_mask.png"
        Image.fromarray(coco_mask.decode(coco_mask.merge(result.rles)) * 255).save(mask)
        content = result.save(folder / f"{name}_mask.json")
        return [*shown, *(gr.DownloadButton(value=str(file), interactive=True) for file in (mask, content))]

    def _text_html(self, clicks: Clicks) -> str:
        """:meth:`_text`, and the best names of a clicked object."""
        html, result = parts.message_html(self._text(clicks)), clicks.result
        has_names = clicks.corner is None and result is not None and any(result.top_names)
        return html + parts.names_html(result.top_names[0]) if has_names else html

    def _text(self, clicks: Clicks) -> str:
        """What was found from what, or what to do next."""
        result, exemplars = clicks.result, len(clicks.exemplars)
        if clicks.corner is not None:
            return "Now click on the opposite corner."
        if result is None or not len(result):
            return NOTHING_ALIKE if exemplars else self._ready
        if exemplars:
            found = f"{_counted(len(result), 'object')} like {_counted(exemplars, 'exemplar')}"
        else:
            prompts = ["a box"] if clicks.box is not None else []
            if count := len(clicks.points):
                prompts.append(_counted(count, "click"))
            found = f"Mask from {' and '.join(prompts)}"
        area = 100 * coco_mask.area(coco_mask.merge(result.rles)) / (result.size[0] * result.size[1])
        text = f"{found}: {area:.1f} % of the picture."
        if any(result.top_names):
            text += " It looks like:"
        elif names := dict.fromkeys(name for name in result.names if name):
            text += f" It looks like: {', '.join(names)}."
        return text


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _found_alike(
    clicks: Clicks, predictor: InteractivePredictor, exemplar: tuple[int, int, int, int, int]
) -> Clicks:
    """The state with one more exemplar, and all that is like them."""
    exemplars = np.array([*clicks.exemplars, exemplar], np.float32)
    if not exemplars[:, 4].any():
        raise Refused("Show what to find first, then what is not like it.")
    result = predictor.find_alike(exemplars[:, :4], labels=exemplars[:, 4])
    step = Step(result.replace(image=None), exemplar=exemplar)
    return replace(clicks, corner=None, steps=(*clicks.steps, step))


def _no_files() -> list[Any]:
    return [gr.DownloadButton(value=None, interactive=False) for _ in range(2)]


def view_scale(height: int, width: int) -> float:
    """Scale at which a picture is shown: an integer for small pictures, which stay sharp; below 1 for large ones."""
    longest = max(height, width)
    return LONGEST_VIEW / longest if longest > LONGEST_VIEW else max(SHORTEST_VIEW // longest, 1)


def resized(picture: np.ndarray, scale: float) -> np.ndarray:
    """A picture (H, W, 3) at the shown size."""
    if scale == 1:
        return picture
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method)


def draw_view(view: np.ndarray, clicks: Clicks) -> np.ndarray:
    """The masks and the prompts over a picture.

    Args:
        view: RGB uint8 (h, w, 3), the picture as it is shown.

    Returns:
        A new one.
    """
    result = clicks.result
    if result is not None and len(result):
        height, width = view.shape[:2]
        masks = (  # one at a time, as pictures are large
            cv2.resize(coco_mask.decode(rle), (width, height), interpolation=cv2.INTER_NEAREST)
            for rle in result.rles
        )
        view = result.replace(size=(height, width), rles=encode_masks(masks), image=None).draw(
            view, labels=False, by="identity"
        )
    return _with_marks(np.ascontiguousarray(view), clicks)


def _with_marks(picture: np.ndarray, clicks: Clicks) -> np.ndarray:
    """A copy with the box, its first corner, and + or exemplars in green, - in red."""

    def shown(*values: int) -> tuple[int, ...]:
        return tuple(round((value + 0.5) * clicks.scale) for value in values)

    picture = picture.copy() if clicks.box is None else draw_boxes(picture, np.array([shown(*clicks.box)]))
    radius = max(6, round(min(picture.shape[:2]) / 60))
    width = max(2, radius // 4)
    for *box, label in clicks.exemplars:
        left, top, right, bottom = shown(*box)
        for color, line in ((WHITE, width + 2), (GREEN if label else RED, width)):
            cv2.rectangle(picture, (left, top), (right, bottom), color, line, cv2.LINE_AA)
    if clicks.corner is not None:
        for color, line in (((0, 0, 0), width + 2), (WHITE, width)):
            cv2.drawMarker(
                picture, shown(*clicks.corner), color, cv2.MARKER_CROSS, 4 * radius, line, cv2.LINE_AA
            )
    for column, row, label in clicks.points:
        x, y = shown(column, row)
        cv2.circle(picture, (x, y), radius + width, WHITE, -1, cv2.LINE_AA)
        cv2.circle(picture, (x, y), radius, GREEN if label else RED, -1, cv2.LINE_AA)
        arm = radius // 2
        cv2.line(picture, (x - arm, y), (x + arm, y), WHITE, width)
        if label:
            cv2.line(picture, (x, y - arm), (x, y + arm), WHITE, width)
    return picture
