#!/usr/bin/env python3
"""Rebuild the demo model's corpus: fetch the books of assets/demo/SOURCES.md from Project Gutenberg and cut them into stories.

    python3 scripts/demo_corpus.py OUT            fetch, clean and split; writes OUT/train.txt and OUT/valid.txt
    python3 scripts/demo_corpus.py OUT --books D  read D/ID.txt instead of fetching

Needs only Python 3.9. One book a second is fetched, as Gutenberg asks of robots; a book that was fetched once is kept. The rules
below are not those that made the released model's corpus letter by letter, but they keep the same kind of text from the same books.
"""

import argparse
import pathlib
import re
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE.parent / "assets" / "demo" / "SOURCES.md"
URL = "https://www.gutenberg.org/cache/epub/{id}/pg{id}.txt"

# Between stories in the output, as demo_train.py expects it.
SEPARATOR = "\n\n<|endofstory|>\n\n"

# Every fiftieth story is held out.
VALID_EVERY = 50

SHORTEST, LONGEST = 600, 40_000  # characters of a story worth keeping

NOISE = re.compile(r"\[(illustration|footnote|transcriber|frontispiece)[^\]]*\]|_", re.IGNORECASE)
PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u00a0": " ", "\ufeff": ""})


def book_ids():
    """Ids in the order of the table's rows."""
    rows = re.findall(r"^\|\s*(\d+)\s*\|", SOURCES.read_text(encoding="utf-8"), re.MULTILINE)
    return [int(row) for row in rows]


def fetch(book, folder):
    """The text of a book, from `folder` if it is there already."""
    path = folder / f"{book}.txt"
    if not path.exists():
        with urllib.request.urlopen(URL.format(id=book), timeout=60) as reply:
            path.write_bytes(reply.read())
        time.sleep(1)
    return path.read_text(encoding="utf-8", errors="replace")


def body(text):
    """What lies between Gutenberg's own markers."""
    start = re.search(r"^\*\*\* ?START OF .*$", text, re.MULTILINE)
    end = re.search(r"^\*\*\* ?END OF .*$", text, re.MULTILINE)
    return text[start.end() if start else 0 : end.start() if end else len(text)]


def is_heading(lines):
    """One or two short lines that are a number, or have no sentence in them and few small letters."""
    if len(lines) > 2 or any(len(line) > 70 for line in lines):
        return False
    text = " ".join(lines)
    if re.fullmatch(r"(?i)(chapter\b.*|[ivxlc]+\.?|\d+\.?)", text):
        return True
    letters = [c for c in text if c.isalpha()]
    capitals = sum(c.isupper() for c in letters)
    return bool(letters) and capitals >= 0.8 * len(letters)


def stories(text):
    """Runs of paragraphs between headings, each paragraph on one line."""
    text = NOISE.sub("", body(text).replace("\r\n", "\n").translate(PLAIN))
    story = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in block.split("\n") if line.strip()]
        if not lines:
            continue
        if is_heading(lines):
            yield "\n\n".join(story)
            story = []
        else:
            story.append(re.sub(r"\s+", " ", " ".join(lines)))
    yield "\n\n".join(story)


def is_prose(story):
    """Front matter, verse, lists and notes fail one of these."""
    if not SHORTEST <= len(story) <= LONGEST:
        return False
    paragraphs = story.split("\n\n")
    ended = sum(p.rstrip("\"'")[-1:] in ".!?:,;-" for p in paragraphs)
    odd = sum(not (c.isalnum() or c in " \n.,;:!?'\"-()") for c in story)
    return ended >= 0.8 * len(paragraphs) and odd <= 0.01 * len(story) and "Gutenberg" not in story


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--books", type=pathlib.Path, help="folder with ID.txt files")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    books = arguments.books or arguments.out / "books"
    books.mkdir(parents=True, exist_ok=True)
    kept = []
    for book in book_ids():
        if arguments.books and not (books / f"{book}.txt").exists():
            continue
        try:
            text = fetch(book, books)
        except OSError as error:
            print(f"{book}: not fetched ({error})", file=sys.stderr)
            continue
        found = [story for story in stories(text) if is_prose(story)]
        print(f"{book}: {len(found)} stories, {sum(map(len, found))} characters", file=sys.stderr)
        kept.extend(found)
    if not kept:
        sys.exit("no story was kept: is the network there, or are the --books named ID.txt?")
    valid = kept[::VALID_EVERY]
    train = [story for i, story in enumerate(kept) if i % VALID_EVERY]
    for name, part in (("train", train), ("valid", valid)):
        (arguments.out / f"{name}.txt").write_text(SEPARATOR.join(part) + "\n", encoding="utf-8")
        print(f"{name}: {len(part)} stories, {sum(map(len, part))} characters")


if __name__ == "__main__":
    main()
