package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Print writes g as stable text, a value a line. The laws of the first weights
// are left out: they are no part of what the graph computes.
func Print(w io.Writer, g *Graph) error {
	var sb strings.Builder
	for _, v := range g.Values {
		args := make([]string, len(v.Args))
		for i, a := range v.Args {
			args[i] = a.Name
		}
		fmt.Fprintf(&sb, "%s %s%s = %s", v.Name, v.DType, v.Shape, v.Op)
		if !v.Op.Leaf() {
			fmt.Fprintf(&sb, "(%s)", strings.Join(args, ", "))
		}
		sb.WriteString(v.Attr.text(v.Op))
		sb.WriteByte('\n')
	}
	for _, o := range g.Outputs {
		fmt.Fprintf(&sb, "output %s = %s\n", o.Name, o.Value.Name)
	}
	_, err := io.WriteString(w, sb.String())
	return err
}

// text returns the attributes of an operator as " axis=1 ...", in the order
// of the op table.
func (a Attr) text(op Op) string {
	num := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	var sb strings.Builder
	for _, field := range strings.Fields(op.Info().Attrs) {
		switch field {
		case "Axis":
			fmt.Fprintf(&sb, " axis=%d", a.Axis)
		case "Axes":
			fmt.Fprintf(&sb, " axes=%d", a.Axes)
		case "KeepDims":
			fmt.Fprintf(&sb, " keepdims=%t", a.KeepDims)
		case "Perm":
			fmt.Fprintf(&sb, " perm=%d", a.Perm)
		case "Shape":
			fmt.Fprintf(&sb, " shape=%s", a.Shape)
		case "Sizes":
			fmt.Fprintf(&sb, " sizes=%d", a.Sizes)
		case "Result":
			if op == Split || a.Result != 0 { // of most operators the first result is the only one
				fmt.Fprintf(&sb, " result=%d", a.Result)
			}
		case "Start":
			fmt.Fprintf(&sb, " start=%s", a.Start)
		case "Limit":
			fmt.Fprintf(&sb, " limit=%s", a.Limit)
		case "Upper":
			fmt.Fprintf(&sb, " upper=%t", a.Upper)
		case "K":
			fmt.Fprintf(&sb, " k=%s", a.K)
		case "Fill":
			fmt.Fprintf(&sb, " fill=%s", num(a.Fill))
		case "Epsilon":
			fmt.Fprintf(&sb, " epsilon=%s", num(a.Epsilon))
		case "TransA":
			fmt.Fprintf(&sb, " transa=%t", a.TransA)
		case "TransB":
			fmt.Fprintf(&sb, " transb=%t", a.TransB)
		case "Depth":
			fmt.Fprintf(&sb, " depth=%d", a.Depth)
		case "Scale":
			fmt.Fprintf(&sb, " scale=%s", num(a.Scale))
		case "IgnoreIndex":
			fmt.Fprintf(&sb, " ignore_index=%d", a.IgnoreIndex)
		case "Value":
			fmt.Fprintf(&sb, " sha256=%x", sha256.Sum256(a.Value.Data))
		}
	}
	return sb.String()
}

// Fingerprint returns the SHA-256 of what Print writes, in hexadecimal.
func Fingerprint(g *Graph) string {
	h := sha256.New()
	_ = Print(h, g) // a hash takes every write
	return hex.EncodeToString(h.Sum(nil))
}
