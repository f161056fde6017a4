"""Turns the Online Retail data set into events, as a stand-in for real web traffic.

Source of the data: Daqing Chen, "Online Retail", UCI Machine Learning Repository, 2015 (a public
domain copy is used here). One invoice line becomes one visit to that product's page: the customer
is the account, the invoice the session, words of the description are the topics. Lines without a
customer stay in, without an account, as real streams have such records too.

Usage: python examples/online_retail.py online_retail.csv.gz > events.jsonl
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

COLUMNS = {"InvoiceNo", "StockCode", "Description", "InvoiceDate", "CustomerID"}
STOP_WORDS = frozenset({"AND", "FOR", "IN", "OF", "ON", "SET", "SMALL", "THE", "WITH", "LARGE"})


def topics_of(description: str) -> list[str]:
    """The last two telling words of a product's description: usually the kind of product."""
    words = [word.strip(".,") for word in description.split()]
    telling = [word for word in words if word.isalpha() and len(word) > 2]
    return [word.lower() for word in telling if word not in STOP_WORDS][-2:]


def events_of(rows: Iterable[dict[str, str]]) -> Iterator[dict[str, Any]]:
    """One event per row; the row number makes the event's id unique and stable."""
    for number, row in enumerate(rows, start=1):
        event: dict[str, Any] = {
            "type": "website.visit",
            "id": f"online-retail-{number}",
            "occurred_at": row["InvoiceDate"].replace(" ", "T") + "Z",
            "url": f"https://shop.example/product/{row['StockCode']}",
            "page_category": "product",
            "topics": topics_of(row["Description"]),
            "session_id": row["InvoiceNo"],
        }
        if row["CustomerID"]:
            customer = str(int(float(row["CustomerID"])))
            event |= {"account_id": f"customer-{customer}", "contact_id": f"buyer-{customer}"}
        yield event


def main(path: str, limit: int | None = None) -> None:
    """Write the events of a CSV file (plain or .gz) to standard output."""
    with (
        gzip.open(path, "rt", newline="")
        if path.endswith(".gz")
        else Path(path).open(newline="") as file
    ):
        rows = csv.DictReader(file)
        if missing := COLUMNS - set(rows.fieldnames or ()):
            sys.exit(f"{path} lacks the columns {', '.join(sorted(missing))}")
        for event in islice(events_of(rows), limit):
            sys.stdout.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: online_retail.py FILE.csv[.gz] [ROWS]")
    try:
        main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else None)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        sys.stderr.close()
    except OSError as error:
        sys.exit(f"cannot read {sys.argv[1]}: {error.strerror or error}")
