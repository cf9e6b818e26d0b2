package graph

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// The attributes of an operator are the exported fields of its type. A field
// may be an int, int64, bool, float64, string, []int, Dim, Shape, format.DType,
// format.Tensor, Init or role.Role. Its key in the text is the field's name in
// snake case, or what the tag attr says: `attr:"keepdims"`. `attr:",omitzero"`
// leaves a zero value out of the text, `attr:"-"` leaves the field out, because
// the operator's name says it.

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

// attributes returns the attributes of op as " axis=1 ...", in the order of its
// fields.
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

// float writes the shortest text that reads as the same number.
func float(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func attributeText(x any) string {
	switch x := x.(type) {
	case int:
		return strconv.Itoa(x)
	case int64:
		return strconv.FormatInt(x, 10)
	case bool:
		return strconv.FormatBool(x)
	case float64:
		return float(x)
	case string:
		return strconv.Quote(x)
	case []int:
		return list(len(x), func(i int) string { return strconv.Itoa(x[i]) })
	case Dim:
		return x.String()
	case Shape:
		return x.String()
	case format.DType:
		return x.String()
	case role.Role:
		return quoted(x.String())
	case Init:
		return fmt.Sprintf("normal(%s,%s)", float(x.Mean), float(x.Std))
	case format.Tensor:
		return tensorText(x)
	}
	return fmt.Sprintf("!%T", x) // refused by Verify
}

func list(n int, at func(int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = at(i)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// readableElements is the size up to which a constant is written as numbers; a
// larger one is written as base64 of its bytes.
const readableElements = 16

// tensorText returns the elements of t: "[0.5,1]" or base64. The type is that
// of the value.
func tensorText(t format.Tensor) string {
	n := t.Elements()
	if n <= readableElements {
		switch t.DType {
		case format.Float32:
			if x, err := t.Float32s(); err == nil && !slices.ContainsFunc(x, func(v float32) bool { return v != v }) {
				return list(n, func(i int) string { return strconv.FormatFloat(float64(x[i]), 'g', -1, 32) })
			}
		case format.Float64:
			if x, err := t.Float64s(); err == nil && !slices.ContainsFunc(x, func(v float64) bool { return v != v }) {
				return list(n, func(i int) string { return float(x[i]) })
			}
		case format.Int64:
			if x, err := t.Int64s(); err == nil {
				return list(n, func(i int) string { return strconv.FormatInt(x[i], 10) })
			}
		case format.Bool:
			if !slices.ContainsFunc(t.Data, func(b byte) bool { return b > 1 }) {
				return list(n, func(i int) string { return strconv.Itoa(int(t.Data[i])) })
			}
		}
	}
	return "base64:" + base64.StdEncoding.EncodeToString(t.Data)
}

// parseTensor reads what tensorText writes.
func parseTensor(text string, dtype format.DType, shape []int) (format.Tensor, error) {
	t := format.Tensor{DType: dtype, Shape: shape}
	if t.Shape == nil {
		t.Shape = []int{}
	}
	if raw, ok := strings.CutPrefix(text, "base64:"); ok {
		var err error
		if t.Data, err = base64.StdEncoding.Strict().DecodeString(raw); err != nil {
			return t, fmt.Errorf("its elements are not base64: %w", err)
		}
		return t, t.Check()
	}
	elements, err := items(text)
	if err != nil {
		return t, err
	}
	t.Data = []byte{}
	for _, e := range elements {
		switch dtype {
		case format.Float32:
			x, err := strconv.ParseFloat(e, 32)
			if err != nil {
				return t, fmt.Errorf("element %.80q is not a float32", e)
			}
			t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(float32(x)))
		case format.Float64:
			x, err := strconv.ParseFloat(e, 64)
			if err != nil {
				return t, fmt.Errorf("element %.80q is not a float64", e)
			}
			t.Data = binary.LittleEndian.AppendUint64(t.Data, math.Float64bits(x))
		case format.Int64:
			x, err := strconv.ParseInt(e, 10, 64)
			if err != nil {
				return t, fmt.Errorf("element %.80q is not an int64", e)
			}
			t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(x))
		case format.Bool:
			if e != "0" && e != "1" {
				return t, fmt.Errorf("element %.80q is neither 0 nor 1", e)
			}
			t.Data = append(t.Data, e[0]-'0')
		default:
			return t, fmt.Errorf("elements of type %s are written as base64", dtype)
		}
	}
	return t, t.Check()
}

// items splits "[1,2]".
func items(text string) ([]string, error) {
	inner, open := strings.CutPrefix(text, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !open || !closed {
		return nil, fmt.Errorf("%s is not a list in brackets", shorten(text))
	}
	if inner == "" {
		return nil, nil
	}
	return strings.Split(inner, ","), nil
}

// setAttributes returns op with the attributes of texts, by their keys. Every
// attribute must be given unless its zero value is left out of the text.
// result is the type of the first result as the text has it: a constant's.
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

// parseAttribute reads a value of like's type.
func parseAttribute(like any, text string, result Type) (any, error) {
	switch like.(type) {
	case int:
		return strconv.Atoi(text)
	case int64:
		return strconv.ParseInt(text, 10, 64)
	case bool:
		return strconv.ParseBool(text)
	case float64:
		return strconv.ParseFloat(text, 64)
	case string:
		return strconv.Unquote(text)
	case []int:
		parts, err := items(text)
		out := make([]int, len(parts))
		for i, p := range parts {
			if out[i], err = strconv.Atoi(p); err != nil {
				return nil, err
			}
		}
		return out, err
	case Dim:
		return ParseDim(text)
	case Shape:
		return ParseShape(text)
	case format.DType:
		t, ok := format.ParseDType(text)
		if !ok {
			return nil, fmt.Errorf("there is no element type %s", shorten(text))
		}
		return t, nil
	case role.Role:
		return role.Parse(text)
	case Init:
		inner, ok := strings.CutPrefix(text, "normal(")
		inner, closed := strings.CutSuffix(inner, ")")
		mean, std, both := strings.Cut(inner, ",")
		m, err := strconv.ParseFloat(mean, 64)
		s, err2 := strconv.ParseFloat(std, 64)
		if !ok || !closed || !both || err != nil || err2 != nil {
			return nil, fmt.Errorf("%s is not normal(mean,std)", shorten(text))
		}
		return Init{m, s}, nil
	case format.Tensor:
		shape, ok := result.Shape.Numbers()
		if !ok {
			return nil, fmt.Errorf("a constant has the shape %s", result.Shape)
		}
		return parseTensor(text, result.DType, shape)
	}
	return nil, fmt.Errorf("it has the type %T, which is not one of an attribute's", like)
}

// checkAttributes reports an attribute that is not a number or not a size, or of
// a type that no attribute may have.
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

// fromFront returns op with its axes counted from the front, the only form that
// a graph holds. An axis that is not there stays as it was given, for Infer to
// refuse.
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

// bindAttributes returns op with the named dimensions that sizes holds replaced
// by their numbers.
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

// mapAttributes returns op with every attribute replaced by what f makes of it.
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
