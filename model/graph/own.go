package graph

import (
	"fmt"
	"reflect"
	"sync"
)

// ours maps the names of attnx's operators to their types.
var ours = sync.OnceValue(func() map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for _, list := range [][]Op{operators, imported} {
		for _, op := range list {
			types[op.Name()] = reflect.TypeOf(op)
		}
	}
	return types
})

// checkOperator refuses a user's operator whose text would be read as another
// one. The text contains only its name and the exported fields of its type.
func checkOperator(op Op) error {
	if _, passing := op.(piecewise); passing { // no pass leaves it in a graph
		return nil
	}
	t, name := reflect.TypeOf(op), op.Name()
	if known := ours()[name]; known != nil && known != t {
		return fmt.Errorf("graph: the operator %s is called %.80q, as one of attnx: give it another name, such as own.%.80s", t, name, name)
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); !f.IsExported() && f.Name != "_" {
				return fmt.Errorf("graph: %s has the field %.80q, which the text of a graph would leave out: export it", t, f.Name)
			}
		}
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan, reflect.Array:
		return fmt.Errorf("graph: the operator %.80q is a %s, and the text of a graph would leave out its parts: make it a struct, and pass it by value", name, t.Kind())
	}
	if !identifier(name) {
		return fmt.Errorf("graph: an operator is called %.80q: expected a letter, then letters, digits, dots and underscores", name)
	}
	return nil
}
