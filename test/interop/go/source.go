package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// height is that of tlog-tiles; in Go's paths it is a folder, "tile/8/0/000", there it is left out.
const height = 8

// source reads a log over HTTP. It is the tlog.TileReader.
type source struct {
	base  string
	tiles map[string][]byte
}

func (s *source) checkpoint(vkey string) (string, tlog.Tree, error) {
	text, err := get(s.base + "/checkpoint")
	if err != nil {
		return "", tlog.Tree{}, err
	}
	return openCheckpoint(text, vkey)
}

func path(tile tlog.Tile) string {
	return "tile/" + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
}

func (s *source) Height() int { return height }

// SaveTiles keeps nothing: what was read is in memory anyway.
func (s *source) SaveTiles([]tlog.Tile, [][]byte) {}

func (s *source) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	read := make([][]byte, len(tiles))
	for i, tile := range tiles {
		name := path(tile)
		if s.tiles[name] == nil {
			data, err := get(s.base + "/" + name)
			if err != nil {
				return nil, err
			}
			s.tiles[name] = data
		}
		read[i] = s.tiles[name]
	}
	return read, nil
}

// bundle reads the n-th entry bundle of a log of this size: each entry with its length before it, two bytes, big-endian.
func (s *source) bundle(n, size int64) ([][]byte, error) {
	width := size - n*256
	if width > 256 {
		width = 256
	}
	// tlog's own data tiles are "tile/8/data/…"; tlog-tiles calls them entries.
	tile := tlog.Tile{H: height, L: -1, N: n, W: int(width)}
	name := strings.Replace(path(tile), "tile/data/", "tile/entries/", 1)
	data, err := get(s.base + "/" + name)
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("%s is cut off", name)
		}
		length := int(binary.BigEndian.Uint16(data))
		entries = append(entries, data[2:2+length])
		data = data[2+length:]
	}
	if int64(len(entries)) != width {
		return nil, fmt.Errorf("%s has %d entries", name, len(entries))
	}
	return entries, nil
}

var client = &http.Client{Transport: &http.Transport{DisableCompression: true}}

func get(url string) ([]byte, error) {
	answer, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, answer.Status, data)
	}
	return data, err
}
