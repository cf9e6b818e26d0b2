package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/attnx/attnx/internal/quote"
)

// FileFlag is the flag that names a configuration file.
const FileFlag = "config"

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// ReadConfig sets the flags that a configuration file gives: a YAML mapping from
// the names of flags to their values, lists for flags that can be repeated. A
// flag of the command line counts more than the file.
func ReadConfig(path string, fl *pflag.FlagSet) error {
	text, err := readSmall(path)
	if err != nil {
		return err
	}
	var file yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	switch err := decoder.Decode(&file); {
	case err == io.EOF:
		return nil // an empty file gives nothing
	case err != nil:
		return fmt.Errorf("%s: %s", path, quote.Line(err.Error(), 300))
	}
	if err := decoder.Decode(new(yaml.Node)); err != io.EOF {
		return fmt.Errorf("%s: a second document begins: put all keys into the first", path)
	}
	keys := file.Content[0]
	if keys.Kind == yaml.ScalarNode && keys.Tag == "!!null" {
		return nil // nothing but comments
	}
	if keys.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: line %d: expected the names of flags with their values, such as steps: 200", path, keys.Line)
	}
	seen := map[string]int{}
	var set []func() error
	for i := 0; i < len(keys.Content); i += 2 {
		key, value := keys.Content[i], keys.Content[i+1]
		at := func(format string, args ...any) error {
			return fmt.Errorf("%s: line %d: %s", path, key.Line, fmt.Sprintf(format, args...))
		}
		name := key.Value
		flag := fl.Lookup(name)
		switch {
		case key.Kind != yaml.ScalarNode || flag == nil || name == FileFlag || name == "help":
			return at("%.60q is not a setting: the keys are the flags without their dashes (attnx train --help lists them)", name)
		case seen[name] > 0:
			return at("%s is given twice, first in line %d: leave one out", name, seen[name])
		}
		seen[name] = key.Line
		values, err := scalars(value, flag)
		if err != nil {
			return at("%s: %v", name, err)
		}
		if flag.Changed {
			continue
		}
		set = append(set, func() error {
			for _, v := range values {
				if err := fl.Set(name, v); err != nil {
					return at("%s: %.60q is no %s", name, v, flag.Value.Type())
				}
			}
			return nil
		})
	}
	for _, apply := range set {
		if err := apply(); err != nil {
			return err
		}
	}
	return nil
}

// readSmall reads a regular file of at most maxConfig bytes.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path) // opening a pipe would block until something writes to it
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfig {
		return nil, fmt.Errorf("%s: expected a regular file of at most %d bytes", path, maxConfig)
	}
	return os.ReadFile(path)
}

// repeated reports whether a flag can be given several times.
func repeated(flag *pflag.Flag) bool {
	_, is := flag.Value.(pflag.SliceValue)
	return is
}

// scalars returns the values of a flag.
func scalars(value *yaml.Node, flag *pflag.Flag) ([]string, error) {
	nodes := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		if nodes = value.Content; !repeated(flag) {
			return nil, errors.New("it takes one value, not a list")
		}
	}
	var values []string
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode {
			return nil, errors.New("expected a number, a word or true or false")
		}
		if n.Tag == "!!null" {
			return nil, errors.New("it has no value")
		}
		values = append(values, n.Value)
	}
	return values, nil
}

// WriteConfig returns the given flags as a configuration file, except those left
// out.
func WriteConfig(fl *pflag.FlagSet, without ...string) string {
	file := yaml.Node{Kind: yaml.MappingNode}
	fl.Visit(func(f *pflag.Flag) {
		if f.Name == FileFlag || slices.Contains(without, f.Name) {
			return
		}
		value := &yaml.Node{}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			_ = value.Encode(list.GetSlice()) // strings can be encoded
		} else if f.Value.Type() == "string" {
			_ = value.Encode(f.Value.String())
		} else {
			value.Kind, value.Value = yaml.ScalarNode, f.Value.String()
		}
		file.Content = append(file.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: f.Name}, value)
	})
	if len(file.Content) == 0 {
		return ""
	}
	text, err := yaml.Marshal(&file)
	if err != nil {
		return "" // not reached: scalars and lists of strings
	}
	return string(text)
}
