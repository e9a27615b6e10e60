"""Chunks: nothing lost, nothing twice, never too long, cut where a reader would."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mplus_cli.documents import Chunk, Document, Heading, Page, chunks, split_chunks
from mplus_cli.documents.places import Places
from mplus_cli.place import Place


class Words:
    """Runs of letters, single other characters and spaces are tokens."""

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        spans = [match.span() for match in re.finditer(r"\w+|[^\w\s]|\s", text)]
        return [hash(text[a:b]) for a, b in spans], spans


class SpacelessWords(Words):
    """As many tokenizers do, leaves white space out of the offsets."""

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        spans = [match.span() for match in re.finditer(r"\S+", text)]
        return [len(text[a:b]) for a, b in spans], spans


class Bytes:
    """Each UTF-8 byte is a token: several share the offsets of one character."""

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        for index, character in enumerate(text):
            data = character.encode("utf-8", "surrogatepass")
            ids += data
            offsets += [(index, index + 1)] * len(data)
        return ids, offsets


def document(*texts: str, numbered: bool = True) -> Document:
    pages = tuple(Page(n if numbered else None, text) for n, text in enumerate(texts, 1))
    return Document("x", "X", "0", "text", pages, None, ())


def cut(text: str, size: int) -> list[Chunk]:
    return split_chunks(document(text), Words(), size)


@given(
    st.text(alphabet=st.sampled_from("ab .\n!é漢😀\"'"), max_size=300),
    st.integers(1, 40),
    st.sampled_from([Words(), Bytes(), SpacelessWords()]),
)
def test_lossless_and_bounded(text: str, size: int, tokenizer: Words) -> None:
    made = split_chunks(document(text), tokenizer, size)
    ids = tokenizer.encode(text)[0]
    assert [one for chunk in made for one in chunk.ids] == ids
    assert all(1 <= len(chunk.ids) <= size for chunk in made)
    assert [chunk.index for chunk in made] == list(range(len(made)))
    assert "".join(chunk.text for chunk in made) == (text if ids else "")


@given(st.text(min_size=1, max_size=200), st.integers(4, 30))
def test_bytes_of_a_character_stay_together(text: str, size: int) -> None:
    for chunk in split_chunks(document(text), Bytes(), size):
        assert bytes(chunk.ids) == chunk.text.encode("utf-8", "surrogatepass")


def test_a_character_of_more_tokens_than_a_chunk() -> None:
    made = split_chunks(document("😀b"), Bytes(), 1)
    assert [chunk.text for chunk in made] == ["😀", "", "", "", "b"]


FILLER = "so " * 20  # 40 tokens


def test_prefers_a_paragraph_end_to_a_later_sentence_end() -> None:
    text = FILLER + "one two three four.\n\nFive. Six seven eight nine ten eleven twelve"
    assert cut(text, 60)[0].text.endswith("four.\n\n")


def test_prefers_a_late_sentence_end_to_an_early_paragraph_end() -> None:
    text = FILLER + ".\n\nOne two three four five six. Seven eight nine ten eleven"
    assert cut(text, 60)[0].text.rstrip().endswith("six.")


def test_takes_a_word_end_where_no_sentence_ends() -> None:
    made = split_chunks(document("aaaa bbbb cccc dddd eeee"), Bytes(), 12)
    assert made[0].text.strip() == "aaaa bbbb"


def test_cuts_anywhere_in_text_without_spaces() -> None:
    made = split_chunks(document("x" * 25), Bytes(), 10)
    assert [len(chunk.ids) for chunk in made] == [10, 10, 5]


@pytest.mark.parametrize("word", ["Mr.", "Mrs.", "Dr.", "St.", "e.g.", "J.", "J.R.R.", "No."])
def test_an_abbreviation_ends_no_sentence(word: str) -> None:
    text = f"{FILLER}It was all over. They met {word} Smith there again and went on"
    assert cut(text, 62)[0].text.rstrip().endswith("all over.")


@pytest.mark.parametrize("end", ["stop.”", 'stop."', "stop!’", "stop?)", "stop…", "art.", "sat."])
def test_closing_quotes_belong_to_the_sentence(end: str) -> None:
    text = f"He told them all to {end} Then they went on and on and on"
    assert cut(text, 16)[0].text.rstrip().endswith(end)


def test_chinese_sentences_need_no_space() -> None:
    made = split_chunks(document("一二三四五六七。八九十一二三"), Bytes(), 30)
    assert made[0].text == "一二三四五六七。"


def test_pages_first_and_last() -> None:
    made = split_chunks(document("aaa bbb ", "ccc ddd\n\n", "eee fff ggg"), Words(), 6)
    assert [(chunk.text, chunk.pages) for chunk in made] == [
        ("aaa bbb ccc ", (1, 2)),
        ("ddd\n\neee fff", (2, 3)),
        (" ggg", (3, 3)),
    ]


def test_white_space_names_no_further_page() -> None:
    made = split_chunks(document("aaa bbb\n\n", "  ccc"), Words(), 5)
    assert [chunk.pages for chunk in made] == [(1, 1), (2, 2)]


def test_no_page_numbers_no_pages() -> None:
    made = split_chunks(document("some text", numbered=False), Words(), 50)
    assert [chunk.pages for chunk in made] == [None]


def test_huge_text_goes_through_the_tokenizer_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "PIECE_CHARACTERS", 40)
    seen: list[str] = []

    class Recording(Words):
        def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
            seen.append(text)
            return super().encode(text)

    text = "A short paragraph here.\n\n" * 9
    made = split_chunks(document(text), Recording(), 7)
    assert "".join(seen) == text
    assert max(map(len, seen)) <= 40
    assert all(piece.endswith("\n\n") for piece in seen)
    assert "".join(chunk.text for chunk in made) == text
    assert all(len(chunk.ids) <= 7 for chunk in made)


def test_chunks_of_no_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="chunk_tokens"):
        cut("text", 0)


def test_places() -> None:
    """The section that most of a chunk is in, the labels of its pages, and its share of the text."""
    pages = (Page(1, "aa bb cc dd ", "i"), Page(2, "ee ff gg hh", "ii"))
    headings = (Heading(0, 1, " Part\n2 "), Heading(3, 2, "One"), Heading(18, 2, "Two"))
    made = Document("x", "X", "0", "pdf", pages, 2, (), headings)
    first, second = [chunk.place for chunk in split_chunks(made, Words(), 9)]
    assert first and second
    opened = (0, 0, ()), (0, 0, ("Part 2",)), (3, 3, ("Part 2", "One"))
    turned = (0, 1, "i"), (12, 2, "ii")
    assert first == Place(("Part 2", "One"), ("i", "ii"), 0.0, second.start, opened, turned)
    at = 18 - round(second.start * len(made.text))
    opened = (0, 0, ("Part 2", "One")), (at, at, ("Part 2", "Two"))
    assert second == Place(("Part 2", "Two"), ("ii", "ii"), first.end, 1.0, opened)
    assert Places(made).of(0, 3)[1].section == ("Part 2",)
    text = "so he went.\n\nCHAPTER IV\n\nTHE WIND ROSE\n\nThe wind was up."
    named = Heading(13, 3, "CHAPTER IV. THE WIND ROSE")
    made = Document("x", "X", "0", "text", (Page(None, text),), None, (), (named,))
    _, place = Places(made).of(5, len(text))
    _, (start, stop, section) = place.headings
    assert (text[5:][start:stop], section) == ("CHAPTER IV\n\nTHE WIND ROSE", (named.title,))
    assert Places(document("a b", numbered=False)).of(0, 3) == (None, Place())


@pytest.mark.parametrize(
    ("title", "text", "heading"),
    [
        ("3. Ibby", "Ibby\n\nShe was found.", "Ibby"),
        ("Ibby", "3\n\nIbby\n\nShe was found.", "3\n\nIbby"),
        ("III. Ibby", "Chapter 3: Ibby\n\nShe was found.", "Chapter 3: Ibby"),
        ("CHAPTER I", "CHAPTER I\n\nI was born.", "CHAPTER I"),
        ("I", "I\n\nI was born.", "I"),
        ("Chapter 3.", "She was found.", ""),
    ],
)
def test_a_heading_with_and_without_its_number(title: str, text: str, heading: str) -> None:
    """A table of contents and the text may differ in it; no passage should begin with a heading."""
    named = (Heading(0, 1, title),)
    made = Document("x", "X", "0", "pdf", (Page(None, text),), None, (), named)
    _, place = Places(made).of(0, len(text))
    _, (start, stop, _) = place.headings
    assert text[start:stop].strip() == heading


def test_the_place_of_a_sentence() -> None:
    """Its own pages and labels, and its own share of the text, not those of the whole chunk."""
    pages = (Page(1, "Ab cd. ", "i"), Page(2, "Ef gh. Ij ", None), Page(3, "kl.", "1"))
    made = Document("x", "X", "0", "pdf", pages, 3, (), (Heading(14, 1, "Ij"),))
    shifted = replace(made, pages=(Page(1, "\nAb cd. ", "i"), *pages[1:]))
    for begin, whole in ((0, Places(made).of(0, 20)), (1, Places(shifted).of(0, 21))):
        span, place = whole
        assert (span, place.labels) == ((1, 3), ("i", "1"))
        for said, told, labels in (
            ("Ab cd.", (1, 1), ("i", "i")),
            ("Ef gh.", (2, 2), None),
            ("Ab cd. Ef gh.", (1, 2), None),
            ("Ij kl.", (2, 3), None),
            ("kl.", (3, 3), ("1", "1")),
        ):
            start = made.text.index(said) + begin
            stop = start + len(said)
            assert place.pages_within(start, stop) == told
            within = place.within(start, stop, len(made.text) + begin)
            assert (within.labels, within.pages, within.headings) == (labels, (), ())
            shares = start / (len(made.text) + begin), stop / (len(made.text) + begin)
            assert (within.start, within.end) == pytest.approx(shares, abs=1e-3)
            assert within.section == (() if begin + 14 > start else ("Ij",))
        assert Place.loads(place.dumps()) == place
    old = Place.loads('{"section": ["A"], "labels": ["i", "v"], "from": 0.5, "to": 1}')
    assert old.pages_within(0, 3) is None
    assert old.within(0, 5, 10) == Place(("A",), ("i", "v"), 0.5, 0.75)
    for pages_ in ("1", "[[0, 1]]", '[[-1, 1, "i"]]', "[[0, 1, null]]", '[[0, "1", "i"]]'):
        with pytest.raises(ValueError, match="no place"):
            Place.loads(f'{{"section": [], "labels": null, "from": 0, "to": 1, "pages": {pages_}}}')


def test_pages_turned_to_in_reverse() -> None:
    """The pages of a selection such as 3,1 are named by their number."""
    pages = (Page(3, "Ab cd. ", "c"), Page(1, "Ef gh.", "a"))
    _, place = Places(Document("x", "X", "0", "pdf", pages, 3, (), ())).of(0, 13)
    assert place.pages_within(0, 13) == (1, 3)
    assert place.within(0, 13, 13).labels == ("a", "c")
    assert place.pages_within(7, 13) == (1, 1)


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("a" * 120, "a" * 120),
        ("ab " * 40 + "c", "ab " * 39 + "ab…"),
        ("ab " * 39 + "abcd", "ab " * 38 + "ab…"),
        ("a" * 121, "a" * 119 + "…"),
    ],
)
def test_a_long_heading_is_cut_after_a_word(title: str, shown: str) -> None:
    headings = (Heading(0, 1, title),)
    made = Document("x", "X", "0", "text", (Page(None, "The text."),), None, (), headings)
    assert Places(made).of(0, 9)[1].section == (shown,)


def test_a_heading_of_the_same_level_ends_the_section_before() -> None:
    headings = tuple(Heading(at, level, name) for at, level, name in [(2, 2, "a"), (4, 1, "b")])
    places = Places(Document("x", "X", "0", "text", (Page(None, "01234567"),), None, (), headings))
    sections = [places.of(at, at + 1)[1].section for at in range(6)]
    assert sections == [(), (), ("a",), ("a",), ("b",), ("b",)]
