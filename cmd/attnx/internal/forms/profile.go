package forms

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
)

// Flags holds the flags for the form of an ONNX file.
type Flags struct {
	Name   string // --profile
	opset  int    // --opset
	Length int    // --length
	fuse   string // --fuse
	last   bool   // --last-logits
	keep   string // --keep
	inputs bool   // --adapter-inputs
	Numbers
}

// AddTo adds the flags.
func (f *Flags) AddTo(fl *pflag.FlagSet) {
	fl.StringVar(&f.Name, "profile", export.Plain{}.Name(), "form of the graph: "+strings.Join(export.ProfileNames(), ", "))
	fl.IntVar(&f.opset, "opset", 0, "ONNX operator set (default: the profile's)")
	fl.IntVar(&f.Length, "length", 0, "flat, train: tokens in a sequence (default: the model's context)")
	fl.BoolVar(&f.last, "last-logits", false, "cache: logits of the last token alone, (batch_size, 1, vocabulary)")
	fl.StringVar(&f.fuse, "fuse", "", "cache: ort writes ONNX Runtime's own operators, with one buffer for past and present")
	fl.BoolVar(&f.inputs, "adapter-inputs", false, "plain, cache: the matrices of an adapter (train --lora) are inputs, which a run may leave out or replace (.onnx_adapter)")
	f.Numbers.Flags(fl)
	fl.StringVar(&f.keep, "keep", "", "with --quantize: weights to keep as they are, by name, those that bring the predicted loss below X: auto:X, or all that integers do not hold exactly: exact")
}

// Profile returns the profile that the flags select. It refuses flags of other
// profiles.
func (f Flags) Profile() (export.Profile, error) {
	p, err := export.ParseProfile(f.Name)
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	if err := CheckFuse(f.fuse); err != nil {
		return nil, err
	}
	switch p.(type) {
	case export.Plain:
		p = export.Plain{Opset: f.opset, AdapterInputs: f.inputs}
	case export.Cache:
		p = export.Cache{Opset: f.opset, Fuse: f.fuse != "", LastLogits: f.last, AdapterInputs: f.inputs}
	case export.Flat:
		p = export.Flat{Opset: f.opset, Length: f.Length}
	case export.Train:
		p = export.Train{Opset: f.opset}
	}
	as, err := f.Form()
	if err == nil && f.keep != "" {
		if as.Quantize == "" {
			return nil, fmt.Errorf("--keep leaves weights out of --quantize: give it too")
		}
		if f.Exact() {
			as.Keep = ""
		} else if as.Keep, _, err = precision.ParseKeep(f.keep); err != nil {
			err = fmt.Errorf("--keep: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	if p, err = export.WithNumbers(p, as); err != nil {
		return nil, fmt.Errorf("--dtype and --quantize belong to --profile plain and cache: %s is written in float32 alone", f.Name)
	}
	return p, nil
}

// Exact reports whether the weights that integers do not hold exactly are kept.
func (f Flags) Exact() bool { return f.keep == "exact" }

// Limit returns the loss that --keep auto:X allows; 0: another --keep, or none.
func (f Flags) Limit() float64 {
	_, limit, _ := precision.ParseKeep(f.keep) // Profile reports an error
	return limit
}

// check refuses unknown values of flags, and flags of other profiles.
func (f Flags) check() error {
	cache := export.Cache{}.Name()
	switch {
	case f.Length != 0 && slices.Contains([]string{export.Plain{}.Name(), cache}, f.Name):
		return fmt.Errorf("--length belongs to --profile flat and train: %s runs any length", f.Name)
	case f.fuse != "" && f.Name != cache:
		return fmt.Errorf("--fuse belongs to --profile cache")
	case f.last && f.Name != cache:
		return fmt.Errorf("--last-logits belongs to --profile cache")
	case f.inputs && f.Name != cache && f.Name != export.Plain{}.Name():
		return fmt.Errorf("--adapter-inputs belongs to --profile plain and cache")
	}
	return nil
}

// CheckFuse refuses unknown values of --fuse.
func CheckFuse(fuse string) error {
	if fuse != "" && fuse != "ort" {
		return fmt.Errorf("--fuse %.80q: take ort, or leave it out for standard operators alone", fuse)
	}
	return nil
}
