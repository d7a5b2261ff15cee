"""The report: what it draws, says and refers to."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bittern.study import Instrument, Measure, latent_weights
from bittern.study.files import write_arrays
from bittern.study.instruments import MEASURES
from bittern.study.read import read_study
from bittern.study.report import Report
from bittern.study.report.charts import CHARTS, SECTIONS, TOYS
from bittern.study.report.published import PUBLISHED, share_below_rival
from bittern.study.report.rules import FF_PER_STEP, RULES
from study.page import NEED_MORE, Page, page_of
from study.small import network, study_data, study_of


def test_every_figure_is_on_the_page_but_those_that_need_more(drawn: tuple[str, Page]) -> None:
    html, page = drawn
    expected = {
        f"figure-{chart.name}{'-0' if chart.each else ''}" for chart in (*CHARTS, *TOYS) if chart not in NEED_MORE
    }
    assert {name for name in page.ids if name.startswith("figure-")} == expected
    assert page.tags.count("svg") == len(expected)
    assert all(label in page.labels for label in (chart.title for chart in CHARTS if chart not in NEED_MORE))
    assert not page.open
    assert 'id="missing"' not in html
    assert "10 steps: 2 samples, 5 steps apart" in html


def test_the_page_refers_to_nothing_outside_itself(drawn: tuple[str, Page], complete: Path) -> None:
    html, page = drawn
    assert page.references
    assert all(reference.startswith(("#", "data:image/png;base64,")) for reference in page.references)
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert str(complete.parent) not in html


def test_ids_are_the_pages_own_and_every_reference_to_one_is_met(drawn: tuple[str, Page]) -> None:
    html, page = drawn
    assert len(page.ids) == len(set(page.ids))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', html))
    assert used <= set(page.ids)


def test_charts_take_their_colours_from_the_page(drawn: tuple[str, Page]) -> None:
    html, _ = drawn
    assert "var(--run0)" in html
    assert "#0101" not in html


@pytest.mark.slow
def test_runs_side_by_side_have_figures_of_their_own(run: Path, trained_run: Path) -> None:
    html, page = page_of(run, trained_run)
    assert {"figure-cam_maps-0", "figure-cam_maps-1"} <= set(page.ids)
    assert html.count('class="legend"') >= 5
    assert "var(--run1)" in html


def test_published_figures_stand_beside_the_runs(drawn: tuple[str, Page]) -> None:
    html, _ = drawn
    for row in PUBLISHED:
        if row.name != "Filters that move less than the rival's least":  # needs two runs
            assert row.name in html
            assert all(value in html for value in row.published.values())


def test_the_json_holds_the_same(run: Path) -> None:
    report = Report([read_study(run)])
    found = json.loads(json.dumps(report.to_json()))
    (one,) = found["runs"]
    assert one["run"] == "run"
    assert 0 <= one["figures"]["Test accuracy"] <= 1
    assert set(one["last"]["c2i"]) == {"blocks.0.conv", "blocks.1.conv"}
    assert one["missing"] == []
    assert any(row["values"].get("Adam") == "23.81 %" for row in found["published"])


def test_custom_measures_and_references_are_on_the_page(tmp_path: Path) -> None:
    class Norm(Instrument):
        """The norm of a layer's weights."""

        name = "norm"
        source = "us"
        measures = (Measure("norm", "||w||", "weight"),)

        def read(self, look: Any, snapshot: bool) -> Any:
            return {"norm": {w.name: look.value(w).new_tensor(2.5) for w in look.weights}}

    start = {weight.name: weight.parameter.detach() for weight in latent_weights(network(1))}
    study_of(tmp_path, 10, instruments=["c2i", Norm()], references={"teacher": start})
    html, page = page_of(tmp_path)
    assert "figure-c2i_references" in page.ids
    assert re.search(r"<code>norm</code><small>\|\|w\|\|</small></td>\s*<td[^>]*>2.5</td>", html)
    assert re.search(r"<code>norm</code></td>.*\|\|w\|\|.*weight.*us", html)
    assert re.search(r"<code>c2i_teacher</code></td>.*sign\(w_teacher\)", html)
    assert not page.open


@pytest.mark.slow
def test_a_name_with_markup_is_text(run: Path) -> None:
    odd = run.rename(run.parent / "a<b>&")
    html, page = page_of(odd)
    assert "a&lt;b&gt;&amp;" in html
    assert not page.open


def test_toys_alone_are_a_page() -> None:
    html, page = page_of(toys=True)
    assert page.tags.count("svg") == len(TOYS)
    assert "Two toy problems" in html


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda run: shutil.rmtree(run / "study" / "snapshots"), "figure-ff"),
        (lambda run: (run / "study" / "readings.jsonl").write_text("broken\n"), "figure-gradient_histogram"),
        (lambda run: shutil.rmtree(run / "study"), "figure-loss"),
        (lambda run: (run / "study" / "study.json").unlink(), "figure-ff"),
    ],
)
def test_what_is_there_is_shown_beside_what_is_not(damage: Any, kept: str, run: Path) -> None:
    damage(run)
    html, page = page_of(run)
    assert kept in page.ids
    assert 'id="missing"' in html
    assert "No data to draw" in html or kept == "figure-ff"
    assert not page.open


def test_flips_are_averaged_over_the_last_stage_alone(tmp_path: Path) -> None:
    run = study_data(tmp_path, "", [], ff=[0.5] * 5 + [0.1, 0.3], first=5)  # 5 steps of a stage whose weights are real
    (row,) = (row for row in PUBLISHED if row.name.startswith("Flip-flop ratio"))
    assert row.measured(run, [run]) == pytest.approx(0.2)
    assert row.note == "counted in the last stage"
    run.stages[-1]["step"] = 7
    assert row.measured(run, [run]) is None


def test_rules_and_charts_are_of_measures_and_sections_that_exist() -> None:
    assert {rule.limit.measure for rule in RULES} <= set(MEASURES) | {FF_PER_STEP}
    assert {chart.section for chart in (*CHARTS, *TOYS)} <= set(SECTIONS)
    assert len({chart.name for chart in (*CHARTS, *TOYS)}) == len((*CHARTS, *TOYS))


def test_the_share_below_a_rival_is_counted_on_filters(tmp_path: Path) -> None:
    runs = []
    for name, cams in (("a", [1.0, 2.0, 3.0, 4.0]), ("b", [2.5, 9.0, 9.0, 9.0])):
        run = study_data(tmp_path / name, "x", [])
        (run.folder / "snapshots").mkdir(parents=True)
        write_arrays(run.folder / "snapshots" / "00000020.npz", {"update_cam|a": np.array(cams, np.float32)})
        runs.append(run)
    assert share_below_rival(runs[0], runs[1]) == 0.5
    assert share_below_rival(runs[1], runs[0]) == 0.0
    assert share_below_rival(runs[0], study_data(tmp_path / "c", "x", [])) is None
