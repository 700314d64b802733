// Command write writes the files that package generate makes.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"

	"github.com/senderlock/senderlock/conformance/internal/generate"
)

func main() {
	folder := flag.String("o", ".", "the folder to write to")
	table := flag.String("requirements", "../requirements.md", "the `file` with the requirements")
	flag.Parse()
	for name, content := range generate.Files(*table) {
		if err := os.WriteFile(filepath.Join(*folder, name), content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
