package generate

import (
	"log"
	"os"
	"strings"
)

// requirement is what a row of requirements.md says.
type requirement struct{ source, rule string }

// requirements reads the rows by their names.
func requirements(file string) map[string]requirement {
	text, err := os.ReadFile(file)
	if err != nil {
		log.Panic(err)
	}
	rows := map[string]requirement{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| RS-") {
			rows[strings.TrimPrefix(cells[0], "| ")] = requirement{cells[1], cells[2]}
		}
	}
	return rows
}
