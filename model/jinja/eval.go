package jinja

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

func (e constant) eval(*machine) (Value, error)     { return e.value, nil }
func (blockValue) eval(m *machine) (Value, error)   { return m.block, nil }
func (e lookup) eval(m *machine) (v Value, _ error) { v, _ = m.get(e.name); return v, m.step(0, 0) }

func (e listExpr) eval(m *machine) (Value, error) {
	list := &List{tuple: e.tuple}
	for _, i := range e.items {
		v, err := i.eval(m)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, v)
	}
	return m.made(0, list)
}

func (e dictExpr) eval(m *machine) (Value, error) {
	d := NewDict()
	for i := range e.keys {
		k, err := e.keys[i].eval(m)
		if err != nil {
			return nil, err
		}
		v, err := e.values[i].eval(m)
		if err != nil {
			return nil, err
		}
		if !hashable(k) {
			return nil, errorAt(e.line, "the key of a mapping is %s", typeName(k))
		}
		d.Set(k, v)
	}
	return m.made(e.line, d)
}

func (e logic) eval(m *machine) (Value, error) {
	a, err := e.a.eval(m)
	if err != nil || truth(a) == (e.op == "or") {
		return a, err
	}
	return e.b.eval(m)
}

func (e choice) eval(m *machine) (Value, error) {
	when, err := e.when.eval(m)
	switch {
	case err != nil:
		return nil, err
	case truth(when):
		return e.then.eval(m)
	case e.otherwise == nil:
		return undefined{"the inline if has no else"}, nil
	}
	return e.otherwise.eval(m)
}

func (e unary) eval(m *machine) (Value, error) {
	a, err := e.a.eval(m)
	if err != nil {
		return nil, err
	}
	if e.op == "not" {
		return !truth(a), nil
	}
	if n, ok := asInt(a); ok {
		if e.op == "-" {
			n = -n
		}
		return n, nil
	}
	if x, ok := a.(float64); ok {
		if e.op == "-" {
			x = -x
		}
		return x, nil
	}
	return nil, errorAt(e.line, "%s of %s", e.op, typeName(a))
}

func (e binary) eval(m *machine) (Value, error) {
	a, err := e.a.eval(m)
	if err != nil {
		return nil, err
	}
	b, err := e.b.eval(m)
	if err != nil {
		return nil, err
	}
	switch e.op {
	case "==":
		return m.equal(a, b), m.step(e.line, 0)
	case "!=":
		return !m.equal(a, b), m.step(e.line, 0)
	case "in", "not in":
		in, err := m.contains(b, a, e.line)
		return in == (e.op == "in"), err
	case "~":
		return m.made(e.line, show(a)+show(b))
	case "<", "<=", ">", ">=":
		c, ok := m.compare(a, b)
		if !ok {
			return nil, errorAt(e.line, "%s cannot be compared with %s", typeName(a), typeName(b))
		}
		return map[string]bool{"<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[e.op], m.step(e.line, 0)
	}
	return m.arithmetic(e.op, a, b, e.line)
}

// contains reports whether a list, a mapping or a text has a value.
func (m *machine) contains(in, v Value, line int) (bool, error) {
	switch in := in.(type) {
	case string:
		s, ok := v.(string)
		if !ok {
			return false, errorAt(line, "%s in a string", typeName(v))
		}
		return strings.Contains(in, s), m.step(line, 0)
	case *List:
		for _, e := range in.Items {
			if err := m.step(line, 0); err != nil {
				return false, err
			}
			if m.equal(e, v) {
				return true, nil
			}
		}
		return false, nil
	case *Dict:
		_, ok := in.Get(v)
		return ok, m.step(line, 0)
	case undefined:
		return false, m.step(line, 0)
	}
	return false, errorAt(line, "in %s", typeName(in))
}

// arithmetic computes with numbers, texts and lists.
func (m *machine) arithmetic(op string, a, b Value, line int) (Value, error) {
	bad := func() (Value, error) {
		return nil, errorAt(line, "%s %s %s", typeName(a), op, typeName(b))
	}
	if s, ok := a.(string); ok && op == "+" {
		if t, ok := b.(string); ok {
			return m.made(line, s+t)
		}
		return bad()
	}
	if s, ok := a.(*List); ok && op == "+" {
		if t, ok := b.(*List); ok && s.tuple == t.tuple {
			return m.made(line, &List{Items: append(s.Items[:len(s.Items):len(s.Items)], t.Items...), tuple: s.tuple})
		}
		return bad()
	}
	if n, ok := asInt(b); ok && op == "*" {
		if v, ok, err := m.repeated(a, n, line); ok || err != nil {
			return v, err
		}
	}
	if n, ok := asInt(a); ok && op == "*" {
		if v, ok, err := m.repeated(b, n, line); ok || err != nil {
			return v, err
		}
	}
	if _, ok := a.(string); ok && op == "%" {
		v, err := m.percent(a.(string), b)
		if err != nil {
			return nil, placed(err, line)
		}
		return m.made(line, v)
	}
	x, wholeX, okX := asNumber(a)
	y, wholeY, okY := asNumber(b)
	if !okX || !okY {
		return bad()
	}
	if (op == "/" || op == "//" || op == "%") && y == 0 {
		return nil, errorAt(line, "division by zero")
	}
	if wholeX && wholeY && op != "/" {
		i, _ := asInt(a)
		j, _ := asInt(b)
		if v, ok := whole(op, i, j); ok {
			return v, m.step(line, 0)
		}
		if op != "**" || j >= 0 {
			return nil, errorAt(line, "%s gives a number beyond 64 bits", op)
		}
	}
	var r float64
	switch op {
	case "+":
		r = x + y
	case "-":
		r = x - y
	case "*":
		r = x * y
	case "/":
		r = x / y
	case "//":
		r = math.Floor(x / y)
	case "%":
		if r = math.Mod(x, y); r != 0 && (r < 0) != (y < 0) {
			r += y
		}
	case "**":
		r = math.Pow(x, y)
	}
	return r, m.step(line, 0)
}

// repeated returns a text or a list n times.
func (m *machine) repeated(v Value, n int64, line int) (Value, bool, error) {
	if _, ok := v.(*Dict); ok {
		return nil, false, nil
	}
	n = max(n, 0)
	switch v := v.(type) {
	case string:
		if len(v) > 0 && n > maxBytes/int64(len(v)) {
			return nil, true, m.step(line, maxBytes+1)
		}
		r, err := m.made(line, strings.Repeat(v, int(min(n, maxBytes))*min(len(v), 1)))
		return r, true, err
	case *List:
		if len(v.Items) > 0 && n > maxBytes/int64(16*len(v.Items)) {
			return nil, true, m.step(line, maxBytes+1)
		}
		list := &List{tuple: v.tuple}
		for range int(min(n, maxBytes)) * min(len(v.Items), 1) {
			list.Items = append(list.Items, v.Items...)
		}
		r, err := m.made(line, list)
		return r, true, err
	}
	return nil, false, nil
}

// whole computes with integers. ok is false for a result beyond 64 bits.
func whole(op string, a, b int64) (v int64, ok bool) {
	switch op {
	case "+":
		v = a + b
		return v, (v > a) == (b > 0)
	case "-":
		v = a - b
		return v, (v < a) == (b > 0)
	case "*":
		if a == 0 || b == 0 {
			return 0, true
		}
		v = a * b
		return v, v/b == a && !(a == -1 && b == math.MinInt64) && !(b == -1 && a == math.MinInt64)
	case "//":
		v = a / b
		if a%b != 0 && (a < 0) != (b < 0) {
			v--
		}
		return v, true
	case "%":
		if v = a % b; v != 0 && (v < 0) != (b < 0) {
			v += b
		}
		return v, true
	case "**":
		v = 1
		for range min(b, 65) {
			if v, ok = whole("*", v, a); !ok {
				return 0, false
			}
		}
		return v, b >= 0 && (b <= 64 || a >= -1 && a <= 1)
	}
	return 0, false
}

func (e member) eval(m *machine) (Value, error) {
	of, err := e.of.eval(m)
	if err != nil {
		return nil, err
	}
	if err := m.step(e.line, 0); err != nil {
		return nil, err
	}
	switch v := of.(type) {
	case undefined:
		return nil, errorAt(e.line, "%.40q of something that is %s", e.name, quoteUndefined(v))
	case *loop:
		if x, ok := v.member(e.name); ok {
			return x, nil
		}
	case *cycler:
		if x, ok := v.member(e.name); ok {
			return x, nil
		}
	case *List:
		if i := slices.Index(v.names, e.name); i >= 0 {
			return v.Items[i], nil
		}
	case *namespace:
		if x, ok := v.Get(e.name); ok {
			return x, nil
		}
	}
	if f := method(of, e.name); f != nil {
		return f, nil
	}
	if d, ok := of.(*Dict); ok {
		if x, ok := d.Get(e.name); ok {
			return x, nil
		}
	}
	return undefined{e.name}, nil
}

func quoteUndefined(v undefined) string { return "not defined: " + v.what }

func (e index) eval(m *machine) (Value, error) {
	of, err := e.of.eval(m)
	if err != nil {
		return nil, err
	}
	key, err := e.key.eval(m)
	if err != nil {
		return nil, err
	}
	n, isInt := asInt(key)
	switch v := of.(type) {
	case undefined:
		return nil, errorAt(e.line, "an element of something that is %s", quoteUndefined(v))
	case *Dict:
		if x, ok := v.Get(key); ok {
			return x, m.step(e.line, 0)
		}
	case *List:
		if isInt && n < 0 {
			n += int64(len(v.Items))
		}
		if isInt && n >= 0 && n < int64(len(v.Items)) {
			return v.Items[n], m.step(e.line, 0)
		}
	case string:
		length := int64(utf8.RuneCountInString(v))
		if isInt && n < 0 {
			n += length
		}
		if isInt && n >= 0 && n < length {
			return string([]rune(v)[n]), m.step(e.line, len(v))
		}
	}
	if word, ok := key.(string); ok {
		return member{constant{of}, word, e.line}.eval(m)
	}
	return undefined{"an element of " + typeName(of)}, m.step(e.line, 0)
}

func (e slice) eval(m *machine) (Value, error) {
	of, err := e.of.eval(m)
	if err != nil {
		return nil, err
	}
	bounds := [3]*int64{}
	for i, part := range []expr{e.from, e.to, e.step} {
		if part == nil {
			continue
		}
		v, err := part.eval(m)
		if err != nil {
			return nil, err
		}
		if n, ok := asInt(v); ok {
			bounds[i] = &n
		} else if v != nil {
			return nil, errorAt(e.line, "the bound of a slice is %s", typeName(v))
		}
	}
	switch v := of.(type) {
	case string:
		runes := []rune(v)
		var b strings.Builder
		for _, i := range places(len(runes), bounds) {
			b.WriteRune(runes[i])
		}
		return m.made(e.line, b.String())
	case *List:
		out := &List{tuple: v.tuple}
		for _, i := range places(len(v.Items), bounds) {
			out.Items = append(out.Items, v.Items[i])
		}
		return m.made(e.line, out)
	case undefined:
		return nil, errorAt(e.line, "a slice of something that is %s", quoteUndefined(v))
	}
	return nil, errorAt(e.line, "a slice of %s", typeName(of))
}

// places returns the indices of a slice of n elements, as in Python.
func places(n int, bounds [3]*int64) (list []int) {
	step := int64(1)
	if bounds[2] != nil {
		step = *bounds[2]
	}
	if step == 0 {
		return nil
	}
	clip := func(b *int64, missing, low, high int64) int64 {
		if b == nil {
			return missing
		}
		v := *b
		if v < 0 {
			v += int64(n)
		}
		return max(low, min(v, high))
	}
	if step > 0 {
		from, to := clip(bounds[0], 0, 0, int64(n)), clip(bounds[1], int64(n), 0, int64(n))
		for i := from; i < to; i += step {
			if list = append(list, int(i)); step > int64(n) {
				break
			}
		}
		return list
	}
	from, to := clip(bounds[0], int64(n)-1, -1, int64(n)-1), clip(bounds[1], -1, -1, int64(n)-1)
	for i := from; i > to; i += step {
		if list = append(list, int(i)); step < -int64(n) {
			break
		}
	}
	return list
}

func (c *callNode) eval(m *machine) (Value, error) {
	of, err := c.of.eval(m)
	if err != nil {
		return nil, err
	}
	args := make([]Value, 0, len(c.args)+1)
	for _, a := range c.args {
		v, err := a.eval(m)
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	named := map[string]Value{}
	for i, a := range c.named {
		if named[c.names[i]], err = a.eval(m); err != nil {
			return nil, err
		}
	}
	if err := m.step(c.line, 0); err != nil {
		return nil, err
	}
	var v Value
	switch {
	case c.filter != "":
		v, err = filters[c.filter](m, of, args, named)
	case c.test != "":
		v, err = tests[c.test](m, of, args)
	default:
		f, ok := of.(function)
		if l, is := of.(*loop); is {
			f, ok = l.again, true
		}
		if !ok {
			if e, is := c.of.(member); is {
				return nil, errorAt(c.line, "the method %.40q is not supported here: take the model's own template", e.name)
			}
			return nil, errorAt(c.line, "a call of %s", typeName(of))
		}
		v, err = f(m, args, named)
	}
	if err != nil {
		return nil, placed(err, c.line)
	}
	return m.made(c.line, v)
}

// placed adds a line to an error that has none.
func placed(err error, line int) error {
	if _, is := err.(*Error); is {
		return err
	}
	return errorAt(line, "%s", err.Error())
}
