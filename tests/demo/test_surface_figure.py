"""The 3D figure: equal millimetres, the types' colours, words with the counted volume, a small payload."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import pytest

from demo.surface_figure import surface_figure
from hemobench.inference.report import Lesion
from hemobench.inference.surface import Surface, surface_mesh
from hemobench.volume import LABEL_MAP, Volume, display_affine


def ball(structure: str, radius: int, lesion: int | None = None) -> Surface:
    size = 2 * radius + 5
    offset = np.stack(np.mgrid[:size, :size, :size]) - size // 2
    mask = ((offset**2).sum(axis=0) <= radius**2).astype(np.uint8)
    one = surface_mesh(Volume(mask, display_affine(mask.shape, (1.0, 1.0, 1.0)), LABEL_MAP), 2.0, structure)
    return Surface(structure, one.vertices_mm, one.faces, lesion)


def lesion(number: int, subtype: str, volume_ml: float | None) -> Lesion:
    return Lesion(number, subtype, volume_ml, None, None, (0.0, 0.0, 0.0), 0, 1, 10, 0.9)


def meshes(figure: go.Figure) -> dict[str, go.Mesh3d]:
    return {trace.name: trace for trace in figure.data if trace.type == "mesh3d"}


def test_a_lesion_has_its_types_colour_and_the_counted_volume() -> None:
    found = surface_figure([ball("head", 20), ball("subdural", 6, 1)], lesions=[lesion(1, "subdural", 1.234)])
    drawn = meshes(found)
    # The palette of the overview and of the mask: Okabe-Ito's reddish purple.
    assert drawn["Subdural"].color == "rgb(204,121,167)"
    assert drawn["Subdural"].text == "Lesion 1: subdural, 1.2 mL"
    assert drawn["Head"].hoverinfo == "skip"
    assert drawn["Head"].opacity < 0.3


def test_without_lesions_the_surface_says_its_own_volume() -> None:
    drawn = meshes(surface_figure([ball("ventricles", 10)]))["Ventricles"]
    assert drawn.text.startswith("Ventricles, 4.")  # a ball of 10 mm holds 4.19 mL


def test_a_type_stands_once_in_the_legend() -> None:
    found = surface_figure([ball("epidural", 6, 1), ball("epidural", 4, 2), ball("subdural", 4, 3)])
    assert [trace.showlegend for trace in found.data] == [True, False, True, False]


def test_millimetres_are_equal_and_axes_are_not_drawn() -> None:
    scene = surface_figure([ball("head", 12)]).layout.scene
    assert scene.aspectmode == "data"
    assert [axis.visible for axis in (scene.xaxis, scene.yaxis, scene.zaxis)] == [False] * 3
    # From the front (anterior is +y) and the patient's left (-x).
    assert scene.camera.eye.x < 0 < scene.camera.eye.y


def test_vertices_and_faces_arrive_unchanged() -> None:
    one = ball("epidural", 7, 1)
    drawn = meshes(surface_figure([one]))["Epidural"]
    np.testing.assert_allclose(np.stack([drawn.x, drawn.y, drawn.z], axis=1), one.vertices_mm, atol=0.051)
    np.testing.assert_array_equal(np.stack([drawn.i, drawn.j, drawn.k], axis=1), one.faces)


def test_letters_stand_outside_on_their_sides() -> None:
    one = ball("head", 20)
    letters = next(trace for trace in surface_figure([one]).data if trace.type == "scatter3d")
    place = dict(zip(letters.text, zip(letters.x, letters.y, letters.z, strict=True), strict=True))
    assert place["R"][0] > one.vertices_mm[:, 0].max()
    assert place["L"][0] < one.vertices_mm[:, 0].min()
    assert place["A"][1] > one.vertices_mm[:, 1].max()
    assert place["I"][2] < one.vertices_mm[:, 2].min()


def test_ten_thousand_vertices_travel_in_a_small_payload() -> None:
    one = ball("head", 60)
    assert len(one.vertices_mm) > 10_000
    # 4 bytes a coordinate and 2 an index, in base64 (a third more) whose slashes JSON escapes.
    most = (len(one.vertices_mm) * 12 + len(one.faces) * 6) * 4 / 3 * 1.04 + 2000
    assert len(surface_figure([one]).to_json()) < most


def test_nothing_to_draw_says_so() -> None:
    found = surface_figure(())
    assert not found.data
    assert "no millimetres" in found.layout.annotations[0].text
    json.loads(found.to_json())


@pytest.mark.parametrize("module", ["surface_figure", "leaderboard", "about", "texts", "examples"])
def test_figures_tables_and_texts_import_without_gradio(module: str) -> None:
    code = f"import sys, demo.{module}; print('gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "False"
