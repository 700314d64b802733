package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// source is where settings come from: flags, then the environment, then a file.
type source struct {
	env      func(name string) string
	file     string
	upstream string
	routes   []string
}

// opened is a source whose file was read.
type opened struct {
	source
	entries map[string]entry // by the name of the setting
}

// entry is one key of the file.
type entry struct {
	key, value string
	line       int
}

func (s source) open() (*opened, error) {
	o := &opened{source: s, entries: map[string]entry{}}
	if s.file == "" {
		return o, nil
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		return nil, err
	}
	if err := o.parse(text); err != nil {
		return nil, fmt.Errorf("%s: %w", s.file, err)
	}
	return o, nil
}

func (o *opened) get(name string) string {
	switch {
	case name == "UPSTREAM" && o.upstream != "":
		return o.upstream
	case name == "ROUTES" && len(o.routes) > 0:
		return strings.Join(o.routes, "\n")
	}
	if value := o.env(name); value != "" {
		return value
	}
	return o.entries[name].value
}

// parse reads one mapping from the names of settings in lower case to a text or a list of texts.
func (o *opened) parse(text []byte) error {
	var document, second yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err := documents.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := documents.Decode(&second); err == nil {
		return fmt.Errorf("line %d: another document begins: write all settings in one, without ---", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	if len(document.Content) == 0 {
		return nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: write one setting a line, such as port: 8080", root.Line)
	}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		name := strings.ToUpper(key.Value)
		if earlier, doubled := o.entries[name]; doubled {
			return fmt.Errorf("line %d: %s is in line %d already: leave one of them", key.Line, key.Value, earlier.line)
		}
		text, err := valueOf(name, value)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", value.Line, key.Value, err)
		}
		o.entries[name] = entry{key.Value, text, key.Line}
	}
	return nil
}

// between is what stands between the items of a list in the environment, where it is no comma.
var between = map[string]string{"ROUTES": "\n", "BEARER": "\n", "REPORT_ONLY": ";"}

var errValue = errors.New("write a text, a number, or a list of them")

// valueOf is a value as the environment would have it: lists have commas between their items, or what between says.
func valueOf(name string, node *yaml.Node) (string, error) {
	switch node.Kind {
	case yaml.ScalarNode:
		if node.Tag == "!!null" {
			return "", errors.New("the value is missing: write one, or leave the line out")
		}
		return node.Value, nil
	case yaml.SequenceNode:
		var items []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" || item.Value == "" {
				return "", errValue
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, cmp.Or(between[name], ",")), nil
	}
	return "", errValue
}

// unknown has a line for each key of the file that is no setting.
func (o *opened) unknown(known []string) error {
	var all []error
	for name, e := range o.entries {
		if !slices.Contains(known, name) || e.key != strings.ToLower(name) {
			all = append(all, fmt.Errorf("%s: line %d: %s is no setting: docs/gateway.md lists them, in lower case here", o.file, e.line, e.key))
		}
	}
	slices.SortFunc(all, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(all...)
}
