package attnx

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/runtime"
)

// WriteText writes the shares, and the rows that are not certain.
func (x *Certificates) WriteText(w io.Writer) error {
	var b strings.Builder
	what, after := "next tokens", "after token"
	switch {
	case x.classes && len(x.Each) > 0 && x.Each[0].Input != "":
		what, after = "rows of "+quote.Line(x.Output, 40), "row"
	case x.classes:
		what, after = "classes of lines", "line"
	}
	share := func(n, of int, text string) {
		if of > 0 {
			fmt.Fprintf(&b, "%6d of %d (%.4g %%) %s\n", n, of, 100*float64(n)/float64(of), text)
		}
	}
	fmt.Fprintf(&b, "%d %s, in runtimes that compute in %s and add in float32:\n", x.Tokens, what, x.DType)
	share(x.Any, x.Derived, "are certain in any order of summation (worst case)")
	share(x.Ordered, x.Derived, "are certain in sums from the first term to the last")
	share(x.Certain, x.Tokens, "lead by more than 6σ of independent roundings (no proof)")
	share(x.Tokens-x.Certain, x.Tokens, "are a matter of rounding")
	if x.Derived < x.Tokens {
		fmt.Fprintf(&b, "The worst cases were derived for %d of %d: --budget N derives them for N.\n", x.Derived, x.Tokens)
	}
	for _, t := range x.Each {
		if t.Certain && len(t.Others) == 0 && (t.Reading == runtime.ReadingAny || t.Worst == nil && t.Unknown == "") {
			continue
		}
		if t.Input != "" {
			fmt.Fprintf(&b, "%s: ", quote.Line(t.Input, 60))
		}
		fmt.Fprintf(&b, "%s %d: ", after, t.Position)
		known := !math.IsNaN(float64(t.Lead)) && !math.IsNaN(float64(t.Bound)) && !math.IsInf(float64(t.Bound), 0)
		if known {
			fmt.Fprintf(&b, "\"%s\" leads \"%s\" by %.2e, rounding explains %.2e", quote.Line(t.Words[0], 40), quote.Line(t.Words[1], 40), float64(t.Lead), float64(t.Bound))
			if t.Worst != nil {
				fmt.Fprintf(&b, ", in order %s, at worst %s", atMost(t.Worst.Ordered), atMost(t.Worst.Any))
			}
		} else {
			fmt.Fprintf(&b, "not certified here: %s", quote.Line(cmp.Or(t.Unknown, "the scores have no finite bound"), 200))
		}
		if len(t.Others) > 0 {
			fmt.Fprintf(&b, "; %s prefers another", strings.Join(t.Others, ", "))
		} else if known && !t.Certain && len(x.Runtimes) > 0 {
			b.WriteString("; it is first in every runtime that ran")
		}
		b.WriteByte('\n')
		if known && t.Unknown != "" {
			fmt.Fprintf(&b, "  not certified here: %s\n", quote.Line(t.Unknown, 200))
		}
		if len(t.Parts) > 0 {
			b.WriteString("  most of it from ")
			runtime.WriteParts(&b, t.Parts[:min(3, len(t.Parts))])
			b.WriteByte('\n')
		}
	}
	if x.Wrong > 0 {
		fmt.Fprintf(&b, "fail: of the certain %s %d are others in a runtime\n", what, x.Wrong)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// atMost formats a bound.
func atMost(n runtime.Number) string {
	if x := float64(n); !math.IsInf(x, 0) && !math.IsNaN(x) {
		return fmt.Sprintf("%.2e", x)
	}
	return "not known"
}
