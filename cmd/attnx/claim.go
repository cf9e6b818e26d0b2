package main

import (
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/output"
)

// claim is output.Claim for a path given on the command line.
func claim(what output.Kind, path string, inputs ...string) (*store.Claim, error) {
	if err := notStdout(path); err != nil {
		return nil, err
	}
	return output.Claim(what, path, inputs...)
}
