"""Scores a Parquet file by a service, as a user without `python -m app score` may: `posting.py URL MODEL INPUT OUTPUT`.

It belongs to `scoring`. A batch that is refused ends it, and it cannot go on where it was.
"""

import csv
import sys

import httpx
import pyarrow.parquet

url, model, source, output = sys.argv[1:]
with httpx.Client(base_url=url, timeout=60) as client, open(output, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["review", "sentiment", "probability_positive"])
    for batch in pyarrow.parquet.ParquetFile(source).iter_batches(batch_size=128):
        texts = batch.column("review").to_pylist()
        response = client.post("/sentiment/batch", json={"texts": texts, "model": model})
        response.raise_for_status()
        for text, answer in zip(texts, response.json()["answers"], strict=True):
            writer.writerow([text, answer["sentiment"], answer["probability_positive"]])
