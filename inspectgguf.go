package attnx

import (
	"fmt"
	"reflect"
	"strings"

	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/gguf"
)

// gguf adds the contents of a GGUF file, of any architecture.
func (x *Inspection) gguf() error {
	f, err := blocks.Open(x.File)
	if err != nil {
		return err
	}
	defer f.Close()
	x.Kind = "gguf"
	for _, e := range f.Metadata {
		x.Metadata[e.Key] = shownValue(e.Value)
	}
	for _, i := range f.Tensors {
		x.Tensors = append(x.Tensors, InspectedTensor{Name: i.Name, DType: i.Type.String(), Shape: i.Shape, Bytes: i.Size})
		x.Parameters += int64(i.Elements())
	}
	_, notes, err := gguf.Check(x.File, f)
	x.Notes = notes
	if err != nil {
		x.Refused = quote.Line(err.Error(), 2000)
	}
	return nil
}

// shownElements are those of a list that are shown.
const shownElements = 8

// shownValue returns a value of a file's metadata as text: a long list by its
// first elements and their number.
func shownValue(v any) string {
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice {
		return fmt.Sprint(v)
	}
	parts := make([]string, min(list.Len(), shownElements))
	for i := range parts {
		e := list.Index(i).Interface()
		if s, ok := e.(string); ok {
			parts[i] = quote.String(s)
		} else if parts[i] = fmt.Sprint(e); reflect.ValueOf(e).Kind() == reflect.Slice {
			parts[i] = fmt.Sprintf("%T", e)
		}
	}
	if list.Len() > len(parts) {
		return fmt.Sprintf("[%s, ... (%d elements)]", strings.Join(parts, ", "), list.Len())
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
