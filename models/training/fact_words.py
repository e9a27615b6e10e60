"""The words that made-up facts are made of. Data only.

A surname and a place name are put together from examples: no surname is a place name, and neither is
likely to be in any book.
"""

from __future__ import annotations

FIRST_NAMES = (
    "Adela Alaric Amabel Ambrose Anselm Ariadne Aubrey Barnaby Beatrix Bertram Blanche Caspar Cecily "
    "Clement Constance Cordelia Cosmo Crispin Damaris Delphine Dorian Dunstan Edith Eldon Elspeth "
    "Emeric Enid Ephraim Esmond Eudora Fabian Felicity Fergus Flavia Garrick Gideon Giselle Godfrey "
    "Greta Griselda Gwendolen Hadrian Harriet Hector Hester Horace Ianthe Ignatius Imogen Isadora "
    "Isolde Ivor Jasper Jerome Jessamy Jocasta Josiah Juno Kester Lavinia Leander Leopold Linnet "
    "Lorcan Lucasta Ludo Magnus Maida Malachi Marcella Marius Mavis Melisande Merrick Millicent "
    "Mortimer Muriel Nathaniel Nerissa Nesta Nigel Obadiah Octavia Odette Orlando Osbert Oswin "
    "Ottilie Pandora Percival Perdita Philippa Phineas Piers Portia Prudence Quentin Ravenna Rhoda "
    "Roderick Rosalind Rowena Rufus Sabina Salome Selwyn Septimus Sidonie Silas Sybil Tabitha "
    "Tarquin Thaddeus Theodora Thomasin Titus Tobias Tristan Ulric Ursula Valentine Verity Wilfred "
    "Winifred Xanthe Yolanda Zachary Zelda"
).split()
STARTS = (
    "Ald Ash Bar Bex Bran Cal Car Corn Cray Dar Del Dun Ebb El Fal Fen Gal Gren Hal Har Hex Ing "
    "Jar Kel Kest Lan Lor Mar Mel Mor Nor Oak Orm Pel Pen Quil Rad Rin Sal Sed Tal Tav Thorn Ul "
    "Var Ves Wal Wex Yar Zel"
).split()
MIDDLES = ("", "en", "er", "il", "ing", "o", "os", "und")
PLACE_ENDS = (
    "acre barrow beck borough bourne bridge burn combe cott dale dean don fell field ford garth "
    "gate ham haven hurst ingham keld land leigh low mere minster mond moor mouth over rick rigg "
    "sett shaw stead stoke thorpe ton tree vale wade wald wick wood worth"
).split()
SURNAME_ENDS = (
    "aby ack ander ard askin away bone catch ditch ecott ember ensby eral erby ett fax fitch gallon "
    "grave ibald iday ifer iman ings inskip ipple isher itch iver kettle kin kiss lace leaf lock "
    "love man mark ney nott oby olt penny pole quist rake rell rush sall sby smith son spring "
    "strode tace tard tell trick trot ush van veil verill watch whistle win"
).split()
PET_ENDS = ("a", "bo", "by", "ka", "kin", "let", "mo", "nip", "o", "po", "ria", "us", "y", "zi")

ADJECTIVES = (
    "Ancient Blessed Blind Bold Brave Brazen Broken Burning Careless Changing Clever Crooked "
    "Crowned Distant Drowsy Empty Endless Faithful Fallen Fearless Fickle Flying Forgotten Frozen "
    "Gallant Gentle Gilded Golden Graceful Hidden Hollow Honest Hungry Idle Jolly Laughing Lonely "
    "Lucky Merry Mighty Modest Nimble Noble Painted Patient Proud Quiet Restless Rising Royal "
    "Secret Silent Singing Sleeping Smiling Solemn Spotted Steady Stubborn Thirsty Thoughtful "
    "Tireless Trusty Twisted Wandering Weary Whispering Wise"
).split()
SIGNS = (
    "Acorn Anchor Arrow Badger Barrel Beehive Bell Bramble Candle Chestnut Cockerel Compass Cradle "
    "Crown Cuckoo Dolphin Dove Eagle Falcon Feather Ferret Fiddler Fox Garland Goose Griffin Hammer "
    "Hare Harrow Harp Hawk Hedgehog Herald Heron Huntress Ivy Kestrel Kettle Lamb Lantern Lark Lily "
    "Lion Magpie Maiden Mermaid Miller Mitre Monk Moon Nightingale Oak Otter Owl Partridge Peacock "
    "Pelican Pilgrim Pike Plough Rainbow Raven Robin Rose Salmon Shepherd Sparrow Squirrel Stag Star "
    "Swallow Swan Thistle Trumpet Unicorn Viper Wagon Walnut Weaver Wheatsheaf Widow Windmill Wren"
).split()
COLOURS = (
    "amber azure beige black blue bronze brown copper cream crimson emerald golden green grey indigo "
    "ivory lilac maroon orange pink purple red scarlet silver turquoise violet white yellow"
).split()
ANIMALS = (
    "badger beagle camel canary cat cockatoo crow donkey falcon ferret fox goat goose hare hawk "
    "hedgehog heron hound jackdaw lizard lynx macaw magpie mastiff monkey mule otter owl parrot "
    "peacock pig pony python raven spaniel stork swan terrier tortoise turkey weasel wolf"
).split()
TRADES = (
    "apothecary archer armourer astronomer baker barber beekeeper bellfounder blacksmith bookbinder "
    "brewer butcher carpenter cartographer clockmaker cobbler cooper dyer falconer farrier ferryman "
    "fiddler gardener glassblower goldsmith hatter herbalist innkeeper jeweller judge lamplighter "
    "locksmith mason mathematician midwife miller miner notary organist painter pilot potter printer "
    "sailmaker saddler schoolmaster sculptor shepherd surgeon surveyor tailor tanner thatcher tinker "
    "translator watchmaker weaver wheelwright"
).split()
THINGS = (
    "anchor astrolabe bell bottle bowl bracelet brooch candlestick chalice chessboard clock coin comb "
    "compass crown dagger drum fan flute globe goblet hammer harp helmet kettle ladder lantern locket "
    "lute map medal mirror music-box necklace needle painting pearl pipe pistol plate portrait quill "
    "ring saddle scroll shield spoon statue sundial sword tapestry teapot telescope thimble trumpet "
    "umbrella vase violin whistle"
).split()
FOODS = (
    "almonds anchovies apples barley beans beetroot cabbage cheese cherries chestnuts cider cinnamon "
    "cloves cucumbers dates eels figs garlic ginger gooseberries herring honey leeks lemons lentils "
    "mackerel marzipan mushrooms mussels mustard mutton nutmeg oatcakes olives onions oysters parsnips "
    "peaches pears pickles plums pomegranates porridge quinces radishes raisins rhubarb saffron "
    "sardines sausages spinach treacle trout turnips venison walnuts"
).split()
ROOMS = (
    "attic barn bakehouse belfry boathouse cellar chapel cloister conservatory crypt dairy dovecote "
    "dungeon gallery granary greenhouse hayloft icehouse kitchen larder laundry library lighthouse "
    "nursery observatory orchard pantry parlour quarry scullery smithy stable study tower vault "
    "wardrobe well windmill woodshed workshop"
).split()
MATERIALS = (
    "alabaster bamboo bone brass cherrywood clay cork ebony flint glass granite horn iron jade "
    "leather marble oak pewter porcelain rosewood slate steel tin walnut wax whalebone wicker"
).split()
GARMENTS = (
    "apron bonnet cap cape cloak coat cravat hat hood jacket mantle muffler nightcap robe sash scarf "
    "shawl smock turban tunic veil waistcoat"
).split()
RELATIONS = (
    "apprentice bookkeeper cousin creditor godchild guardian heir landlord lodger neighbour nephew "
    "niece partner pupil rival secretary servant stepchild tenant ward"
).split()
LANGUAGES = (
    "Armenian Basque Breton Catalan Cornish Danish Dutch Finnish Flemish Frisian Gaelic Georgian "
    "Hungarian Icelandic Maltese Norwegian Polish Portuguese Romanian Swedish Turkish Welsh"
).split()
GAMES = "backgammon billiards bowls checkers chess cribbage croquet dominoes quoits skittles whist".split()
MUSIC = "bagpipes bassoon cello clarinet cornet drum fiddle flute harp horn lute oboe organ viola".split()
MONTHS = (
    "January February March April May June July August September October November December"
).split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
ILLNESSES = (
    "ague asthma cough fever gout jaundice lumbago pleurisy quinsy rheumatism sciatica".split()
)
HOURS = tuple(
    f"{lead} {hour}"
    for hour in "one two three four five six seven eight nine ten eleven twelve".split()
    for lead in (
        "half past",
        "a quarter past",
        "a quarter to",
        "ten minutes to",
        "five minutes past",
    )
)
SMALL_NUMBERS = (
    "nought one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = (
    "second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth"
).split()
SEASONS = "spring summer autumn winter".split()
PARTS = "ankle arm back chin elbow finger foot hand heel hip knee neck nose shoulder thumb toe wrist".split()
