import json
from pathlib import Path

import pytest

from platform_api.cli.flow_versions import diff
from platform_api.cli.outcome import CommandError

FLOW = "flow: f\nnodes: {say: {type: template, with: {template: WORD}}}\n"


def written(folder: Path, word: str) -> str:
    path = folder / f"{word}.yaml"
    path.write_text(FLOW.replace("WORD", word), encoding="utf-8")
    return str(path)


def test_two_files_are_compared_step_by_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = diff(written(tmp_path, "one"), written(tmp_path, "two"), as_json=True)

    answer = json.loads(capsys.readouterr().out)
    assert (code, answer["is_empty"]) == (0, False)
    assert answer["difference"]["steps"][0]["fields"] == [{"path": "with.template", "before": "one", "after": "two"}]


def test_what_is_neither_file_nor_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"neither a \.yaml file nor name@version"):
        diff(written(tmp_path, "one"), "two")
    broken = tmp_path / "broken.yaml"
    broken.write_text("flow: f\n", encoding="utf-8")
    with pytest.raises(CommandError, match="has errors"):
        diff(str(broken), str(broken))
