// Judges a tlog-proof under a tlog-policy with torchwood's code.
//
//	proof policy.txt entry proof.txt     nothing, or what is wrong and exit status 1
package main

import (
	"log"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: proof POLICY ENTRY PROOF")
	}
	policy, err := torchwood.ParsePolicy(read(os.Args[1]))
	if err != nil {
		log.Fatal(err)
	}
	if err := torchwood.VerifyProof(policy, tlog.RecordHash(read(os.Args[2])), read(os.Args[3])); err != nil {
		log.Fatal(err)
	}
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return data
}
