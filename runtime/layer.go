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
	// OpenLayer: structure cannot prove the file, and nothing ran it, or only a
	// runtime that is not certified. This is no pass.
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
	// Arithmetic is set for a file that computes in less exact numbers than what it is
	// compared with: which ones.
	Arithmetic string `json:"-"`

	uncertified string // the runtime that ran it without a bound
	before      string // Reason, before a check or a run showed a difference
	structural  bool   // structure shows the difference, and not a check or a run that is in the report
}

// Judged returns the report with verdicts on files. One without a layer, because
// structure left it open, gets the layer that the checks and the runs give it.
// covered describes the samples. A file that is different, or that nothing proved
// and nothing ran, makes the verdict fail.
func (r Report) Judged(files []FileVerdict, covered string) Report {
	r.Files = make([]FileVerdict, len(files))
	for i, f := range files {
		if f.structural = f.Layer == DifferentLayer; f.Layer == "" {
			f.Layer = OpenLayer
			r.judge(&f, covered)
		}
		r.Files[i] = f
		if r.Verdict != Pass {
			continue
		}
		switch f.Layer {
		case OpenLayer:
			r.Verdict, r.Reason = Fail, f.File+" is not verified: "+f.open()
		case DifferentLayer:
			r.Verdict, r.Reason = Fail, f.File+" is different"
		}
	}
	return r
}

// open says why a file is not verified.
func (f FileVerdict) open() string {
	if f.uncertified != "" {
		return f.uncertified + " ran it and is not certified"
	}
	return "structure does not prove it, and nothing ran it"
}

func (r Report) judge(f *FileVerdict, covered string) {
	f.before = f.Reason
	for _, c := range r.Checks {
		if c.File == f.File && c.Status == StatusFail {
			f.Layer, f.Reason, f.FirstDifference = DifferentLayer, c.Part+": "+c.Reason, c.FirstDifference
			return
		}
	}
	for _, x := range r.Results {
		switch {
		case x.partial: // what it computes wrongly proves nothing about the file
		case x.File != f.File && (x.File != "" || !slices.Contains(f.Runtimes, x.Runtime)): // of another file
		case x.Status == StatusFail:
			f.Layer, f.Reason, f.FirstDifference = DifferentLayer, x.Runtime+": "+x.Reason, x.FirstDifference
			if f.before != "" {
				f.Reason += "; by structure: " + f.before
			}
			return
		case x.Status == StatusUncertified:
			f.uncertified = x.Runtime
		case x.Status == StatusOK && x.Cases > 0:
			f.Layer, f.RestsOn = SamplesLayer, covered
			if f.Arithmetic != "" {
				f.RestsOn += fmt.Sprintf("; it computes in %s, whose rounding bounds the difference of %s", f.Arithmetic, x.MaxAbs.cell("%.1e"))
			}
		}
	}
	if f.uncertified != "" {
		f.Layer, f.RestsOn = OpenLayer, ""
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
			why := at(f.FirstDifference)
			switch {
			case f.structural:
				why = because(f)
			case f.before != "":
				why += "; by structure: " + f.before
			}
			fmt.Fprintf(text, "%s: different%s\n", f.File, why)
		default:
			fmt.Fprintf(text, "%s: not verified: %s%s\n", f.File, f.open(), because(f))
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
