package runtime

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Verdict is the outcome of a verification.
type Verdict string

// The verdicts.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
)

// Status is the outcome of one runtime.
type Status string

// The statuses.
const (
	StatusOK          Status = "ok"
	StatusUnavailable Status = "unavailable"
	StatusFail        Status = "fail"
	StatusMeasured    Status = "measured" // compared without a bound
	// StatusUncertified is the status of a runtime whose outputs were compared
	// where no bound is known.
	StatusUncertified Status = "not certified"
)

// Number is a float64 that JSON shows as null if it is NaN or infinite, because
// JSON has no such numbers. NaN means that nothing was measured.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if !finite(float64(n)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON implements json.Unmarshaler: null becomes NaN.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// cell formats n for the text report.
func (n Number) cell(format string) string {
	switch {
	case math.IsNaN(float64(n)):
		return "-"
	case math.IsInf(float64(n), 0):
		return "not finite"
	}
	return fmt.Sprintf(format, float64(n))
}

// ratio formats n as a ratio: of 10,000 or more the exponent says it.
func (n Number) ratio() string {
	if n >= 1e4 {
		return n.cell("%.0e")
	}
	return n.cell("%.1f")
}

// Report is the outcome of a verification. `attnx verify` prints its JSON.
type Report struct {
	Verdict Verdict `json:"verdict"`
	// Oracle is what the results are compared with: OracleName, the recorded outputs or, for a
	// file that the oracle does not read, a runtime such as "ort-cpu (disabled)". The verdict
	// is then fail, as nothing says which of the runtimes is right.
	Oracle  string   `json:"oracle"`
	Reason  string   `json:"reason,omitempty"` // why the verdict is fail
	Checks  []Check  `json:"checks"`           // of the files, made before any run
	Cases   int      `json:"cases"`
	Results []Result `json:"results"`
	Notes   []string `json:"notes,omitempty"` // what the verification left out or took for something else
	Kept    string   `json:"kept,omitempty"`  // folder with the smallest model that shows the first difference
	// Files holds the verdict on each file, with what it rests on.
	Files    []FileVerdict `json:"files"`
	Coverage *Coverage     `json:"coverage,omitempty"` // what the cases reach

	Explain bool `json:"-"` // WriteText writes the readings too
}

// Check is the outcome of comparing a part of a file, or a file of a folder,
// with the exporter's output for the checkpoint. It runs nothing.
type Check struct {
	File            string `json:"file"`
	Part            string `json:"part"` // "initializers", "nodes", "metadata" or "contents"
	Status          Status `json:"status"`
	Compared        int    `json:"compared"`         // out of Total
	Total           int    `json:"total"`            // number of parts that the exporter writes
	Reason          string `json:"reason"`           // the first deviations, or why the part could not be compared
	FirstDifference string `json:"first_difference"` // the first value that the deviations change, such as "h.0.attn.scores"
}

// With returns the report with added checks of the files. A failed check makes
// the verdict fail.
func (r Report) With(checks []Check) Report {
	r.Checks = append([]Check{}, checks...)
	for _, c := range checks {
		if c.Status != StatusFail {
			continue
		}
		reason := c.File + " failed: " + c.Part
		if r.Reason != "" {
			reason += "; " + r.Reason
		}
		r.Verdict, r.Reason = Fail, reason
		break
	}
	return r
}

// Result is the outcome of one runtime over the cases it ran. The numbers are null
// if nothing was measured. The maxima are also null if a value was NaN
// or infinite; the status is then fail.
type Result struct {
	File            string `json:"file,omitempty"` // the file that ran, if it is not the first one
	Runtime         string `json:"runtime"`
	Against         string `json:"against,omitempty"` // what it is compared with, if that is not the report's oracle
	Status          Status `json:"status"`
	Reason          string `json:"reason"` // why the status is not "ok"
	MaxAbs          Number `json:"max_abs"`
	MaxRel          Number `json:"max_rel"`
	Bound           Number `json:"bound"`       // derived bound of the value that came closest to its own
	BoundRatio      Number `json:"bound_ratio"` // that bound, divided by the value's error
	Closest         string `json:"closest"`     // name and index of that value, such as "logits[0,3,17]"
	ArgmaxAgreement Number `json:"argmax_agreement"`
	FirstDifference string `json:"first_difference"`     // name of the first value that differs, such as "h.0.attn.scores"
	Node            string `json:"first_node,omitempty"` // the node of an ONNX file of another tool that computes it
	Cases           int    `json:"cases"`
	ArgmaxChecked   int    `json:"argmax_checked"` // rows counted by ArgmaxAgreement
	// Readings bound the error of the closest value; nil if they were not derived.
	Readings *Readings `json:"readings,omitempty"`
	Rounding []Part    `json:"rounding,omitempty"` // the values whose roundings make most of the bound of the first difference

	noKernel bool // the runtime is there, and has no kernel for a node of the file
	partial  bool // it failed, and takes some models only
}

// WriteText writes the report as a table with one line per check and one per
// runtime, followed by the reasons, which can be long, and the verdict. Tables
// have at most 80 columns: if the last column, of the first differences, makes
// a table wider, the differences follow on separate lines.
func (r Report) WriteText(w io.Writer) error {
	var text, notes strings.Builder
	r.writeChecks(&text, &notes)
	said := map[string]bool{} // why a runtime is unavailable is said once, below the first table
	for i, x := range r.Results {
		if i > 0 && x.group() == r.Results[i-1].group() {
			continue
		}
		var rows []row
		for _, x := range r.Results[i:] {
			if x.group() != r.Results[i].group() {
				break
			}
			cells := fmt.Sprintf("%s\t%s\t%d/%d\t%s\t%s\t%s", x.Runtime, x.Status, x.Cases, r.Cases,
				x.MaxAbs.cell("%.1e"), x.BoundRatio.ratio(), (100 * x.ArgmaxAgreement).cell("%.4g%%"))
			first := x.FirstDifference
			if x.Node != "" {
				first += " of node " + x.Node
			}
			reason := x.Reason
			if x.Status == StatusUnavailable {
				if said[x.Runtime+reason] {
					reason = ""
				}
				said[x.Runtime+x.Reason] = true
			}
			rows = append(rows, row{x.Runtime, cells, first, reason})
		}
		if notes.Len() > 0 {
			text.WriteString(notes.String())
			notes.Reset()
		}
		if i > 0 {
			text.WriteByte('\n')
		}
		if title := x.group(); title != "" {
			text.WriteString(title + "\n")
		}
		writeTable(&text, &notes, "runtime\tstatus\tcases\tmax abs\tbound/error\targmax", rows)
	}
	text.WriteString(notes.String())
	if r.Kept != "" {
		fmt.Fprintf(&text, "%s: the smallest model that shows the first difference, its inputs, and the outputs that were expected and computed\n", r.Kept)
	}
	for _, x := range r.Results {
		if r.Explain && x.Readings != nil {
			x.Readings.write(&text, strings.TrimSpace(x.File+" "+x.Runtime), x.Closest)
		}
	}
	if r.Coverage != nil {
		r.Coverage.write(&text)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&text, "note: %s\n", n)
	}
	r.writeFiles(&text)
	fmt.Fprintf(&text, "%s against %s", r.Verdict, r.Oracle)
	if r.Reason != "" {
		text.WriteString(": " + r.Reason)
	}
	text.WriteByte('\n')
	_, err := io.WriteString(w, text.String())
	return err
}

// group returns what the results of a table have in common, "" for the first file
// and the report's oracle.
func (x Result) group() string {
	title := x.File
	if x.Against != "" {
		title = strings.TrimSpace(title + " against " + x.Against)
	}
	return title
}

// writeChecks writes the table of the checks, if the report has any.
func (r Report) writeChecks(text, notes *strings.Builder) {
	if len(r.Checks) == 0 {
		return
	}
	rows := make([]row, len(r.Checks))
	for i, c := range r.Checks {
		const others = 42 // width of the other cells
		cells := fmt.Sprintf("%s\t%s\t%s\t%d/%d", ending(c.File, textWidth-others), c.Part, c.Status, c.Compared, c.Total)
		rows[i] = row{c.File + ": " + c.Part, cells, c.FirstDifference, c.Reason}
	}
	writeTable(text, notes, "file\tpart\tstatus\tcompared", rows)
	text.WriteByte('\n')
}

// textWidth is the maximum width of the report's tables: that of a default
// terminal.
const textWidth = 80

// row is a line of a table, and the note below the table.
type row struct{ name, cells, first, reason string }

// writeTable writes a table whose last column has the first differences. If the
// table would be too wide, the differences become notes, like the reasons. Rows in
// succession with one reason share a note.
func writeTable(text, notes *strings.Builder, header string, rows []row) {
	whole := aligned(header+"\tfirst difference", rows, func(r row) string { return "\t" + cmp.Or(r.first, "-") })
	fits := widest(whole) <= textWidth
	if !fits {
		whole = aligned(header, rows, func(row) string { return "" })
	}
	text.WriteString(whole)
	for i := 0; i < len(rows); i++ {
		r := rows[i]
		for ; i+1 < len(rows) && r.reason != "" && rows[i+1].reason == r.reason && rows[i+1].first == r.first; i++ {
			r.name += ", " + rows[i+1].name // one finding is said once
		}
		if !fits && r.first != "" {
			fmt.Fprintf(notes, "%s: first difference: %s\n", r.name, r.first)
		}
		if r.reason != "" {
			fmt.Fprintf(notes, "%s: %s\n", r.name, r.reason)
		}
	}
}

func aligned(header string, rows []row, last func(row) string) string {
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, header)
	for _, r := range rows {
		fmt.Fprintln(tw, r.cells+last(r))
	}
	tw.Flush() // a strings.Builder never fails
	return text.String()
}

// widest returns the length of the longest line in characters.
func widest(text string) (n int) {
	for line := range strings.Lines(text) {
		n = max(n, utf8.RuneCountInString(line)-1)
	}
	return n
}

// ending shortens a path to the given number of characters. It keeps the end,
// which distinguishes files. The notes contain the full path.
func ending(path string, most int) string {
	r := []rune(path)
	if len(r) <= most {
		return path
	}
	return "…" + string(r[len(r)-most+1:])
}
