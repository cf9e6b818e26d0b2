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
)

// Number is a float64 that JSON shows as null when it is NaN or infinite,
// which JSON numbers cannot be. NaN means that nothing was measured.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if !finite(float64(n)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON implements json.Unmarshaler: null is NaN.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// cell returns n as the text report shows it.
func (n Number) cell(format string) string {
	switch {
	case math.IsNaN(float64(n)):
		return "-"
	case math.IsInf(float64(n), 0):
		return "not finite"
	}
	return fmt.Sprintf(format, float64(n))
}

// Report is the outcome of a verification. Its JSON is that of `attnx verify`.
type Report struct {
	Verdict Verdict  `json:"verdict"`
	Oracle  string   `json:"oracle"`
	Reason  string   `json:"reason,omitempty"` // why the verdict is fail
	Checks  []Check  `json:"checks"`           // of the files, before anything ran
	Cases   int      `json:"cases"`
	Results []Result `json:"results"`
}

// Check is the outcome of comparing one part of a file, or a file of a folder,
// with what export writes from the checkpoint. Nothing is run for it.
type Check struct {
	File            string `json:"file"`
	Part            string `json:"part"` // "initializers", "nodes", "metadata" or "contents"
	Status          Status `json:"status"`
	Compared        int    `json:"compared"`         // of Total
	Total           int    `json:"total"`            // what export writes
	Reason          string `json:"reason"`           // the first departures, or what could not be compared
	FirstDifference string `json:"first_difference"` // the first value that the departures alter, such as "h.0.attn.scores"
}

// With returns the report with checks of the files. One that failed makes the
// verdict fail.
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

// Result is the outcome of one runtime over the cases it ran. The three
// numbers are null when there was nothing to measure, and the maxima also when
// a value was NaN or infinite, which is always a fail.
type Result struct {
	Runtime         string `json:"runtime"`
	Status          Status `json:"status"`
	Reason          string `json:"reason"` // why the status is not ok
	MaxAbs          Number `json:"max_abs"`
	MaxRel          Number `json:"max_rel"`
	ArgmaxAgreement Number `json:"argmax_agreement"`
	FirstDifference string `json:"first_difference"` // the first differing value by name, such as "h.0.attn.scores"
	Cases           int    `json:"cases"`
	ArgmaxChecked   int    `json:"argmax_checked"` // rows that ArgmaxAgreement is over
}

// WriteText writes the report as a table with a line for each check and one for
// each runtime, then the reasons, which can be long, then the verdict. The
// tables have at most 80 columns: where the last one, of the first differences,
// makes them wider, these are lines of their own.
func (r Report) WriteText(w io.Writer) error {
	var text, notes strings.Builder
	r.writeChecks(&text, &notes)
	rows := make([]row, len(r.Results))
	for i, x := range r.Results {
		cells := fmt.Sprintf("%s\t%s\t%d/%d\t%s\t%s\t%s", x.Runtime, x.Status, x.Cases, r.Cases,
			x.MaxAbs.cell("%.2e"), x.MaxRel.cell("%.2e"), (100 * x.ArgmaxAgreement).cell("%.4g%%"))
		rows[i] = row{x.Runtime, cells, x.FirstDifference, x.Reason}
	}
	writeTable(&text, &notes, "runtime\tstatus\tcases\tmax abs\tmax rel\targmax", rows)
	text.WriteString(notes.String())
	fmt.Fprintf(&text, "%s against %s", r.Verdict, r.Oracle)
	if r.Reason != "" {
		text.WriteString(": " + r.Reason)
	}
	text.WriteByte('\n')
	_, err := io.WriteString(w, text.String())
	return err
}

// writeChecks writes the table of the checks, if there are any.
func (r Report) writeChecks(text, notes *strings.Builder) {
	if len(r.Checks) == 0 {
		return
	}
	rows := make([]row, len(r.Checks))
	for i, c := range r.Checks {
		const others = 42 // columns of the other cells
		cells := fmt.Sprintf("%s\t%s\t%s\t%d/%d", ending(c.File, textWidth-others), c.Part, c.Status, c.Compared, c.Total)
		rows[i] = row{c.File + ": " + c.Part, cells, c.FirstDifference, c.Reason}
	}
	writeTable(text, notes, "file\tpart\tstatus\tcompared", rows)
	text.WriteByte('\n')
}

// textWidth is how many columns the tables of a report have at most: those of a
// terminal that nobody has widened.
const textWidth = 80

// row is a line of a table, and what is said of it below.
type row struct{ name, cells, first, reason string }

// writeTable writes a table with a last column for the first differences, or, if
// it is too wide with it, without. Then those are notes, as the reasons are.
func writeTable(text, notes *strings.Builder, header string, rows []row) {
	whole := aligned(header+"\tfirst difference", rows, func(r row) string { return "\t" + cmp.Or(r.first, "-") })
	fits := widest(whole) <= textWidth
	if !fits {
		whole = aligned(header, rows, func(row) string { return "" })
	}
	text.WriteString(whole)
	for _, r := range rows {
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
	tw.Flush() // a Builder takes every write
	return text.String()
}

// widest returns the characters of the longest line.
func widest(text string) (n int) {
	for line := range strings.Lines(text) {
		n = max(n, utf8.RuneCountInString(line)-1)
	}
	return n
}

// ending returns a path of at most so many characters: of a longer one its end,
// which tells files apart. The notes have it whole.
func ending(path string, most int) string {
	r := []rune(path)
	if len(r) <= most {
		return path
	}
	return "…" + string(r[len(r)-most+1:])
}
