package placement

import (
	"slices"

	"github.com/attnx/attnx/export/onnx/schema"
)

// definitions are what ONNX Runtime's operators are where they are not those of
// the table of all operators.
type definitions struct {
	own     map[operator][]*schema.Operator // instead of the table's, or beside them
	without map[operator][]int64            // versions of the table that it does not have
}

// at returns the definition of an operator that a model's opset means: the newest
// that is not newer. It is nil if there is none, or the operator is no more.
func (d *definitions) at(op operator, opset int64) *schema.Operator {
	var newest *schema.Operator
	for _, o := range append(schema.Versions(op.domain, op.op), d.own[op]...) { // of one version, ONNX Runtime's own comes last
		if o.Since <= opset && !slices.Contains(d.without[op], o.Since) && (newest == nil || o.Since >= newest.Since) {
			newest = o
		}
	}
	if newest == nil || newest.Deprecated {
		return nil
	}
	return newest
}

// is reports whether the name by which a kernel restricts types is a parameter's:
// its type variable, or, if that has none, its own (OpSchemaKernelTypeStrResolver
// in onnxruntime/core/framework/kernel_type_str_resolver.cc).
func is(p *schema.Parameter, name string) bool {
	return p != nil && name != "" && (p.Variable == name || p.Name == name)
}
