// Reads a tlog-tiles log with Go's own code (golang.org/x/mod/sumdb), recomputes it, and says what it found.
//
//	check -log http://127.0.0.1:8080/log -vkey models.acme.example/log+2e1f…+AY… -api http://127.0.0.1:8080
//	{"origin":"models.acme.example/log","size":70000,"root":"…","leaves":70000,"tiles":549,"inclusion":1264,"consistency":1264}
//
// The checkpoint is opened by sumdb/note. Every entry is read from its bundle and hashed; the hash must be the one that
// sumdb/tlog's authenticated tile reader finds, and the tree over all of them must have the checkpoint's root; every hash
// tile served must be the one tlog makes from that tree. With -api, the proofs that tlog.ProveRecord and tlog.ProveTree make
// must equal, hash for hash, what the log's own helper routes answer.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type report struct {
	Origin      string `json:"origin"`
	Size        int64  `json:"size"`
	Root        string `json:"root"`
	Leaves      int64  `json:"leaves"`
	Tiles       int    `json:"tiles"`
	Inclusion   int    `json:"inclusion"`
	Consistency int    `json:"consistency"`
}

func main() {
	logURL := flag.String("log", "", "where `URL`/checkpoint and URL/tile/… are")
	vkey := flag.String("vkey", "", "the log's verifier key")
	api := flag.String("api", "", "the registry's `URL`, for the helper routes; none: proofs are only checked among themselves")
	all := flag.Int64("all", 300, "compare every proof of a tree up to this size, and a sample of a larger one")
	flag.Parse()
	found, err := check(*logURL, *vkey, *api, *all)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}

func check(logURL, vkey, api string, all int64) (*report, error) {
	source := &source{base: strings.TrimSuffix(logURL, "/"), tiles: map[string][]byte{}}
	origin, tree, err := source.checkpoint(vkey)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	own, leaves, err := rebuild(source, tree)
	if err != nil {
		return nil, err
	}
	authenticated := tlog.TileHashReader(tree, source)
	if err := compareLeaves(authenticated, own, tree.N); err != nil {
		return nil, err
	}
	tiles, err := compareTiles(source, own, tree.N)
	if err != nil {
		return nil, err
	}
	found := &report{Origin: origin, Size: tree.N, Root: tree.Hash.String(), Leaves: tree.N, Tiles: tiles}
	proofs := &proofs{api: strings.TrimSuffix(api, "/"), tree: tree, served: authenticated, own: own, leaves: leaves}
	found.Inclusion, err = proofs.inclusion(sample(0, tree.N, all))
	if err != nil {
		return nil, err
	}
	found.Consistency, err = proofs.consistency(sample(1, tree.N+1, all))
	return found, err
}

// parseCheckpoint reads the note's text: origin, size, root, each on a line. (tlog.ParseTree wants Go's own first line.)
func parseCheckpoint(text string) (origin string, tree tlog.Tree, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 {
		return "", tree, errors.New("fewer than three lines")
	}
	tree.N, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(tree.N, 10) != lines[1] {
		return "", tree, fmt.Errorf("size %q", lines[1])
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return lines[0], tree, err
}

func openCheckpoint(text []byte, vkey string) (string, tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return "", tlog.Tree{}, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return "", tlog.Tree{}, err
	}
	origin, tree, err := parseCheckpoint(opened.Text)
	if err == nil && origin != verifier.Name() {
		err = fmt.Errorf("the checkpoint is %q's, the key is %q's", origin, verifier.Name())
	}
	return origin, tree, err
}

// rebuild hashes every entry of every bundle, keeps all hashes of the tree, and holds their root against the checkpoint's.
func rebuild(source *source, tree tlog.Tree) (stored, [][]byte, error) {
	var own stored
	var leaves [][]byte
	for bundle := int64(0); bundle*256 < tree.N; bundle++ {
		entries, err := source.bundle(bundle, tree.N)
		if err != nil {
			return nil, nil, err
		}
		for _, entry := range entries {
			hashes, err := tlog.StoredHashes(int64(len(leaves)), entry, own)
			if err != nil {
				return nil, nil, err
			}
			own = append(own, hashes...)
			leaves = append(leaves, entry)
		}
	}
	root, err := tlog.TreeHash(tree.N, own)
	if err == nil && root != tree.Hash {
		err = fmt.Errorf("the entries' root is %v, the checkpoint's %v", root, tree.Hash)
	}
	return own, leaves, err
}

// compareLeaves asks for every leaf's hash through the reader that authenticates tiles against the checkpoint.
func compareLeaves(authenticated tlog.HashReader, own stored, size int64) error {
	for start := int64(0); start < size; start += 4096 {
		var indexes []int64
		for i := start; i < size && i < start+4096; i++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, i))
		}
		hashes, err := authenticated.ReadHashes(indexes)
		if err != nil {
			return fmt.Errorf("leaves from %d: %w", start, err)
		}
		for k, hash := range hashes {
			if hash != own[indexes[k]] {
				return fmt.Errorf("leaf %d: the tile and the entry differ", start+int64(k))
			}
		}
	}
	return nil
}

// compareTiles fetches every hash tile of the tree, at every level, and holds it against the one tlog makes.
func compareTiles(source *source, own stored, size int64) (int, error) {
	tiles := tlog.NewTiles(height, 0, size)
	for _, tile := range tiles {
		want, err := tlog.ReadTileData(tile, own)
		if err != nil {
			return 0, err
		}
		got, err := source.ReadTiles([]tlog.Tile{tile})
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(got[0], want) {
			return 0, fmt.Errorf("%s is not the tile of these entries", path(tile))
		}
	}
	return len(tiles), nil
}

// stored is a tree's hashes in tlog's own order, all recomputed here.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(s)) {
			return nil, fmt.Errorf("hash %d is beyond the tree", index)
		}
		hashes[i] = s[index]
	}
	return hashes, nil
}

// sample is every number in [from, to) when they are few, else the ends, powers of two with their neighbours, and a stride.
func sample(from, to, all int64) []int64 {
	wanted := map[int64]bool{}
	for i := from; i < to; i++ {
		power := i&(i-1) == 0 || (i+1)&i == 0 || (i-1)&(i-2) == 0
		if to-from <= all || i < from+4 || i >= to-4 || power || i%127 == 0 {
			wanted[i] = true
		}
	}
	var numbers []int64
	for i := from; i < to; i++ {
		if wanted[i] {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

func parseHashes(texts []string) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(raw) != tlog.HashSize {
			return nil, fmt.Errorf("not a hash: %q", text)
		}
		copy(hashes[i][:], raw)
	}
	return hashes, nil
}
