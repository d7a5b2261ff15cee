"""The report: what it draws, says and refers to; in whatever state the data are."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bittern.ops import binarize
from bittern.ops.estimators import ESTIMATORS
from bittern.study import Instrument, Measure, StudyError, latent_weights
from bittern.study.files import write_arrays
from bittern.study.landscape import LANDSCAPE_FILE, Landscape
from bittern.study.read import StudyData, read_study
from bittern.study.report import Report
from bittern.study.report.diagnosis import diagnose
from bittern.study.report.figures import CHARTS, SECTIONS, TOYS
from bittern.study.report.published import PUBLISHED, share_below_rival
from bittern.study.report.rules import RULES, Rule
from study.browser import look, needs_chromium
from study.small import network, study_of

REFERENCES = {"src", "href", "xlink:href", "data", "action", "srcset", "poster"}
MORE = [chart for chart in CHARTS if chart.name in ("agreement", "oscillating", "c2i_references")]
"""Charts that need a probe, more steps than the run's 44, or references."""
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Titles of figures, ids, references, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.labels: list[str] = []
        self.feed(html)
        self.close()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._see(tag, attrs)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._see(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def _see(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in REFERENCES:
                self.references.append(value or "")
            if name == "aria-label":
                self.labels.append(value or "")


@pytest.fixture(scope="module")
def complete(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A watched run with a landscape; not to be written to."""
    folder = tmp_path_factory.mktemp("complete") / "run"
    shutil.copytree(trained_run, folder)
    axis = np.linspace(-1, 1, 5)
    surface = Landscape(axis, axis, 1 + axis[:, None] ** 2 + axis[None] ** 2, np.ones((5, 5)))
    write_arrays(folder / "study" / LANDSCAPE_FILE, surface.arrays())
    return folder


@pytest.fixture
def run(complete: Path, tmp_path: Path) -> Path:
    """A copy of it, to be written to."""
    return Path(shutil.copytree(complete, tmp_path / "run"))


@pytest.fixture(scope="module")
def drawn(complete: Path) -> tuple[str, Page]:
    """The page on it, with the toy problems."""
    return page_of(complete, toys=True)


def page_of(*folders: Path, toys: bool = False) -> tuple[str, Page]:
    html = Report([read_study(folder) for folder in folders], toys=toys).html()
    return html, Page(html)


def test_every_figure_is_on_the_page_but_those_that_need_more(drawn: tuple[str, Page]) -> None:
    html, page = drawn
    expected = {f"figure-{chart.name}{'-0' if chart.each else ''}" for chart in (*CHARTS, *TOYS) if chart not in MORE}
    assert {name for name in page.ids if name.startswith("figure-")} == expected
    assert page.tags.count("svg") == len(expected)
    assert all(label in page.labels for label in (chart.title for chart in CHARTS if chart not in MORE))
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
            assert all(value in html for _, value in row.values)


def test_the_json_holds_the_same(run: Path) -> None:
    report = Report([read_study(run)])
    found = json.loads(json.dumps(report.to_json()))
    (one,) = found["runs"]
    assert one["run"] == "run"
    assert 0 <= one["figures"]["Test accuracy"] <= 1
    assert set(one["last"]["c2i"]) == {"blocks.0.conv", "blocks.1.conv"}
    assert one["missing"] == []
    assert any(row["values"].get("Adam") == "23.81 %" for row in found["published"])


def test_measures_of_ones_own_and_references_are_on_the_page(tmp_path: Path) -> None:
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


GAP = "step,ff,ff_last\n1,0,0\n4,0,0\n5,0,0\n"
ODD = '{"kind": "sample", "step": 1, "values": {"ff": 3}}\n'


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda run: cut(run / "study" / "readings.jsonl"), "1 line of readings.jsonl: cut short or damaged"),
        (lambda run: (run / "study" / "readings.jsonl").unlink(), "readings.jsonl: there is no such file"),
        (lambda run: (run / "study" / "steps.csv").write_text("step,ff,ff_last\nno"), "1 line of steps.csv"),
        (lambda run: (run / "study" / "steps.csv").unlink(), "steps.csv: there is no such file"),
        (lambda run: (run / "study" / "steps.csv").write_text(GAP), "2 steps of steps.csv: the run was killed"),
        (lambda run: cut(sorted((run / "study" / "snapshots").iterdir())[0]), "the files are damaged"),
        (lambda run: (run / "study" / "study.json").write_text("{"), "study.json: it is damaged"),
        (lambda run: (run / "study" / "study.json").write_text("[]"), "it is not what Bittern writes"),
        (lambda run: (run / "study" / "study.json").write_text('{"format": 7}'), "study.json has format 7"),
        (lambda run: (run / "log.csv").unlink(), "there is no log.csv"),
        (lambda run: (run / "model.json").unlink(), "the run is not finished"),
        (lambda run: shutil.rmtree(run / "study"), "trained without --study"),
        (
            lambda run: (run / "study" / "readings.jsonl").write_text('{"kind":"sample","step":1,"values":{"ff":3}}\n'),
            "1 line",
        ),
    ],
)
def test_what_is_missing_is_named(damage: Any, named: str, run: Path) -> None:
    damage(run)
    report = Report([read_study(run)])
    json.dumps(report.to_json())
    drawn_from = report.runs[0].arrays("latent_cam")
    assert drawn_from is not None
    assert any(named in line for line in report.runs[0].missing)


LOG = "stage,epoch,step,flip_rate\nfloat,1,10,\nfloat,2,20,\nbinary,1,30,{rate}\nbinary,2,40,{rate}\nend,1,50,{last}\n"


@pytest.mark.parametrize(
    ("first", "last", "flips", "named"),
    [
        (21, 40, ("0.1", ""), []),  # whole stages without binary weights stand before and behind
        (21, 50, ("0.1", "0.1"), []),
        (26, 50, ("0.1", "0.1"), ["steps 1 to 25: the study began after them"]),
        (31, 50, ("0.1", "0.1"), ["steps 1 to 30: the study began after them"]),
        (16, 50, ("0.1", "0.1"), ["steps 1 to 15: the study began after them"]),
        (21, 40, ("0.1", "0.1"), ["steps 41 to 50: the run went on without --study"]),
        (21, 33, ("0.1", ""), ["steps 34 to 50: the run went on without --study"]),
    ],
)
def test_steps_that_were_not_watched_are_named(
    first: int, last: int, flips: tuple[str, str], named: list[str], run: Path
) -> None:
    (run / "log.csv").write_text(LOG.format(rate=flips[0], last=flips[1]))
    rows = "".join(f"{step},0,0\n" for step in range(first, last + 1))
    (run / "study" / "steps.csv").write_text("step,ff,ff_last\n" + rows)
    found = read_study(run).missing
    assert len(found) == len(named)
    assert all(line.startswith(start) for line, start in zip(found, named, strict=True))


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
    assert "Figures that there is nothing to draw for" in html or kept == "figure-ff"
    assert not page.open


@pytest.mark.parametrize(
    ("make", "message"), [(None, "does not exist"), ("file", "is a file"), ("folder", "neither a study")]
)
def test_what_is_no_run_is_refused(make: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    if make == "file":
        path.touch()
    elif make == "folder":
        path.mkdir()
    with pytest.raises(StudyError, match=message):
        read_study(path)


def test_the_studys_own_folder_may_be_named(run: Path) -> None:
    data = read_study(run / "study")
    assert data.name == "run/study"
    assert data.log
    assert data.measures == read_study(run).measures


def data(
    tmp_path: Path, measure: str, values: list[list[float]], *, latent_free: bool = False, ff: Any = (), first: int = 5
) -> StudyData:
    """A study of two layers that read ``measure`` every 10 steps, an epoch being 20."""
    samples = [(10 * (i + 1), {measure: dict(zip(("a", "b"), row, strict=False))}) for i, row in enumerate(values)]
    epochs = [{"step": 20 * n, "stage": "s", "epoch": n} for n in range(1, 9)]
    layers = [{"name": "a", "weights": 30, "filters": 3}, {"name": "b", "weights": 10, "filters": 1}]
    steps = np.array([[i + 1, v, v] for i, v in enumerate(ff)], float).reshape(len(ff), 3)
    stage = {"step": first, "stage": "s", "latent_free": latent_free}
    return StudyData(tmp_path, "run", {"layers": layers}, steps, samples, epochs, [stage], [], {})


def test_means_over_layers_are_by_their_weights(tmp_path: Path) -> None:
    steps, means = data(tmp_path, "c2i", [[1.0, 0.6], [0.5, 0.5]]).mean("c2i")
    assert steps.tolist() == [10, 20]
    assert means.tolist() == pytest.approx([0.9, 0.5])


def test_flips_are_averaged_over_the_last_stage_alone(tmp_path: Path) -> None:
    run = data(tmp_path, "", [], ff=[0.5] * 5 + [0.1, 0.3], first=5)  # 5 steps of a stage whose weights are real
    (row,) = (row for row in PUBLISHED if row.name.startswith("Flip-flop ratio"))
    assert row.measured(run, [run]) == pytest.approx(0.2)
    assert row.note == "counted in the last stage"
    run.stages[-1]["step"] = 7
    assert row.measured(run, [run]) is None


def test_means_over_activations_are_even(tmp_path: Path) -> None:
    run = data(tmp_path, "saturation", [[1.0, 0.5]])
    run.samples[0][1]["saturation"]["a.rsign"] = 0.0  # a site that is no layer
    assert run.mean("saturation")[1].tolist() == [0.5]
    run.samples[0][1]["saturation"] = {"a": 1.0, "b": 0.5}
    assert run.mean("saturation")[1].tolist() == [0.75]


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.measure != "ff_step"], ids=lambda rule: rule.name)
def test_rules_on_signs_of_weights_are_not_for_networks_that_read_their_values(rule: Rule, tmp_path: Path) -> None:
    beyond = rule.threshold + (0.01 if rule.side == "above" else -0.01)
    run = data(tmp_path, rule.measure, [[beyond, beyond]] * 4, latent_free=rule.weights == "latent-free")
    run.stages[-1]["binarized"] = False
    applies = rule.instrument in ("saturation", "channels")
    assert bool(diagnose(run, (rule,)).findings) == applies
    assert diagnose(run, (rule,)).unchecked == ()


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.measure != "ff_step"], ids=lambda rule: rule.name)
def test_every_rule_holds_beyond_its_threshold_and_nowhere_else(rule: Rule, tmp_path: Path) -> None:
    free = rule.weights == "latent-free"
    side = 1 if rule.side == "above" else -1
    near, beyond = rule.threshold - side * 1e-6, rule.threshold + side * 0.01
    for values, holds in ((near, False), (beyond, True)):
        run = data(tmp_path, rule.measure, [[near, near]] * 4 + [[values, values]] * 4, latent_free=free)
        diagnosis = diagnose(run, (rule,))
        assert bool(diagnosis.findings) == holds
        assert bool(diagnosis.passed) != holds
    (finding,) = diagnosis.findings
    assert finding.source == rule.source
    assert "{" not in finding.text + finding.advice
    if "{since}" in rule.says:
        assert "since epoch 3" in finding.text  # step 50 is in the third epoch of 20 steps


@pytest.mark.parametrize("rule", [rule for rule in RULES if "beyond 1" in rule.says], ids=lambda rule: rule.name)
def test_estimators_that_are_said_to_pass_no_gradient_pass_none(rule: Rule) -> None:
    x = torch.tensor([-1.1, 1.1], requires_grad=True)
    named = {name for name in ESTIMATORS if re.search(rf"\b{name}\b", rule.says)}
    assert named
    for name in named:
        (gradient,) = torch.autograd.grad(binarize(x, name).sum(), x)
        assert not gradient.any()


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.measure == "ff_step"], ids=lambda rule: rule.name)
def test_restless_signs_are_judged_by_the_end_of_the_run(rule: Rule, tmp_path: Path) -> None:
    free = rule.weights == "latent-free"
    high, low = [2 * rule.threshold] * 100, [0.0] * 100
    assert diagnose(data(tmp_path, "", [], latent_free=free, ff=low + high), (rule,)).findings
    assert not diagnose(data(tmp_path, "", [], latent_free=free, ff=high + low), (rule,)).findings
    assert diagnose(data(tmp_path, "", [], latent_free=free, ff=high[:3]), (rule,)).unchecked == (rule.name,)
    other = diagnose(data(tmp_path, "", [], latent_free=not free, ff=high), (rule,))
    assert not other.findings
    assert not other.unchecked


def test_nothing_is_lost_where_nothing_was_learned_before(tmp_path: Path) -> None:
    (rule,) = (rule for rule in RULES if rule.continued)
    values = [[0.5, 0.5]] * 3
    assert diagnose(data(tmp_path, rule.measure, values), (rule,)).findings
    diagnosis = diagnose(data(tmp_path, rule.measure, values, first=0), (rule,))
    assert not diagnosis.findings
    assert not diagnosis.passed


def test_the_worst_layer_is_named_and_the_others_counted(tmp_path: Path) -> None:
    (rule,) = (rule for rule in RULES if rule.name == "dead channels")
    (finding,) = diagnose(data(tmp_path, "dead_channels", [[0.0, 0.2], [0.38, 0.2]]), (rule,)).findings
    assert finding.text.startswith("38 % of the channels that enter the sign of a ")
    assert "(1 more layer too)" in finding.text
    assert finding.layers == ("a", "b")


def test_what_was_not_measured_is_not_judged(tmp_path: Path) -> None:
    diagnosis = diagnose(data(tmp_path, "nothing", []))
    assert not diagnosis.findings
    assert not diagnosis.passed
    assert "saturated activations" in diagnosis.unchecked


def test_rules_and_charts_are_of_measures_that_instruments_have() -> None:
    from bittern.study.instruments import INSTRUMENTS

    for rule in RULES:
        names = {measure.name for measure in INSTRUMENTS[rule.instrument].measures}
        assert rule.measure in names or rule.measure == "ff_step"
    assert {chart.section for chart in (*CHARTS, *TOYS)} <= set(SECTIONS)
    assert len({chart.name for chart in (*CHARTS, *TOYS)}) == len((*CHARTS, *TOYS))


def test_the_share_below_a_rival_is_counted_on_filters(tmp_path: Path) -> None:
    runs = []
    for name, cams in (("a", [1.0, 2.0, 3.0, 4.0]), ("b", [2.5, 9.0, 9.0, 9.0])):
        run = data(tmp_path / name, "x", [])
        (run.folder / "snapshots").mkdir(parents=True)
        write_arrays(run.folder / "snapshots" / "00000020.npz", {"update_cam|a": np.array(cams, np.float32)})
        runs.append(run)
    assert share_below_rival(runs[0], runs[1]) == 0.5
    assert share_below_rival(runs[1], runs[0]) == 0.0
    assert share_below_rival(runs[0], data(tmp_path / "c", "x", [])) is None


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_every_figure_without_a_complaint(
    width: int, dark: bool, drawn: tuple[str, Page], tmp_path: Path
) -> None:
    page = tmp_path / "study.html"
    page.write_text(drawn[0], "utf-8")
    seen = look(page, tmp_path, width=width, dark=dark)
    assert seen.console == []
    assert seen.figures == len(CHARTS) + len(TOYS) - len(MORE)
    assert seen.blank == []
    assert seen.overflow == 0
    assert seen.requests == 0
    light = sum(map(int, re.findall(r"\d+", seen.background)[:3])) > 3 * 128
    assert light != dark
    assert (sum(map(int, re.findall(r"\d+", seen.ink)[:3])) > 3 * 115) == dark  # text of the charts is legible on it


@needs_chromium
@pytest.mark.slow
def test_the_browser_sees_a_page_that_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<html><head></head><body><figure id="empty"><svg width="10"></svg></figure>'
        '<div style="width:3000px">wide</div><script>console.error("wrong")</script></body></html>'
    )
    seen = look(page, tmp_path)
    assert len(seen.console) == 1
    assert seen.blank == ["empty"]
    assert seen.overflow > 0
