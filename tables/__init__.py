"""Files of texts as rows: CSV, TSV, JSON Lines and Parquet, compressed too, and from a pipe.

Training and the service read the files of users with it. It imports neither of them, nor `bundle`; pyarrow only to read
Parquet. `formats.open_table` is the way in.
"""
