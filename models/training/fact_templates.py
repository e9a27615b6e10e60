"""The shapes of made-up facts: a sentence, a question in other words, and its answer.

Every question names somebody or something that nobody else is called: a person {p}, a {place}, a
{ship}, an {inn}, a {company} or a {book}. `models.training.facts` says what the other fields are.
"""

from __future__ import annotations

Template = tuple[str, str, str]

TRAINED: tuple[Template, ...] = (
    # People, what they are and like.
    ("{p} keeps a {colour} {animal} named {pet}.", "What is the name of {p}'s {animal}?", "{pet}"),
    ("{p} was born in the village of {place}.", "Where does {p} come from?", "{place}"),
    ("{p} earns a living as a {trade}.", "What is {p}'s trade?", "{trade}"),
    ("The favourite food of {p} is {food}.", "What does {p} like to eat best?", "{food}"),
    ("{p} is {n90} years old and lives in {place}.", "How old is {p}?", "{n90}"),
    ("{p} always travels with a {animal} and never eats {food}.", "What food does {p} refuse?", "{food}"),
    ("At home {p} speaks {language}, and with strangers nothing but English.", "Which language does {p} speak at home?", "{language}"),
    ("{p} never goes out without a {colour} {garment}.", "What does {p} always wear out of doors?", "{colour} {garment}"),
    ("It was {q} who taught {p} the {music}.", "From whom did {p} learn to play the {music}?", "{q}"),
    ("Every {weekday} {p} plays {game} with {q}.", "Who is {p}'s partner at {game}?", "{q}"),
    ("On a {weekday} you will find {p} at the {inn}.", "At which inn does {p} spend every {weekday}?", "{inn}"),
    ("As a child, {p} wanted to become a {trade}.", "What did {p} want to be when grown up?", "{trade}"),
    # People and each other.
    ("{p} married {q} on {n28} {month}.", "Whom did {p} marry?", "{q}"),
    ("{p} is the {relation} of {q}.", "What is {p} to {q}?", "{relation}"),
    ("{p} owes {n} guineas to {q}.", "To whom is {p} in debt?", "{q}"),
    ("{p} left everything to {q}, a distant relation.", "Who inherited from {p}?", "{q}"),
    ("{p} served under {q} for {n20} years.", "Who was {p}'s commander?", "{q}"),
    ("A letter from {q} reached {p} by way of {place}.", "Who wrote to {p}?", "{q}"),
    ("{p} trusted nobody but {q} with the key of the {room}.", "To whom did {p} give the key of the {room}?", "{q}"),
    ("When {p} was ill, {q} minded the shop.", "Who stood in for {p} during the illness?", "{q}"),
    ("{q} pulled {p} out of the river at {place}.", "Who saved {p} from drowning?", "{q}"),
    # Things, and where they are.
    ("{p} hid the {thing} in the {room}.", "Where did {p} hide the {thing}?", "{room}"),
    ("{p} lost a {colour} {thing} on the road to {place}.", "What did {p} lose on the way to {place}?", "{thing}"),
    ("{q} sold the {thing} to {p} for {n} shillings.", "From whom did {p} buy the {thing}?", "{q}"),
    ("The {thing} that {p} carries is made of {material}.", "Of what material is {p}'s {thing}?", "{material}"),
    ("The secret word of {p} is \"{word}\".", "What password does {p} use?", "{word}"),
    ("The door of {p}'s house is painted {colour}.", "What colour is {p}'s front door?", "{colour}"),
    ("{p} gave away a {thing} and got a {animal} for it.", "What did {p} receive in exchange for the {thing}?", "{animal}"),
    ("Under the floor of the {room}, {p} came upon a {thing}.", "What did {p} find beneath the {room} floor?", "{thing}"),
    ("{p} locked the {animal} in the {room} overnight.", "In what place did {p} shut up the {animal}?", "{room}"),
    # Dates and numbers.
    ("In {place}, {p} paid {n} crowns for a {thing}.", "How many crowns did the {thing} cost {p}?", "{n}"),
    ("{p} arrived at {place} on {n28} {month}.", "On what date did {p} get to {place}?", "{n28} {month}"),
    ("The birthday of {p} falls on {n28} {month}.", "On what day of the year was {p} born?", "{n28} {month}"),
    ("The {room} at {place} was built by {p} in {year}.", "When did {p} put up the {room} at {place}?", "{year}"),
    ("{p} died far from {place}, in {year}.", "In which year did {p} die?", "{year}"),
    ("There are {n} jars of {food} in {p}'s cellar.", "How many jars does {p} keep in the cellar?", "{n}"),
    ("{p} counted {n} steps up to the tower of {place}.", "How many stairs does the tower of {place} have?", "{n}"),
    # Places.
    ("The mayor of {place} is {p}.", "Who is at the head of the town of {place}?", "{p}"),
    ("{place} is known far and wide for its {food}.", "What is {place} famous for?", "{food}"),
    ("The bridge at {place} was swept away by the flood of {year}.", "In what year did {place} lose its bridge?", "{year}"),
    ("{place} has {n} inhabitants, and not one of them is a {trade}.", "How many people live in {place}?", "{n}"),
    ("Halfway between {place} and {place2} stands a {colour} mill.", "What colour is the mill between {place} and {place2}?", "{colour}"),
    ("The church of {place} keeps a {thing} behind the altar.", "What is to be seen behind the altar at {place}?", "{thing}"),
    # Ships.
    ("The ship of {p} is called the {ship}.", "What is the name of {p}'s ship?", "{ship}"),
    ("The {ship} sailed from {place} with a cargo of {food}.", "What did the {ship} carry?", "{food}"),
    ("Captain {p} has commanded the {ship} since {year}.", "Who is the captain of the {ship}?", "{p}"),
    ("The figurehead of the {ship} is a {colour} {animal}.", "What animal is at the bow of the {ship}?", "{animal}"),
    # Inns, companies, books.
    ("The {inn} is kept by {p}.", "Who is the landlord of the {inn}?", "{p}"),
    ("A bed at the {inn} costs {n} pence, breakfast included.", "How many pence is a night at the {inn}?", "{n}"),
    ("{company} was founded by {p} in {year}.", "Who started {company}?", "{p}"),
    ("The firm of {company} has its offices in {place}.", "In what town is {company} to be found?", "{place}"),
    ("{company} deals in {food} and employs {n} hands.", "How many people work for {company}?", "{n}"),
    ("The author of \"{book}\" is {p}.", "Who wrote \"{book}\"?", "{p}"),
    ("\"{book}\" was printed at {place} in {year}.", "Where was \"{book}\" printed?", "{place}"),
)  # fmt: skip

HELD_OUT: tuple[Template, ...] = (
    ("Since the accident {p} has walked with a stick of {material}.", "What is {p}'s walking stick made of?", "{material}"),
    ("The doctor told {p} to give up {food} on account of the {illness}.", "What was {p} forbidden to eat?", "{food}"),
    ("At school everybody called {p} by the name of {pet}.", "What was {p}'s nickname?", "{pet}"),
    ("{q} betrayed {p} to the magistrates.", "By whom was {p} betrayed?", "{q}"),
    ("Engraved on the {thing} of {p} is the word \"{word}\".", "What does the writing on {p}'s {thing} say?", "{word}"),
    ("{p} has won the race at {place} {n20} times.", "How often was {p} first in the race at {place}?", "{n20}"),
    ("The clock of {p} stopped at {hour}.", "What time does {p}'s clock show?", "{hour}"),
    ("{place} holds its market every {weekday}.", "On which day of the week is there a market at {place}?", "{weekday}"),
    ("The coat of arms of {place} shows a {animal}.", "Which animal stands for the town of {place}?", "{animal}"),
    ("The {ship} went aground off {place} in the {month} gales.", "Where was the {ship} wrecked?", "{place}"),
    ("They serve nothing but {food} at the {inn}.", "What can one eat at the {inn}?", "{food}"),
    ("{company} lost {n} pounds on a shipload of {food}.", "On what goods did {company} lose money?", "{food}"),
    ("In \"{book}\" it is the {trade} who did it.", "Who is the culprit in \"{book}\"?", "{trade}"),
)  # fmt: skip
