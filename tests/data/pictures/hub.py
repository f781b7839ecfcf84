"""Writes Parquet files of pictures as the Hugging Face hub's library does."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq


def table(pictures, labels, names=None, column="image", label="label"):
    """A table of pictures' bytes and labels; `names` go into the schema as the hub's do."""
    structs = [{"bytes": content, "path": f"{i}.png"} for i, content in enumerate(pictures)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    made = pa.table({column: pa.array(structs, kind), label: labels, "id": range(len(labels))})
    features = {column: {"_type": "Image"}, "id": {"dtype": "int64", "_type": "Value"}}
    if names:
        features[label] = {"names": names, "_type": "ClassLabel"}
    info = json.dumps({"info": {"features": features}})
    return made.replace_schema_metadata({"huggingface": info})


def write(path, made, split="train", shards=1, group=2):
    """Writes a table as so many files into a folder, with groups of so many rows.

    Returns:
        Paths of the files.
    """
    os.makedirs(path, exist_ok=True)
    each, paths = -(-len(made) // shards), []
    for i in range(shards):
        paths.append(os.path.join(path, f"{split}-{i:05d}-of-{shards:05d}.parquet"))
        pq.write_table(made.slice(i * each, each), paths[-1], row_group_size=group)
    return paths
