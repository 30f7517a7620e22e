"""The 3D view: a translucent head with the lesions and the ventricles inside it, as a plotly figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from hemobench.inference.overview.style import TYPE_COLOURS, VENTRICLE_COLOUR, millilitres
from hemobench.inference.report import Lesion
from hemobench.inference.surface import Surface

HEAD, VENTRICLES = "head", "ventricles"
# Seen from the patient's front and left, a little from above, from so far that the head fits a phone; in units of the
# scene's largest side.
CAMERA = {
    "eye": {"x": -1.02, "y": 1.38, "z": 0.47},
    "up": {"x": 0, "y": 0, "z": 1},
    "center": {"x": 0, "y": 0, "z": -0.03},
}
_HEAD_COLOURS = {True: (214, 222, 235), False: (96, 112, 138)}
_INK = {True: "#c3cad6", False: "#4a5568"}
_HEAD_OPACITY = {True: 0.18, False: 0.16}
# Of the ventricles, alone and with lesions that may lie inside them.
_VENTRICLE_OPACITY = {False: 0.85, True: 0.3}
# Matt, so that the shape is read from shading and not from glints.
_LIGHT = {"ambient": 0.5, "diffuse": 0.75, "specular": 0.15, "roughness": 0.9, "fresnel": 0.05}
_HEAD_LIGHT = {"ambient": 0.5, "diffuse": 0.8, "specular": 0.2, "roughness": 0.7, "fresnel": 0.6}
_LIGHT_FROM = {"x": -70_000, "y": 90_000, "z": 80_000}
# Letters stand this far from the head.
_LETTER_GAP_MM = 12.0
_MOST_IN_U2 = 2**16
# Left in: save a picture, and back to the first view.
_BUTTONS = ["zoom3d", "pan3d", "orbitRotation", "tableRotation", "resetCameraLastSave3d", "hoverClosest3d"]
NOTHING = "No 3D view: the scan has no millimetres, is a single slice, or nothing stands out from its background."


def surface_figure(surfaces: Sequence[Surface], *, lesions: Iterable[Lesion] = (), dark: bool = False) -> go.Figure:
    """The surfaces that `hemobench.inference.surface.surfaces` gives, in the patient's millimetres (RAS+).

    `lesions` are the report's: with them the words say the counted volume, without them what the surface encloses. The
    background is transparent; `dark` chooses ink that is legible on a dark page. A figure without surfaces says why.
    """
    figure = go.Figure()
    counted_ml = {one.number: one.volume_ml for one in lesions}
    named: set[str] = set()
    order = {VENTRICLES: 1, HEAD: 2}
    beside = any(one.lesion is not None for one in surfaces)
    # The translucent last, the head after the ventricles: what is drawn before shines through.
    for surface in sorted(surfaces, key=lambda one: order.get(one.structure, 0)):
        volume_ml = counted_ml.get(surface.lesion or 0)
        volume_ml = surface.volume_ml if volume_ml is None else volume_ml
        figure.add_trace(_mesh(surface, volume_ml, first=surface.structure not in named, dark=dark, beside=beside))
        named.add(surface.structure)
    if surfaces:
        figure.add_trace(_letters(surfaces, dark))
    else:
        figure.add_annotation(text=_wrapped(NOTHING), showarrow=False, font={"size": 14, "color": _INK[dark]})
    return _styled(figure, dark)


def surface_words(surface: Surface, volume_ml: float) -> str:
    """What the pointer shows.

    >>> import numpy as np
    >>> empty = np.zeros((0, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.int32)
    >>> surface_words(Surface("epidural", *empty, lesion=1), 23.04)
    'Lesion 1: epidural, 23.0 mL'
    """
    if surface.structure == HEAD:
        return "Outline of the head"
    amount = f"{millilitres(volume_ml)} mL"
    name = "Ventricles" if surface.structure == VENTRICLES else f"Lesion {surface.lesion}: {surface.structure}"
    return f"{name}, {amount}"


def _mesh(surface: Surface, volume_ml: float, *, first: bool, dark: bool, beside: bool) -> go.Mesh3d:
    head = surface.structure == HEAD
    opacity = {HEAD: _HEAD_OPACITY[dark], VENTRICLES: _VENTRICLE_OPACITY[beside]}.get(surface.structure, 1.0)
    colour = _HEAD_COLOURS[dark] if head else TYPE_COLOURS.get(surface.structure, VENTRICLE_COLOUR)
    vertices = np.round(surface.vertices_mm, 1)
    faces = surface.faces.astype(np.uint16) if len(vertices) < _MOST_IN_U2 else surface.faces
    red, green, blue = colour
    return go.Mesh3d(
        x=vertices[:, 0],
        y=vertices[:, 1],
        z=vertices[:, 2],
        i=faces[:, 0],
        j=faces[:, 1],
        k=faces[:, 2],
        color=f"rgb({red},{green},{blue})",
        opacity=opacity,
        lighting=_HEAD_LIGHT if head else _LIGHT,
        lightposition=_LIGHT_FROM,
        flatshading=False,
        name=surface.structure.capitalize(),
        legendgroup=surface.structure,
        showlegend=first,
        # The head would answer wherever the pointer goes to a lesion inside it.
        hoverinfo="skip" if head else "text",
        text=None if head else surface_words(surface, volume_ml),
    )


def _letters(surfaces: Sequence[Surface], dark: bool) -> go.Scatter3d:
    """R, L, A, P, S, I around the head: a turned head without them has no sides."""
    low, high = _bounds(surfaces)
    middle = (low + high) / 2
    ends = ((1, 0, "R"), (-1, 0, "L"), (1, 1, "A"), (-1, 1, "P"), (1, 2, "S"), (-1, 2, "I"))
    places = np.tile(middle, (len(ends), 1))
    for place, (sign, axis, _) in zip(places, ends, strict=True):
        place[axis] = (high if sign > 0 else low)[axis] + sign * _LETTER_GAP_MM
    return go.Scatter3d(
        x=places[:, 0].round(1).tolist(),
        y=places[:, 1].round(1).tolist(),
        z=places[:, 2].round(1).tolist(),
        mode="text",
        text=[letter for *_, letter in ends],
        hoverinfo="skip",
        showlegend=False,
        textfont={"size": 15, "color": _INK[dark]},
    )


def _bounds(surfaces: Sequence[Surface]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lowest and the highest corner (3,) in mm of all surfaces together."""
    low = np.min([one.vertices_mm.min(axis=0) for one in surfaces], axis=0)
    high = np.max([one.vertices_mm.max(axis=0) for one in surfaces], axis=0)
    return low.astype(np.float64), high.astype(np.float64)


def _styled(figure: go.Figure, dark: bool) -> go.Figure:
    hidden: dict[str, Any] = {"visible": False, "showspikes": False}
    figure.update_layout(
        template=go.layout.Template(),
        height=480,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": _INK[dark]},
        scene={
            "xaxis": hidden,
            "yaxis": hidden,
            "zaxis": hidden,
            "aspectmode": "data",
            "camera": CAMERA,
            "dragmode": "turntable",
            "bgcolor": "rgba(0,0,0,0)",
            "domain": {"x": [0, 1], "y": [0.07, 1]},
        },
        legend={
            "orientation": "h",
            "x": 0.5,
            "xanchor": "center",
            "y": 0.0,
            "yanchor": "bottom",
            "itemsizing": "constant",
        },
        hoverlabel={"font": {"size": 14}},
        uirevision="kept",
        modebar={"remove": _BUTTONS, "bgcolor": "rgba(0,0,0,0)", "color": _INK[dark]},
    )
    if not figure.data:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    return figure


def _wrapped(text: str) -> str:
    return text.replace(": ", ":<br>").replace(", or", ",<br>or")
