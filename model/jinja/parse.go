package jinja

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Error is what is wrong with a template, or with what it was given.
type Error struct {
	Line   int // of the template, from 1 on
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("chat template: line %d: %s", e.Line, e.Reason) }

func errorAt(line int, format string, args ...any) error {
	return &Error{line, fmt.Sprintf(format, args...)}
}

// Limits of a template. Real ones have up to 20 kB, are 15 deep and take a few
// thousand steps for a conversation.
const (
	maxSource = 1 << 20
	maxDepth  = 100
	maxSteps  = 1 << 20
	maxBytes  = 32 << 20 // that a run makes, its result and all between
)

// Template is a parsed template. It is immutable and safe for concurrent use.
type Template struct{ body []node }

// Parse reads a template. What it may not do is an error: include, import, extends
// and blocks, which lead to other files.
func Parse(src string) (*Template, error) {
	if len(src) > maxSource {
		return nil, errorAt(1, "it has %d bytes, at most %d are read", len(src), maxSource)
	}
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	body, _, err := p.body(0)
	if err != nil {
		return nil, err
	}
	return &Template{body}, nil
}

// parser reads tokens. The first error stays.
type parser struct {
	tokens []token
	at     int
	depth  int
	loops  int
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

func (p *parser) is(k kind, text string) bool {
	t := p.peek()
	return t.kind == k && t.text == text
}

func (p *parser) skip(k kind, text string) bool {
	if p.is(k, text) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(k kind, text string) error {
	if !p.skip(k, text) {
		return p.unexpected(fmt.Sprintf("%.8q", text))
	}
	return nil
}

func (p *parser) unexpected(wanted string) error {
	t := p.peek()
	if t.kind == end {
		return errorAt(t.line, "the template ends where %s is expected", wanted)
	}
	return errorAt(t.line, "%.40q where %s is expected", t.text, wanted)
}

func (p *parser) identifier() (string, error) {
	if p.peek().kind != name {
		return "", p.unexpected("a name")
	}
	return p.take().text, nil
}

// enter counts nested parts.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return errorAt(p.peek().line, "it is nested more than %d deep", maxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// body reads nodes up to a statement of one of the names, whose name it returns
// with its tag open behind the name.
func (p *parser) body(open int, ends ...string) (list []node, ended string, err error) {
	if err := p.enter(); err != nil {
		return nil, "", err
	}
	defer p.leave()
	for {
		t := p.take()
		switch t.kind {
		case end:
			if len(ends) > 0 {
				return nil, "", errorAt(open, "the statement has no %s", ends[len(ends)-1])
			}
			return list, "", nil
		case textToken:
			list = append(list, textNode(t.text))
		case beginPrint:
			e, err := p.expressions()
			if err == nil {
				err = p.expect(endPrint, "}}")
			}
			if err != nil {
				return nil, "", err
			}
			list = append(list, printNode{e, t.line})
		case beginTag:
			word, err := p.identifier()
			if err != nil {
				return nil, "", err
			}
			if slices.Contains(ends, word) {
				return list, word, nil
			}
			n, err := p.statement(word, t.line)
			if err != nil {
				return nil, "", err
			}
			list = append(list, n)
		default:
			return nil, "", errorAt(t.line, "unexpected %.40q", t.text)
		}
	}
}

// close reads the end of a tag.
func (p *parser) close() error { return p.expect(endTag, "%}") }

// statement reads what follows the name of a statement.
func (p *parser) statement(word string, line int) (node, error) {
	switch word {
	case "if":
		return p.ifStatement(line)
	case "for":
		return p.forStatement(line)
	case "set":
		return p.setStatement(line)
	case "macro":
		return p.macroStatement(line)
	case "filter":
		return p.filterStatement(line)
	case "with":
		return p.withStatement(line)
	case "call":
		return p.callStatement(line)
	case "generation": // transformers marks the assistant's texts with it
		if err := p.close(); err != nil {
			return nil, err
		}
		body, _, err := p.body(line, "endgeneration")
		if err == nil {
			err = p.close()
		}
		return groupNode(body), err
	case "break", "continue":
		if p.loops == 0 {
			return nil, errorAt(line, "%s is outside of a loop", word)
		}
		return leaveNode(word), p.close()
	case "include", "import", "from", "extends", "block":
		return nil, errorAt(line, "%s leads to other files, and a chat template may not: take the model's own template", word)
	}
	return nil, errorAt(line, "unknown statement %.40q", word)
}

func (p *parser) ifStatement(line int) (node, error) {
	var n ifNode
	for word := "if"; word != "endif"; {
		if word != "else" {
			e, err := p.expression()
			if err != nil {
				return nil, err
			}
			n.conditions = append(n.conditions, e)
		}
		if err := p.close(); err != nil {
			return nil, err
		}
		ends := []string{"elif", "else", "endif"}
		if word == "else" {
			ends = ends[2:]
		}
		body, ended, err := p.body(line, ends...)
		if err != nil {
			return nil, err
		}
		n.bodies = append(n.bodies, body)
		word = ended
	}
	return n, p.close()
}

// targets reads the names to which values are assigned: a, b or a.b.
func (p *parser) targets() (list []target, err error) {
	bracket := p.skip(operator, "(")
	for {
		var t target
		if t.name, err = p.identifier(); err != nil {
			return nil, err
		}
		if p.skip(operator, ".") {
			if t.member, err = p.identifier(); err != nil {
				return nil, err
			}
		}
		if list = append(list, t); !p.skip(operator, ",") || bracket && p.is(operator, ")") {
			break
		}
	}
	if bracket {
		err = p.expect(operator, ")")
	}
	return list, err
}

func (p *parser) forStatement(line int) (node, error) {
	n := forNode{line: line}
	var err error
	if n.targets, err = p.targets(); err != nil {
		return nil, err
	}
	if err := p.expect(name, "in"); err != nil {
		return nil, err
	}
	if n.over, err = p.or(); err != nil { // an if is the loop's
		return nil, err
	}
	if p.skip(operator, ",") {
		return nil, errorAt(line, "a loop over several values: write them as a list")
	}
	if p.skip(name, "if") {
		if n.when, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if p.skip(name, "recursive") {
		n.recursive = true
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	p.loops++
	body, ended, err := p.body(line, "else", "endfor")
	p.loops--
	if err != nil {
		return nil, err
	}
	n.body = body
	if ended == "else" {
		if err := p.close(); err != nil {
			return nil, err
		}
		if n.otherwise, _, err = p.body(line, "endfor"); err != nil {
			return nil, err
		}
	}
	return n, p.close()
}

func (p *parser) setStatement(line int) (node, error) {
	n := setNode{line: line}
	var err error
	if n.targets, err = p.targets(); err != nil {
		return nil, err
	}
	if p.skip(operator, "=") {
		if n.value, err = p.expressions(); err != nil {
			return nil, err
		}
		return n, p.close()
	}
	for p.skip(operator, "|") {
		f, err := p.filter(blockValue{}, line)
		if err != nil {
			return nil, err
		}
		n.filters = append(n.filters, f.(*callNode))
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	if n.body, _, err = p.body(line, "endset"); err != nil {
		return nil, err
	}
	n.block = true
	return n, p.close()
}

func (p *parser) macroStatement(line int) (node, error) {
	n := macroNode{line: line}
	var err error
	if n.name, err = p.identifier(); err != nil {
		return nil, err
	}
	if err := p.expect(operator, "("); err != nil {
		return nil, err
	}
	if err := p.params(&n); err != nil {
		return nil, err
	}
	if err := p.inner(&n, "endmacro"); err != nil {
		return nil, err
	}
	if p.peek().kind == name { // its name again
		p.at++
	}
	return n, p.close()
}

// params reads the names of a macro's values, behind the bracket.
func (p *parser) params(n *macroNode) error {
	for !p.skip(operator, ")") {
		word, err := p.identifier()
		if err != nil {
			return err
		}
		var missing expr
		if p.skip(operator, "=") {
			if missing, err = p.expression(); err != nil {
				return err
			}
		}
		n.params, n.missing = append(n.params, word), append(n.missing, missing)
		if !p.skip(operator, ",") && !p.is(operator, ")") {
			return p.unexpected(`")"`)
		}
	}
	return nil
}

// inner reads the body of a macro, behind its values.
func (p *parser) inner(n *macroNode, end string) (err error) {
	if err := p.close(); err != nil {
		return err
	}
	loops := p.loops
	p.loops = 0
	n.body, _, err = p.body(n.line, end)
	p.loops = loops
	return err
}

// callStatement reads a block that a macro calls.
func (p *parser) callStatement(line int) (node, error) {
	n := callBlock{line: line, block: macroNode{name: "caller", line: line}}
	if p.skip(operator, "(") {
		if err := p.params(&n.block); err != nil {
			return nil, err
		}
	}
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	ok := false
	if n.call, ok = e.(*callNode); !ok || n.call.filter != "" || n.call.test != "" {
		return nil, errorAt(line, "call expects the call of a macro")
	}
	if err := p.inner(&n.block, "endcall"); err != nil {
		return nil, err
	}
	return n, p.close()
}

func (p *parser) withStatement(line int) (node, error) {
	n := withNode{line: line}
	for !p.is(endTag, "%}") {
		if len(n.values) > 0 {
			if err := p.expect(operator, ","); err != nil {
				return nil, err
			}
		}
		word, err := p.identifier()
		if err == nil {
			err = p.expect(operator, "=")
		}
		if err != nil {
			return nil, err
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		n.targets, n.values = append(n.targets, target{name: word}), append(n.values, e)
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	var err error
	if n.body, _, err = p.body(line, "endwith"); err != nil {
		return nil, err
	}
	return n, p.close()
}

func (p *parser) filterStatement(line int) (node, error) {
	n := setNode{line: line, block: true}
	for {
		f, err := p.filter(blockValue{}, line)
		if err != nil {
			return nil, err
		}
		if n.filters = append(n.filters, f.(*callNode)); !p.skip(operator, "|") {
			break
		}
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	var err error
	if n.body, _, err = p.body(line, "endfilter"); err != nil {
		return nil, err
	}
	return n, p.close()
}

// literal reads a number.
func literal(t token) (Value, error) {
	if t.kind == integer {
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			return nil, errorAt(t.line, "the number %.40s is too large", t.text)
		}
		return n, nil
	}
	x, err := strconv.ParseFloat(strings.ReplaceAll(t.text, "_", ""), 64)
	if err != nil {
		return nil, errorAt(t.line, "the number %.40s is too large", t.text)
	}
	return x, nil
}
