package graph

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// The attributes of an operator are the exported fields of its type. A field
// may be an int, int64, bool, float64, string, []int, Dim, Shape, format.DType,
// format.Tensor, Init or role.Role. Its key in the text is the field's name in
// snake case, or the name in the tag attr: `attr:"keepdims"`.
// `attr:",omitzero"` omits a zero value from the text. `attr:"-"` omits the
// field, because the operator's name implies it.

// attribute is one field of an operator's type.
type attribute struct {
	index    int
	name     string // of the field
	key      string
	omitZero bool
}

var attributesByType sync.Map // reflect.Type to []attribute

func attributesOf(t reflect.Type) []attribute {
	if known, ok := attributesByType.Load(t); ok {
		return known.([]attribute)
	}
	var out []attribute
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			f := t.Field(i)
			key, options, _ := strings.Cut(f.Tag.Get("attr"), ",")
			if !f.IsExported() || key == "-" {
				continue
			}
			if key == "" {
				key = snake(f.Name)
			}
			out = append(out, attribute{i, f.Name, key, options == "omitzero"})
		}
	}
	attributesByType.Store(t, out)
	return out
}

// snake returns "IgnoreIndex" as "ignore_index".
func snake(name string) string {
	var sb strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			sb.WriteByte('_')
		}
		sb.WriteRune(unicode.ToLower(r))
	}
	return sb.String()
}

// Attributes returns the attributes of op as Print writes them, " axis=1 ...".
func Attributes(op Op) string { return attributes(op) }

// attributes returns the attributes of op as " axis=1 ...", in field order.
func attributes(op Op) string {
	v := reflect.ValueOf(op)
	var sb strings.Builder
	for _, a := range attributesOf(v.Type()) {
		f := v.Field(a.index)
		if a.omitZero && f.IsZero() {
			continue
		}
		sb.WriteString(" " + a.key + "=" + attributeText(f.Interface()))
	}
	return sb.String()
}

// setAttributes returns op with attributes parsed from texts, by key. Every
// attribute must be given unless the text omits its zero value. result is the
// type of the first result in the text; constants need it.
func setAttributes(op Op, texts map[string]string, result Type) (Op, error) {
	v := reflect.New(reflect.TypeOf(op)).Elem()
	v.Set(reflect.ValueOf(op))
	used := 0
	for _, a := range attributesOf(v.Type()) {
		text, ok := texts[a.key]
		if !ok {
			if a.omitZero {
				continue
			}
			return nil, fmt.Errorf("attribute %.80q is missing", a.key)
		}
		used++
		x, err := parseAttribute(v.Field(a.index).Interface(), text, result)
		if err != nil {
			return nil, fmt.Errorf("attribute %.80q: %w", a.key, err)
		}
		v.Field(a.index).Set(reflect.ValueOf(x))
	}
	if used < len(texts) {
		for key := range texts {
			if !slices.ContainsFunc(attributesOf(v.Type()), func(a attribute) bool { return a.key == key }) {
				return nil, fmt.Errorf("it has no attribute %.80q", key)
			}
		}
	}
	return v.Interface().(Op), nil
}

// checkAttributes reports an attribute that is NaN, an invalid size, or of an
// unsupported type.
func checkAttributes(op Op) error {
	v := reflect.ValueOf(op)
	for _, a := range attributesOf(v.Type()) {
		switch x := v.Field(a.index).Interface().(type) {
		case float64:
			if math.IsNaN(x) {
				return fmt.Errorf("attribute %.80q is not a number", a.key)
			}
		case Init:
			if math.IsNaN(x.Mean) || math.IsNaN(x.Std) || x.Std < 0 {
				return fmt.Errorf("attribute %.80q is not a distribution", a.key)
			}
		case Dim:
			if !x.Valid() {
				return fmt.Errorf("attribute %.80q is not a size", a.key)
			}
		case Shape:
			for _, d := range x {
				if !d.Valid() {
					return fmt.Errorf("attribute %.80q has a dimension that is not a size", a.key)
				}
			}
		case int, int64, bool, string, []int, format.DType, role.Role, format.Tensor:
		default:
			return fmt.Errorf("attribute %.80q has the type %T, which is not one of an attribute's", a.key, x)
		}
	}
	return nil
}

// fromFront returns op with its axes counted from the front, the only form in a
// graph. An axis out of range stays as it is, for Infer to refuse.
func fromFront(op Op, args []*Value) Op {
	if len(args) == 0 {
		return op
	}
	rank := len(args[0].Shape)
	front := func(axis int) int {
		if axis < 0 && axis >= -rank {
			return axis + rank
		}
		return axis
	}
	return mapAttributes(op, func(name string, x any) any {
		switch x := x.(type) {
		case int:
			if name == "Axis" {
				return front(x)
			}
		case []int:
			if name != "Axes" && name != "Perm" {
				return x
			}
			out := slices.Clone(x)
			for i, axis := range x {
				out[i] = front(axis)
			}
			if name == "Axes" {
				slices.Sort(out)
			}
			return out
		}
		return x
	})
}

// bindAttributes returns op with the named dimensions in sizes replaced by
// their numbers.
func bindAttributes(op Op, sizes map[string]int) Op {
	return mapAttributes(op, func(_ string, x any) any {
		switch x := x.(type) {
		case Dim:
			return x.bind(sizes)
		case Shape:
			return x.bind(sizes)
		}
		return x
	})
}

// mapAttributes returns op with f applied to every attribute.
func mapAttributes(op Op, f func(field string, x any) any) Op {
	t := reflect.TypeOf(op)
	all := attributesOf(t)
	if len(all) == 0 {
		return op
	}
	v := reflect.New(t).Elem()
	v.Set(reflect.ValueOf(op))
	for _, a := range all {
		v.Field(a.index).Set(reflect.ValueOf(f(a.name, v.Field(a.index).Interface())))
	}
	return v.Interface().(Op)
}
