package jinja

// expr is an expression.
type expr interface {
	eval(m *machine) (Value, error)
}

type (
	constant   struct{ value Value }
	lookup     struct{ name string }
	blockValue struct{} // what a block of set or filter holds
	listExpr   struct {
		items []expr
		tuple bool
	}
	dictExpr struct {
		keys, values []expr
		line         int
	}
	binary struct {
		op   string
		a, b expr
		line int
	}
	unary struct {
		op   string
		a    expr
		line int
	}
	logic struct { // and, or
		op   string
		a, b expr
	}
	choice struct{ when, then, otherwise expr }
	member struct { // a.name
		of   expr
		name string
		line int
	}
	index struct { // a[key]
		of, key expr
		line    int
	}
	slice struct {
		of, from, to, step expr
		line               int
	}
	// callNode is a call, a filter or a test.
	callNode struct {
		of     expr // what is called, or the value of a filter or test
		filter string
		test   string
		args   []expr
		names  []string // of the last arguments
		named  []expr
		line   int
	}
)

// expressions reads one expression or a tuple of several.
func (p *parser) expressions() (expr, error) {
	e, err := p.expression()
	if err != nil || !p.is(operator, ",") {
		return e, err
	}
	list := []expr{e}
	for p.skip(operator, ",") {
		if p.is(endTag, "%}") || p.is(endPrint, "}}") || p.is(operator, ")") {
			break
		}
		if e, err = p.expression(); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return listExpr{list, true}, nil
}

// expression reads a value with an optional "if ... else ...".
func (p *parser) expression() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.or()
	for err == nil && p.skip(name, "if") {
		c := choice{then: e}
		if c.when, err = p.or(); err != nil {
			return nil, err
		}
		if p.skip(name, "else") {
			if c.otherwise, err = p.expression(); err != nil {
				return nil, err
			}
		}
		e = c
	}
	return e, err
}

func (p *parser) or() (expr, error) { return p.logical("or", p.and) }

func (p *parser) and() (expr, error) { return p.logical("and", p.not) }

func (p *parser) logical(word string, next func() (expr, error)) (expr, error) {
	a, err := next()
	for err == nil && p.skip(name, word) {
		var b expr
		b, err = next()
		a = logic{word, a, b}
	}
	return a, err
}

func (p *parser) not() (expr, error) {
	line := p.peek().line
	if !p.skip(name, "not") {
		return p.comparison()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	a, err := p.not()
	return unary{"not", a, line}, err
}

// comparison reads a chain: a < b < c is a < b and b < c.
func (p *parser) comparison() (expr, error) {
	a, err := p.sum()
	var all expr
	for err == nil {
		t, op := p.peek(), ""
		switch {
		case t.kind == operator && (t.text == "==" || t.text == "!=" || t.text == "<" || t.text == "<=" || t.text == ">" || t.text == ">="):
			op = t.text
			p.at++
		case p.skip(name, "in"):
			op = "in"
		case p.is(name, "not") && p.tokens[p.at+1] == token{name, "in", t.line}:
			op = "not in"
			p.at += 2
		}
		if op == "" {
			break
		}
		var b expr
		if b, err = p.sum(); err != nil {
			return nil, err
		}
		var one expr = binary{op, a, b, t.line}
		if all == nil {
			all = one
		} else {
			all = logic{"and", all, one}
		}
		a = b
	}
	if all != nil {
		return all, err
	}
	return a, err
}

// operation reads operators of one rank, from left to right.
func (p *parser) operation(next func() (expr, error), ops ...string) (expr, error) {
	a, err := next()
	for err == nil {
		t, found := p.peek(), false
		for _, op := range ops {
			if found = p.skip(operator, op); found {
				break
			}
		}
		if !found {
			break
		}
		var b expr
		b, err = next()
		a = binary{t.text, a, b, t.line}
	}
	return a, err
}

func (p *parser) sum() (expr, error) { return p.operation(p.concat, "+", "-") }

func (p *parser) concat() (expr, error) { return p.operation(p.product, "~") }

func (p *parser) product() (expr, error) { return p.operation(p.power, "*", "/", "//", "%") }

func (p *parser) power() (expr, error) {
	return p.operation(func() (expr, error) { return p.sign(true) }, "**")
}

func (p *parser) sign(filters bool) (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	t := p.peek()
	var e expr
	var err error
	if p.skip(operator, "-") || p.skip(operator, "+") {
		e, err = p.sign(false)
		e = unary{t.text, e, t.line}
	} else if e, err = p.primary(); err == nil {
		e, err = p.postfix(e)
	}
	if err == nil && filters {
		e, err = p.filtered(e)
	}
	return e, err
}

var words = map[string]Value{"true": true, "True": true, "false": false, "False": false, "none": nil, "None": nil}

func (p *parser) primary() (expr, error) {
	t := p.take()
	switch {
	case t.kind == name:
		if v, ok := words[t.text]; ok {
			return constant{v}, nil
		}
		return lookup{t.text}, nil
	case t.kind == stringToken:
		text := t.text
		for p.peek().kind == stringToken {
			text += p.take().text
		}
		return constant{text}, nil
	case t.kind == integer || t.kind == float:
		v, err := literal(t)
		return constant{v}, err
	case t == token{operator, "(", t.line}:
		if p.skip(operator, ")") {
			return listExpr{nil, true}, nil
		}
		e, err := p.expressions()
		if err == nil {
			err = p.expect(operator, ")")
		}
		return e, err
	case t == token{operator, "[", t.line}:
		items, err := p.list("]")
		return listExpr{items, false}, err
	case t == token{operator, "{", t.line}:
		return p.dictionary(t.line)
	}
	p.at = max(0, p.at-1)
	if t.kind == end {
		p.at = len(p.tokens) - 1
	}
	return nil, p.unexpected("a value")
}

// list reads expressions up to a bracket.
func (p *parser) list(close string) (items []expr, err error) {
	for !p.skip(operator, close) {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		if items = append(items, e); !p.skip(operator, ",") && !p.is(operator, close) {
			return nil, p.unexpected(`"` + close + `"`)
		}
	}
	return items, nil
}

func (p *parser) dictionary(line int) (expr, error) {
	d := dictExpr{line: line}
	for !p.skip(operator, "}") {
		k, err := p.expression()
		if err == nil {
			err = p.expect(operator, ":")
		}
		if err != nil {
			return nil, err
		}
		v, err := p.expression()
		if err != nil {
			return nil, err
		}
		if d.keys, d.values = append(d.keys, k), append(d.values, v); !p.skip(operator, ",") && !p.is(operator, "}") {
			return nil, p.unexpected(`"}"`)
		}
	}
	return d, nil
}

// postfix reads members, indices and calls.
func (p *parser) postfix(e expr) (expr, error) {
	for {
		t := p.peek()
		switch {
		case p.skip(operator, "."):
			next := p.take()
			if next.kind == integer {
				v, err := literal(next)
				if err != nil {
					return nil, err
				}
				e = index{e, constant{v}, t.line}
				continue
			}
			if next.kind != name {
				p.at--
				return nil, p.unexpected("a name")
			}
			e = member{e, next.text, t.line}
		case p.skip(operator, "["):
			var err error
			if e, err = p.subscript(e, t.line); err != nil {
				return nil, err
			}
		case p.skip(operator, "("):
			c := &callNode{of: e, line: t.line}
			if err := p.arguments(c); err != nil {
				return nil, err
			}
			e = c
		default:
			return e, nil
		}
	}
}

// subscript reads an index or a slice.
func (p *parser) subscript(of expr, line int) (expr, error) {
	var parts [3]expr
	colons := 0
	for !p.skip(operator, "]") {
		if p.skip(operator, ":") {
			if colons++; colons > 2 {
				return nil, p.unexpected(`"]"`)
			}
			continue
		}
		if parts[colons] != nil {
			return nil, p.unexpected(`"]"`)
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		parts[colons] = e
	}
	if colons == 0 {
		if parts[0] == nil {
			return nil, errorAt(line, "an index is missing")
		}
		return index{of, parts[0], line}, nil
	}
	return slice{of, parts[0], parts[1], parts[2], line}, nil
}

// arguments reads those of a call, after its bracket.
func (p *parser) arguments(c *callNode) error {
	for !p.skip(operator, ")") {
		if p.peek().kind == name && p.tokens[p.at+1].kind == operator && p.tokens[p.at+1].text == "=" {
			c.names = append(c.names, p.take().text)
			p.at++
			e, err := p.expression()
			if err != nil {
				return err
			}
			c.named = append(c.named, e)
		} else {
			e, err := p.expression()
			if err != nil {
				return err
			}
			c.args = append(c.args, e)
		}
		if !p.skip(operator, ",") && !p.is(operator, ")") {
			return p.unexpected(`")"`)
		}
	}
	return nil
}

// filtered reads filters, tests and calls of their results.
func (p *parser) filtered(e expr) (expr, error) {
	for {
		t := p.peek()
		var err error
		switch {
		case p.skip(operator, "|"):
			e, err = p.filter(e, t.line)
		case p.skip(name, "is"):
			e, err = p.test(e, t.line)
		case p.skip(operator, "("):
			c := &callNode{of: e, line: t.line}
			err = p.arguments(c)
			e = c
		default:
			return e, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) filter(of expr, line int) (expr, error) {
	word, err := p.identifier()
	if err != nil {
		return nil, err
	}
	if filters[word] == nil {
		return nil, errorAt(line, "the filter %.40q is not supported: take the model's own template", word)
	}
	c := &callNode{of: of, filter: word, line: line}
	if p.skip(operator, "(") {
		err = p.arguments(c)
	}
	return c, err
}

func (p *parser) test(of expr, line int) (expr, error) {
	not := p.skip(name, "not")
	t := p.take()
	if t.kind != name && t.text != "==" {
		p.at--
		return nil, p.unexpected("the name of a test")
	}
	if tests[t.text] == nil {
		return nil, errorAt(line, "unknown test %.40q", t.text)
	}
	c := &callNode{of: of, test: t.text, line: line}
	next := p.peek()
	switch {
	case p.skip(operator, "("):
		if err := p.arguments(c); err != nil {
			return nil, err
		}
	case next.kind == stringToken || next.kind == integer || next.kind == float || next.kind == operator && (next.text == "[" || next.text == "{"),
		next.kind == name && next.text != "else" && next.text != "or" && next.text != "and" && next.text != "is" && next.text != "if" && next.text != "in" && next.text != "not":
		e, err := p.primary()
		if err == nil {
			e, err = p.postfix(e)
		}
		if err != nil {
			return nil, err
		}
		c.args = []expr{e}
	}
	if not {
		return unary{"not", c, line}, nil
	}
	return c, nil
}
