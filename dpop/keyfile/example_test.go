package keyfile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/dpop/keyfile"
)

// A program makes its key when it runs for the first time, and finds it again afterwards.
func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	file := keyfile.File{Path: filepath.Join(folder, "client.pem")}
	var thumbprints [2]string
	for run := range thumbprints {
		key, err := file.Load()
		if errors.Is(err, fs.ErrNotExist) {
			key, err = file.Create("ES256")
		}
		if err != nil {
			log.Fatal(err) // such as: its mode is 0644
		}
		signer, err := dpop.NewSigner(key, "")
		if err != nil {
			log.Fatal(err)
		}
		thumbprints[run] = signer.Thumbprint()
	}
	fmt.Println(thumbprints[0] == thumbprints[1])
	// Output: true
}
