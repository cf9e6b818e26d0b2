package jinja

import (
	"errors"
	"fmt"
	"strings"
)

// testFunc is a test: what follows "is".
type testFunc func(m *machine, of Value, args []Value) (Value, error)

// cased tests whether a text has letters, all of one case.
func cased(same, other func(string) string) testFunc {
	return func(m *machine, of Value, _ []Value) (Value, error) {
		s, err := m.show(of)
		return s == same(s) && s != other(s), err
	}
}

var tests map[string]testFunc

func init() {
	is := func(f func(v Value) bool) testFunc {
		return func(_ *machine, of Value, _ []Value) (Value, error) { return f(of), nil }
	}
	with := func(f func(m *machine, a, b Value) (Value, error)) testFunc {
		return func(m *machine, of Value, args []Value) (Value, error) {
			if len(args) != 1 {
				return nil, errors.New("the test expects a value")
			}
			return f(m, of, args[0])
		}
	}
	operation := func(op string) testFunc {
		return with(func(m *machine, a, b Value) (Value, error) { return binary{op, constant{a}, constant{b}, 0}.eval(m) })
	}
	isDefined := func(v Value) bool { _, not := v.(undefined); return !not }
	isInteger := func(v Value) bool { _, ok := v.(int64); return ok }
	isNumber := func(v Value) bool { _, _, ok := asNumber(v); return ok }
	parity := func(want int64) testFunc {
		return func(_ *machine, of Value, _ []Value) (Value, error) {
			n, ok := asInt(of)
			if !ok {
				return nil, fmt.Errorf("the parity of %s", typeName(of))
			}
			return n&1 == want, nil
		}
	}
	sequence := func(v Value) bool {
		switch v.(type) {
		case string, *List, *Dict, undefined:
			return true
		}
		return false
	}
	tests = map[string]testFunc{
		"defined": is(isDefined), "undefined": is(func(v Value) bool { return !isDefined(v) }),
		"none":     is(func(v Value) bool { return v == nil }),
		"string":   is(func(v Value) bool { _, ok := v.(string); return ok }),
		"mapping":  is(func(v Value) bool { _, ok := v.(*Dict); return ok }),
		"iterable": is(sequence), "sequence": is(func(v Value) bool { return sequence(v) }),
		"number": is(isNumber), "integer": is(isInteger), "float": is(func(v Value) bool { _, ok := v.(float64); return ok }),
		"boolean": is(func(v Value) bool { _, ok := v.(bool); return ok }),
		"true":    is(func(v Value) bool { return v == true }), "false": is(func(v Value) bool { return v == false }),
		"callable": is(func(v Value) bool { _, ok := v.(function); return ok }),
		"odd":      parity(1), "even": parity(0),
		"lower": cased(strings.ToLower, strings.ToUpper), "upper": cased(strings.ToUpper, strings.ToLower),
		"eq": operation("=="), "equalto": operation("=="), "==": operation("=="), "ne": operation("!="), "lt": operation("<"), "lessthan": operation("<"), "le": operation("<="),
		"gt": operation(">"), "greaterthan": operation(">"), "ge": operation(">="), "in": operation("in"),
		"sameas": with(func(m *machine, a, b Value) (Value, error) {
			_, aBool := a.(bool)
			_, bBool := b.(bool)
			return aBool == bBool && m.equal(a, b), nil
		}),
		"divisibleby": with(func(m *machine, a, b Value) (Value, error) {
			r, err := m.arithmetic("%", a, b, 0)
			return err == nil && !truth(r), err
		}),
	}
}
