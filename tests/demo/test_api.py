"""The endpoints as programs use them: gradio_client, MCP, and the README's own example. Nothing else is to be had."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import httpx
import nibabel
import pydicom
import pytest
from scans import ball_in_a_head, oblique_affine, write_dicom

from demo.examples import examples
from hemobench.inference.shipped import checkpoints_by_role
from hemobench.inference.study import analyse
from hemobench.io.nifti import write_nifti

gradio = pytest.importorskip("gradio", reason="the demo needs gradio")
gradio_client = pytest.importorskip("gradio_client", reason="the demo needs gradio")
README = Path(__file__).parents[2] / "README.md"
USAGE = README.parent / "docs" / "usage.md"
SHAPE, SPACING_MM = (10, 64, 60), (8.0, 3.0, 3.0)
NAME = "DOE_JOHN_1950"


@pytest.fixture(scope="module")
def client(demo: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return gradio_client.Client(demo.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / f"{NAME}.nii.gz"
    volume = ball_in_a_head(SHAPE, oblique_affine(SHAPE, SPACING_MM), centre_mm=(28, 25, 20), radius_mm=20)
    write_nifti(volume, path)
    return path


def test_three_endpoints_are_public_and_typed(client: Any) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/analyse", "/list_checkpoints", "/leaderboard"}
    parameters = {one["parameter_name"]: one["python_type"]["type"] for one in named["/analyse"]["parameters"]}
    assert parameters == {
        "scan": "filepath",
        "checkpoint": "str",
        "modality": "Literal['auto', 'CT', 'MR', 'grey']",
        "series": "str",
        "dicom_seg": "bool",
    }
    returns = [one["python_type"]["type"] for one in named["/analyse"]["returns"]]
    assert returns == ["dict(str, Any)", "None | filepath", "filepath", "None | filepath"]


def test_analyse_answers_as_the_pipeline_does(client: Any, scan: Path, hand_made: tuple[Path, ...]) -> None:
    report, mask, overview, segmentation = client.predict(gradio_client.handle_file(scan), api_name="/analyse")
    expected = analyse(scan, list(checkpoints_by_role(list(hand_made)).values())).to_mapping()
    for key in ("study", "slices", "lesions", "volume_ml", "source"):
        assert report[key] == json.loads(json.dumps(expected[key])), key
    assert nibabel.load(mask).shape == nibabel.load(scan).shape
    assert Path(overview).read_bytes().startswith(b"\x89PNG")
    assert segmentation is None
    assert NAME not in json.dumps([report, mask, overview])


def test_a_dicom_seg_comes_only_when_asked_for(client: Any, tmp_path: Path) -> None:
    import shutil

    volume = ball_in_a_head(SHAPE, oblique_affine(SHAPE, SPACING_MM), centre_mm=(28, 25, 20), radius_mm=20)
    folder = write_dicom(volume, tmp_path / "series")
    archive = gradio_client.handle_file(shutil.make_archive(str(tmp_path / "series"), "zip", folder))
    assert client.predict(archive, api_name="/analyse")[3] is None
    segmentation = client.predict(archive, dicom_seg=True, api_name="/analyse")[3]
    assert pydicom.dcmread(segmentation).Modality == "SEG"


def test_checkpoints_are_listed_with_their_hashes(client: Any, hand_made: tuple[Path, ...]) -> None:
    (choice,) = client.predict(api_name="/list_checkpoints")
    assert (choice["id"], choice["default"]) == ("hand-made", True)
    expected = {one.config.role: one.sha256 for one in checkpoints_by_role(list(hand_made)).values()}
    assert {one["role"]: one["sha256"] for one in choice["networks"]} == expected


def test_the_leaderboard_is_the_shipped_one(client: Any) -> None:
    leaderboard = client.predict(api_name="/leaderboard")
    assert {"suite", "created", "boards"} <= set(leaderboard)
    assert all(board["entries"] for board in leaderboard["boards"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"checkpoint": "someone/else"}, "unknown checkpoint 'someone/else'; known: hand-made"),
        ({"series": "3"}, "expected a DICOM folder or zip to choose from"),
        ({"dicom_seg": True}, "expected a DICOM series for a DICOM SEG"),
    ],
)
def test_a_refusal_is_one_line_without_names(client: Any, scan: Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=re.escape(words)) as caught:
        client.predict(gradio_client.handle_file(scan), **arguments, api_name="/analyse")
    assert NAME not in str(caught.value)
    assert "/tmp" not in str(caught.value)


def call(demo: Any, name: str, data: list[Any]) -> str:
    """The endpoint's answer over plain HTTP, as text."""
    event = httpx.post(f"{demo.url}gradio_api/call/{name}", json={"data": data}).raise_for_status().json()["event_id"]
    return httpx.get(f"{demo.url}gradio_api/call/{name}/{event}", timeout=60).text


def test_no_file_of_the_server_can_be_read(demo: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret.npy"
    secret.write_bytes(b"\x93NUMPY")
    for path in (str(secret), "/etc/hostname", str(README), f"{demo.folder}/../secret.npy", "", "a\0b"):
        for meta in ({"meta": {"_type": "gradio.FileData"}}, {}):
            answer = call(demo, "analyse", [{"path": path, **meta}])
            assert "event: error" in answer, path
            assert "none of the kinds" not in answer  # it was not opened
            assert "NUMPY" not in answer


def test_what_the_page_does_is_no_public_endpoint(demo: Any) -> None:
    dependencies = demo.blocks.config["dependencies"]
    public = {one["api_name"] for one in dependencies if one["api_visibility"] == "public"}
    assert public == {"analyse", "list_checkpoints", "leaderboard"}


def test_an_upload_that_is_too_large_is_stopped_while_it_comes(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.blocks, "max_file_size", 1000)
    before = set(demo.folder.rglob("*"))
    answer = httpx.post(f"{demo.url}gradio_api/upload", files={"files": (f"{NAME}.nii", b"x" * 5000)})
    assert answer.status_code == 413
    assert not [path for path in set(demo.folder.rglob("*")) - before if path.is_file()]


async def _use_tools(url: str, scan: Path) -> tuple[dict[str, Any], list[str], Any]:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async with (
        streamablehttp_client(f"{url}gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        tools = {one.name: one for one in (await session.list_tools()).tools}
        listed = await session.call_tool("list_checkpoints", {})
        content = base64.b64encode(scan.read_bytes()).decode()
        answer = await session.call_tool("analyse", {"scan": f"data:application/gzip;base64,{content}"})
        return tools, [one.text for one in listed.content], answer


def test_the_endpoints_are_mcp_tools_with_their_docstrings(demo: Any, scan: Path) -> None:
    pytest.importorskip("mcp", reason="MCP needs the mcp package")
    tools, listed, answer = asyncio.run(_use_tools(demo.url, scan))
    assert set(tools) == {"analyse", "list_checkpoints", "leaderboard"}
    assert "is there a haemorrhage" in tools["analyse"].description
    schema = tools["analyse"].inputSchema
    assert schema["required"] == ["scan"]
    assert "zip of a DICOM series" in schema["properties"]["scan"]["description"]
    assert schema["properties"]["modality"]["enum"] == ["auto", "CT", "MR", "grey"]
    assert "hand-made" in listed[0]
    assert not answer.isError, answer.content
    assert "intraparenchymal" in answer.content[0].text
    # Gradio writes such a file down before it looks at it: it must lie where files are deleted in time.
    kept = {path.read_bytes() for path in demo.folder.rglob("*.gz")}
    assert scan.read_bytes() in kept
    assert Path(gradio.mcp.DEFAULT_TEMP_DIR) == demo.folder


def test_the_example_for_programs_runs(demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", USAGE.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = [block for block in blocks if "gradio_client" in block]
    (tmp_path / "head.nii.gz").write_bytes(examples()[0].path.read_bytes())
    monkeypatch.chdir(tmp_path)
    told: dict[str, Any] = {}
    exec(compile(example.replace("http://127.0.0.1:7860", demo.url), "usage.md", "exec"), told)
    assert told["report"]["study"]["probabilities"]
    assert Path(told["mask"]).is_file()
