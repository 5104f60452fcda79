// An ssh-agent that holds one fresh Ed25519 key, which is all litewitness wants of one.
//
//	agent /tmp/x/agent.sock     prints the key's fingerprint, "SHA256:…", and serves until it is killed
package main

import (
	"crypto/ed25519"
	"fmt"
	"log"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: agent SOCKET")
	}
	_, key, err := ed25519.GenerateKey(nil)
	check(err)
	keys := agent.NewKeyring()
	check(keys.Add(agent.AddedKey{PrivateKey: key}))
	held, err := keys.List()
	check(err)
	socket, err := net.Listen("unix", os.Args[1])
	check(err)
	fmt.Println(ssh.FingerprintSHA256(held[0]))
	for {
		connection, err := socket.Accept()
		check(err)
		go agent.ServeAgent(keys, connection)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
