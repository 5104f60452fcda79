# Whoever can write the bucket changes one byte of the model; then the service starts anew, on a machine without a cache.
blob=$(find registry-data/blobs -type f -size +300k)
printf 'x' | dd of="$blob" bs=1 seek=100000 conv=notrunc status=none
WEIGHLOCK_CACHE=$PWD/other-cache WEIGHLOCK_HOME=$PWD/other-home node "$FOLDER/service.mjs" 2>&1
echo "exit $?"
