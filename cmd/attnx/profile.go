package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx/export"
)

// profileFlags holds the flags for the form of an ONNX file.
type profileFlags struct {
	name   string // --profile
	opset  int    // --opset
	length int    // --length
	fuse   string // --fuse
	last   bool   // --last-logits
	numbers
}

func (f *profileFlags) flags(fl *pflag.FlagSet) {
	fl.StringVar(&f.name, "profile", export.Plain{}.Name(), "form of the graph: "+strings.Join(export.ProfileNames(), ", "))
	fl.IntVar(&f.opset, "opset", 0, "ONNX operator set (default: the profile's)")
	fl.IntVar(&f.length, "length", 0, "flat, train: tokens in a sequence (default: the model's context)")
	fl.BoolVar(&f.last, "last-logits", false, "cache: logits of the last token alone, (batch_size, 1, vocabulary)")
	fl.StringVar(&f.fuse, "fuse", "", "cache: ort writes ONNX Runtime's own operators, with one buffer for past and present")
	f.numbers.flags(fl)
}

// profile returns the profile that the flags select. It refuses flags of other
// profiles.
func (f profileFlags) profile() (export.Profile, error) {
	p, err := export.ParseProfile(f.name)
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if err := checkFuse(f.fuse); err != nil {
		return nil, err
	}
	switch p.(type) {
	case export.Plain:
		p = export.Plain{Opset: f.opset}
	case export.Cache:
		p = export.Cache{Opset: f.opset, Fuse: f.fuse != "", LastLogits: f.last}
	case export.Flat:
		p = export.Flat{Opset: f.opset, Length: f.length}
	case export.Train:
		p = export.Train{Opset: f.opset}
	}
	as, err := f.form()
	if err != nil {
		return nil, err
	}
	if p, err = export.WithNumbers(p, as); err != nil {
		return nil, fmt.Errorf("--dtype and --quantize belong to --profile plain and cache: %s is written in float32 alone", f.name)
	}
	return p, nil
}

// check refuses unknown values of flags, and flags of other profiles.
func (f profileFlags) check() error {
	cache := export.Cache{}.Name()
	switch {
	case f.length != 0 && slices.Contains([]string{export.Plain{}.Name(), cache}, f.name):
		return fmt.Errorf("--length belongs to --profile flat and train: %s runs any length", f.name)
	case f.fuse != "" && f.name != cache:
		return fmt.Errorf("--fuse belongs to --profile cache")
	case f.last && f.name != cache:
		return fmt.Errorf("--last-logits belongs to --profile cache")
	}
	return nil
}

// checkFuse refuses unknown values of --fuse.
func checkFuse(fuse string) error {
	if fuse != "" && fuse != "ort" {
		return fmt.Errorf("--fuse %.80q: take ort, or leave it out for standard operators alone", fuse)
	}
	return nil
}
