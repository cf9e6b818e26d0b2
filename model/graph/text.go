package graph

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/attnx/attnx/model/role"
)

// header begins the text of every graph. Its number changes if readers of the
// old form could misread the new one.
const header = "attnx graph 1"

// Print writes g as stable text, one node per line. Parse reads it.
func Print(w io.Writer, g *Graph) error {
	var sb strings.Builder
	sb.WriteString(header + "\n")
	if g.Context > 0 {
		fmt.Fprintf(&sb, "context %d\n", g.Context)
	}
	for _, n := range g.Nodes {
		n.print(&sb)
		sb.WriteByte('\n')
	}
	for _, o := range g.Outputs {
		o.print(&sb)
		sb.WriteByte('\n')
	}
	_, err := io.WriteString(w, sb.String())
	return err
}

func (n *Node) print(sb *strings.Builder) {
	for i, v := range n.Results {
		if i > 0 {
			sb.WriteString(", ")
		}
		sb.WriteString(quoted(v.Name) + " " + v.Type.String())
	}
	sb.WriteString(" = " + n.Op.Name())
	if !leaf(n.Op) {
		sb.WriteByte('(')
		for i, a := range n.Args {
			if i > 0 {
				sb.WriteString(", ")
			}
			sb.WriteString(quoted(a.Name))
		}
		sb.WriteByte(')')
	}
	sb.WriteString(attributes(n.Op))
}

func (o Output) print(sb *strings.Builder) {
	fmt.Fprintf(sb, "output %s = %s", quoted(o.Name), quoted(o.Value.Name))
	if o.Role != (role.Role{}) {
		sb.WriteString(" role=" + quoted(o.Role.String()))
	}
}

// quoted returns a name unchanged if it consists of letters, digits and the
// characters ._/:- and is not a keyword, otherwise in Go's quotes.
func quoted(name string) string {
	if name == "" || name == "output" || name == "context" {
		return strconv.Quote(name)
	}
	for _, r := range name {
		plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._/:-", r)
		if !plain {
			return strconv.Quote(name)
		}
	}
	return name
}

// shorten limits the length of a foreign text in a message.
func shorten(text string) string {
	if len(text) > 60 {
		return strconv.Quote(text[:60]) + fmt.Sprintf("... (%d bytes)", len(text))
	}
	return strconv.Quote(text)
}
