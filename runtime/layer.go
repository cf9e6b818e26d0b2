package runtime

import (
	"fmt"
	"slices"
	"strings"
)

// Layer is what the verdict on a file rests on.
type Layer string

// The layers.
const (
	// IdenticalLayer: the file's graph is the model's, and each weight is bit for bit
	// what it should be. This proves the file for every input; runs only test the
	// runtimes.
	IdenticalLayer Layer = "identical"
	// SamplesLayer: structure cannot prove the file, and it agreed in every run.
	SamplesLayer Layer = "samples"
	// DifferentLayer: structure or a run shows that the file computes something else.
	DifferentLayer Layer = "different"
	// OpenLayer: structure cannot prove the file, and nothing ran it.
	OpenLayer Layer = "open"
)

// FileVerdict is the verdict on one file, with what it rests on.
type FileVerdict struct {
	File            string `json:"file"`
	Layer           Layer  `json:"layer"`            // "identical", "samples", "different" or "open"
	RestsOn         string `json:"rests_on"`         // the proof, or what the samples covered
	Reason          string `json:"reason"`           // why it is not identical
	FirstDifference string `json:"first_difference"` // the first value that structure cannot match, or that differs

	// Runtimes are those that run the file.
	Runtimes []string `json:"-"`
}

// Judged returns the report with verdicts on files. One without a layer, because
// structure left it open, gets the layer that the checks and the runs give it.
// covered describes the samples.
func (r Report) Judged(files []FileVerdict, covered string) Report {
	r.Files = make([]FileVerdict, len(files))
	for i, f := range files {
		if f.Layer == "" {
			f.Layer = OpenLayer
			r.judge(&f, covered)
		}
		r.Files[i] = f
	}
	return r
}

func (r Report) judge(f *FileVerdict, covered string) {
	for _, c := range r.Checks {
		if c.File == f.File && c.Status == StatusFail {
			f.Layer, f.Reason, f.FirstDifference = DifferentLayer, c.Part+": "+c.Reason, c.FirstDifference
			return
		}
	}
	for _, x := range r.Results {
		switch {
		case x.File != f.File && (x.File != "" || !slices.Contains(f.Runtimes, x.Runtime)): // of another file
		case x.Status == StatusFail:
			f.Layer, f.Reason, f.FirstDifference = DifferentLayer, x.Runtime+": "+x.Reason, x.FirstDifference
			return
		case x.Status == StatusOK && x.Cases > 0:
			f.Layer, f.RestsOn = SamplesLayer, covered
		}
	}
}

// writeFiles writes a line for each file.
func (r Report) writeFiles(text *strings.Builder) {
	for _, f := range r.Files {
		switch f.Layer {
		case IdenticalLayer:
			fmt.Fprintf(text, "%s: identical by structure, for every input: %s\n", f.File, f.RestsOn)
		case SamplesLayer:
			fmt.Fprintf(text, "%s: equal on samples (%s); not proved by structure%s\n", f.File, f.RestsOn, because(f))
		case DifferentLayer:
			fmt.Fprintf(text, "%s: different%s\n", f.File, at(f.FirstDifference))
		default:
			fmt.Fprintf(text, "%s: neither proved by structure nor run%s\n", f.File, because(f))
		}
	}
}

func because(f FileVerdict) string {
	if f.Reason == "" {
		return ""
	}
	return at(f.FirstDifference) + ": " + f.Reason
}

func at(value string) string {
	if value == "" {
		return ""
	}
	return ", first at " + value
}

// Covered describes the sizes of cases.
func Covered(cases []Case) string {
	if len(cases) == 0 {
		return "no cases"
	}
	batch, length := [2]int{cases[0].Batch, cases[0].Batch}, [2]int{cases[0].Length, cases[0].Length}
	for _, c := range cases {
		batch = [2]int{min(batch[0], c.Batch), max(batch[1], c.Batch)}
		length = [2]int{min(length[0], c.Length), max(length[1], c.Length)}
	}
	text := fmt.Sprintf("%d cases, batches of %d to %d", len(cases), batch[0], batch[1])
	if length[1] > 0 {
		text += fmt.Sprintf(", sequences of %d to %d", length[0], length[1])
	}
	return text
}
