package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// proofs compares the proofs tlog makes, from the tiles that were served, with those of the log's helper routes.
type proofs struct {
	api    string
	tree   tlog.Tree
	served tlog.HashReader
	own    tlog.HashReader
	leaves [][]byte
}

// answer is what both helper routes say, as far as it is read here.
type answer struct {
	Index, Size, From, To *int64
	Entry                 string
	Hashes                []string
}

func (p *proofs) inclusion(indexes []int64) (int, error) {
	for _, index := range indexes {
		proof, err := tlog.ProveRecord(p.tree.N, index, p.served)
		if err != nil {
			return 0, fmt.Errorf("inclusion of %d: %w", index, err)
		}
		leaf := p.leaves[index]
		if err := tlog.CheckRecord(proof, p.tree.N, p.tree.Hash, index, tlog.RecordHash(leaf)); err != nil {
			return 0, fmt.Errorf("inclusion of %d: %w", index, err)
		}
		if p.api == "" {
			continue
		}
		url := fmt.Sprintf("%s/api/v1/log/proof/%d?size=%d", p.api, index, p.tree.N)
		said, err := ask(url)
		if err != nil {
			return 0, err
		}
		entry, err := base64.StdEncoding.Strict().DecodeString(said.Entry)
		if err != nil || !bytes.Equal(entry, leaf) {
			return 0, fmt.Errorf("%s answers another entry", url)
		}
		if !is(said.Index, index) || !is(said.Size, p.tree.N) {
			return 0, fmt.Errorf("%s answers for another index or size", url)
		}
		if err := same(url, said.Hashes, proof); err != nil {
			return 0, err
		}
	}
	return len(indexes), nil
}

func (p *proofs) consistency(sizes []int64) (int, error) {
	for _, from := range sizes {
		proof, err := tlog.ProveTree(p.tree.N, from, p.served)
		if err != nil {
			return 0, fmt.Errorf("consistency from %d: %w", from, err)
		}
		root, err := tlog.TreeHash(from, p.own)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(proof, p.tree.N, p.tree.Hash, from, root); err != nil {
			return 0, fmt.Errorf("consistency from %d: %w", from, err)
		}
		if p.api == "" {
			continue
		}
		url := fmt.Sprintf("%s/api/v1/log/consistency?from=%d&to=%d", p.api, from, p.tree.N)
		said, err := ask(url)
		if err != nil {
			return 0, err
		}
		if !is(said.From, from) || !is(said.To, p.tree.N) {
			return 0, fmt.Errorf("%s answers for other sizes", url)
		}
		if err := same(url, said.Hashes, proof); err != nil {
			return 0, err
		}
	}
	return len(sizes), nil
}

func ask(url string) (*answer, error) {
	data, err := get(url)
	if err != nil {
		return nil, err
	}
	said := &answer{}
	if err := json.Unmarshal(data, said); err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return said, nil
}

func is(said *int64, want int64) bool { return said != nil && *said == want }

func same(url string, said []string, want []tlog.Hash) error {
	hashes, err := parseHashes(said)
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	equal := len(hashes) == len(want)
	for i := 0; equal && i < len(want); i++ {
		equal = hashes[i] == want[i]
	}
	if !equal {
		return fmt.Errorf("%s answers %v, tlog makes %v", url, hashes, want)
	}
	return nil
}
