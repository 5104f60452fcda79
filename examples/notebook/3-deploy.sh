# Signed, published, pinned by the digest of its manifest in the source of a service, verified, loaded, served.
weighlock deploy "$MODEL" --as acme/mnist@1.0.0 --port 0 --json
