"""The fixed texts of row `lookup`: some repeat what they were given, others do not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """What is asked, and whether the answer repeats it."""

    name: str
    repeats: bool
    question: str


_SHELF = """\
class Shelf:
    def __init__(self, limit):
        self.limit = limit
        self.items = []

    def put(self, name, weight):
        if self.weight() + weight > self.limit:
            raise ValueError(f"{name} is too heavy for this shelf")
        self.items.append((name, weight))

    def take(self, name):
        for index, (item, weight) in enumerate(self.items):
            if item == name:
                del self.items[index]
                return weight
        raise KeyError(name)

    def weight(self):
        return sum(weight for name, weight in self.items)

    def heaviest(self):
        return max(self.items, key=lambda item: item[1])[0]
"""

_TEMPERATURES = """\
import csv
import statistics


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def by_station(rows):
    stations = {}
    for row in rows:
        stations.setdefault(row["station"], []).append(float(row["celsius"]))
    return stations


def summary(values):
    return {
        "lowest": min(values),
        "median": statistics.median(values),
        "highest": max(values),
    }


def report(path):
    for station, values in sorted(by_station(read_rows(path)).items()):
        found = summary(values)
        print(station, found["lowest"], found["median"], found["highest"])
"""

_COUNTER = """\
def count_words(text):
    counts = {}
    for line in text.splitlines():
        for word in line.split():
            word = word.strip(".,;:!?").lower()
            counts[word] = counts.get(word, 1) + 1
    return counts


def most_common(text, number):
    counts = count_words(text)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ordered[:number]


def print_table(text, number=10):
    width = max(len(word) for word, count in most_common(text, number))
    for word, count in most_common(text, number):
        print(f"{word:<{width}} {count:>5}")
"""

_LISTING = """\
{"path": "/mnt/data", "files": [
  {"name": "harvest_2023_north.csv", "bytes": 184213, "changed": "2024-02-11T09:14:52"},
  {"name": "harvest_2023_south.csv", "bytes": 201877, "changed": "2024-02-11T09:15:07"},
  {"name": "harvest_2024_north.csv", "bytes": 190344, "changed": "2025-01-30T17:41:33"},
  {"name": "harvest_2024_south.csv", "bytes": 0, "changed": "2025-01-30T17:41:39"},
  {"name": "orchard_map.png", "bytes": 2750118, "changed": "2022-08-19T12:02:26"},
  {"name": "readme.txt", "bytes": 1392, "changed": "2025-03-04T08:55:10"}
]}
"""


def _with_code(request: str, code: str) -> str:
    return f"{request}\n\n```python\n{code}```"


TEXTS = (
    Text(
        "renaming in code",
        True,
        _with_code(
            "Rename the class Shelf to Rack and the attribute items to things. Change nothing "
            "else, and reply with the whole code only.",
            _SHELF,
        ),
    ),
    Text(
        "adding docstrings",
        True,
        _with_code(
            "Add a docstring of one line to every function. Reply with the whole code only.",
            _TEMPERATURES,
        ),
    ),
    Text(
        "mending a fault",
        True,
        _with_code(
            "count_words counts every word once too often. Mend it and reply with the whole "
            "code only.",
            _COUNTER,
        ),
    ),
    Text(
        "quoting an observation",
        True,
        "A tool answered with this:\n\n"
        f"{_LISTING}\n"
        "Quote the tool's answer in full, word for word, and say below it which file is empty.",
    ),
    Text(
        "a story",
        False,
        "Tell a story about a lighthouse keeper who finds a letter in a bottle and decides to "
        "answer it.",
    ),
    Text(
        "an explanation",
        False,
        "Explain to a curious twelve-year-old why the sky is blue at noon and red in the evening.",
    ),
    Text(
        "a Chinese text",
        False,
        "请写一篇短文,讲一位老木匠如何把手艺传给一个不爱说话的年轻人。",
    ),
    Text(
        "new code",
        False,
        "Write a Python program that reads a maze from a text file, finds the shortest way from "
        "S to E, and prints the maze with the way marked.",
    ),
)
