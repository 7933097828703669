"""Episodes in the formats of other tools. pyarrow and h5py are needed here only, and are imported where they are used."""
