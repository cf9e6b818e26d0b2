package usage

import (
	"cmp"
	"encoding/json"
	"io"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
)

// JSONFlag adds --json to a command, and the fields of the printed object to
// its help. answer is a value of the object's type.
func JSONFlag(cmd *cobra.Command, asJSON *bool, answer any) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print the result as one JSON object")
	DescribeJSON(cmd, "--json", answer)
}

// DescribeJSON adds the fields of an object to a command's help.
func DescribeJSON(cmd *cobra.Command, with string, answer any) {
	text := "With " + with + " the result is one object: " + strings.Join(fields(reflect.TypeOf(answer)), ", ") + "."
	cmd.Long = strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short+".") + "\n\n" + Wrapped(text, Columns))
}

// Columns is the maximum width of help texts.
const Columns = 80

// fields returns the JSON names of a struct's fields: "name" for a value,
// "name[]" for a list, "name.*" for a map, and "name (part, part)" for an
// object.
func fields(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			names = append(names, fields(embedded)...)
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		names = append(names, under(name, f.Type))
	}
	return names
}

// under returns the name of a field, followed by the fields of its value.
func under(name string, t reflect.Type) string {
	switch {
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return name
	case t.Kind() == reflect.Pointer:
		return under(name, t.Elem())
	case t.Kind() == reflect.Slice:
		return under(name+"[]", t.Elem())
	case t.Kind() == reflect.Map:
		return under(name+".*", t.Elem())
	case t.Kind() == reflect.Struct:
		return name + " (" + strings.Join(fields(t), ", ") + ")"
	}
	return name
}

// Wrapped breaks a text between words into lines of at most the given width.
func Wrapped(text string, columns int) string {
	var sb strings.Builder
	at := 0
	for _, word := range strings.Fields(text) {
		switch {
		case at == 0:
		case at+1+len(word) > columns:
			sb.WriteByte('\n')
			at = 0
		default:
			sb.WriteByte(' ')
			at++
		}
		sb.WriteString(word)
		at += len(word)
	}
	return sb.String()
}

// PrintJSON writes an answer as JSON.
func PrintJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
