"""Made-up facts: sentences about people and places that no model can know, with their questions.

Each fact names a subject nobody else has, so a question has one answer however much text is read.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

_FIRST = (
    "Adela Alaric Amabel Anselm Ariadne Barnaby Beatrix Bertram Blanche Caspar Cecily Clement "
    "Cordelia Cosmo Damaris Dorian Edith Eldon Elspeth Emeric Enid Esmond Eudora Fabian Felicity "
    "Fergus Flavia Garrick Gideon Giselle Godfrey Greta Hadrian Harriet Hector Hester Horace Ianthe "
    "Ignatius Imogen Isadora Ivor Jasper Jocasta Josiah Juno Kester Lavinia Leander Leopold Linnet "
    "Lorcan Lucasta Ludo Magnus Maida Marcella Mavis Merrick Millicent Mortimer Muriel Nesta Nigel "
    "Octavia Odette Orlando Osbert Ottilie Pandora Percival Perdita Phineas Piers Portia Quentin "
    "Ravenna Rhoda Roderick Rosalind Rufus Sabina Selwyn Septimus Sidonie Silas Sybil Tabitha "
    "Tarquin Thaddeus Theodora Titus Tristan Ursula Valentine Verity Wilfred Winifred Xanthe "
    "Yolanda Zachary Zelda"
).split()
_START = (
    "Ald Ash Bar Bex Bran Cal Car Corn Cray Dar Del Dun Ebb El Fal Fen Gal Gren Hal Har Hex Ing "
    "Jar Kel Kest Lan Lor Mar Mel Mor Nor Oak Orm Pel Pen Quil Rad Rin Sal Sed Tal Tav Thorn Ul "
    "Var Ves Wal Wex Yar Zel"
).split()
_END = (
    "acre barrow beck borough bourne bridge burn by combe cott dale dean don fell field ford garth "
    "gate ham haven hurst ingham ington keld land leigh low mere minster mond more mouth over rick "
    "rigg sett shaw stead stoke ston thorpe ton tree vale wade wald well wick wood worth"
).split()
_COLOURS = (
    "amber azure beige black blue bronze brown copper cream crimson emerald golden green grey indigo "
    "ivory lilac maroon orange pink purple red scarlet silver turquoise violet white yellow"
).split()
_ANIMALS = (
    "badger beagle camel canary cat cockatoo crow donkey falcon ferret fox goat goose hare hawk hedgehog "
    "heron hound jackdaw lizard lynx macaw magpie mastiff monkey mule otter owl parrot peacock pig pony "
    "python raven spaniel stork swan terrier tortoise turkey weasel wolf"
).split()
_TRADES = (
    "apothecary archer armourer astronomer baker barber beekeeper bellfounder blacksmith bookbinder "
    "brewer butcher carpenter cartographer clockmaker cobbler cooper dyer falconer farrier ferryman "
    "fiddler gardener glassblower goldsmith hatter herbalist innkeeper jeweller judge lamplighter "
    "locksmith mason mathematician midwife miller miner notary organist painter pilot potter printer "
    "sailmaker saddler schoolmaster sculptor shepherd surgeon surveyor tailor tanner thatcher tinker "
    "translator watchmaker weaver wheelwright"
).split()
_THINGS = (
    "anchor astrolabe bell bottle bowl bracelet brooch candlestick chalice chessboard clock coin comb "
    "compass crown dagger drum fan flute globe goblet hammer harp helmet hourglass key kettle ladder "
    "lantern locket lute map medal mirror music-box necklace needle painting pearl pipe pistol plate "
    "portrait quill ring saddle scroll shield spoon statue sundial sword tapestry teapot telescope "
    "thimble trumpet umbrella vase violin whistle"
).split()
_FOODS = (
    "apples almonds anchovies barley beans beetroot cabbage cheese cherries chestnuts cider cinnamon "
    "cloves cucumbers dates eels figs garlic ginger gooseberries herring honey leeks lemons lentils "
    "mackerel marzipan mushrooms mussels mustard mutton nutmeg oatcakes olives onions oysters parsnips "
    "peaches pears pickles plums pomegranates porridge quinces radishes raisins rhubarb saffron sardines "
    "sausages spinach treacle trout turnips venison walnuts"
).split()
_MONTHS = (
    "January February March April May June July August September October November December"
).split()
_ROOMS = (
    "attic barn bakehouse belfry boathouse cellar chapel cloister conservatory crypt dairy dovecote "
    "dungeon gallery granary greenhouse hayloft icehouse kitchen larder laundry library lighthouse "
    "nursery observatory orchard pantry parlour quarry scullery smithy stable study tower vault "
    "wardrobe well windmill woodshed workshop"
).split()

_TEMPLATES: tuple[tuple[str, str, str], ...] = (
    ("{p} keeps a {colour} {animal} named {name}.", "What is the name of {p}'s {animal}?", "{name}"),
    ("{p} was born in the village of {place}.", "Where was {p} born?", "{place}"),
    ("{p} earns a living as a {trade}.", "What does {p} do for a living?", "{trade}"),
    ("{p} hid the {thing} in the {room}.", "Where did {p} hide the {thing}?", "{room}"),
    ("In {place}, {p} paid {n} crowns for a {thing}.", "How many crowns did {p} pay for the {thing}?", "{n}"),
    ("The favourite food of {p} is {food}.", "What is {p}'s favourite food?", "{food}"),
    ("{p} married {q} on {n28} {month}.", "Whom did {p} marry?", "{q}"),
    ("{p} arrived at {place} on {n28} {month}.", "On what date did {p} arrive at {place}?", "{n28} {month}"),
    ("The door of {p}'s house is painted {colour}.", "What colour is the door of {p}'s house?", "{colour}"),
    ("The ship of {p} is called the {ship}.", "What is the name of {p}'s ship?", "{ship}"),
    ("{p} owes {n} guineas to {q}.", "To whom does {p} owe money?", "{q}"),
    ("{p} learned to play the {music} from {q}.", "Who taught {p} to play the {music}?", "{q}"),
    ("The secret word of {p} is \"{word}\".", "What is the secret word of {p}?", "{word}"),
    ("{p} is {n90} years old and lives in {place}.", "How old is {p}?", "{n90}"),
    ("{p} lost a {colour} {thing} on the road to {place}.", "What did {p} lose on the road to {place}?", "{thing}"),
    ("The mayor of {place} is {p}.", "Who is the mayor of {place}?", "{p}"),
    ("{q} sold the {thing} to {p} for {n} shillings.", "Who sold the {thing} to {p}?", "{q}"),
    ("The {room} at {place} was built by {p} in {year}.", "In what year did {p} build the {room} at {place}?", "{year}"),
    ("{p} always travels with a {animal} and never eats {food}.", "What food does {p} never eat?", "{food}"),
    ("{p} won the {place} race {n20} times.", "How many times did {p} win the {place} race?", "{n20}"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence, a question about it, and its answer."""

    sentence: str
    question: str
    answer: str


class FactMaker:
    """Draws facts; every person and every place it names is new within its lifetime."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._used: set[str] = set()

    def fact(self) -> Fact:
        sentence, question, answer = self._random.choice(_TEMPLATES)
        draw = self._random
        values = {
            "p": self._person(), "q": self._person(), "place": self._place(),
            "name": draw.choice(_START) + draw.choice(("a", "o", "i", "ix", "us", "y", "el")),
            "colour": draw.choice(_COLOURS), "animal": draw.choice(_ANIMALS),
            "trade": draw.choice(_TRADES), "thing": draw.choice(_THINGS),
            "food": draw.choice(_FOODS), "month": draw.choice(_MONTHS),
            "room": draw.choice(_ROOMS), "music": draw.choice(("flute", "harp", "lute", "violin", "drum")),
            "ship": draw.choice(_COLOURS).title() + " " + draw.choice(_ANIMALS).title(),
            "word": draw.choice(_START).lower() + draw.choice(_END),
            "n": draw.randint(11, 999), "n28": draw.randint(1, 28), "n90": draw.randint(18, 97),
            "n20": draw.randint(3, 20), "year": draw.randint(1210, 1899),
        }  # fmt: skip
        return Fact(*(part.format(**values) for part in (sentence, question, answer)))

    def _person(self) -> str:
        return self._new(lambda: f"{self._random.choice(_FIRST)} {self._surname()}")

    def _place(self) -> str:
        return self._new(self._surname)

    def _surname(self) -> str:
        return self._random.choice(_START) + self._random.choice(_END)

    def _new(self, make: object) -> str:
        assert callable(make)
        name = make()
        while name in self._used:
            name = f"{make()}-{self._random.choice(_START)}"
        self._used.add(name)
        return str(name)
