package jinja

import (
	"errors"
	"maps"
	"strings"
)

// node is a part of a template.
type node interface {
	run(m *machine) error
}

type (
	textNode  string
	printNode struct {
		value expr
		line  int
	}
	groupNode []node
	ifNode    struct {
		conditions []expr
		bodies     [][]node // one more if there is an else
	}
	forNode struct {
		targets         []target
		over, when      expr
		body, otherwise []node
		recursive       bool
		line            int
	}
	setNode struct {
		targets []target
		value   expr
		block   bool
		body    []node
		filters []*callNode
		line    int
	}
	macroNode struct {
		name    string
		params  []string
		missing []expr
		body    []node
		line    int
	}
	withNode struct {
		targets []target
		values  []expr
		body    []node
		line    int
	}
	// callBlock calls a macro, which calls the block as caller.
	callBlock struct {
		call  *callNode
		block macroNode
		line  int
	}
	leaveNode string // break or continue
)

// target is what a value is assigned to: a name, or a member of a namespace.
type target struct{ name, member string }

// machine runs a template.
type machine struct {
	out   *strings.Builder
	scope *scope
	steps int
	bytes int
	depth int
	line  int   // of the last step with a line
	block Value // of a filter block
}

// scope holds the names of a loop, a macro or the template.
type scope struct {
	values map[string]Value
	up     *scope
}

var (
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

// Run returns the text of a template for the given values. Errors name the line of
// the template.
func (t *Template) Run(values map[string]Value) (string, error) {
	m := &machine{out: &strings.Builder{}, scope: &scope{values: maps.Clone(globals)}}
	maps.Copy(m.scope.values, values)
	m.push()
	if err := m.all(t.body); err != nil {
		return "", err
	}
	return m.out.String(), nil
}

func (m *machine) push() { m.scope = &scope{map[string]Value{}, m.scope} }

func (m *machine) pop() { m.scope = m.scope.up }

// step counts what a template does, and the bytes that it makes.
func (m *machine) step(line, bytes int) error {
	m.steps++
	m.bytes += bytes
	if line == 0 {
		line = m.line
	}
	m.line = line
	switch {
	case m.steps > maxSteps:
		return errorAt(line, "it takes more than %d steps: its loops do not end: take the model's own template", maxSteps)
	case m.bytes > maxBytes:
		return errorAt(line, "it makes more than %d MB of text: its loops do not end: take the model's own template", maxBytes>>20)
	}
	return nil
}

// made counts a value that was made.
func (m *machine) made(line int, v Value) (Value, error) { return v, m.step(line, size(v)) }

func (m *machine) all(list []node) error {
	for _, n := range list {
		if err := n.run(m); err != nil {
			return err
		}
	}
	return nil
}

func (n textNode) run(m *machine) error {
	m.out.WriteString(string(n))
	return m.step(0, len(n))
}

func (n printNode) run(m *machine) error {
	v, err := n.value.eval(m)
	if err != nil {
		return err
	}
	text := show(v)
	m.out.WriteString(text)
	return m.step(n.line, len(text))
}

func (n groupNode) run(m *machine) error { return m.all(n) }

func (n leaveNode) run(*machine) error {
	if n == "break" {
		return errBreak
	}
	return errContinue
}

func (n ifNode) run(m *machine) error {
	for i, body := range n.bodies {
		if i < len(n.conditions) {
			v, err := n.conditions[i].eval(m)
			if err != nil {
				return err
			}
			if !truth(v) {
				continue
			}
		}
		return m.all(body)
	}
	return nil
}

// items returns the elements over which a loop goes.
func (m *machine) items(v Value, line int) ([]Value, error) {
	switch v := v.(type) {
	case *List:
		return v.Items, m.step(line, 0)
	case *Dict:
		return v.keys, m.step(line, 0)
	case undefined:
		return nil, nil
	case string:
		var list []Value
		for _, r := range v {
			list = append(list, string(r))
		}
		return list, m.step(line, 16*len(list))
	}
	return nil, errorAt(line, "a loop over %s", typeName(v))
}

// assign gives a value to targets, one or several in turn.
func (m *machine) assign(targets []target, v Value, line int) error {
	if len(targets) > 1 {
		parts, err := m.items(v, line)
		if err != nil || len(parts) != len(targets) {
			return errorAt(line, "%d values for %d names", len(parts), len(targets))
		}
		for i, t := range targets {
			if err := m.assign([]target{t}, parts[i], line); err != nil {
				return err
			}
		}
		return nil
	}
	t := targets[0]
	if t.member == "" {
		m.scope.values[t.name] = v
		return m.step(line, 16)
	}
	of, _ := m.get(t.name)
	space, ok := of.(*namespace)
	if !ok {
		return errorAt(line, "%.40s is %s, and only members of a namespace can be set", t.name, typeName(of))
	}
	space.Set(t.member, v)
	return m.step(line, 16)
}

// get returns the value of a name.
func (m *machine) get(word string) (Value, bool) {
	for s := m.scope; s != nil; s = s.up {
		if v, ok := s.values[word]; ok {
			return v, true
		}
	}
	return undefined{word}, false
}

func (n forNode) run(m *machine) error {
	v, err := n.over.eval(m)
	if err != nil {
		return err
	}
	return n.loop(m, v, 0)
}

// loop runs the loop over a value, depth loops of its own deep.
func (n forNode) loop(m *machine, over Value, depth int) error {
	items, err := m.items(over, n.line)
	if err != nil {
		return err
	}
	m.push()
	defer m.pop()
	if n.when != nil {
		var kept []Value
		for _, item := range items {
			if err := m.assign(n.targets, item, n.line); err != nil {
				return err
			}
			ok, err := n.when.eval(m)
			if err != nil {
				return err
			}
			if truth(ok) {
				kept = append(kept, item)
			}
		}
		items = kept
	}
	if len(items) == 0 {
		return m.all(n.otherwise)
	}
	l := &loop{node: n, items: items, depth: depth, scope: m.scope.up}
	for i, item := range items {
		l.at = i
		m.scope.values = map[string]Value{"loop": l}
		if err := m.assign(n.targets, item, n.line); err != nil {
			return err
		}
		switch err := m.all(n.body); {
		case errors.Is(err, errBreak):
			return nil
		case err != nil && !errors.Is(err, errContinue):
			return err
		}
	}
	return nil
}

// loop is the variable loop within a loop.
type loop struct {
	node  forNode
	items []Value
	at    int
	depth int // loops of a recursive loop around it
	scope *scope
	last  *List // what changed was called with
}

// again runs the body of a recursive loop for other items, and returns its text.
func (l *loop) again(m *machine, args []Value, _ map[string]Value) (Value, error) {
	if !l.node.recursive {
		return nil, errors.New("the loop is called, and it is not recursive")
	}
	if len(args) != 1 {
		return nil, errors.New("a loop is called with one value")
	}
	if m.depth++; m.depth > maxDepth {
		return nil, errorAt(l.node.line, "the loop is called within itself more than %d times: take the model's own template", maxDepth)
	}
	defer func() { m.depth-- }()
	caller := m.scope
	m.scope = l.scope
	defer func() { m.scope = caller }()
	out := m.out
	m.out = &strings.Builder{}
	err := l.node.loop(m, args[0], l.depth+1)
	text := m.out.String()
	m.out = out
	return text, err
}

// member returns a member of the variable loop.
func (l *loop) member(word string) (Value, bool) {
	n := len(l.items)
	switch word {
	case "index":
		return int64(l.at + 1), true
	case "index0":
		return int64(l.at), true
	case "revindex":
		return int64(n - l.at), true
	case "revindex0":
		return int64(n - l.at - 1), true
	case "first":
		return l.at == 0, true
	case "last":
		return l.at == n-1, true
	case "length":
		return int64(n), true
	case "depth":
		return int64(l.depth + 1), true
	case "depth0":
		return int64(l.depth), true
	case "changed":
		return function(func(m *machine, args []Value, _ map[string]Value) (Value, error) {
			now := &List{Items: args, tuple: true}
			same := l.last != nil && m.equal(l.last, now)
			l.last = now
			return !same, nil
		}), true
	case "previtem":
		if l.at > 0 {
			return l.items[l.at-1], true
		}
		return undefined{"there is no previous item"}, true
	case "nextitem":
		if l.at < n-1 {
			return l.items[l.at+1], true
		}
		return undefined{"there is no next item"}, true
	case "cycle":
		return function(func(_ *machine, args []Value, _ map[string]Value) (Value, error) {
			if len(args) == 0 {
				return nil, errors.New("cycle expects values")
			}
			return args[l.at%len(args)], nil
		}), true
	}
	return nil, false
}

// captured returns the text that nodes write.
func (m *machine) captured(list []node) (string, error) {
	out := m.out
	m.out = &strings.Builder{}
	err := m.all(list)
	text := m.out.String()
	m.out = out
	return text, err
}

func (n setNode) run(m *machine) error {
	if !n.block {
		v, err := n.value.eval(m)
		if err != nil {
			return err
		}
		return m.assign(n.targets, v, n.line)
	}
	m.push()
	text, err := m.captured(n.body)
	m.pop()
	if err != nil {
		return err
	}
	v := Value(text)
	for _, f := range n.filters {
		outer := m.block
		m.block = v
		v, err = f.eval(m)
		if m.block = outer; err != nil {
			return err
		}
	}
	if n.targets != nil {
		return m.assign(n.targets, v, n.line)
	}
	return printNode{constant{v}, n.line}.run(m)
}

func (n macroNode) run(m *machine) error {
	m.scope.values[n.name] = n.function(m)
	return m.step(n.line, 64)
}

// function returns the macro with the names that it sees.
func (n macroNode) function(m *machine) function {
	home := m.scope
	return func(m *machine, args []Value, named map[string]Value) (Value, error) {
		if m.depth++; m.depth > maxDepth {
			return nil, errorAt(n.line, "the macro %.40s is called within itself more than %d times: take the model's own template", n.name, maxDepth)
		}
		defer func() { m.depth-- }()
		caller := m.scope
		m.scope = &scope{map[string]Value{}, home}
		defer func() { m.scope = caller }()
		if len(args) > len(n.params) {
			return nil, errorAt(n.line, "the macro %.40s takes %d values, not %d", n.name, len(n.params), len(args))
		}
		for i, param := range n.params {
			v, given := named[param]
			switch {
			case i < len(args):
				v = args[i]
			case !given && n.missing[i] != nil:
				var err error
				if v, err = n.missing[i].eval(m); err != nil {
					return nil, err
				}
			case !given:
				v = undefined{"parameter " + param + " was not provided"}
			}
			m.scope.values[param] = v
		}
		if c, ok := named["caller"]; ok {
			m.scope.values["caller"] = c
		}
		return m.captured(n.body)
	}
}

func (n callBlock) run(m *machine) error {
	c := *n.call
	c.names = append(c.names[:len(c.names):len(c.names)], "caller")
	c.named = append(c.named[:len(c.named):len(c.named)], constant{n.block.function(m)})
	return printNode{&c, n.line}.run(m)
}

func (n withNode) run(m *machine) error {
	values := make([]Value, len(n.values)) // they do not see each other
	for i, e := range n.values {
		var err error
		if values[i], err = e.eval(m); err != nil {
			return err
		}
	}
	m.push()
	defer m.pop()
	for i, v := range values {
		if err := m.assign(n.targets[i:i+1], v, n.line); err != nil {
			return err
		}
	}
	return m.all(n.body)
}
