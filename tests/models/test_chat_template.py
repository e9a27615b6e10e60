"""Chat templates within limits: as transformers renders them, or one clear error soon."""

from __future__ import annotations

import resource
import time
from typing import Any

import pytest

from models.chat_template import ChatTemplateError, render_chat

MESSAGES = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "What is 'q'?"},
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role']"
    " + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)
EVERYTHING = """{{- bos_token }}
{%- set ns = namespace(found=false) %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}{%- set rest = messages[1:] %}
{%- else %}{%- set system = '' %}{%- set rest = messages %}{%- endif %}
{{- strftime_now("%Y")[:2] }}
{%- if tools is not none %}tools{% endif %}
{%- macro loud(x) %}[{{ x|upper }}]{% endmacro %}
{%- for message in rest %}
  {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('roles must alternate') }}{% endif %}
  {%- if loop.first and loop.length > 1 and not loop.last %}{% set ns.found = true %}F{% endif %}
  {%- if message.role == 'user' %}{{ '[INST] ' ~ message.content.replace('h','H').strip() }}
  {%- else %}{% generation %}{{ loud(message.content) + eos_token }}{% endgeneration %}{% endif %}
  {%- if loop.index == 99 %}{% break %}{% endif %}
{%- endfor %}
{{- ns.found }}{{ messages|selectattr('role', 'equalto', 'user')|list|length }}
{{ {'a': [1, 2], 'b': '<x>'}|tojson }}{{ messages|tojson(indent=2) }}
{{ messages|map(attribute='role')|join(', ') }}{{ 'x'|default('d', true) }}
{% for i in range(3) %}{{ i }}{% endfor %}{{ "%s-%05d"|format("a", 2) }}{{ "%s %d" % ("a", 2) }}
{% for k, v in {'x': 1}.items() %}{{ k }}={{ v }}{% endfor %}{{ '{} {}'.format(1, 'b') }}
{% set block %}block {{ 1 }}{% endset %}{{ block }}{% filter upper %}up{% endfilter %}
{{ 7 // 2 }}{{ 2 ** 8 }}{{ 'ab' * 3 }}{{ [1, 2] + [3] }}{{ dict(a=1) }}{{ 'a' in 'cat' }}
"""


@pytest.mark.parametrize("template", [CHATML, EVERYTHING])
def test_a_template_is_rendered_as_transformers_renders_it(
    template: str, tiny_tokenizer: Any
) -> None:
    expected = tiny_tokenizer.apply_chat_template(
        MESSAGES,
        chat_template=template,
        tokenize=False,
        add_generation_prompt=True,
        **SPECIAL,
    )
    special = dict(tiny_tokenizer.special_tokens_map) | SPECIAL
    assert render_chat(template, MESSAGES, special) == expected


def test_a_template_is_told_the_same_date_every_day() -> None:
    """What leads memory is part of a model's fingerprint: its memories are opened on other days too."""
    template = "Today is {{ strftime_now('%d %b %Y') }}."
    assert render_chat(template, MESSAGES, SPECIAL) == "Today is 26 Jul 2024."


GROWS = "{% set n = namespace(s='aaaaaaaaaa') %}{% for i in range(60) %}BODY{% endfor %}{{ n.s }}"


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(60000) %}{% for b in range(60000) %}x{% endfor %}{% endfor %}",
        "{% for a in 'a' * 60000 %}{% for b in 'a' * 60000 %}{% endfor %}{% endfor %}",
        "{% for a in messages recursive %}{{ loop(messages) }}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% for i in range(60000) %}{{ 'aaaaaaaa' * 100 }}{% endfor %}",
        GROWS.replace("BODY", "{% set n.s = n.s ~ n.s %}"),
        GROWS.replace("BODY", "{% set n.s = n.s + n.s %}"),
        GROWS.replace("BODY", "{% set n.s = [n.s, n.s] %}"),
        GROWS.replace("BODY", "{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}"),
        GROWS.replace("BODY", "{% set n.s = n.s|join(n.s) %}"),
        "{{ 'a' * 10 ** 9 }}",
        "{{ 'a' * 60000 * 60000 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ 'x'|center(10 ** 9) }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '%1000000000d'|format(1) }}",
        "{{ '{:1000000000d}'.format(1) }}",
        "{{ '{0:{1}}'.format(1, 1000000000) }}",
        "{{ '%.1000000000f' % 1.5 }}",
        "{{ ('a' * 60000).replace('a', 'b' * 60000) }}",
        "{% set x = ['a' * 60000] * 60000 %}{{ x|join }}",
        "{{ range(60000)|list|slice(60000)|list }}",
        "{{ lipsum(n=100000) }}",
        "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
        "{% if 1 %}" * 200 + "{% endif %}" * 200,
        "{{ raise_exception('the roles\nmust alternate') }}",
        "{{ ''.__class__.__mro__[1] }}{{ 1 / 0 }}",
        "{% for %}",
        "{% include 'x' %}",
        "x" * 300_000,
    ],
)
def test_what_a_template_can_do_is_bounded(template: str) -> None:
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ChatTemplateError) as caught:
        render_chat(template, MESSAGES, SPECIAL)
    seconds = time.process_time() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert "\n" not in str(caught.value)
    assert seconds < 10 and grown < 200 << 20, (seconds, grown)
