# What the notebook pinned: the checksum of one file. It says nothing about who made it, which version it is, or since when.
find "$MODEL" -type f -exec openssl dgst -sha256 {} +
