package attnx

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
)

// KeepIntegers is the advice for a quantized file that is trained as float32.
const KeepIntegers = "LoRA keeps matrices in Q4_0, Q4_1 and Q8_0 as they are"

// sayStored says which types of the file's numbers become float32, in which weights
// are trained.
func (o TrainOptions) sayStored(kind find.Kind, c *model.Checkpoint, tell Tell) error {
	x, err := Inspect(o.Init, nil)
	if err != nil {
		return err
	}
	count, now, before, kept := map[string]int{}, int64(0), int64(0), len(c.LowBits)
	quantized := false
	for _, t := range x.Tensors {
		if !becomesFloat32(t.DType) {
			continue
		}
		n := int64(4)
		for _, d := range t.Shape {
			n *= int64(d)
		}
		count[t.DType]++
		now, before = now+n, before+t.Bytes
		quantized = quantized || strings.HasPrefix(t.DType, "Q") || strings.HasPrefix(t.DType, "IQ")
	}
	total := 0
	var types []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		total += count[name]
		types = append(types, fmt.Sprintf("%d in %s", count[name], quote.Line(name, 20)))
	}
	switch left := total - kept; {
	case left <= 0:
	case kept > 0:
		tell.Say(Notice, "%s: the other %d of its %d tensors (%s) become float32", o.Init, left, total, strings.Join(types, ", "))
	case quantized && kind == find.GGUF && o.LoRA == 0:
		tell.Say(Notice, "%s: trained as float32, %.1f MB in place of %.1f MB: it has %s: %s", o.Init, float64(now)/1e6, float64(before)/1e6, strings.Join(types, ", "), KeepIntegers)
	default:
		tell.Say(Notice, "%s: trained as float32, %.1f MB in place of %.1f MB: it has %s", o.Init, float64(now)/1e6, float64(before)/1e6, strings.Join(types, ", "))
	}
	return nil
}

// becomesFloat32 reports whether numbers of a type, as one of the formats calls it, are
// others as float32: they are neither that, nor integers and truth values, which stay.
// Float64 is reported where it is rounded.
func becomesFloat32(dtype string) bool {
	name := strings.ToLower(dtype)
	switch name {
	case "f32", "float32", "float", "f64", "float64", "double", "bool", "string":
		return false
	}
	integer := strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(name, "u"), "i"), "nt")
	return strings.Trim(integer, "0123456789") != ""
}
