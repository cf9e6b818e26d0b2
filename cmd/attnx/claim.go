package main

import (
	"errors"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/output"
)

// claim is output.Claim for a path of the command line.
func claim(what output.Kind, path string, inputs ...string) (*store.Claim, error) {
	if path == "-" {
		return nil, errors.New("-: nothing is written to standard output: name a file (./- for one of this name)")
	}
	return output.Claim(what, path, inputs...)
}
