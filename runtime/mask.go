package runtime

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// CheckMask returns a *format.RangeError where the inputs of a model with a past
// hold a mask, of integers, with an element that is neither 1, which
// shows a token, nor 0, which hides it.
func CheckMask(inputs map[string]format.Tensor) error {
	name := role.Of(role.AttentionMask).Name()
	mask, ok := inputs[name]
	if _, past := inputs[role.Layered(role.PastKey, 0).Name()]; !ok || !past || mask.DType != format.Int64 && mask.DType != format.Int32 {
		return nil
	}
	return mask.WithName(name).CheckRange(0, 1)
}
