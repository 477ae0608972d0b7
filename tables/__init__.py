"""Files of texts as rows, to read and to write with further columns: CSV, TSV, JSON Lines and Parquet.

Inputs may be compressed, or come from a pipe. Training and the service read the files of users with it. It imports
neither of them, nor `bundle`; pyarrow only for Parquet. `formats.open_table` is the way in.
"""
