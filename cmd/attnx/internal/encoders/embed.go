package encoders

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
)

// embedReport is the JSON of embed.
type embedReport struct {
	Model      string      `json:"model"`
	Runtime    string      `json:"runtime"`
	Pooling    string      `json:"pooling"`
	Normalized bool        `json:"normalized"`
	Width      int         `json:"width"`
	File       string      `json:"file,omitempty"` // with the vectors
	Texts      []embedText `json:"texts"`
}

// embedText is a text with its embedding.
type embedText struct {
	Text   string    `json:"text"`
	Tokens int       `json:"tokens"`
	Vector []float32 `json:"vector,omitempty"`
}

// Embed returns the command embed.
func Embed(s console.Streams) *cobra.Command {
	var from sources
	var pooling, out string
	var normalize, asJSON bool
	cmd := &cobra.Command{
		Use:   "embed MODEL --text TEXT|--file FILE",
		Short: "Turn texts into vectors",
		Long: `Turn each text into a vector, its embedding: similar texts have similar
vectors. MODEL is an encoder or a decoder: a Hugging Face folder, a checkpoint,
or an ONNX file of attnx that was exported without a head.

A vector is made from the hidden states of the text's tokens: their mean, or the
one of the first or of the last token. The default is what the folder of a model
of sentence-transformers says (modules.json), and the mean where nothing does. A
text that is too long for the model is cut.

Each vector is printed on a line of its own, in the order of the texts. -o
writes them to a file of numpy instead, float32 (texts, width).`,
		Example: `  attnx embed all-MiniLM-L6-v2 --text 'a cat' --text 'a dog' --json
  attnx embed model.onnx --file lines.txt -o vectors.npy`,
		Args: usage.OneArg("encoder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := (attnx.Pooling{Kind: pooling}).Check(); err != nil {
				return fmt.Errorf("--pooling: %w", err)
			}
			if out != "" {
				if out == "-" {
					return fmt.Errorf("-o -: vectors go to standard output without -o: name a file that ends in .npy")
				}
				place, err := output.Claim(output.Array, out, args[0], from.file)
				if err != nil {
					return err
				}
				defer place.Close()
			}
			e, texts, err := from.open(args[0], s, attnx.OpenTrunk)
			if err != nil {
				return err
			}
			defer e.Close()
			p := e.Pooling
			p.Kind = cmp.Or(pooling, p.Kind, attnx.Poolings()[0])
			if cmd.Flags().Changed("normalize") {
				p.Normalized = normalize
			}
			vectors, err := e.Embed(cmd.Context(), texts, p)
			if err != nil {
				return err
			}
			report := embedReport{Model: args[0], Runtime: e.Runtime.String(), Pooling: p.Kind, Normalized: p.Normalized, Width: len(vectors[0].Values), File: out}
			for i, v := range vectors {
				report.Texts = append(report.Texts, embedText{texts[i], v.Tokens, v.Values})
			}
			if out != "" {
				ending.FinishFirst(cmd.Context())
				if err := report.save(); err != nil {
					return err
				}
				fmt.Fprintf(s.Note, "wrote %s: %d vectors of width %d\n", out, len(vectors), report.Width)
			}
			if asJSON {
				return usage.PrintJSON(s.Out, report)
			}
			return report.print(s.Out)
		},
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&pooling, "pooling", "", "how hidden states make a vector: "+quote.Or(attnx.Poolings())+" (default: the model's)")
	cmd.Flags().BoolVar(&normalize, "normalize", false, "divide each vector by its length (default: as the model says)")
	cmd.Flags().StringVarP(&out, "output", "o", "", "write the vectors to this .npy file")
	usage.JSONFlag(cmd, &asJSON, embedReport{})
	return cmd
}

// save writes the vectors to the file and takes them out of the report.
func (r *embedReport) save() error {
	var all []float32
	for i := range r.Texts {
		all = append(all, r.Texts[i].Vector...)
		r.Texts[i].Vector = nil
	}
	t := format.FromFloat32s("", []int{len(r.Texts), r.Width}, all)
	return store.Save(r.File, func(w io.Writer) error { return npy.Write(w, t) })
}

// print writes a vector on each line.
func (r *embedReport) print(w io.Writer) error {
	for _, t := range r.Texts {
		if t.Vector == nil {
			continue
		}
		numbers := make([]string, len(t.Vector))
		for i, x := range t.Vector {
			numbers[i] = strconv.FormatFloat(float64(x), 'g', -1, 32)
		}
		if _, err := io.WriteString(w, strings.Join(slices.Clip(numbers), " ")+"\n"); err != nil {
			return fmt.Errorf("standard output: %w", err)
		}
	}
	return nil
}
