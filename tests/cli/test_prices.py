"""`agent-fuse prices`: what a model costs and why, with one's own prices and without."""

import json
import re

import pytest

OWN = """
"prod-chat" = "gpt-4o"
"mine-*" = "base"
[base]
input = 1
output = 2
["ft:gpt-4o*"]
input = 3.75
output = 15
"""


@pytest.fixture
def file(tmp_path):
    """A file of prices."""
    path = tmp_path / "prices.toml"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("gpt-4o", "gpt-4o of openai in the bundled price data"),
        (
            "prod-chat",
            "your own entry 'prod-chat' in FILE, another name of gpt-4o; gpt-4o of openai in the bundled price data",
        ),
        ("ft:gpt-4o-mini:acme::1", "your own pattern 'ft:gpt-4o*' in FILE"),
        ("base", "your own entry 'base' in FILE"),
        ("mine-1", "your own pattern 'mine-*' in FILE, another name of base; whose price is your own, too: 'base'"),
        ("ft:gpt-5-mini:acme::1", "twice its base gpt-5-mini, gpt-5-mini of openai in the bundled price data"),
        ("nobody-knows-it", "no price is known: reckoned at the fallback; give it one with prices={...}"),
    ],
)
@pytest.mark.parametrize("how", ["option", "environment"])
def test_why(run, file, monkeypatch, model, why, how):
    """The reason names the entry of one's own and its file, the model it stands for, and the price data's entry."""
    if how == "environment":
        monkeypatch.setenv("AGENTFUSE_PRICES", str(file))
    given = ("--prices", str(file)) if how == "option" else ()
    why = why.replace("FILE", str(file))
    assert json.loads(run("prices", model, "--json", *given).out)["why"] == why
    assert f"Why: {why}\n" in run("prices", model, *given).out


def test_json_tells_the_entry(run, file):
    """JSON names the entry and the alias apart."""
    found = json.loads(run("prices", "mine-7", "--prices", file, "--json").out)
    assert (found["entry"], found["alias_of"], found["origin"]) == ("mine-*", "base", "override")
    assert found["tiers"][0]["input_usd_per_mtok"] == "1"


def test_a_fine_tune_is_twice_its_base(run):
    """The price data has fine-tunes of few models; the reason says when a base's price was doubled."""
    found = json.loads(run("prices", "ft:gpt-4o-mini:acme::1", "--json").out)
    base = json.loads(run("prices", "gpt-4o-mini", "--json").out)
    ratio = float(found["tiers"][0]["input_usd_per_mtok"]) / float(base["tiers"][0]["input_usd_per_mtok"])
    assert (ratio == 2) is found["why"].startswith("twice its base gpt-4o-mini")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("gpt-4o", "--provider", "nope"),
            "--provider is 'nope', which the price data does not know; there are anthropic,",
        ),
        (
            ("gpt-4o", "--provider", "opena"),
            "--provider is 'opena', which the price data does not know; did you mean 'openai'?",
        ),
        (("gpt-4o", "--prices", "no.toml"), "AGENTFUSE_PRICES is 'no.toml', and there is no such file"),
    ],
)
def test_slips(run, tmp_path, monkeypatch, arguments, told):
    """A provider that there is not and a file that is not there are bad usage, in one line."""
    monkeypatch.chdir(tmp_path)
    done = run("prices", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"agent-fuse: {told}")


@pytest.mark.parametrize("name", ["azure.ai.openai", "openai", "xai", "gcp.gemini"])
def test_providers_as_instrumentations_write_them(run, name):
    """A provider may be named as spans name it."""
    assert run("prices", "gpt-4o", "--provider", name).code == 0


def test_what_is_priced_apart(run):
    """Batches, fast mode and US-only inference, each with its source."""
    apart = {one["asked"]: one for one in json.loads(run("prices", "claude-opus-4-6", "--json").out)["apart"]}
    found = {asked: one["tiers"][0]["input_usd_per_mtok"] for asked, one in apart.items()}
    assert found == {
        "a batch": "2.5",
        'speed or service_tier "fast"': "30",
        'inference_geo="us"': "5.5",
        "a regional endpoint": "5.5",
    }
    assert all(re.search(r"genai-prices [0-9.]+|20[0-9]{2}-[0-9]{2}", one["source"]) for one in apart.values())
    assert 'inference_geo="us": input $5.50, output $27.50' in run("prices", "claude-opus-4-6").out
    assert json.loads(run("prices", "nobody-knows-it", "--json").out)["apart"] == []


RATES = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "input_audio", "output_audio")
RATES += ("input_image", "output_image", "output_text", "cache_read_audio", "cache_read_image", "reasoning")


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-4o", "gpt-image-1", "tts-1", "whisper-1", "sora-2", "claude-sonnet-4-5", "gpt-4o-audio-preview"),
        *("base", "ft:gpt-5-mini:acme::1", "nobody-knows-it", "gemini-2.5-flash", "grok-4-0709", "sonar-pro"),
        *("rerank-v3.5", "gpt-live-1.1", "amazon.nova-pro-v1:0"),
    ],
)
def test_every_rate_names_its_source(run, file, model):
    """Each rate and each fee that is not 0 stands under one source: dated, of a version, or in words."""
    found = json.loads(run("prices", model, "--json", "--prices", file).out)
    sourced = [rate for one in found["sources"] for rate in one["rates"]]
    fees = [name.removesuffix("_usd") for name, usd in found.items() if name.startswith("per_") and usd != "0"]
    assert sorted(sourced) == sorted([*RATES, *fees])
    for source in [*(one["source"] for one in found["sources"]), *(one["source"] for one in found["units"])]:
        assert re.search(r"genai-prices [0-9.]+, from https://|20[0-9]{2}-[0-9]{2}|not priced apart|your own", source)


@pytest.mark.parametrize(
    ("model", "units"),
    [
        ("sora-2-pro", {"a second of video at 720p": "0.3", "a second of video at 1080p": "0.7"}),
        ("dall-e-3", {"an image of 1024x1024": "0.04", "an image in hd of 1792x1024": "0.12"}),
        ("gpt-image-1", {"an image of high quality, square": "0.1664"}),
        ("gpt-4.1-nano", {"a million trained tokens": "1.5"}),
    ],
)
def test_prices_by_the_unit(run, model, units):
    """What a model is billed by besides tokens is told with its source, on a terminal too."""
    found = {one["unit"]: one["usd"] for one in json.loads(run("prices", model, "--json").out)["units"]}
    assert found.items() >= units.items()
    shown = run("prices", model).out
    assert all(f"and ${usd} {unit}\n" in shown for unit, usd in units.items())


@pytest.mark.parametrize(
    "model", ["claude-sonnet-4-5", "gpt-4o-audio-preview", "gpt-4-turbo", "gpt-5", "nobody-knows-it"]
)
def test_models_of_text_have_no_units(run, model):
    """Only those that draw, film or can be trained have prices by the unit."""
    assert json.loads(run("prices", model, "--json").out)["units"] == []


def test_audio_of_our_own_table_names_it(run):
    """The data lacks the rates of this model's audio; they are told to be from another source than its text's."""
    by_rate = {
        rate: one["source"]
        for one in json.loads(run("prices", "gpt-4o-audio-preview", "--json").out)["sources"]
        for rate in one["rates"]
    }
    assert "Audio tokens" in by_rate["input_audio"]
    assert "genai-prices" in by_rate["input"]
