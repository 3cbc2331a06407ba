"""Prices that people set: names, patterns and aliases, from code, a file or the environment; one-line errors for slips."""

import json
from decimal import Decimal

import pytest

from agent_fuse import ConfigurationError, Price, Usage
from agent_fuse.prices import PriceBook
from agent_fuse.quotes import Quoter
from agent_fuse.quoting.rates import Origin
from agent_fuse.settings import settings

USAGE = Usage(input_tokens=1_000_000, output_tokens=0)


def dollars(book, model, provider=None):
    """What a million input tokens cost."""
    return Decimal(book.rates(model, provider).cost(USAGE)) / 10**9


GPT_4O = dollars(PriceBook(), "gpt-4o")


def test_exact_beats_longest_pattern_beats_library():
    """An exact name wins, then the longest pattern that fits, then the price data; case and provider do not matter."""
    book = PriceBook(
        {
            "GPT-4o": Price(1, 1),
            "gpt-*": Price(2, 2),
            "gpt-4?-mini": Price(3, 3),
            "gpt-4o-m*": Price(4, 4),
            "azure/gpt-*": Price(5, 5),
        }
    )
    assert dollars(book, "gpt-4o") == dollars(book, "openai/GPT-4o") == dollars(book, "gpt-4o", "openai") == 1
    assert dollars(book, "gpt-4o-mini") == 3  # as long as gpt-4o-m*, and longer than gpt-*
    assert dollars(book, "gpt-4o-max") == 4
    assert dollars(book, "gpt-5") == 2
    assert dollars(book, "gpt-5", "azure") == dollars(book, "gpt-4o-mini", "azure.ai.openai") == 5
    assert book.rates("claude-sonnet-4-5").origin is Origin.DATA


def test_order_of_writing_does_not_matter():
    """Which pattern wins is told by their length, not by which was written first."""
    entries = {"ft:*": Price(1, 1), "ft:gpt-4o*": Price(2, 2), "ft:gpt-4o-mini*": Price(3, 3)}
    for given in (entries, dict(reversed(entries.items()))):
        book = PriceBook(given)
        assert dollars(book, "ft:gpt-4o-mini:acme::1") == 3
        assert dollars(book, "ft:gpt-4o:acme::1") == 2
        assert dollars(book, "ft:davinci-002:acme::1") == 1


def test_aliases():
    """A name of one's own costs what the model costs, its tokens counted like that model's, at the call's provider."""
    book = PriceBook({"prod-chat": "gpt-4o", "team-*": "azure/gpt-4o", "big": "mine", "mine": Price(7, 7)})
    assert dollars(book, "prod-chat") == dollars(book, "Prod-Chat", "openai") == GPT_4O
    assert (book.rates("prod-chat").model, book.rates("team-red").provider) == ("gpt-4o", "azure")
    assert book.rates("prod-chat").max_output_tokens == book.rates("gpt-4o").max_output_tokens
    assert dollars(book, "big") == 7
    assert (book.stands_for("prod-chat", None), book.stands_for("other", None)) == ("gpt-4o", "other")
    quoter = Quoter(book)
    body = {"messages": [{"role": "user", "content": "Schifffahrtsgesellschaft " * 50}], "max_tokens": 9}
    alias, plain = (quoter.for_body("openai", model, "chat", body) for model in ("prod-chat", "gpt-4o"))
    assert (alias.input_tokens, alias.cost, alias.exact) == (plain.input_tokens, plain.cost, plain.exact)


def test_a_pattern_that_takes_in_its_own_target():
    """`gpt-4o-*` may stand for gpt-4o-mini, which it takes in itself; a pattern's Price applies to an alias's target."""
    book = PriceBook({"gpt-4o-*": "gpt-4o-mini", "mine-*": Price(9, 9), "x": "mine-1"})
    assert dollars(book, "gpt-4o-nightly") == dollars(PriceBook(), "gpt-4o-mini")
    assert dollars(book, "x") == 9


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": "gpt4o"}, "prices['a'] is an alias of 'gpt4o', which has no price; did you mean 'gpt-4o'?"),
        (
            {"a": "mime", "mine": Price(1, 1)},
            "prices['a'] is an alias of 'mime', which has no price; did you mean 'mine'?",
        ),
        ({"a": "qqqqqqq"}, "prices['a'] is an alias of 'qqqqqqq', which has no price; name a model of the price data"),
        (
            {"a": "b", "b": "gpt-4o"},
            "prices['a'] is an alias of 'b', which is an alias itself; name the model: 'gpt-4o'",
        ),
        ({"a": "b", "b": "c", "c": "a"}, "prices['a'] goes round in a circle: a → b → c → a; name a model"),
        ({"a": "A"}, "prices['a'] goes round in a circle: a → A; name a model"),
        ({"x*": "x1"}, "prices['x*'] is an alias of 'x1', which has no price"),
        ({"a": "gpt-*"}, "prices['a'] is 'gpt-*'; an alias is the name of one model, such as 'gpt-4o'"),
        ({"a": "  "}, "prices['a'] is '  '; an alias is the name of one model"),
        ({"a": 5}, "prices['a'] is 5; write agent_fuse.Price(input, output), or the name of the model that it is"),
        ({"": Price(1, 1)}, "prices[''] has no name; write a model's name, or a pattern such as 'ft:*'"),
        ({"m": Price(1, 1), "M ": Price(2, 2)}, "prices['M '] is given twice, also as 'm'; keep one of them"),
    ],
)
def test_slips(given, message):
    """Each slip is one line that names the entry and the cure, when the options are read."""
    with pytest.raises(ConfigurationError) as caught:
        settings({}, prices=given)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


TOML = """
"prod-chat" = "gpt-4o"
[ "ft:gpt-4o*" ]
input = 3.75
output = 15
cache_read = "1.875"
[own]
input = 0.1
output = 0.2
per_call = 0.01
"""
AS_JSON = {
    "prod-chat": "gpt-4o",
    "ft:gpt-4o*": {"input": 3.75, "output": 15, "cache_read": "1.875"},
    "own": {"input": 0.1, "output": 0.2, "per_call": 0.01},
}


@pytest.mark.parametrize("how", ["toml", "json", "path", "environment"])
def test_from_a_file(tmp_path, how):
    """A TOML or JSON file, named in code or by AGENTFUSE_PRICES, is the same as the mapping in code; figures are exact."""
    path = tmp_path / f"prices.{'json' if how == 'json' else 'toml'}"
    path.write_text(json.dumps(AS_JSON) if how == "json" else TOML)
    environ = {"AGENTFUSE_PRICES": str(path)} if how == "environment" else {}
    given = {} if environ else {"prices": path if how == "path" else str(path)}
    found = settings(environ, **given).prices
    assert set(found) == set(AS_JSON)
    book = PriceBook(found)
    assert dollars(book, "prod-chat") == GPT_4O
    assert dollars(book, "ft:gpt-4o:acme::1") == Decimal("3.75")
    assert book.rates("own").cost(USAGE) == 100_000_000 + 10_000_000


def test_home_and_code_before_the_environment(home, tmp_path):
    """`~` is expanded, and what code gives wins over AGENTFUSE_PRICES."""
    (home / "prices.json").write_text('{"m": {"input": 1, "output": 1}}')
    assert set(settings({"AGENTFUSE_PRICES": "~/prices.json"}).prices) == {"m"}
    given = {"n": Price(1, 1)}
    assert set(settings({"AGENTFUSE_PRICES": "~/nowhere.json"}, prices=given).prices) == {"n"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.toml", '"m" = 5', "'m' is 5; it must be a table, input = 2.5 and output = 10, or the name of a model"),
        ("p.toml", "[m]\ninput = 1", "'m' lacks output, USD per million tokens"),
        (
            "p.toml",
            "[m]\ninput = 1\noutput = 1\ncache_raed = 1",
            "'m' has 'cache_raed', which is no price; did you mean",
        ),
        (
            "p.toml",
            "[m]\ninput = -1\noutput = 1",
            "'m': Price.input is -1; it must be a finite amount of USD, 0 or more",
        ),
        ("p.toml", "[m]\ninput = nan\noutput = 1", "'m': Price.input is Decimal('NaN')"),
        (
            "p.toml",
            "[gpt-4.1]\ninput = 1\noutput = 1",
            "'gpt-4' holds a table '1'; a name with a dot is quoted: \"gpt-4.1\"",
        ),
        ("p.toml", "[m\ninput = 1", "Expected ']' at the end of a table declaration"),
        ("p.toml", "[m]\ninput = 1\n[m]\n", "Cannot declare"),
        ("p.toml", '"a" = "b"\n"b" = "a"', "'a' goes round in a circle: a → b → a; name a model"),
        ("p.toml", '"a" = "gpt4o"', "'a' is an alias of 'gpt4o', which has no price; did you mean 'gpt-4o'?"),
        ("p.json", "[1]", "it must hold models by name"),
        ("p.json", "{", "Expecting property name enclosed in double quotes: line 1 column 2"),
        ("p.json", '{"m": "gpt-4o", "m": "gpt-4o"}', "'m' is given twice; keep one of them"),
        ("p.json", '{"m": {"input": true, "output": 1}}', "'m': Price.input is True"),
        ("p.yaml", "m: 1", "a file of prices ends in .toml or .json, and this one in '.yaml'"),
    ],
)
def test_slips_in_a_file(tmp_path, monkeypatch, name, text, message):
    """A slip in a file is one line that names the file, the entry and what is allowed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        settings({"AGENTFUSE_PRICES": name})
    assert str(caught.value).startswith(f"{name}: {message}")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    """A file that is not there, a folder, and bytes that are no text are named with the option that names them."""
    for path, message in (
        (tmp_path / "no.toml", "AGENTFUSE_PRICES is '{}', and there is no such file"),
        (tmp_path, "AGENTFUSE_PRICES is '{}', which cannot be read: Is a directory"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            settings({"AGENTFUSE_PRICES": str(path)})
        assert str(caught.value) == message.format(path)
    (tmp_path / "p.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"p\.toml: line 1 is no text in UTF-8 .*; save the file as UTF-8"):
        settings({"AGENTFUSE_PRICES": str(tmp_path / "p.toml")})


def test_a_call_is_booked_at_the_alias_s_price(box):
    """A deployment's name is quoted, held and booked at the price of the model that it stands for."""
    from agent_fuse import call

    rig = box(budget=1, prices={"prod-chat": "gpt-4o"}, unknown_model="block")
    with call("prod-chat", 1000, 500):
        pass
    assert rig.entry().cost == 7_500_000
