package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model/huggingface"
)

// difference is what diff tells of a tensor. The numbers are there where
// values were compared.
type difference struct {
	Name     string   `json:"name"`
	State    string   `json:"state"`
	A        string   `json:"a,omitempty"` // type and shape
	B        string   `json:"b,omitempty"`
	Changed  *int     `json:"changed,omitempty"`  // elements
	MaxAbs   *float64 `json:"max_abs,omitempty"`  // left out where one is no number
	Norm     *float64 `json:"norm,omitempty"`     // of the change
	Relative *float64 `json:"relative,omitempty"` // norm of the change to norm of A
}

// comparison is what diff tells of two files.
type comparison struct {
	A        string       `json:"a"`
	B        string       `json:"b"`
	Equal    bool         `json:"equal"`
	BySeals  bool         `json:"by_seals"` // nothing but headers and seals was needed to tell which differ
	Metadata []string     `json:"metadata"` // names that differ
	Tensors  []difference `json:"tensors"`
}

func diffCommand(s streams) *cobra.Command {
	var asJSON, values bool
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show in which tensors two checkpoints differ, and by how much",
		Long: `Compare two checkpoints or safetensors files tensor by tensor. Where both are
sealed, the seals show which tensors differ, whatever the size of the files;
--values reads those tensors and reports by how much they differ. (verify-seal
checks whether a file still is what its seal says.) A run's folder means its
newest checkpoint, RUN/best its best.

Exit codes: 0 they are equal, 1 they differ.`,
		Example: "  attnx diff runs/go/best runs/go --values",
		Args:    nArgs(2, "files"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var readers [2]*format.Reader
			x := comparison{Metadata: []string{}}
			for i, path := range args {
				path, r, err := openForDiff(path, s)
				if err != nil {
					return err
				}
				defer r.Close()
				if x.B = path; i == 0 {
					x.A = path
				}
				readers[i] = r.Reader
			}
			a, b := readers[0], readers[1]
			x.BySeals = a.Seal() != nil && b.Seal() != nil
			tensors, err := format.Diff(a, b, values)
			if err != nil {
				return err
			}
			ma, mb := a.Metadata(), b.Metadata()
			for _, name := range slices.Sorted(maps.Keys(ma)) {
				if v, ok := mb[name]; !ok || v != ma[name] {
					x.Metadata = append(x.Metadata, name)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(mb)) {
				if _, ok := ma[name]; !ok {
					x.Metadata = append(x.Metadata, name)
				}
			}
			x.Equal = len(x.Metadata) == 0
			for _, d := range tensors {
				x.Equal = x.Equal && d.State == format.Equal
				x.Tensors = append(x.Tensors, newDifference(d, values))
			}
			if asJSON {
				err = printJSON(s.out, x)
			} else {
				err = x.print(s.out, values)
			}
			if err == nil && !x.Equal {
				return errMismatch
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&values, "values", false, "read the tensors that differ and report by how much")
	jsonFlag(cmd, &asJSON, comparison{})
	return cmd
}

// closing is a reader and what closes it.
type closing struct {
	*format.Reader
	io.Closer
}

// openForDiff opens what a path leads to, and returns the path that it opened. A
// Hugging Face folder is read as a checkpoint into memory: its tensors have other
// names, types and files.
func openForDiff(path string, s streams) (to string, r closing, err error) {
	if huggingface.IsFolder(path) {
		c, _, err := find.ReadFolder(path, s.tell)
		if err != nil {
			return path, r, err
		}
		var b bytes.Buffer
		if err := c.Write(&b); err != nil {
			return path, r, err
		}
		r.Reader, err = format.NewMemoryReader(b.Bytes())
		r.Closer = io.NopCloser(nil)
		return path, r, err
	}
	err = find.Again(path, func() error {
		if to, err = find.Resolve(path, s.tell); err != nil {
			return err
		}
		if _, err := find.Expect(to, "a safetensors file", find.Safetensors); err != nil {
			return err
		}
		f, err := format.Open(to)
		if err == nil {
			r = closing{f.Reader, f}
		}
		return err
	})
	return to, r, err
}

func newDifference(d format.Difference, values bool) difference {
	out := difference{Name: d.Name, State: d.State}
	if d.State != format.OnlyB {
		out.A = fmt.Sprintf("%s%v", d.A.DType, d.A.Shape)
	}
	if d.State != format.OnlyA {
		out.B = fmt.Sprintf("%s%v", d.B.DType, d.B.Shape)
	}
	if d.State != format.Changed || !values {
		return out
	}
	out.Changed, out.MaxAbs, out.Norm, out.Relative = &d.Changed, finite(d.MaxAbs), finite(d.Norm), finite(d.Norm/d.NormA)
	return out
}

func (x comparison) print(w io.Writer, values bool) error {
	count := map[string]int{}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range x.Tensors {
		if count[d.State]++; d.State == format.Equal {
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t", d.State, d.Name)
		switch {
		case d.State == format.Reshaped:
			fmt.Fprintf(tw, "%s to %s", d.A, d.B)
		case d.State != format.Changed:
			fmt.Fprint(tw, d.A+d.B)
		case values:
			fmt.Fprintf(tw, "%s elements\tmax %s\tnorm %s\trelative %s", thousands(*d.Changed), shortFloat(d.MaxAbs), shortFloat(d.Norm), shortFloat(d.Relative))
		default:
			fmt.Fprint(tw, d.A)
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, name := range x.Metadata {
		fmt.Fprintf(w, "metadata differ: %s\n", shortened(name))
	}
	line := fmt.Sprintf("%d tensors equal", count[format.Equal])
	for _, state := range []string{format.Changed, format.Reshaped, format.OnlyA, format.OnlyB} {
		if count[state] > 0 {
			line += fmt.Sprintf(", %d %s", count[state], state)
		}
	}
	if x.BySeals {
		line += " (by their seals)"
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// shortFloat writes a number of a table, of which three digits matter.
func shortFloat(v *float64) string {
	if v == nil {
		return "no number"
	}
	return fmt.Sprintf("%.3g", *v)
}
