"""Questions about a document as a whole."""

from __future__ import annotations

import pytest

from mplus_cli.asking.question import Question
from mplus_cli.asking.whole import of_itself, spans_the_whole
from mplus_cli.english.answer_type import kind_of
from mplus_cli.library import DocumentRow


def row(
    title: str, pages: int | None, author: str | None = None, date: str | None = None
) -> DocumentRow:
    stated = ("b.pdf", title, "", "pdf", pages, 1, 1, "", author, date)
    return DocumentRow(*stated, id=1, chunks_read=1, added="")


CHAPTERS = {"Emma": 55, "Walden": 18}


def told(question: Question, documents: list[DocumentRow]) -> str | None:
    """What documents say of themselves, whose headings say how many chapters some have."""
    return of_itself(
        question,
        documents,
        lambda rows, kind: [
            (row.title, {"chapter": CHAPTERS.get(row.title), "book": 7}.get(kind)) for row in rows
        ],
    )


EMMA, PERSUASION = row("Emma", 300, "Jane Austen", "1815"), row("Persuasion", 9, "Jane Austen")
WALDEN, BEOWULF = row("Walden", 200, "H. D. Thoreau", "1854"), row("Beowulf", 100)


@pytest.mark.parametrize(
    "question",
    [
        "Summarise the book.",
        "Please summarize chapter 3",
        "What is this book about?",
        "What's the story about?",
        "Give me a summary of the novel",
        "What is the plot of the story?",
        "How many chapters has it?",
        "How many chapters are there in this book?",
        "How many words does the text have?",
        "How often is Admiral mentioned?",
        "How many times does the bell appear in the story?",
        "How many times is the bell mentioned in the whole book?",
        "How many times was Foss mentioned by name?",
        "How often is the ship named?",
        "How often is the lamp mentioned in the report?",
        "How many times was the lamp mentioned in chapter 3?",
        "In this book, how often is the lamp mentioned?",
        "How often does the book mention the lamp?",
        "How many times does the author name the ship?",
        "How often does the word lamp come up?",
        "How many times did the name Admiral appear?",
        "How often does Admiral come up in this story?",
        "How many times did the bell come up in the book altogether?",
        "List all characters",
        "Who are the main characters?",
        "What is this about?",
        "How many pages has it?",
        "What are the main themes of this book?",
        "What is the main idea of the paper?",
        "How often does the word lamp occur in the text?",
        "How does the book end?",
        "What happens at the end of the story?",
        "What happens in the end?",
        "How many chapters are there?",
        "How does it end?",
        "How does it all end?",
        "How does the story end?",
        "How does everything turn out?",
        "How does everything turn out in the end?",
        "What happened at the end?",
        "What happens finally?",
        "What happens?",
        "What happened?",
        "Tell me how it ends.",
        "Can you tell me how the story ends?",
        "What's it all about?",
        "What is the book about?",
        "Who is it about?",
        "Who is the book about?",
        "Can you tell me what the book is about?",
        "Tell me about the book.",
        "Tell me about this novel",
        "Describe the book",
        "What does the book deal with?",
        "Who is the main character?",
        "Who's the main character?",
        "Who are the characters?",
        "Who is the protagonist?",
        "Who is the hero of the story?",
        "Who is the villain?",
        "Who is the heroine?",
        "What is the main character's name?",
        "What are the names of the main characters?",
        "Name the main characters.",
        "Who is the most important character?",
        "What is the plot?",
        "What's the moral of the story?",
        "What is the moral?",
        "What are the main themes?",
        "What is the theme?",
        "What is the main message?",
        "What is the ending?",
        "What is the ending like?",
        "Is there a happy ending?",
        "Does it have a happy ending?",
        "Does the book have a happy ending?",
        "Give me a summary",
        "Give me a short summary, please",
        "Can you give me a summary?",
        "A summary, please.",
        "Can you summarise it?",
        "Please summarise the book",
        "What genre is it?",
        "What kind of book is this?",
        "And how does it end?",
        "So what is it about?",
        "How will it end?",
        "How did it all begin?",
        "How does the book start?",
        "How does the whole story end?",
        "What does this report describe?",
        "What does your document cover?",
        "Tell me what it is about",
        "Write a short summary of it",
        "Who are the main characters in this play?",
        "Write a short summary of the story in three sentences.",
        "In one sentence, what is the plot of the novel?",
        "What is the plot of the book in one sentence, in a few plain words, please?",
        "What is this book about in no more than ten words?",
        "What would you say is the moral of this tale?",
        "What are the plot and the main themes of the book?",
        "Describe the plot of this book, please",
        "Quick overview of the text",
        "How would you describe the message of this essay?",
        "I'd like a synopsis of the novel",
        "Is there a summary of the book?",
        "What is this book about, in a few words?",
        "Who is this story mainly about?",
    ],
)
def test_what_no_passage_tells(question: str) -> None:
    assert spans_the_whole(Question(question))


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("What is the plot of the book", " in a word"),
        ("What is the plot of the book", " in a few short in words"),
        ("What is the plot of the book", ", please, in one word"),
        ("What is this book about", " in a word"),
        ("", "in a word, "),
        ("What are the plot", " and the plot"),
        ("Tell me", " can you please"),
        ("How often is", " the word how often is mentioned"),
    ],
)
def test_no_question_is_tried_in_every_way(first: str, again: str) -> None:
    """With a pattern that can take a text apart in many ways, this would not end."""
    assert not spans_the_whole(Question(first + again * 2000 + " x?"))


@pytest.mark.parametrize(
    "question",
    [
        "How many miles of water lie between Port Ambrel and Sallowhithe?",
        "How many pages did Otti tear out of the book?",
        "What was the letter about?",
        "How often did the postman come?",
        "How many times did he come up the stairs?",
        "How many times did the diver come up?",
        "How often does the sun come up in the valley?",
        "How many times did his name appear in the paper?",
        "How many times did she appear in the play?",
        "How many times did he appear in the book that Ann kept?",
        "How often did Ibby mention the ferry?",
        "How many times was he named in the letter?",
        "How many times was Foss mentioned to the judge?",
        "How often does the author of the letter mention the ship?",
        "How often did the word treason come up at the trial?",
        "Who said how often the word lamp did come up?",
        "How often is the man she mentioned late?",
        "What is the name of the ferry?",
        "How many people were on the ship?",
        "Who wrote the letter?",
        "What did Foss do about the storm?",
        "What was the main cause of this war?",
        "What is the main ingredient of that dish?",
        "What is the main cause of the story's end?",
        "How often do leap years occur?",
        "How often is the filter used?",
        "How many times did the eruption occur?",
        "How often does the comet appear in the sky?",
        "What is the message of that letter?",
        "How many chapters does this law have?",
        "How many parts does it have?",
        "How many parts are there?",
        "How many pages of the log are there?",
        "What happens at the end of the trial?",
        "How long is it?",
        "What is it called?",
        "What is the name of it?",
        "What is this about a storm?",
        "Who wrote that letter?",
        "Who wrote the report?",
        "Who wrote this letter?",
        "Who wrote emma a letter?",
        "Who is the author of the letter?",
        "Who was this book given to?",
        "Who is Emma?",
        "When was the letter written?",
        "When was Emma born?",
        "How does it open?",
        "How does the letter end?",
        "How did the war end?",
        "How did the quarrel start?",
        "How does he end?",
        "Who is the hero of the battle?",
        "What is the plot against the king?",
        "What was the plot?",
        "What happens to Foulata?",
        "What happened to the ship?",
        "What happened in the cave?",
        "How does it work?",
        "What is the point?",
        "What is the message?",
        "Who is the main suspect?",
        "Who is the narrator?",
        "Who is the chief of the village?",
        "What is the main dish?",
        "What is the letter about?",
        "Tell me about Umbopa.",
        "Tell me about the paper he found",
        "Describe the cave",
        "Describe Gagool",
        "What does the letter say?",
        "Is there a happy child?",
        "Does he come to a bad end?",
        "Does it have a door?",
        "Name the ship",
        "Give me the name of the ship",
        "What kind of book does he read?",
        "What kind of ship is it?",
        "Who is the character witness?",
        "What character does he play?",
        "What does the message say at the end?",
        "What happens when it rains?",
        "How does everything smell?",
        "How do things look?",
        "What is the important letter?",
        "Who told the story?",
        "Who is the hero's father?",
        "When does the story take place?",
        "What is the key?",
        "What is the main thing he forgot?",
        "Do you know Umbopa?",
        "What is in the summary?",
        "Who wrote the summary?",
        "Who told Ibby how it ended?",
        "Does she know how it began?",
        "Who explains to her what it is about?",
        "Who wrote the summary of it?",
        "Who is the main character's brother?",
        "What does the report describe?",
        "How did the play end?",
        "What happened in the play?",
        "Did the poem have a happy ending?",
        "Describe the document",
        "Who wrote the summary of the story of the two brothers?",
        "Who wrote the summary of the book?",
        "Who discovered the plot of the book?",
        "What did he say about the plot of the novel?",
        "What did she think of the moral of the story?",
        "When did Ann hear the outline of the story?",
        "Where is the message of the book hidden?",
        "Who gave her the gist of the report?",
        "What is the plot of the story that Ibby told?",
        "What is the author of the summary of the book called?",
        "What is the name of the plot of the play?",
        "What is the book about bees called?",
        "What is the story about the wolf called?",
        "Who is the book about bees by?",
        "Is the moral of the story told by the priest?",
    ],
)
def test_what_a_passage_tells(question: str) -> None:
    assert not spans_the_whole(Question(question))
    assert told(Question(question), [EMMA]) is None


@pytest.mark.parametrize(
    "question",
    [
        "What is it about?",
        "How does it end?",
        "Can you tell me how it ends?",
        "Give me a summary of it",
        "How many chapters has it?",
        "How many pages has it?",
        "How many pages are there?",
        "How many characters are there?",
        "What happens at the end?",
        "What book is it?",
        "Who wrote it?",
        "Who is the author?",
        "When was it written?",
    ],
)
def test_in_a_chat_it_may_be_anything(question: str) -> None:
    alone, later = (
        Question(question),
        Question(question, turns=(("What did he hide?", "a letter"),)),
    )
    documents = [EMMA]
    assert spans_the_whole(alone) or told(alone, documents) is not None
    assert not spans_the_whole(later) and told(later, documents) is None


@pytest.mark.parametrize(
    ("question", "documents", "answer"),
    [
        ("Who wrote this book?", [EMMA], "Jane Austen"),
        ("Who wrote the novel?", [EMMA, PERSUASION], "Jane Austen"),
        (
            "Who is the author of this text?",
            [EMMA, WALDEN],
            "Emma: Jane Austen\nWalden: H. D. Thoreau",
        ),
        ("Who's the author of this report?", [EMMA], "Jane Austen"),
        ("Who is this book by?", [EMMA], "Jane Austen"),
        ("By whom was this book written?", [EMMA], "Jane Austen"),
        ("Who wrote this?", [EMMA], "Jane Austen"),
        ("Who is the book's author?", [EMMA], "Jane Austen"),
        ("Who wrote this book?", [EMMA, BEOWULF], None),
        ("Who wrote this book?", [BEOWULF], None),
        ("Who wrote this book?", [row("Empty", 1, "")], None),
        ("When was this book written?", [EMMA], "1815 (the date in the file)"),
        ("In what year was this novel published?", [EMMA], "1815 (the date in the file)"),
        (
            "When was this book published?",
            [EMMA, WALDEN],
            "Emma: 1815 (the date in the file)\nWalden: 1854 (the date in the file)",
        ),
        ("When was this book written?", [EMMA, PERSUASION], None),
    ],
)
def test_who_wrote_them_and_when(
    question: str, documents: list[DocumentRow], answer: str | None
) -> None:
    assert told(Question(question), documents) == answer
    assert not spans_the_whole(Question(question))


def test_what_documents_say_of_themselves() -> None:
    emma, walden = row("Emma", 300), row("Walden", None)
    assert told(Question("What is the title of this book?"), [emma]) == "Emma"
    assert told(Question("What is this book called?"), [emma, walden]) == "Emma; Walden"
    assert told(Question("How many pages has it?"), [emma]) == "300 pages"
    assert told(Question("How many pages does the book have?"), [emma, walden]) == "Emma: 300 pages"
    assert told(Question("How many pages has it?"), [walden]) is None
    assert told(Question("What is the title?"), [emma]) == "Emma"


@pytest.mark.parametrize(
    ("question", "documents", "answer"),
    [
        ("How many chapters does the book have?", [EMMA], "55 chapters (by the headings)"),
        ("How many chapters are there in this novel?", [EMMA], "55 chapters (by the headings)"),
        ("How many chapters are there?", [EMMA], "55 chapters (by the headings)"),
        ("How many chapters is the book divided into?", [EMMA], "55 chapters (by the headings)"),
        ("Into how many chapters is this book divided?", [EMMA], "55 chapters (by the headings)"),
        (
            "How many chapters does it have?",
            [EMMA, WALDEN, BEOWULF],
            "Emma: 55 chapters; Walden: 18 chapters (by the headings)",
        ),
        ("How many chapters does the book have?", [BEOWULF], None),
        ("In how many chapters is this book divided?", [EMMA], "55 chapters (by the headings)"),
        ("How many chapters are in this play?", [EMMA], "55 chapters (by the headings)"),
        ("How many books does this novel have?", [EMMA], "7 books (by the headings)"),
        ("How many books are in this book?", [EMMA], None),
        ("How many parts does the book have?", [EMMA], None),
        ("How many chapters of the book did she read?", [EMMA], None),
        ("How many chapters does this law have?", [EMMA], None),
    ],
)
def test_how_many_chapters_they_have(
    question: str, documents: list[DocumentRow], answer: str | None
) -> None:
    assert told(Question(question), documents) == answer


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Does Anne marry Charles Musgrove?", "verdict"),
        ("Can you tell me who wrote the letter?", "name"),
        ("Could you name the ship?", None),
    ],
)
def test_questions_put_politely_are_not_answered_with_yes(question: str, kind: str | None) -> None:
    assert kind_of(question) == kind
