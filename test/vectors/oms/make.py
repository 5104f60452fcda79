"""Makes the bundles of one released version of model-signing: `python make.py OUT SECRETS`, in a venv that has it.

README.md says which packages were installed beside each version. SECRETS holds the private keys, which are not kept.
"""

import importlib.metadata
import pathlib
import sys

version = importlib.metadata.version("model-signing")
out = pathlib.Path(sys.argv[1])
secrets = pathlib.Path(sys.argv[2])
model = pathlib.Path("model")
out.mkdir(parents=True, exist_ok=True)
chain = [pathlib.Path("certificates/intermediate.pem"), pathlib.Path("certificates/root.pem")]


def of_0_2() -> None:
    from model_signing.hashing import file, memory
    from model_signing.serialization import serialize_by_file, serialize_by_file_shard
    from model_signing.signature import key, pki
    from model_signing.signing import in_toto, in_toto_signature

    files = serialize_by_file.ManifestSerializer(lambda path: file.SimpleFileHasher(path, memory.SHA256()))
    shards = serialize_by_file_shard.ManifestSerializer(
        lambda path, start, end: file.ShardedFileHasher(path, memory.SHA256(), start=start, end=end, shard_size=1000)
    )
    whole = serialize_by_file.DigestSerializer(file.SimpleFileHasher(pathlib.Path("x"), memory.SHA256()), memory.SHA256)

    def sign(name: str, signer, payload) -> None:
        in_toto_signature.IntotoSigner(signer).sign(payload).write(out / f"{name}.sig")

    p256 = key.ECKeySigner.from_path(str(secrets / "p256.pem"))
    sign("digests-p256", p256, in_toto.DigestsIntotoPayload.from_manifest(files.serialize(model)))
    sign("digest-of-digests-p256", p256, in_toto.DigestOfDigestsIntotoPayload.from_manifest(files.serialize(model)))
    sign("shard-digests-p256", p256, in_toto.ShardDigestsIntotoPayload.from_manifest(shards.serialize(model)))
    sign(
        "digest-of-shard-digests-p256",
        p256,
        in_toto.DigestOfShardDigestsIntotoPayload.from_manifest(shards.serialize(model)),
    )
    sign("digest-p256", p256, in_toto.SingleDigestIntotoPayload.from_manifest(whole.serialize(model)))
    p384 = key.ECKeySigner.from_path(str(secrets / "p384.pem"))
    sign("digests-p384", p384, in_toto.DigestsIntotoPayload.from_manifest(files.serialize(model)))
    certificate = pki.PKISigner.from_path(
        str(secrets / "leaf.pem"), "certificates/leaf.pem", [str(path) for path in chain]
    )
    sign("digests-certificate", certificate, in_toto.DigestsIntotoPayload.from_manifest(files.serialize(model)))


def since_0_3() -> None:
    from model_signing import hashing, signing
    from model_signing._signing import sign_sigstore

    # A configuration begins with a Sigstore signer, which some versions let ask the network. None of these use it.
    sign_sigstore.Signer.__init__ = lambda self, **options: None

    def sign(name: str, hashes=None, key: str = "p256") -> None:
        signer = signing.Config().use_elliptic_key_signer(private_key=secrets / f"{key}.pem")
        signer.set_hashing_config(hashes or hashing.Config()).sign(model, out / f"{name}.sig")

    for key in ["p256", "p384", "p521"] if version in ("0.3.1", "1.1.0") else ["p256"]:
        sign(f"files-{key}", key=key)
    if version == "1.1.1":
        return
    sign("shards", hashing.Config().use_shard_serialization(shard_size=1000))
    sign("files-blake2", hashing.Config().use_file_serialization(hashing_algorithm="blake2"))
    if not version.startswith("0."):
        certificate = signing.Config().use_certificate_signer(
            private_key=secrets / "leaf.pem",
            signing_certificate=pathlib.Path("certificates/leaf.pem"),
            certificate_chain=chain,
        )
        certificate.sign(model, out / "files-certificate.sig")
    if version == "1.1.0":
        sign("files-blake3", hashing.Config().use_file_serialization(hashing_algorithm="blake3"))
        sign("files-ignored", hashing.Config().set_ignored_paths(paths=["weights"]))
        sign("files-symlinks", hashing.Config().set_allow_symlinks(True))
        one = signing.Config().use_elliptic_key_signer(private_key=secrets / "p256.pem")
        one.sign(model / "config.json", out / "one-file.sig")


if version.startswith("0.2."):
    of_0_2()
else:
    since_0_3()
